import { ApiError } from "./errors.ts";
import type { ApiRequest } from "./request.ts";

/** Some of a request's properties, all of which must be equal; or any question about it. */
export type RequestMatch =
  | Partial<Pick<ApiRequest, "verb" | "group" | "resource" | "subresource" | "namespace" | "name" | "user" | "dryRun">>
  | ((request: ApiRequest) => boolean);

/** What happens to the requests that match, before anything is stored. */
export interface Fault {
  readonly when: RequestMatch;
  /** The status code answered, in the words of the real server; 403 also shows in SelfSubjectAccessReviews. */
  readonly answer?: number;
  /** Instead of the server's usual words. */
  readonly message?: string;
  /** With `answer` 429 or 503: the Retry-After header. */
  readonly retryAfterSeconds?: number;
  /** Answers this much later: `answer`, or what the request deserves. */
  readonly delayMs?: number;
  /** Never answers. */
  readonly hang?: boolean;
  /** Closes the connection without an answer. */
  readonly drop?: boolean;
  /** How many requests it strikes; without it, all. */
  readonly times?: number;
}

/** Makes chosen requests fail. */
export class Faults {
  readonly #active = new Map<Fault, number>();

  /** Returns a function that takes the fault away again. */
  inject(fault: Fault): () => void {
    this.#active.set(fault, fault.times ?? Number.POSITIVE_INFINITY);
    return () => this.#active.delete(fault);
  }

  clear(): void {
    this.#active.clear();
  }

  /** The first fault for a request; it counts as a strike. */
  strike(request: ApiRequest): Fault | undefined {
    for (const [fault, left] of this.#active) {
      if (left > 0 && matches(fault.when, request)) {
        this.#active.set(fault, left - 1);
        return fault;
      }
    }
    return undefined;
  }

  /** Whether such a request would be answered 403. */
  denies(request: ApiRequest): boolean {
    return [...this.#active].some(([fault, left]) => fault.answer === 403 && left > 0 && matches(fault.when, request));
  }
}

function matches(when: RequestMatch, request: ApiRequest): boolean {
  return typeof when === "function"
    ? when(request)
    : Object.entries(when).every(([key, value]) => request[key as keyof ApiRequest] === value);
}

export function faultError(fault: Fault, request: ApiRequest): ApiError {
  const code = fault.answer ?? 500;
  const [reason, message] = words(code, request);
  const details = { ...subject(request), ...retryAfter(fault) };
  return new ApiError(code, reason, fault.message ?? message, details);
}

function words(code: number, request: ApiRequest): readonly [reason: string, message: string] {
  const resource = qualified(request);
  switch (code) {
    case 401:
      return ["Unauthorized", "Unauthorized"];
    case 403:
      return ["Forbidden", denial(request)];
    case 404:
      return ["NotFound", `${resource} "${request.name ?? ""}" not found`];
    case 409:
      return [
        "Conflict",
        `Operation cannot be fulfilled on ${resource} "${request.name ?? ""}": the object has been modified; please apply your changes to the latest version and try again`,
      ];
    case 429:
      return ["TooManyRequests", "Too many requests, please try again later."];
    case 503:
      return ["ServiceUnavailable", "the server is currently unable to handle the request"];
    case 504:
      return ["Timeout", "Timeout: request did not complete within requested timeout"];
    default:
      return ["InternalError", "Internal error occurred: injected fault"];
  }
}

function denial(request: ApiRequest): string {
  const { verb, group, namespace, name, user } = request;
  const path = request.subresource === undefined ? request.resource : `${request.resource}/${request.subresource}`;
  const place = namespace === undefined ? "at the cluster scope" : `in the namespace "${namespace}"`;
  const object = name === undefined ? "" : ` "${name}"`;
  return `${qualified(request)}${object} is forbidden: User "${user}" cannot ${verb} resource "${path}" in API group "${group}" ${place}`;
}

function qualified({ resource, group }: ApiRequest): string {
  return group === "" ? resource : `${resource}.${group}`;
}

function subject({ name, group, resource }: ApiRequest) {
  return { ...(name === undefined ? {} : { name }), ...(group === "" ? {} : { group }), kind: resource };
}

function retryAfter({ retryAfterSeconds }: Fault) {
  return retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
}
