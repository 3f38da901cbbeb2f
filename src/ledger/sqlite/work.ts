import type { FalcoEvent } from "../../events/event.ts";
import { LedgerUnavailable, type Transition, type Work } from "../ledger.ts";
import { runsAfter } from "../running.ts";
import type { Backlog, Entry } from "./backlog.ts";
import { neverLost } from "./holds.ts";
import type { Journal } from "./journal.ts";
import { stepsRow } from "./steps.ts";

export interface WorkPeers {
  readonly backlog: Backlog;
  readonly journal: Journal;
  /** A released one waits again, after so many milliseconds. */
  readonly later: (entry: Entry, afterMs: number) => void;
  /** There may be something to give. */
  readonly rouse: () => void;
  /** Milliseconds. */
  readonly clock: () => number;
}

export interface Given {
  readonly event: FalcoEvent;
  readonly history: readonly Transition[];
}

/** When something could not be written, its event is not given again at once. */
const afterFaultMs = 1000;

export function workOn(entry: Entry, { event, history }: Given, peers: WorkPeers): Work {
  const { backlog, journal, later, rouse, clock } = peers;
  let taken = true;
  let fault: unknown;
  let finished: Promise<void> | undefined;

  const release = () => {
    if (taken) {
      taken = false;
      backlog.release(entry);
      rouse();
    }
  };
  const finish = async () => {
    await entry.written.catch(() => undefined);
    if (entry.lost) {
      return;
    }
    if (fault !== undefined) {
      later(entry, afterFaultMs);
      throw fault;
    }
    await journal.addFinished({ seq: entry.seq, kept: entry.recorded });
    backlog.remove(entry);
    rouse();
  };

  return {
    event,
    durable: entry.written,
    history,
    lost: neverLost,
    async record(transitions) {
      if (entry.lost) {
        throw new LedgerUnavailable("the event could not be written: its sender was told so");
      }
      if (fault !== undefined) {
        throw fault;
      }
      const runs = runsAfter(transitions);
      if (runs !== undefined) {
        backlog.runs(entry, runs);
      }
      entry.recorded = true;
      entry.written = journal.addSteps(stepsRow(entry.seq, transitions, clock()));
      await entry.written.catch((reason: unknown) => {
        fault = reason;
        throw reason;
      });
    },
    release,
    finish() {
      release();
      if (finished === undefined) {
        finished = finish();
        finished.catch(() => undefined);
      }
      return finished;
    },
    giveBack(afterMs) {
      if (finished !== undefined) {
        return;
      }
      finished = Promise.resolve();
      release();
      later(entry, afterMs);
    },
  };
}
