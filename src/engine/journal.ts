import type { Transition, Work } from "../ledger/ledger.ts";

/** Writes what happens to one event's responses, in order. Most of it nobody waits for: `durable` says when all of it is safe. */
export interface Journal {
  write(...transitions: readonly Transition[]): void;
  /** Resolves when all that was written before is on disk; rejects with `LedgerUnavailable` where it cannot be. */
  durable(): Promise<void>;
  /** All that was written, and how many of it are known to be on disk by now: the first so many. */
  written(): { readonly steps: readonly Transition[]; readonly onDisk: number };
}

export function createJournal(work: Pick<Work, "record" | "durable">): Journal {
  const steps: Transition[] = [];
  let onDisk = 0;
  let last = work.durable;
  last.catch(() => undefined);

  return {
    write(...transitions) {
      steps.push(...transitions);
      // In the order of the calls: the last one is on disk after all the others.
      const before = last;
      last = Promise.all([before, work.record(transitions)]).then(() => {
        onDisk += transitions.length;
      });
      last.catch(() => undefined);
    },
    durable: () => last,
    written: () => ({ steps, onDisk }),
  };
}
