import { decodeEvent } from "../../events/decode.ts";
import type { FalcoEvent } from "../../events/event.ts";
import { type Bell, createBell } from "../bell.ts";
import { createDeduplication, type Deduplication, keyOf } from "../deduplication.ts";
import { waitingOf } from "../lanes.ts";
import { type Acceptance, type Ledger, LedgerUnavailable, type Room, type Work } from "../ledger.ts";
import { type Backlog, createBacklog, type Entry, type Taken } from "./backlog.ts";
import type { LeftRow } from "./batch.ts";
import { createHolds } from "./holds.ts";
import { createJournal, type Journal } from "./journal.ts";
import type { StoredEvent } from "./queries.ts";
import { sizeOf } from "./size.ts";
import type { Recovery } from "./store.ts";
import { inlineDesk, type Transport, threadDesk } from "./transport.ts";
import { createUpkeep, type Pace, type UpkeepOptions } from "./upkeep.ts";
import { type WorkPeers, workOn } from "./work.ts";

export interface SqliteLedgerOptions extends Omit<UpkeepOptions, "pace"> {
  /** Made where it is absent; `:memory:` keeps everything in this process. */
  readonly directory: string;
  /** Of this process, told to others who want the directory. */
  readonly pid: number;
  /** Of the de-duplication; 0 switches it off. */
  readonly windowSeconds: number;
  /** Of the texts of events accepted and not finished: beyond it, `accept` rejects. */
  readonly backlogBytes: number;
  /** False: this thread waits for the disk itself. For tests. */
  readonly thread?: boolean;
  /** Node's, for the threads. */
  readonly execArgv?: readonly string[];
  readonly pace?: Pace;
}

/** What the parts of the ledger have in common. */
interface Parts {
  readonly options: SqliteLedgerOptions;
  readonly deduplication: Deduplication;
  readonly backlog: Backlog;
  readonly journal: Journal;
  readonly reader: Transport;
  readonly bell: Bell;
  readonly seqs: { next: number };
  readonly work: WorkPeers;
  readonly tell: (message: string) => void;
}

const usualPace: Pace = { retryMs: 3000, tendMs: 1000 };
const readAgainMs = 1000;
const writableAgainMs = 250;
const closedReason = "the ledger is closed: Hallux is stopping";

/**
 * The embedded ledger: SQLite in a thread of its own, order and de-duplication in memory here. Rejects with StoreFault where another
 * process has the directory; after any other fault it accepts nothing, says why, and goes on as soon as it can.
 */
export async function createSqliteLedger(options: SqliteLedgerOptions): Promise<Ledger> {
  const { writer, reader } = desksFor(options);
  const backlog = createBacklog();
  const bell = createBell();
  const seqs = { next: 1 };
  const deduplication = createDeduplication(options.windowSeconds);
  const journal = createJournal({
    commit: (batch) => writer.call("commit", batch),
    onFault: (reason) => upkeep.failed(reason),
    clock: options.clock,
  });
  const later = (entry: Entry, afterMs: number) => {
    if (afterMs > 0) {
      setTimeout(later, afterMs, entry, 0).unref();
    } else if (journal.fault === undefined || journal.closed) {
      backlog.again(entry);
      bell.ring();
    } else {
      // What can be recorded nowhere would be done over and over.
      later(entry, writableAgainMs);
    }
  };
  const work = { backlog, journal, later, rouse: bell.ring, clock: options.clock };
  const tell = (message: string) => upkeep.tell(message);
  const parts: Parts = { options, deduplication, backlog, journal, reader, bell, seqs, work, tell };
  const restore = (recovery: Recovery, unfinished: readonly LeftRow[]) => restoreInto(parts, recovery, unfinished);
  const upkeep = createUpkeep(
    { ...options, pace: options.pace ?? usualPace },
    { writer, reader, journal, backlog, restore },
  );
  const close = async () => {
    const stopped = upkeep.stop();
    await journal.close(closedReason);
    bell.ring();
    await stopped;
    await reader.close();
    await writer.close();
  };

  try {
    await upkeep.start();
  } catch (error) {
    await close();
    throw error;
  }
  return ledgerOf(parts, close);
}

function ledgerOf(parts: Parts, close: () => Promise<void>): Ledger {
  const { options, backlog, journal, reader } = parts;
  const holds = createHolds();
  let closing: Promise<void> | undefined;

  return {
    accept: (event) => accept(parts, event),
    work: (room, signal) => workFrom(parts, room, signal),
    hold: holds.take,
    responses: (query) => readable(parts, () => reader.call("responses", query)),
    async response(id) {
      const found = await readable(parts, () => reader.call("response", id));
      const event = found && eventOf(found.event);
      return found && event && { ...found, event };
    },
    faults() {
      const fault = journal.fault ?? fullness(backlog, options);
      return fault === undefined ? [] : [fault];
    },
    backlog: () => backlog.figures(),
    size: () => sizeOf(options.directory),
    close() {
      closing ??= close();
      return closing;
    },
  };
}

async function accept(parts: Parts, event: FalcoEvent): Promise<Acceptance> {
  const { options, deduplication, backlog, journal, bell, seqs } = parts;
  const fault = journal.fault ?? fullness(backlog, options);
  if (fault !== undefined) {
    throw new LedgerUnavailable(fault);
  }
  const at = options.clock();
  const key = options.windowSeconds === 0 ? undefined : keyOf(event);
  const of = key === undefined ? undefined : deduplication.repeats(event, at, key);
  if (of !== undefined) {
    // When this is written, so is the first one: a batch that fails takes with it what was added after it.
    await journal.addRepeat({ of, id: event.id, at });
    return { status: "duplicate", of };
  }

  const { id, receivedAt, text } = event;
  const seq = seqs.next++;
  const written = journal.addEvent({ seq, id, receivedAt, at, key: key ?? null, text });
  const entry: Entry = { ...waitingOf(event), seq, at, event, written, recorded: false, lost: false };
  backlog.add(entry);
  bell.ring();
  try {
    await written;
  } catch (error) {
    entry.lost = true;
    backlog.remove(entry);
    deduplication.forget({ key: key ?? "", id });
    throw error;
  }
  backlog.durable(entry);
  return { status: "accepted" };
}

function fullness({ events, bytes }: Backlog, { backlogBytes }: SqliteLedgerOptions): string | undefined {
  return bytes < backlogBytes
    ? undefined
    : `the backlog is full: ${events} events wait, with ${bytes} bytes (ledger.backlog_bytes is ${backlogBytes})`;
}

async function* workFrom(parts: Parts, room: Room, signal: AbortSignal): AsyncGenerator<Work, undefined> {
  const { backlog, bell, journal } = parts;
  const hasEnded = () => signal.aborted || journal.closed;
  signal.addEventListener("abort", bell.ring);
  try {
    while (!hasEnded()) {
      const taken = backlog.take(room);
      const work =
        taken === undefined ? await bell.rung() : (giveAtHand(parts, taken) ?? (await giveStored(parts, taken.entry)));
      if (work !== undefined && hasEnded()) {
        work.giveBack(0);
      } else if (work !== undefined) {
        yield work;
      }
    }
  } finally {
    signal.removeEventListener("abort", bell.ring);
  }
}

/** Undefined where the event is not in memory. */
function giveAtHand({ work }: Parts, { entry, event }: Taken): Work | undefined {
  return event === undefined || entry.lost ? undefined : workOn(entry, { event, history: [] }, work);
}

/** Undefined where the event cannot be given, or not now. */
async function giveStored({ reader, tell, work }: Parts, entry: Entry): Promise<Work | undefined> {
  await entry.written.catch(() => undefined);
  try {
    const stored = entry.lost ? undefined : await reader.call("unfinished", entry.seq);
    const event = stored && eventOf(stored);
    if (stored !== undefined && event !== undefined) {
      entry.written = Promise.resolve();
      return workOn(entry, { event, history: stored.history }, work);
    }
    if (stored !== undefined) {
      tell(`event ${stored.id} is not acted on: its text in the ledger is no event to this version of Hallux`);
    } else if (!entry.lost) {
      tell("events that waited are not acted on: they are no longer in the ledger's file");
      work.backlog.remove(entry);
    }
  } catch (error) {
    tell(`events that wait cannot be read, it is tried again: ${messageOf(error)}`);
    work.later(entry, readAgainMs);
  }
  work.backlog.release(entry);
  return undefined;
}

function restoreInto(parts: Parts, { next, known }: Recovery, unfinished: readonly LeftRow[]): void {
  const { backlog, bell, deduplication, seqs } = parts;
  /** There are many events of few rules. */
  const groups = new Map<string, string>();
  const written = Promise.resolve();
  seqs.next = Math.max(seqs.next, next);
  for (const one of known) {
    deduplication.recall(one);
  }
  for (const { seq, id, at, key, lane, group, bytes, recorded } of unfinished) {
    if (key !== null) {
      deduplication.recall({ key, id, at });
    }
    const shared = groups.get(group) ?? group;
    groups.set(shared, shared);
    backlog.add({ seq, at, lane, group: shared, bytes, recorded, event: undefined, written, lost: false });
  }
  bell.ring();
}

async function readable<T>({ journal }: Parts, read: () => Promise<T>): Promise<T> {
  if (journal.closed) {
    throw new LedgerUnavailable(closedReason);
  }
  return read().catch((error: unknown) => {
    throw new LedgerUnavailable(messageOf(error));
  });
}

function eventOf({ id, receivedAt, text }: StoredEvent): FalcoEvent | undefined {
  return decodeEvent(text, { id, receivedAt }).event;
}

function desksFor({ directory, pid, thread = true, execArgv }: SqliteLedgerOptions) {
  const place = { directory, pid };
  if (thread) {
    return { writer: threadDesk(place, execArgv), reader: threadDesk(place, execArgv) };
  }
  const desk = inlineDesk(place);
  return { writer: desk, reader: { ...desk, close: async () => undefined } };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
