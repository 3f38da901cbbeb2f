import { unescape as percentDecoded } from "node:querystring";
import { abortedError } from "../src/catalogue/abort.ts";
import { defineNotifier, type Notification } from "../src/catalogue/catalogue.ts";
import { ActionError } from "../src/catalogue/errors.ts";
import { codeOfStatus, retryAfterMs, startOfBody } from "../src/catalogue/http.ts";
import { choice, secret, secretMap, text } from "../src/schema/field.ts";
import type { Secret } from "../src/schema/secret.ts";

const maxAnswerBytes = 1024;
const maxAnswerShown = 200;
/** Of a part of the URL; what is shorter is a word like `api`. */
const minSecretLength = 6;

export const webhook = defineNotifier({
  id: "webhook",
  summary: "Send each outcome as JSON to a URL",
  description: [
    "The body is `{ event, rule, action, response, outcome, at }`; `event` is the event as it was sent, every digit of its",
    "numbers included. Any 2xx answer counts as delivered. Redirects are not followed.",
  ].join("\n"),
  uses: [],
  rbac: [],
  settings: {
    url: {
      ...secret("Where to send it; it often holds a token, so it is never shown", { required: true }),
      schema: { type: "string", format: "uri", pattern: "^[Hh][Tt][Tt][Pp][Ss]?://" },
    },
    http_method: choice("Method of the request", ["POST", "PUT"], { default: "POST" }),
    user_agent: text("User agent of the request", { default: "hallux", minLength: 1 }),
    content_type: text("Content type of the request", { default: "application/json", minLength: 1 }),
    custom_headers: secretMap("More headers of the request; their values are never shown"),
  },

  async notify({ notification, settings, signal }) {
    const { url, credentials } = addressOf(settings.url);
    const custom = revealed(settings.custom_headers);
    const headers = headersOf({
      "content-type": settings.content_type,
      "user-agent": settings.user_agent,
      ...(credentials === undefined ? {} : { authorization: credentials }),
      ...custom,
    });
    const body = JSON.stringify(messageOf(notification));

    const response = await send(url, { method: settings.http_method, headers, body, signal });

    if (!response.ok) {
      throw await refusal(response, url, [...secretsIn(url), credentials ?? "", ...Object.values(custom)]);
    }
    await response.body?.cancel();
  },
});

function messageOf({ event, rule, action, response, outcome, at }: Notification): object {
  return { event: event.sent, rule, action, response, outcome, at };
}

/** `https://user:password@host/` is sent as basic authentication, as every HTTP client but fetch does. */
function addressOf(secretUrl: Secret): { readonly url: URL; readonly credentials: string | undefined } {
  const url = new URL(secretUrl.reveal());
  const { username, password } = url;
  if (username === "" && password === "") {
    return { url, credentials: undefined };
  }
  url.username = "";
  url.password = "";
  const pair = `${percentDecoded(username)}:${percentDecoded(password)}`;
  return { url, credentials: `Basic ${Buffer.from(pair).toString("base64")}` };
}

/** Tokens stand in paths and queries, and servers repeat those whole (`Cannot POST /hook/TOKEN`) or in part. */
function secretsIn({ href, pathname, search, searchParams }: URL): readonly string[] {
  const parts = [...pathname.split("/"), ...searchParams.values()].filter((part) => part.length >= minSecretLength);
  return [href, pathname + search, ...parts, ...parts.map(percentDecoded)].filter((text) => text !== "/");
}

function revealed(headers: Readonly<Record<string, Secret>> | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value.reveal()]));
}

function headersOf(entries: Readonly<Record<string, string>>): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(entries)) {
    try {
      headers.set(name, value);
    } catch {
      // Not as the cause: it quotes the value.
      throw new ActionError("invalid", `HTTP does not allow the webhook's header ${JSON.stringify(name)}`);
    }
  }
  return headers;
}

async function send(url: URL, request: RequestInit & { readonly signal: AbortSignal }): Promise<Response> {
  try {
    return await fetch(url, { ...request, redirect: "manual" });
  } catch (cause) {
    throw request.signal.aborted
      ? abortedError(request.signal, `the request to ${url.origin}`)
      : new ActionError("unavailable", `${url.origin} does not answer: ${wordsOf(cause)}`, { cause });
  }
}

/** `fetch failed` hides why in its cause. */
function wordsOf(error: unknown): string {
  const { cause, message } = error as Error & { cause?: { code?: string; message?: string } };
  return cause?.code ?? cause?.message ?? message;
}

/** The status and the start of what the other side says; only the origin of the URL, and no secret that it repeats. */
async function refusal(response: Response, url: URL, secrets: readonly string[]): Promise<ActionError> {
  const { status, headers } = response;
  const answer = await startOfBody(response, maxAnswerBytes).catch(() => "");
  const words = status < 400 ? "redirects are not followed, give the final URL" : readable(answer, secrets);
  const message = `${url.origin} answered ${status}${words === "" ? "" : `: ${words}`}`;
  return new ActionError(codeOfStatus(status), message, { retryAfterMs: retryAfterMs(headers.get("retry-after")) });
}

function readable(answer: string, secrets: readonly string[]): string {
  return secrets
    .filter((value) => value !== "")
    .sort((one, other) => other.length - one.length)
    .reduce((text, value) => text.replaceAll(value, "[secret]"), answer)
    .replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, " ")
    .trim()
    .slice(0, maxAnswerShown);
}
