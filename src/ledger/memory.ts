import type { FalcoEvent } from "../events/event.ts";
import { createDeduplication } from "./deduplication.ts";
import {
  type Ledger,
  LedgerUnavailable,
  type ResponseQuery,
  type ResponseRecord,
  type Transition,
  type Work,
} from "./ledger.ts";

export interface MemoryLedgerOptions {
  /** Of the de-duplication; 0 switches it off. */
  readonly windowSeconds: number;
  /** Bytes of accepted events not yet finished: beyond it, `accept` rejects. */
  readonly backlogBytes: number;
  /** Bytes of what is kept for the history: responses, with their events. */
  readonly historyBytes: number;
  /** Milliseconds. */
  readonly clock: () => number;
}

interface MutableRecord {
  readonly response: string;
  readonly event: FalcoEvent;
  readonly transitions: Transition[];
  bytes: number;
}

/** Holds everything in this process: nothing survives a restart. The durable drivers take its place. */
export function createMemoryLedger(options: MemoryLedgerOptions): Ledger {
  const deduplication = createDeduplication(options.windowSeconds);
  const backlog = createBacklog(options.backlogBytes);
  const history = createHistory(options.historyBytes);

  return {
    async accept(event) {
      const fault = backlog.fault();
      if (fault !== undefined) {
        throw new LedgerUnavailable(fault);
      }
      const of = deduplication.repeats(event, options.clock());
      if (of !== undefined) {
        return { status: "duplicate", of };
      }
      backlog.add(event);
      return { status: "accepted" };
    },

    work: (signal) => backlog.take(signal),

    async record(transition) {
      history.record(transition, (id) => backlog.event(id));
    },

    async responses(query) {
      return history.responses(query);
    },

    faults() {
      const fault = backlog.fault();
      return fault === undefined ? [] : [fault];
    },

    async close() {
      backlog.close();
    },
  };
}

interface Backlog {
  fault(): string | undefined;
  add(event: FalcoEvent): void;
  event(id: string): FalcoEvent | undefined;
  take(signal: AbortSignal): AsyncGenerator<Work>;
  close(): void;
}

function createBacklog(limit: number): Backlog {
  const unfinished = new Map<string, { readonly event: FalcoEvent; readonly bytes: number }>();
  const waiting: FalcoEvent[] = [];
  let bytes = 0;
  let closed = false;
  let wake = Promise.withResolvers<void>();

  const rouse = () => {
    wake.resolve();
    wake = Promise.withResolvers<void>();
  };
  const finish = async (id: string) => {
    bytes -= unfinished.get(id)?.bytes ?? 0;
    unfinished.delete(id);
  };

  return {
    fault() {
      if (closed) {
        return "the ledger is closed: this process is stopping";
      }
      return bytes >= limit ? `the backlog is full: ${unfinished.size} events wait to be acted on` : undefined;
    },
    add(event) {
      const size = bytesOf(event);
      bytes += size;
      unfinished.set(event.id, { event, bytes: size });
      waiting.push(event);
      rouse();
    },
    event: (id) => unfinished.get(id)?.event,
    async *take(signal) {
      signal.addEventListener("abort", rouse, { once: true });
      while (true) {
        const event = waiting.shift();
        if (event !== undefined) {
          yield { event, durable: Promise.resolve(), history: [], finish: () => finish(event.id) };
        } else if (signal.aborted || closed) {
          return;
        } else {
          await wake.promise;
        }
      }
    },
    close() {
      closed = true;
      rouse();
    },
  };
}

interface History {
  record(transition: Transition, eventOf: (id: string) => FalcoEvent | undefined): void;
  responses(query: ResponseQuery): readonly ResponseRecord[];
}

/** Keeps the newest responses, by the size of their events and of what is on record of them. */
function createHistory(limit: number): History {
  const records = new Map<string, MutableRecord>();
  let bytes = 0;

  const dropOldest = () => {
    const [oldest] = records.values();
    if (oldest !== undefined) {
      bytes -= oldest.bytes;
      records.delete(oldest.response);
    }
  };

  const grow = (record: MutableRecord, added: number) => {
    record.bytes += added;
    bytes += added;
    while (bytes > limit && records.size > 1) {
      dropOldest();
    }
  };

  return {
    record(transition, eventOf) {
      const { response } = transition;
      const event = transition.type === "planned" ? eventOf(transition.event) : undefined;
      const record = event === undefined ? records.get(response) : { response, event, transitions: [], bytes: 0 };
      if (record === undefined) {
        return;
      }
      records.set(response, record);
      record.transitions.push(transition);
      grow(record, sizeOf(transition) + (event === undefined ? 0 : bytesOf(event)));
    },
    responses({ limit: count, rule, status }) {
      return [...records.values()]
        .reverse()
        .filter(
          ({ transitions }) => rule === undefined || transitions.some((t) => t.type === "planned" && t.rule === rule),
        )
        .filter(
          ({ transitions }) =>
            status === undefined || transitions.some((t) => t.type === "ended" && t.outcome.status === status),
        )
        .slice(0, count)
        .map(({ response, event, transitions }) => ({ response, event, transitions: [...transitions] }));
    },
  };
}

function bytesOf(event: FalcoEvent): number {
  return sizeOf(event.sent);
}

function sizeOf(value: object): number {
  return JSON.stringify(value).length;
}
