/** Wakes whoever waits for something to have changed. */
export interface Bell {
  ring(): void;
  /** Resolves with the next ring. */
  rung(): Promise<void>;
}

export function createBell(): Bell {
  let next: PromiseWithResolvers<void> | undefined;
  return {
    ring() {
      next?.resolve();
      next = undefined;
    },
    rung() {
      next ??= Promise.withResolvers();
      return next.promise;
    },
  };
}
