/** Wakes whoever waits for something to have changed. */
export interface Bell {
  ring(): void;
  /** Resolves with the next ring. */
  rung(): Promise<void>;
}

export function createBell(): Bell {
  let next = Promise.withResolvers<void>();
  return {
    ring() {
      next.resolve();
      next = Promise.withResolvers();
    },
    rung: () => next.promise,
  };
}
