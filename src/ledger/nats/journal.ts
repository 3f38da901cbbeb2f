import { LedgerUnavailable, type Transition } from "../ledger.ts";
import type { Chronicle } from "./chronicle.ts";
import type { Link } from "./link.ts";
import { type Names, tokenOf } from "./names.ts";
import type { Entry } from "./picture.ts";

/** Records what is done about one event, in the order of the calls. */
export interface Journal {
  /** Rejects with `LedgerUnavailable`, and from then on: what was written is unsure until the event is given again. */
  record(transitions: readonly Transition[]): Promise<void>;
  /** Resolves when all of it is stored, and told to people, too. */
  settled(): Promise<void>;
}

export interface JournalPeers {
  readonly link: Link;
  readonly names: Names;
  readonly chronicle: Chronicle;
  /** Why nothing may be recorded any more. */
  readonly barred: () => string | undefined;
}

interface Call {
  readonly transitions: readonly Transition[];
  readonly done: PromiseWithResolvers<void>;
}

/**
 * One message at a time, each only after the one we know to be the last: where another process has gone on with the event, ours
 * is refused. What is asked for meanwhile goes together into the next message.
 */
export function createJournal(entry: Entry, { link, names, chronicle, barred }: JournalPeers): Journal {
  const calls: Call[] = [];
  let fault: unknown;
  let writing: Promise<void> = Promise.resolve();
  let busy = false;

  const write = async (transitions: readonly Transition[]) => {
    const reason = barred();
    if (reason !== undefined) {
      throw new LedgerUnavailable(reason);
    }
    const recorded = await link.publish({
      subject: names.subject("record", tokenOf(entry.id)),
      note: JSON.stringify({ id: entry.id }),
      body: JSON.stringify(transitions),
      expected: entry.recorded,
    });
    if (recorded > entry.recorded) {
      entry.recorded = recorded;
      entry.history.push(...transitions);
    }
    chronicle.add(transitions);
  };
  /** Why none of them can be recorded; undefined where they are. */
  const attempt = async (batch: readonly Call[]): Promise<unknown> => {
    try {
      await write(batch.flatMap(({ transitions }) => transitions));
      return undefined;
    } catch (error) {
      return error instanceof LedgerUnavailable ? error : new LedgerUnavailable("another replica has taken over");
    }
  };
  const drain = async () => {
    while (calls.length > 0) {
      const batch = calls.splice(0);
      fault ??= await attempt(batch);
      for (const { done } of batch) {
        if (fault === undefined) {
          done.resolve();
        } else {
          done.reject(fault);
        }
      }
    }
    busy = false;
  };

  return {
    record(transitions) {
      const done = Promise.withResolvers<void>();
      calls.push({ transitions, done });
      if (!busy) {
        busy = true;
        writing = drain();
      }
      return done.promise;
    },
    async settled() {
      await writing;
      if (fault !== undefined) {
        throw fault;
      }
      await chronicle.settled();
    },
  };
}
