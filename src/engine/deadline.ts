import { ActionError, notBegun } from "../catalogue/errors.ts";

/**
 * Runs the work with a signal that fires at the deadline or with the outer signal, and stops waiting then, whether the
 * work heeds the signal or not. Rejects `timeout` or `interrupted`.
 */
export async function withDeadline<T>(
  { timeoutMs, signal: outer }: { readonly timeoutMs: number; readonly signal: AbortSignal },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeout = new AbortController();
  const timer = setTimeout(
    () => timeout.abort(new ActionError("timeout", `it did not end within ${timeoutMs / 1000} s`)),
    timeoutMs,
  );
  const signal = AbortSignal.any([outer, timeout.signal]);
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  // The work may know that it has not begun: it gets the time to say so, and no more.
  const give = () => setImmediate(reject, signal.reason);
  signal.addEventListener("abort", give, { once: true });

  try {
    signal.throwIfAborted();
    return await Promise.race([work(signal), aborted]);
  } catch (error) {
    throw signal.aborted ? reasonOf(signal, error) : error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", give);
  }
}

/** Whatever the work threw because of the abort, the abort is the reason. */
function reasonOf({ reason }: AbortSignal, thrown: unknown): unknown {
  const unbegun = thrown instanceof ActionError && thrown.notBegun;
  return unbegun && reason instanceof ActionError ? notBegun(reason) : reason;
}
