/**
 * Runs jobs of the same key one after another, in the order they came, and jobs of different keys side by side, up to a
 * limit. Keys take turns: one with many jobs does not hold back the others.
 */
export interface Queues {
  /** Settles as the job does. */
  run<T>(key: string, job: () => Promise<T>): Promise<T>;
  /** Jobs waiting or running. */
  size(): number;
}

export function createQueues(limit: number): Queues {
  const waiting = new Map<string, (() => Promise<void>)[]>();
  /** Keys with a job to run and none running, in turn. */
  const ready: string[] = [];
  let running = 0;
  let size = 0;

  const next = async (key: string) => {
    const jobs = waiting.get(key);
    const job = jobs?.shift();
    await job?.();
    running -= 1;
    size -= 1;
    if (jobs?.length) {
      ready.push(key);
    } else {
      waiting.delete(key);
    }
    pump();
  };

  const pump = () => {
    while (running < limit) {
      const key = ready.shift();
      if (key === undefined) {
        return;
      }
      running += 1;
      void next(key);
    }
  };

  return {
    run<T>(key: string, job: () => Promise<T>) {
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      const queued = waiting.get(key);
      const settled = () => job().then(resolve, reject);
      size += 1;
      if (queued === undefined) {
        waiting.set(key, [settled]);
        ready.push(key);
        pump();
      } else {
        queued.push(settled);
      }
      return promise;
    },
    size: () => size,
  };
}
