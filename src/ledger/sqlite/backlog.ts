import type { FalcoEvent } from "../../events/event.ts";
import type { Backlog as Figures } from "../../telemetry/metrics.ts";
import { createLanes, type Waiting } from "../lanes.ts";
import type { Room } from "../ledger.ts";

/** An event that is accepted and not finished. */
export interface Entry extends Waiting {
  readonly seq: number;
  /** When it was accepted, in milliseconds. */
  readonly at: number;
  /** Undefined where it must be read from disk. */
  event: FalcoEvent | undefined;
  /** The last that was written of it. */
  written: Promise<void>;
  /** There may be transitions of it on disk. */
  recorded: boolean;
  /** It could not be made durable: its sender was told so. */
  lost: boolean;
}

export interface Taken {
  readonly entry: Entry;
  readonly event: FalcoEvent | undefined;
}

/** The events not yet finished, and the order in which they are given. */
export interface Backlog {
  add(entry: Entry): void;
  /** It is on disk: it stays in memory, too, while there is room. */
  durable(entry: Entry): void;
  /** Undefined where there is none to give now. Its event is no longer kept. */
  take(room: Room): Taken | undefined;
  /** Whether an action of a taken one runs; none runs of the others. */
  runs(entry: Entry, does: boolean): void;
  release(entry: Entry): void;
  /** A released one waits again, before others of its target. */
  again(entry: Entry): void;
  /** Finished, or lost. */
  remove(entry: Entry): void;
  readonly events: number;
  readonly bytes: number;
  figures(): Figures;
}

/** Of the texts of events kept in memory; decoded they are some times as large. */
const maxKeptBytes = 16_777_216;

export function createBacklog(): Backlog {
  const lanes = createLanes<Entry>();
  const unfinished = new Map<number, Entry>();
  const running = new Set<Entry>();
  let bytes = 0;
  /** Those that are durable and wait in memory. */
  const kept = new Set<Entry>();
  let keptBytes = 0;

  const unkeep = (entry: Entry) => {
    keptBytes -= kept.delete(entry) ? entry.bytes : 0;
  };

  return {
    add(entry) {
      unfinished.set(entry.seq, entry);
      bytes += entry.bytes;
      lanes.add(entry);
    },
    durable(entry) {
      if (entry.event === undefined) {
        return;
      }
      if (keptBytes + entry.bytes > maxKeptBytes) {
        entry.event = undefined;
      } else {
        kept.add(entry);
        keptBytes += entry.bytes;
      }
    },
    take(room) {
      const entry = lanes.take(room);
      if (entry === undefined) {
        return undefined;
      }
      const { event } = entry;
      unkeep(entry);
      entry.event = undefined;
      return { entry, event };
    },
    runs(entry, does) {
      running[does ? "add" : "delete"](entry);
    },
    release(entry) {
      running.delete(entry);
      lanes.release(entry);
    },
    again: (entry) => lanes.putFirst(entry),
    remove(entry) {
      if (unfinished.delete(entry.seq)) {
        bytes -= entry.bytes;
        unkeep(entry);
        entry.event = undefined;
      }
    },
    get events() {
      return unfinished.size;
    },
    get bytes() {
      return bytes;
    },
    figures() {
      const oldest = unfinished.values().next().value;
      const waiting = unfinished.values().find((entry) => !running.has(entry));
      return { events: unfinished.size, bytes, oldestAt: oldest?.at, oldestWaitingAt: waiting?.at };
    },
  };
}
