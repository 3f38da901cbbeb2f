import { ActionError } from "./errors.ts";

/** Why a call ended early. The signal's reason decides: an `ActionError` as it is, a `TimeoutError` as `timeout`, else `cancelled`. */
export function abortedError(signal: AbortSignal, what: string): ActionError {
  const { reason } = signal;
  if (reason instanceof ActionError) {
    return reason;
  }
  return reason instanceof DOMException && reason.name === "TimeoutError"
    ? new ActionError("timeout", `${what} took too long`, { cause: reason })
    : new ActionError("cancelled", `${what} was cancelled`, { cause: reason });
}

/** Settles as the promise does, but rejects as soon as the signal fires: for calls into which no signal reaches. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal, what: string): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(abortedError(signal, what));
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) {
    onAbort();
  }
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** The same items, until the signal fires: for what may hang while it is read. */
export async function* eachUntilAborted<T>(
  items: AsyncIterable<T>,
  signal: AbortSignal,
  what: string,
): AsyncGenerator<T, undefined> {
  const iterator = items[Symbol.asyncIterator]();
  try {
    for (;;) {
      const item = await untilAborted(iterator.next(), signal, what);
      if (item.done) {
        return;
      }
      yield item.value;
    }
  } finally {
    // Not awaited: what hangs would never answer.
    void iterator.return?.().catch(() => undefined);
  }
}
