/** Runs a job once there is room for it; first come, first served. */
export type Turn = <T>(job: () => Promise<T>) => Promise<T>;

/** Lets so many jobs run at the same time. */
export function atMost(limit: number): Turn {
  const waiting: (() => void)[] = [];
  let free = limit;

  return async (job) => {
    if (free > 0) {
      free -= 1;
    } else {
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
    try {
      return await job();
    } finally {
      const next = waiting.shift();
      if (next === undefined) {
        free += 1;
      } else {
        next();
      }
    }
  };
}

/** Jobs of the same key run one after another. */
export function oneAtATime(): (key: string) => Turn {
  const turns = new Map<string, Turn>();

  return (key) => {
    const turn = turns.get(key) ?? atMost(1);
    turns.set(key, turn);
    return turn;
  };
}
