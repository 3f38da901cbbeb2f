import {
  ExponentialBackoff,
  handleWhen,
  type IBackoff,
  type IRetryBackoffContext,
  retry as retryPolicy,
} from "cockatiel";
import { ActionError, isPassing } from "../catalogue/errors.ts";

export interface Patience {
  /** Between attempts: the first wait and the longest, with jitter; `Retry-After` may ask for more. */
  readonly firstMs: number;
  readonly longestMs: number;
  /** From the first attempt: none begins later. */
  readonly totalMs: number;
}

export interface Attempts<T> {
  readonly patience: Patience;
  /** Whether the error allows another attempt, beside its code and the time left. */
  readonly may?: (error: ActionError) => boolean;
  /** Called when another attempt is to follow. */
  readonly again?: (error: ActionError) => void;
  /** No attempt begins after it, and a wait ends with it. An attempt under way goes on. */
  readonly signal: AbortSignal;
  readonly attempt: () => Promise<T>;
}

/** Tries again while the fault may pass. Rejects with the last attempt's error, or with the signal's reason. */
export async function withRetries<T>({ patience, may, again, signal, attempt }: Attempts<T>): Promise<T> {
  const until = performance.now() + patience.totalMs;
  const { promise: ended, reject } = Promise.withResolvers<never>();
  let waiting = false;
  const tracked = async () => {
    signal.throwIfAborted();
    waiting = false;
    return attempt();
  };
  const mayFollow = (error: Error) =>
    isPassing(error) && performance.now() + (error.retryAfterMs ?? 0) < until && (may?.(error) ?? true);
  const policy = retryPolicy(handleWhen(mayFollow), {
    maxAttempts: Number.POSITIVE_INFINITY,
    backoff: { next: (context: Context) => patiently(exponential(patience), context) },
  });
  policy.onRetry((reason) => {
    waiting = true;
    if ("error" in reason && reason.error instanceof ActionError) {
      again?.(reason.error);
    }
  });
  // The policy's own wait does not end with a signal.
  const end = () => (waiting ? reject(signal.reason) : undefined);

  signal.addEventListener("abort", end, { once: true });
  try {
    return await Promise.race([policy.execute(tracked, signal), ended]);
  } finally {
    signal.removeEventListener("abort", end);
  }
}

type Context = IRetryBackoffContext<unknown>;

function exponential({ firstMs, longestMs }: Patience): IBackoff<unknown> {
  return new ExponentialBackoff({ initialDelay: firstMs, maxDelay: longestMs }).next();
}

/** As long as the other side asks for, where that is longer. */
function patiently(wait: IBackoff<unknown>, context: Context): IBackoff<Context> {
  const error = "error" in context.result ? context.result.error : undefined;
  const asked = error instanceof ActionError ? (error.retryAfterMs ?? 0) : 0;
  return {
    duration: Math.max(wait.duration, asked),
    next: (later) => patiently(wait.next(later), later),
  };
}
