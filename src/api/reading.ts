import { ApiRefusal } from "./refusal.ts";

export interface ReadingLimits {
  readonly concurrency: number;
  readonly deadlineMs: number;
}

/** Runs a read; `isLate` tells it that half of its time is over. Rejects with an `ApiRefusal` where it may not, or takes too long. */
export type Reading = <T>(read: (isLate: () => boolean) => Promise<T>) => Promise<T>;

/** A read that its deadline left behind keeps its place until it has ended: no more run than the limit says. */
export function createReading({ concurrency, deadlineMs }: ReadingLimits): Reading {
  let running = 0;

  return (read) => {
    if (running >= concurrency) {
      throw busy(concurrency);
    }
    running += 1;
    const half = performance.now() + deadlineMs / 2;
    const reading = read(() => performance.now() >= half).finally(() => {
      running -= 1;
    });
    return within(deadlineMs, reading);
  };
}

function within<T>(deadlineMs: number, reading: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(tooLate(deadlineMs)), deadlineMs);
  return Promise.race([reading, late]).finally(() => clearTimeout(timer));
}

function busy(concurrency: number): ApiRefusal {
  const message = `${concurrency} others read the history now: ask again in a second`;
  return new ApiRefusal("busy", message, { headers: { "retry-after": "1" } });
}

function tooLate(deadlineMs: number): ApiRefusal {
  const message = `the history could not be read within ${deadlineMs / 1000} s: ask for less (since), or later`;
  return new ApiRefusal("unavailable", message, { headers: { "retry-after": "5" } });
}
