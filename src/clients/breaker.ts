import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from "cockatiel";
import { ActionError } from "../catalogue/errors.ts";

/** What a failed call tells of the endpoint: that it works, that it does not, or neither. */
export type Verdict = "up" | "down" | "unknown";

/**
 * Makes the call, or throws at once where the endpoint has failed so often that more calls would only wait and do it harm:
 * `unavailable`, not begun, with the time until it is tried again.
 */
export type Breaker = <T>(call: () => Promise<T>, judge: (error: unknown) => Verdict) => Promise<T>;

export interface BreakerOptions {
  /** As the user knows it: `AWS Lambda in eu-west-1`. */
  readonly endpoint: string;
  /** In a row; nothing that the endpoint answers may come between. */
  readonly failures?: number;
  /** After that, one call is let through, and decides. */
  readonly openMs?: number;
}

/** While the one call is under way: it may be answered at once. */
const probeMs = 1000;

/**
 * One for each cloud endpoint. The API server of Kubernetes has none: all that Hallux does needs it, so nothing would be spared but
 * the time until it answers again, and by Retry-After it says itself when it is too much.
 */
export function createBreaker({ endpoint, failures = 5, openMs = 10_000 }: BreakerOptions): Breaker {
  const policy = circuitBreaker(
    handleWhen((error) => error instanceof Failed && (error.verdict === "down" || isProbe())),
    { breaker: new ConsecutiveBreaker(failures), halfOpenAfter: openMs },
  );
  let openUntil = 0;
  policy.onBreak(() => {
    openUntil = Date.now() + openMs;
  });
  /** Without an answer to the one call, it stays open. */
  const isProbe = () => policy.state === CircuitState.HalfOpen;

  return async (call, judge) => {
    const remainingMs = openUntil - Date.now();
    if (remainingMs > 0 || isProbe()) {
      throw refusal(endpoint, failures, remainingMs > 0 ? remainingMs : probeMs);
    }
    const result = await policy
      .execute(() => settled(call, judge))
      .catch((error: unknown) => {
        throw error instanceof Failed ? error.cause : error;
      });
    if ("error" in result) {
      throw result.error;
    }
    return result.value;
  };
}

/** Of a call whose failures are all `ActionError`s and whose duration is the endpoint's own. */
export function verdictOfCode(error: unknown): Verdict {
  switch ((error as ActionError).code) {
    case "unavailable":
    case "timeout":
      return "down";
    case "interrupted":
    case "cancelled":
      return "unknown";
    default:
      return "up";
  }
}

/** The breaker counts it as a failure, or not at all. */
class Failed extends Error {
  readonly verdict: Verdict;

  constructor(verdict: Verdict, cause: unknown) {
    super(verdict, { cause });
    this.verdict = verdict;
  }
}

type Settled<T> = { readonly value: T } | { readonly error: unknown };

/** An error that comes from a working endpoint is to the breaker a success. */
async function settled<T>(call: () => Promise<T>, judge: (error: unknown) => Verdict): Promise<Settled<T>> {
  try {
    return { value: await call() };
  } catch (error) {
    const verdict = judge(error);
    if (verdict === "up") {
      return { error };
    }
    throw new Failed(verdict, error);
  }
}

function refusal(endpoint: string, failures: number, retryAfterMs: number): ActionError {
  const until = new Date(Date.now() + retryAfterMs).toISOString();
  const message = `${endpoint} is not asked before ${until}: it failed ${failures} times in a row`;
  return new ActionError("unavailable", message, { retryAfterMs, notBegun: true });
}
