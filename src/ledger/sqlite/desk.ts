import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { ResponsePage, ResponseQuery } from "../ledger.ts";
import type { Batch, LeftRow } from "./batch.ts";
import { type Queries, queriesOn, type StoredEvent, type StoredResponse } from "./queries.ts";
import type { Retention } from "./retention.ts";
import { fileName, inMemory, openStore, type Recovery, type Store } from "./store.ts";

/** The other one may be about to open or close the file. */
const patienceMs = 2000;

export interface Place {
  /** `:memory:`: everything stays in this process. */
  readonly directory: string;
  /** Of this process, for others who want the directory. */
  readonly pid: number;
}

/** What can be asked of a thread that works on the ledger's file. Each throws what Node or SQLite throw. */
export interface Desk {
  /** For the first time, or again after a fault. */
  open(): void;
  recover(): Recovery;
  /** The seq of the next event. */
  next(): number;
  left(after: number): readonly LeftRow[];
  commit(batch: Batch): void;
  /** A little of what there is to remove; true where more is left. */
  tend(retention: Retention): boolean;
  unfinished(seq: number): StoredEvent | undefined;
  responses(query: ResponseQuery): ResponsePage;
  response(id: string): StoredResponse | undefined;
  close(): void;
}

/** One thread writes and another one reads, each with a desk of its own; in memory, and in tests, one does both. */
export function createDesk({ directory, pid }: Place): Desk {
  let store: Store | undefined;
  let reading: { readonly db: DatabaseSync; readonly queries: Queries } | undefined;

  const writer = (): Store => {
    if (store === undefined) {
      throw new Error("the ledger is not open");
    }
    return store;
  };
  const reader = (): Queries => {
    if (reading === undefined) {
      const db =
        directory === inMemory
          ? writer().db
          : new DatabaseSync(join(directory, fileName), { readOnly: true, timeout: patienceMs });
      reading = { db, queries: queriesOn(db) };
    }
    return reading.queries;
  };
  const close = () => {
    const [open, others] = [store, reading];
    store = undefined;
    reading = undefined;
    if (others !== undefined && others.db !== open?.db) {
      others.db.close();
    }
    open?.close();
  };

  return {
    open() {
      close();
      store = openStore(directory, pid);
    },
    recover: () => writer().recover(),
    next: () => writer().next(),
    left: (after) => writer().left(after),
    commit: (batch) => writer().commit(batch),
    tend: (retention) => writer().tend(retention),
    unfinished: (seq) => reader().unfinished(seq),
    responses: (query) => reader().responses(query),
    response: (id) => reader().response(id),
    close,
  };
}
