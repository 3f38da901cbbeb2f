/** Asked each time that one is granted: they may change. */
export interface PermitLimits {
  /** Of all together. */
  readonly total: number;
  /** Of one kind. */
  readonly of: (kind: string) => number;
}

/**
 * Bounds what is done at the same time, in all and of one kind. Kinds take turns: one that is slow and waited for by many
 * does not hold back the others.
 */
export interface Permits {
  /** Resolves when it may begin; the caller ends it by calling what it got. Rejects with the signal's reason. */
  acquire(kind: string, signal: AbortSignal): Promise<() => void>;
  /** How many of each kind that was ever asked for. */
  held(): ReadonlyMap<string, number>;
  /** Grants what the limits allow now; to be called where they were raised. */
  review(): void;
}

interface Request {
  readonly grant: () => void;
}

export function createPermits(limits: PermitLimits): Permits {
  /** Kinds that somebody waits for, in turn; with each those who wait, oldest first. */
  const waiting = new Map<string, Set<Request>>();
  /** Those of a kind that nobody has now stay: there are no more kinds than actionners. */
  const taken = new Map<string, number>();
  let all = 0;

  const count = (kind: string, by: 1 | -1) => {
    all += by;
    taken.set(kind, (taken.get(kind) ?? 0) + by);
  };
  const hasRoom = (kind: string) => (taken.get(kind) ?? 0) < limits.of(kind);
  const withdraw = (kind: string, request: Request) => {
    const requests = waiting.get(kind);
    requests?.delete(request);
    if (requests?.size === 0) {
      waiting.delete(kind);
    }
  };
  const grantNext = (): boolean => {
    for (const [kind, requests] of waiting) {
      const [request] = requests;
      if (request !== undefined && hasRoom(kind)) {
        waiting.delete(kind);
        waiting.set(kind, requests);
        withdraw(kind, request);
        count(kind, 1);
        request.grant();
        return true;
      }
    }
    return false;
  };
  const pump = () => {
    while (all < limits.total && grantNext()) {
      // Each turn grants one.
    }
  };
  const permit = (kind: string) => {
    let held = true;
    return () => {
      if (held) {
        held = false;
        count(kind, -1);
        pump();
      }
    };
  };

  return {
    async acquire(kind, signal) {
      signal.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const request = { grant: resolve };
      const give = () => {
        withdraw(kind, request);
        reject(signal.reason);
      };
      signal.addEventListener("abort", give, { once: true });
      const requests = waiting.get(kind) ?? new Set();
      waiting.set(kind, requests.add(request));
      pump();
      try {
        await promise;
        return permit(kind);
      } finally {
        signal.removeEventListener("abort", give);
      }
    },
    held: () => taken,
    review: pump,
  };
}
