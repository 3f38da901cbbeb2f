import { isDeepStrictEqual } from "node:util";
import type { Transition, Work } from "../ledger/ledger.ts";
import type { Journal } from "./journal.ts";
import { pastOf } from "./past.ts";

/** As many as there is room for at the same time: what begins while nothing can be recorded is not kept. */
const maxKept = 2048;

/**
 * What became of actions whose start is on record, where that could not be: this process gives the event back, and is to know it
 * when the event comes again. Without it they would be taken for interrupted.
 */
export interface Unwritten {
  /** Where nothing is missing, nothing is kept. */
  keep(work: Work, journal: Journal): void;
  /** What follows on the work's history; empty where nothing does, or where another process went on with the event. */
  take(work: Work): readonly Transition[];
}

export function createUnwritten(): Unwritten {
  /** The oldest first. */
  const kept = new Map<string, readonly Transition[]>();

  return {
    keep({ event, history }, journal) {
      const { steps, onDisk } = journal.written();
      const isAllOnDisk = onDisk === steps.length;
      if (isAllOnDisk || !isUnderWay([...history, ...steps.slice(0, onDisk)])) {
        return;
      }
      kept.set(event.id, [...history, ...steps]);
      if (kept.size > maxKept) {
        kept.delete(kept.keys().next().value ?? "");
      }
    },
    take({ event, history }) {
      const known = kept.get(event.id) ?? [];
      kept.delete(event.id);
      return history.every((step, index) => isSame(step, known[index])) ? known.slice(history.length) : [];
    },
  };
}

function isUnderWay(history: readonly Transition[]): boolean {
  return pastOf(history).some(({ actions }) => actions.some(({ inFlight }) => inFlight));
}

/** On disk nothing stands for what is undefined. */
function isSame(recorded: Transition, known: Transition | undefined): boolean {
  return isDeepStrictEqual(recorded, known === undefined ? undefined : JSON.parse(JSON.stringify(known)));
}
