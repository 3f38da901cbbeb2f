import type { V1Status } from "@kubernetes/client-node";
import { abortedError } from "../../catalogue/abort.ts";
import { ActionError, TargetGone } from "../../catalogue/errors.ts";
import { codeOfStatus, neverSent, refusedBefore, retryAfterMs } from "../../catalogue/http.ts";
import { describePermission, type Permission } from "./permission.ts";

/** What was asked of the API server. */
export interface Asked extends Permission {
  /** The object is what the action works on: that it is gone, or another one, is no failure but `TargetGone`. */
  readonly aboutTarget: boolean;
}

export interface Refusal {
  readonly status: number;
  readonly body: string;
  readonly retryAfter?: string | undefined;
}

const maxMessageLength = 1024;

/** A 401. Not `forbidden`: no permission is missing, and credentials are renewed while they are in use. */
export class Unauthenticated extends ActionError {
  constructor(words: string) {
    super("unavailable", `the API server does not accept Hallux's credentials: ${words}`, { notBegun: true });
  }
}

/** A 429 that is a PodDisruptionBudget's word, not the API server's own throttling. */
export class DisruptionRefused extends ActionError {}

/** The one place where an answer that is not 2xx becomes an error. */
export function refusalError(asked: Asked, { status, body, retryAfter }: Refusal): ActionError {
  const answer = statusIn(body);
  const words = (answer?.message ?? body.trim()).slice(0, maxMessageLength) || `HTTP status ${status}`;

  if (status === 401) {
    return new Unauthenticated(words);
  }
  if (asked.aboutTarget && isGone(asked, status, answer)) {
    return new TargetGone(words);
  }
  const budget = answer?.details?.causes?.find(({ reason }) => reason === "DisruptionBudget");
  if (budget !== undefined) {
    const message = [words, budget.message].join(" ").trim();
    return new DisruptionRefused("throttled", message, { retryAfterMs: retryAfterMs(retryAfter), notBegun: true });
  }
  const code = codeOfStatus(status);
  const message = code === "forbidden" ? `not permitted to ${describePermission(asked)}: ${words}` : words;
  const notBegun = refusedBefore(status) || onlyReads(asked);
  return new ActionError(code, message, { retryAfterMs: retryAfterMs(retryAfter), notBegun });
}

/** A WebSocket that was not opened: nothing runs before it is. Of a 5xx that is certain only in the API server's own words. */
export function notOpenedError(asked: Asked, refusal: Refusal): ActionError {
  const error = refusalError(asked, refusal);
  const { code, message, retryAfterMs } = error;
  return error instanceof TargetGone || error.notBegun || statusIn(refusal.body) === undefined
    ? error
    : new ActionError(code, message, { retryAfterMs, notBegun: true });
}

/** The request or its answer got lost: the signal fired, or the connection broke or never was. */
export function lostError(asked: Permission, cause: unknown, signal: AbortSignal): ActionError {
  const what = describePermission(asked);
  if (signal.aborted) {
    return abortedError(signal, `the request to ${what}`);
  }
  const notBegun = neverSent(cause) || onlyReads(asked);
  return new ActionError("unavailable", `no answer from the API server to ${what}: ${wordsOf(cause)}`, {
    cause,
    notBegun,
  });
}

function onlyReads({ verb }: Permission): boolean {
  return verb === "get" || verb === "list";
}

/**
 * A UID as precondition fails in two ways: a DELETE's and an eviction's with 409, a PATCH's with 422 because `metadata.uid` cannot be changed. A 404
 * that names no object says that the address is wrong (a proxy's path, an API that is not served): nothing is known of the target.
 */
function isGone(asked: Asked, status: number, answer: V1Status | undefined): boolean {
  switch (status) {
    case 404:
      return answer?.details?.name !== undefined;
    case 409:
      return asked.verb === "delete" || asked.resource === "pods/eviction";
    case 422:
      return answer?.details?.causes?.some(({ field }) => field === "metadata.uid") ?? false;
    default:
      return false;
  }
}

/** The body as the API server's Status; undefined where something in between (a proxy) answered. */
function statusIn(body: string): V1Status | undefined {
  try {
    const value: unknown = JSON.parse(body);
    const isStatus = typeof value === "object" && value !== null && "message" in value;
    return isStatus && typeof value.message === "string" ? (value as V1Status) : undefined;
  } catch {
    return undefined;
  }
}

/** Node gives a failed connection to several addresses as an AggregateError without words. */
function wordsOf(cause: unknown): string {
  const first = cause instanceof AggregateError ? cause.errors[0] : cause;
  return first instanceof Error ? first.message : String(first);
}
