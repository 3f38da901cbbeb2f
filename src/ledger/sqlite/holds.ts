import type { Hold } from "../ledger.ts";

/** Nobody else can have what this process has: the files are its own. */
export const neverLost = new AbortController().signal;

/** Keys that one at a time may have, first come first served; within this process. */
export interface Holds {
  /** Rejects when the signal fires. */
  take(key: string, signal: AbortSignal): Promise<Hold>;
}

export function createHolds(): Holds {
  /** Those who wait, by the key that somebody has. */
  const held = new Map<string, Set<() => void>>();

  const holdOn = (key: string): Hold => {
    let out = true;
    return {
      lost: neverLost,
      release() {
        const [next] = out ? (held.get(key) ?? []) : [];
        if (out && next === undefined) {
          held.delete(key);
        }
        out = false;
        next?.();
      },
    };
  };

  return {
    async take(key, signal) {
      signal.throwIfAborted();
      const waiting = held.get(key);
      if (waiting === undefined) {
        held.set(key, new Set());
      } else {
        await turnIn(waiting, signal);
      }
      return holdOn(key);
    },
  };
}

function turnIn(waiting: Set<() => void>, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const giveUp = () => {
    waiting.delete(turn);
    reject(signal.reason);
  };
  const turn = () => {
    signal.removeEventListener("abort", giveUp);
    waiting.delete(turn);
    resolve();
  };
  waiting.add(turn);
  signal.addEventListener("abort", giveUp, { once: true });
  return promise;
}
