import { ActionError } from "../../catalogue/errors.ts";
import { type Breaker, createBreaker, type Verdict } from "../breaker.ts";
import { type Http, type HttpAnswer, type HttpRequest, refusalOf } from "../http/port.ts";
import { withoutSecrets } from "../told.ts";
import type { GcpCredentials } from "./credentials.ts";
import type { Located, Locator } from "./locate.ts";
import type { FunctionAnswer, FunctionCall } from "./port.ts";

export interface FunctionsOptions {
  readonly credentials: GcpCredentials;
  readonly locator: Locator;
  readonly http: Http;
}

type Call = (call: FunctionCall, signal: AbortSignal) => Promise<FunctionAnswer>;

/** `check` does what `call` does up to the call itself, and asks anew whether there is such a function. */
export function createFunctions({ credentials, locator, http }: FunctionsOptions): {
  readonly call: Call;
  readonly check: Call;
} {
  const breakers = new Map<string, Breaker>();
  const breakerOf = (resource: string): Breaker => {
    const breaker = breakers.get(resource) ?? createBreaker({ endpoint: `function ${resource}` });
    breakers.set(resource, breaker);
    return breaker;
  };

  return {
    async call(call, signal) {
      const located = await locator.find(call, signal);
      const request = requestOf(call, located, await credentials.idToken(audienceOf(located), signal));
      const ends =
        call.timeoutMs === undefined ? signal : AbortSignal.any([signal, AbortSignal.timeout(call.timeoutMs)]);

      const answer = await breakerOf(located.resource)(() => sent(request, http, ends), verdictOn);

      if (answer.status === 404) {
        locator.forget(located.resource);
      }
      if (answer.status === 401) {
        credentials.forget(audienceOf(located));
      }
      if (answer.status < 200 || answer.status > 299) {
        throw refusal(request, answer, located);
      }
      return { status: answer.status, body: withoutSecrets(answer.body, request.secrets ?? []) };
    },
    async check(call, signal) {
      const located = await locator.lookUp(call, signal);
      await credentials.idToken(audienceOf(located), signal);
      return { status: 200, body: "" };
    },
  };
}

function audienceOf({ url }: Located): string {
  return url.href.replace(/\/$/, "");
}

function requestOf({ payload }: FunctionCall, { url }: Located, token: string): HttpRequest {
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  return { url, method: "POST", headers, body: payload, secrets: [token] };
}

/** What stands before the function answers 502, 503 or 504 in its place; 500 is the function's own. */
async function sent(request: HttpRequest, http: Http, signal: AbortSignal): Promise<HttpAnswer> {
  const answer = await http.send(request, signal);
  if (answer.status > 500) {
    throw refusalOf(request, answer);
  }
  return answer;
}

/** One that takes too long may only be slow. */
function verdictOn(error: unknown): Verdict {
  return error instanceof ActionError && error.code === "unavailable" ? "down" : "unknown";
}

const grants: Readonly<Record<number, string>> = {
  401: ": it does not take Hallux's ID token",
  403: ": missing permission run.routes.invoke (cloudfunctions.functions.invoke for the 1st generation)",
};

function refusal(request: HttpRequest, answer: HttpAnswer, { resource }: Located): ActionError {
  const error = refusalOf(request, answer);
  const { code, message, retryAfterMs, notBegun } = error;
  return new ActionError(code, `function ${resource}${grants[answer.status] ?? ""}: ${message}`, {
    cause: error,
    retryAfterMs,
    notBegun,
  });
}
