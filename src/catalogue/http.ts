import type { Socket } from "node:net";
import type { ErrorCode } from "./errors.ts";

const codes: Readonly<Record<number, ErrorCode>> = {
  401: "forbidden",
  403: "forbidden",
  404: "not_found",
  407: "forbidden",
  408: "unavailable",
  409: "conflict",
  410: "not_found",
  412: "conflict",
  425: "unavailable",
  429: "throttled",
};

/** What an HTTP status that is not 2xx means for an action: one table for every service that Hallux calls. */
export function codeOfStatus(status: number): ErrorCode {
  return codes[status] ?? (status >= 500 ? "unavailable" : "invalid");
}

/**
 * Whether an answer says that what was asked has not been begun. Below 500 the service itself refused; above, something in between may
 * have answered after it had passed the request on.
 */
export function refusedBefore(status: number): boolean {
  return status >= 400 && status < 500 && status !== 408;
}

const neverSentMark = Symbol("never sent");
const connecting: readonly (string | undefined)[] = ["connect", "getaddrinfo"];

/** The same error, marked for `neverSent`: of a connection on which nothing was sent. */
export function unsent<E extends object>(error: E): E {
  return Object.assign(error, { [neverSentMark]: true });
}

/** Marks so what goes wrong with a new socket before it is ready to send. */
export function markUntil(ready: "connect" | "secureConnect", socket: Socket): void {
  socket.prependListener("error", unsent);
  socket.once(ready, () => socket.off("error", unsent));
}

/** Whether a request failed before it was sent: no address, no connection, no TLS. False where that is not certain. */
export function neverSent(error: unknown): boolean {
  if (typeof error !== "object" || error === null) {
    return false;
  }
  if (error instanceof AggregateError && !(neverSentMark in error)) {
    return error.errors.length > 0 && error.errors.every(neverSent);
  }
  const { code, syscall } = error as NodeJS.ErrnoException;
  return neverSentMark in error || connecting.includes(syscall) || code === "UND_ERR_CONNECT_TIMEOUT";
}

/** Milliseconds that a `Retry-After` header asks for: seconds or an HTTP date. Undefined where it says nothing usable. */
export function retryAfterMs(header: string | null | undefined, now: number = Date.now()): number | undefined {
  const value = header?.trim() ?? "";
  if (/^\d{1,9}(\.\d{1,9})?$/.test(value)) {
    return Math.ceil(Number(value) * 1000);
  }
  const date = /[a-z]/i.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** The first bytes of a body as text; the rest is not read, and the connection is given up. */
export async function startOfBody(response: Response, maxBytes: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    parts.push(part);
    size += part.byteLength;
    if (size >= maxBytes) {
      break;
    }
  }
  return new TextDecoder().decode(Buffer.concat(parts).subarray(0, maxBytes), { stream: true });
}
