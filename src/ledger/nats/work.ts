import type { FalcoEvent } from "../../events/event.ts";
import { LedgerUnavailable, type Work } from "../ledger.ts";
import { finish } from "./finish.ts";
import type { History } from "./history.ts";
import { createJournal } from "./journal.ts";
import type { Link } from "./link.ts";
import type { Names } from "./names.ts";
import type { Entry, Picture } from "./picture.ts";

export interface WorkPeers {
  readonly link: Link;
  readonly names: Names;
  readonly picture: Picture;
  readonly history: History;
  /** Why nothing may be recorded any more. */
  readonly barred: () => string | undefined;
}

/** An event in the hands of its taker. */
export interface Given {
  readonly entry: Entry;
  readonly event: FalcoEvent;
  readonly lost: AbortSignal;
  /** It needs neither lane nor room any more. */
  release(): void;
  /** Nobody works on it any more. */
  leave(): void;
  /** It waits again, after so many milliseconds. */
  again(afterMs: number): void;
}

/** When something could not be written, its event is not given again at once. */
export const afterFaultMs = 1_000;
const resolved = Promise.resolve();

export function workOn({ entry, event, lost, release, leave, again }: Given, peers: WorkPeers): Work {
  const { link, names } = peers;
  const chronicle = peers.history.chronicleOf(event);
  const barred = () => (lost.aborted ? "another replica may have taken the event over" : peers.barred());
  const journal = createJournal(entry, { link, names, chronicle, barred });
  const history = [...entry.history];
  let taken = true;
  let ended: Promise<void> | undefined;
  // The process before us may have died between recording and telling.
  chronicle.add(history);

  const free = () => {
    if (taken) {
      taken = false;
      release();
    }
  };
  const end = async () => {
    try {
      await journal.settled();
      const reason = entry.finished ? undefined : barred();
      if (reason !== undefined) {
        throw new LedgerUnavailable(reason);
      }
      await finish(entry, peers);
    } catch (error) {
      again(afterFaultMs);
      throw error;
    } finally {
      // Not before: the room bounds how much is being finished, too.
      free();
      leave();
    }
  };

  return {
    event,
    durable: resolved,
    history,
    lost,
    record: journal.record,
    release: free,
    finish() {
      ended ??= end();
      return ended;
    },
    giveBack(afterMs) {
      if (ended === undefined) {
        ended = resolved;
        free();
        leave();
        again(afterMs);
      }
    },
  };
}
