import { ActionError, notBegun } from "../../catalogue/errors.ts";
import { type Http, type HttpAnswer, refusalOf } from "../http/port.ts";
import type { GcpCredentials } from "./credentials.ts";
import type { FunctionCall } from "./port.ts";

const cloudFunctions = "https://cloudfunctions.googleapis.com";
/** A function that is deployed anew keeps its URL. */
const keptMs = 5 * 60_000;

/** The second version of the API knows functions of both generations, but not every one of the first. */
const questions = [
  { version: "v2", fields: "url,serviceConfig.uri" },
  { version: "v1", fields: "httpsTrigger.url" },
] as const;
type Question = (typeof questions)[number];

export interface Located {
  /** `projects/shop/locations/us-central1/functions/isolate` */
  readonly resource: string;
  readonly url: URL;
}

export interface Locator {
  /** Asks Google where the function is. Rejects `notBegun`: it only reads. */
  lookUp(call: FunctionCall, signal: AbortSignal): Promise<Located>;
  /** Asks only where it was not found shortly before. */
  find(call: FunctionCall, signal: AbortSignal): Promise<Located>;
  forget(resource: string): void;
}

export interface LocatorOptions {
  readonly credentials: GcpCredentials;
  readonly http: Http;
  readonly endpoint?: string | undefined;
}

export function createLocator(options: LocatorOptions): Locator {
  const kept = new Map<string, { readonly url: URL; readonly until: number }>();

  async function lookUp(resource: string, signal: AbortSignal): Promise<Located> {
    const url = await urlOf(resource, options, signal);
    kept.set(resource, { url, until: Date.now() + keptMs });
    return { resource, url };
  }

  return {
    lookUp: async (call, signal) => lookUp(await resourceOf(call, options.credentials, signal), signal),
    async find(call, signal) {
      const resource = await resourceOf(call, options.credentials, signal);
      const known = kept.get(resource);
      return known !== undefined && Date.now() < known.until
        ? { resource, url: known.url }
        : await lookUp(resource, signal);
    },
    forget: (resource) => void kept.delete(resource),
  };
}

async function resourceOf(call: FunctionCall, credentials: GcpCredentials, signal: AbortSignal): Promise<string> {
  const { name, location } = call;
  if (name.includes("/")) {
    return name;
  }
  const project = await credentials.project(signal);
  if (project === undefined) {
    const whole = `projects/PROJECT/locations/${location}/functions/${name}`;
    throw new ActionError("invalid", `the credentials name no project: write the function's name as ${whole}`, {
      notBegun: true,
    });
  }
  return `projects/${project}/locations/${location}/functions/${name}`;
}

async function urlOf(resource: string, options: LocatorOptions, signal: AbortSignal): Promise<URL> {
  for (const question of questions) {
    const answer = await ask(question, resource, options, signal);
    if (answer !== undefined) {
      return urlIn(answer, resource);
    }
  }
  throw new ActionError("not_found", `there is no function ${resource}`, { notBegun: true });
}

/** Undefined where there is no such function. */
async function ask(
  { version, fields }: Question,
  resource: string,
  { credentials, http, endpoint = cloudFunctions }: LocatorOptions,
  signal: AbortSignal,
): Promise<HttpAnswer | undefined> {
  const token = await credentials.accessToken(signal);
  const url = new URL(`/${version}/${resource}?fields=${fields}`, endpoint);
  const request = { url, method: "GET", headers: { authorization: `Bearer ${token}` }, secrets: [token] };
  const answer = await http.send(request, signal).catch((error: unknown) => {
    throw error instanceof ActionError ? notBegun(error) : error;
  });
  switch (answer.status) {
    case 200:
      return answer;
    case 404:
      return undefined;
    case 403:
      throw explained(refusalOf(request, answer), `missing permission cloudfunctions.functions.get on ${resource}`);
    default:
      throw explained(refusalOf(request, answer), `function ${resource} cannot be looked up`);
  }
}

function explained(error: ActionError, what: string): ActionError {
  const { code, message, retryAfterMs } = error;
  return new ActionError(code, `${what}: ${message}`, { cause: error, retryAfterMs, notBegun: true });
}

interface FunctionResource {
  readonly url?: string;
  readonly serviceConfig?: { readonly uri?: string };
  readonly httpsTrigger?: { readonly url?: string };
}

function urlIn({ body }: HttpAnswer, resource: string): URL {
  const { serviceConfig, url, httpsTrigger } = resourceIn(body);
  const found = URL.parse(serviceConfig?.uri ?? url ?? httpsTrigger?.url ?? "");
  if (found === null) {
    const message = `function ${resource} has no URL: it is not deployed, or is not called by HTTP`;
    throw new ActionError("invalid", message, { notBegun: true });
  }
  return found;
}

function resourceIn(body: string): FunctionResource {
  try {
    return JSON.parse(body);
  } catch (cause) {
    throw new ActionError("unavailable", "Google's answer about the function is not JSON", { cause, notBegun: true });
  }
}
