import type { FalcoEvent } from "../../events/event.ts";
import type { Backlog } from "../../telemetry/metrics.ts";
import { type Waiting, waitingOf } from "../lanes.ts";
import type { Transition } from "../ledger.ts";
import { runsAfter } from "../running.ts";
import type { Delivery } from "./follower.ts";
import { noteIn } from "./link.ts";
import { digestOf, partOf } from "./names.ts";

/** An event that is accepted and not yet finished. */
export interface Entry extends Waiting {
  readonly id: string;
  readonly receivedAt: string;
  /** When it was accepted, in milliseconds. */
  readonly at: number;
  readonly subject: string;
  readonly sequence: number;
  /** Which part its target belongs to. */
  readonly part: number;
  /** Where it is at hand; else it is asked for when the event is given. */
  text: string | undefined;
  readonly history: Transition[];
  /** Of the last record, 0 where there is none. */
  recorded: number;
  finished: boolean;
}

/** What is stored with an event: enough to put it in order without decoding it. */
export interface EventNote {
  readonly id: string;
  readonly receivedAt: string;
  readonly at: number;
  readonly lane?: string;
  readonly group: string;
}

/** In place of an event that is finished: by it, those that repeat it are known. */
export interface FinishedNote {
  readonly id: string;
  readonly at: number;
  readonly finished: true;
}

/**
 * Every unfinished event, as the stream tells it: each replica sees all of them, so that any can go on where another stopped.
 */
export interface Picture {
  /** What was stored by us and is not read yet counts already. */
  announce(entry: Entry): void;
  read(delivery: Delivery): void;
  /** In the order of the stream. */
  entries(): Iterable<Entry>;
  /** The event as the stream tells it now; undefined where it is finished. */
  unfinished(id: string): Entry | undefined;
  /** Whether another unfinished event has the same subject. */
  shares(entry: Entry): boolean;
  /** The event is finished; by us, or as the stream says. */
  settle(id: string): void;
  /** The stream holds nothing before this: what was there is finished, though we may not have read so. */
  settleBefore(first: number): void;
  backlog(): Backlog;
  /** Of the backlog, what each event that comes has to ask for: it costs nothing. */
  held(): Pick<Backlog, "events" | "bytes">;
  /** Up to where the stream holds nothing any more that is needed, if so many finished events are remembered. */
  surplus(remembered: number): number;
  clear(): void;
}

export interface PictureOptions {
  /** An event is read that is not finished. */
  onEvent(entry: Entry): void;
  /** Whether its text is worth keeping at hand. */
  keepsText(entry: Entry): boolean;
}

/** Of all texts kept at hand. */
const textBytes = 16_777_216;
const maxNameLength = 96;

export function noteOf(event: FalcoEvent, at: number): EventNote {
  const { lane, group } = waitingOf(event);
  const { id, receivedAt } = event;
  return { id, receivedAt, at, ...(lane === undefined ? {} : { lane: shortened(lane) }), group: shortened(group) };
}

/** Equal where the names are. */
function shortened(name: string): string {
  return name.length > maxNameLength ? digestOf(name) : name;
}

export function entryOf(note: EventNote, place: Pick<Entry, "subject" | "sequence" | "bytes">): Entry {
  const { id, receivedAt, at, lane, group } = note;
  const part = partOf(lane ?? place.subject);
  const course = { text: undefined, history: [], recorded: 0, finished: false };
  return { ...place, id, receivedAt, at, lane, group, part, ...course };
}

export function createPicture({ onEvent, keepsText }: PictureOptions): Picture {
  const entries = new Map<string, Entry>();
  const announced = new Map<string, Entry>();
  const subjects = createSubjects();
  const finished = createFinished();
  const texts = createTexts(keepsText);
  let position = 0;
  let bytes = 0;

  const add = (note: EventNote, { subject, sequence, body }: Delivery) => {
    const known = announced.get(note.id);
    const entry = known ?? entryOf(note, { subject, sequence, bytes: body.length });
    bytes += known === undefined ? entry.bytes : 0;
    announced.delete(entry.id);
    entries.set(entry.id, entry);
    subjects.add(entry);
    texts.keep(entry, body);
    onEvent(entry);
  };
  const settle = (id: string) => {
    const entry = entries.get(id) ?? announced.get(id);
    if (entry !== undefined) {
      announced.delete(id);
      entries.delete(id);
      subjects.delete(entry);
      texts.drop(entry);
      bytes -= entry.bytes;
      entry.finished = true;
    }
  };
  const held = () => ({ events: entries.size + announced.size, bytes });
  return {
    announce(entry) {
      if (entry.sequence > position && !announced.has(entry.id)) {
        announced.set(entry.id, entry);
        subjects.add(entry);
        bytes += entry.bytes;
      }
    },
    read(delivery) {
      const { sequence, note } = delivery;
      position = sequence;
      const told = noteIn<EventNote & FinishedNote>(note);
      if (told.id === undefined) {
        return;
      }
      if (told.finished === true) {
        settle(told.id);
        // The note has replaced all that had the subject before: also those of which we have missed that they were finished.
        subjects.before(delivery).forEach(settle);
        finished.push(sequence);
      } else if (told.group === undefined) {
        addRecord(entries.get(told.id), delivery);
      } else {
        add(told as EventNote, delivery);
      }
    },
    entries: () => entries.values(),
    unfinished: (id) => entries.get(id),
    shares: subjects.shares,
    settle,
    settleBefore: (first) => [entries, announced].flatMap((all) => idsBefore(first, all)).forEach(settle),
    backlog: () => ({ ...held(), ...agesOf(entries, announced) }),
    held,
    surplus(remembered) {
      const [oldest] = entries.values();
      return Math.min(finished.before(remembered), oldest?.sequence ?? Number.POSITIVE_INFINITY);
    },
    clear() {
      [...entries.keys(), ...announced.keys()].forEach(settle);
      finished.clear();
      [position, bytes] = [0, 0];
    },
  };
}

function agesOf(
  entries: ReadonlyMap<string, Entry>,
  announced: ReadonlyMap<string, Entry>,
): Pick<Backlog, "oldestAt" | "oldestWaitingAt"> {
  const [stored] = announced.values();
  const oldest = entries.values().next().value ?? stored;
  const waiting = entries.values().find(({ history }) => !runsAfter(history)) ?? stored;
  return { oldestAt: oldest?.at, oldestWaitingAt: waiting?.at };
}

/** Of those that are in the order of the stream. */
function idsBefore(first: number, inOrder: ReadonlyMap<string, Entry>): string[] {
  const ids: string[] = [];
  for (const { id, sequence } of inOrder.values()) {
    if (sequence >= first) {
      break;
    }
    ids.push(id);
  }
  return ids;
}

/** What we have recorded ourselves is known already. */
function addRecord(entry: Entry | undefined, { sequence, body }: Delivery): void {
  if (entry !== undefined && sequence > entry.recorded) {
    entry.recorded = sequence;
    entry.history.push(...(JSON.parse(textOf(body)) as Transition[]));
  }
}

/** What is unfinished of each. */
function createSubjects() {
  const entries = new Map<string, Set<Entry>>();
  return {
    add(entry: Entry) {
      entries.set(entry.subject, (entries.get(entry.subject) ?? new Set()).add(entry));
    },
    delete(entry: Entry) {
      const others = entries.get(entry.subject);
      if (others?.delete(entry) && others.size === 0) {
        entries.delete(entry.subject);
      }
    },
    shares: ({ subject }: Entry) => (entries.get(subject)?.size ?? 0) > 1,
    /** The ids of those that were stored earlier. */
    before({ subject, sequence }: Delivery): string[] {
      return [...(entries.get(subject) ?? [])].filter((entry) => entry.sequence < sequence).map(({ id }) => id);
    },
  };
}

/** Texts at hand, up to a bound. */
function createTexts(worthKeeping: (entry: Entry) => boolean) {
  let kept = 0;
  return {
    keep(entry: Entry, body: Uint8Array) {
      if (kept + entry.bytes <= textBytes && worthKeeping(entry)) {
        kept += entry.bytes;
        entry.text = textOf(body);
      }
    },
    drop(entry: Entry) {
      kept -= entry.text === undefined ? 0 : entry.bytes;
      entry.text = undefined;
    },
  };
}

/** The notes of finished events, in the order of the stream. */
function createFinished() {
  let sequences: number[] = [];
  let forgotten = 0;
  return {
    push: (sequence: number) => sequences.push(sequence),
    /** The oldest of the last so many; 0 where there are fewer. */
    before(remembered: number) {
      if (sequences.length > remembered) {
        sequences = sequences.slice(-remembered);
        forgotten = sequences[0] ?? forgotten;
      }
      return forgotten;
    },
    clear() {
      sequences = [];
      forgotten = 0;
    },
  };
}

function textOf(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8");
}
