import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import type { Transition } from "../ledger.ts";
import { holderOf } from "./lock.ts";
import { schemaVersion } from "./migrations.ts";
import { sizeOf } from "./retention.ts";
import { transitionsIn } from "./steps.ts";
import { fileName } from "./store.ts";

/** What `hallux ledger check` tells, as it prints it. */
export interface Inspection {
  readonly file: string;
  /** Of its tables; undefined where that cannot be read. */
  readonly version: number | undefined;
  /** Who writes there now. */
  readonly in_use_by: string | undefined;
  /** With the write-ahead log. */
  readonly bytes: number;
  /** Of these, free for what comes. */
  readonly unused_bytes: number | undefined;
  /** Undefined where they cannot be counted. */
  readonly waiting_events: number | undefined;
  readonly ended_events: number | undefined;
  readonly responses: number | undefined;
  readonly duplicates: number | undefined;
  /** When the oldest of those that wait was received; RFC 3339. */
  readonly oldest_waiting: string | undefined;
  /** In SQLite's words; empty where all is well. */
  readonly damage: readonly string[];
}

export type Exported =
  | {
      readonly type: "event";
      readonly id: string;
      readonly received_at: string;
      /** Null where it still waits. */
      readonly finished_at: string | null;
      /** As it was received. */
      readonly text: string;
    }
  | {
      readonly type: "response";
      readonly id: string;
      readonly event_id: string;
      readonly transitions: readonly Transition[];
    }
  | { readonly type: "duplicate"; readonly id: string; readonly of: string; readonly at: string };

const damageShown = 20;

/** Undefined where there is no ledger. Changes nothing, and does not disturb a server that writes there. */
export function inspectLedger(directory: string): Inspection | undefined {
  const file = join(directory, fileName);
  if (!existsSync(file)) {
    return undefined;
  }
  const db = openToRead(file);
  try {
    const count = (table: string) => attempt(() => numberIn(db, `SELECT count(*) AS n FROM ${table}`));
    const size = attempt(() => sizeOf(db));
    return {
      file,
      version: attempt(() => schemaVersion(db)),
      in_use_by: attempt(() => holderOf(directory)),
      bytes: sizeOnDisk(file) + sizeOnDisk(`${file}-wal`),
      unused_bytes: size && size.unused * size.pageSize,
      waiting_events: count("unfinished"),
      ended_events: count("finished"),
      responses: count("responses"),
      duplicates: count("repeats"),
      oldest_waiting: attempt(() => oldestIn(db)),
      damage: damageIn(db),
    };
  } finally {
    db.close();
  }
}

/** Everything that can be read, oldest first; `complain` is told what cannot. Undefined where there is no ledger. */
export function exportLedger(directory: string, complain: (fault: string) => void): Iterable<Exported> | undefined {
  const file = join(directory, fileName);
  return existsSync(file) ? exportFile(file, complain) : undefined;
}

function* exportFile(file: string, complain: (fault: string) => void): Generator<Exported> {
  const db = openToRead(file);
  try {
    yield* eventsIn(db, complain);
    yield* responsesIn(db, complain);
    yield* duplicatesIn(db, complain);
  } finally {
    db.close();
  }
}

/** Where the directory cannot be written, and so has no place for what readers share, the file is taken to be at rest. */
function openToRead(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    schemaVersion(db);
    return db;
  } catch (error) {
    const isDamaged = (error as { readonly errcode?: number }).errcode === notADatabase;
    if (isDamaged || sizeOnDisk(`${file}-wal`) > 0) {
      return db;
    }
    db.close();
    return new DatabaseSync(new URL(`${pathToFileURL(file)}?immutable=1`), { readOnly: true });
  }
}

const notADatabase = 26;

function damageIn(db: DatabaseSync): readonly string[] {
  try {
    const found = db
      .prepare(`PRAGMA integrity_check(${damageShown})`)
      .all()
      .flatMap((row) => String(row["integrity_check"]).split("\n"));
    return found.filter((line) => line !== "ok");
  } catch (error) {
    return [messageOf(error)];
  }
}

function oldestIn(db: DatabaseSync): string | undefined {
  const oldest = db.prepare("SELECT received_at AS at FROM unfinished ORDER BY seq LIMIT 1").get();
  return oldest && String(oldest["at"]);
}

function* eventsIn(db: DatabaseSync, complain: (fault: string) => void): Generator<Exported> {
  for (const [table, finishedAt] of [
    ["finished", "finished_at"],
    ["unfinished", "NULL"],
  ] as const) {
    const columns = `id, received_at, ${finishedAt} AS finished_at, text`;
    for (const row of rowsOf(db, { table, key: "seq", columns }, complain)) {
      const { finished_at: at } = row;
      yield {
        type: "event",
        id: String(row["id"]),
        received_at: String(row["received_at"]),
        finished_at: at === null ? null : new Date(Number(at)).toISOString(),
        text: String(row["text"]),
      };
    }
  }
}

/** By what was recorded: the table of responses only helps to find them. */
function* responsesIn(db: DatabaseSync, complain: (fault: string) => void): Generator<Exported> {
  let [event, steps] = [Number.NaN, [] as Transition[]];
  for (const row of rowsOf(db, { table: "steps", key: "event", columns: "body" }, complain)) {
    if (row["position"] !== event) {
      yield* responsesOf(steps);
      [event, steps] = [Number(row["position"]), []];
    }
    try {
      steps.push(...transitionsIn([String(row["body"])]));
    } catch (error) {
      complain(`table steps, event ${event}: ${messageOf(error)}`);
    }
  }
  yield* responsesOf(steps);
}

function* responsesOf(steps: readonly Transition[]): Generator<Exported> {
  for (const [id, transitions] of Map.groupBy(steps, ({ response }) => response)) {
    const planned = transitions.find((step) => step.type === "planned");
    yield { type: "response", id, event_id: planned?.event ?? "", transitions };
  }
}

function* duplicatesIn(db: DatabaseSync, complain: (fault: string) => void): Generator<Exported> {
  const query = { table: "repeats", key: "seq", columns: "id, of, at" };
  for (const { id, of, at } of rowsOf(db, query, complain)) {
    yield { type: "duplicate", id: String(id), of: String(of), at: new Date(Number(at)).toISOString() };
  }
}

interface Query {
  readonly table: string;
  /** What the table is ordered by. */
  readonly key: string;
  readonly columns: string;
}

type Row = Readonly<Record<string, unknown>>;

/** All that can be read, in the order of the key, with it as `position`. */
function* rowsOf(db: DatabaseSync, query: Query, complain: (fault: string) => void): Generator<Row> {
  const { table, key, columns } = query;
  let from: number | undefined = 0;
  while (from !== undefined) {
    let last: number = from - 1;
    try {
      const sql = `SELECT ${key} AS position, ${columns} FROM ${table} WHERE ${key} >= ? ORDER BY ${key}`;
      for (const row of db.prepare(sql).iterate(from)) {
        last = Number(row["position"]);
        yield row;
      }
      return;
    } catch (error) {
      const next: number | undefined = readableAfter(db, query, { last, from });
      if (next !== last + 1) {
        complain(`table ${table}, ${key} ${last + 1} to ${endBefore(next)}: ${messageOf(error)}`);
      }
      from = next;
    }
  }
}

function endBefore(next: number | undefined): string {
  return next === undefined ? "the end" : String(next - 1);
}

/** Found from the end of the table. Where one began to read is not to be tried again. */
function readableAfter(
  db: DatabaseSync,
  { table, key }: Query,
  { last, from }: { readonly last: number; readonly from: number },
): number | undefined {
  let next: number | undefined;
  let following: number | undefined;
  try {
    const sql = `SELECT DISTINCT ${key} AS position FROM ${table} WHERE ${key} > ? ORDER BY ${key} DESC`;
    for (const { position } of db.prepare(sql).iterate(last)) {
      following = next;
      next = Number(position);
    }
  } catch {
    // That is the damage, from its other side.
  }
  return next === from ? following : next;
}

function numberIn(db: DatabaseSync, sql: string): number {
  return Number(db.prepare(sql).get()?.["n"]);
}

function sizeOnDisk(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
