import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import type { Repeat, ResponsePage, ResponseQuery, ResponseRecord, Transition } from "../ledger.ts";
import { statusBits, transitionsIn } from "./steps.ts";

/** The read side of the ledger's file. All of it is synchronous and throws what SQLite throws. */
export interface Queries {
  /** An unfinished event; undefined where there is none. */
  unfinished(seq: number): StoredEvent | undefined;
  responses(query: ResponseQuery): ResponsePage;
  response(id: string): StoredResponse | undefined;
}

export interface StoredEvent {
  readonly id: string;
  readonly receivedAt: string;
  readonly text: string;
  /** What was recorded of it, oldest first. */
  readonly history: readonly Transition[];
}

export interface StoredResponse extends ResponseRecord {
  readonly event: StoredEvent;
  readonly repeats: readonly Repeat[];
}

interface ResponseRow {
  readonly event: number;
  readonly n: number;
  readonly id: string;
  readonly at: number;
}

const repeatsShown = 100;

export function queriesOn(db: DatabaseSync): Queries {
  return {
    unfinished: (seq) => eventIn(db, ["unfinished"], seq),
    responses: (query) => pageOf(db, query),
    response: (id) => detailOf(db, id),
  };
}

function eventIn(db: DatabaseSync, tables: readonly string[], seq: number): StoredEvent | undefined {
  const [event] = tables.flatMap((table) =>
    db.prepare(`SELECT id, received_at AS receivedAt, text FROM ${table} WHERE seq = ?`).all(seq),
  );
  return event && { ...(event as unknown as Omit<StoredEvent, "history">), history: stepsOf(db, seq) };
}

function stepsOf(db: DatabaseSync, event: number): Transition[] {
  const bodies = db.prepare("SELECT body FROM steps WHERE event = ? ORDER BY n").all(event);
  return transitionsIn(bodies.map(({ body }) => String(body)));
}

/** One more than asked for is read, to know whether there is a next page. */
function pageOf(db: DatabaseSync, query: ResponseQuery): ResponsePage {
  const { sql, values } = filterOf(query);
  const rows = db
    .prepare(`SELECT event, n, id, at FROM responses ${sql} ORDER BY at DESC, event DESC, n DESC LIMIT ?`)
    .all(...values, query.limit + 1) as unknown as ResponseRow[];
  const page = rows.slice(0, query.limit);
  const last = page.at(-1);
  const steps = new Map([...new Set(page.map(({ event }) => event))].map((event) => [event, stepsOf(db, event)]));
  return {
    responses: page.map(({ id, event }) => recordOf(id, steps.get(event) ?? [])),
    next: last === undefined || rows.length === page.length ? undefined : `${last.at}.${last.event}.${last.n}`,
  };
}

function filterOf({ after, since, rule, target, status }: ResponseQuery) {
  const conditions: [sql: string, ...values: SQLInputValue[]][] = [];
  if (rule !== undefined) {
    conditions.push(["rule = ?", rule]);
  }
  if (target !== undefined) {
    conditions.push(["target = ?", target]);
  }
  if (since !== undefined) {
    conditions.push(["at >= ?", Date.parse(since)]);
  }
  if (status !== undefined) {
    conditions.push(status === "open" ? ["open"] : ["statuses & ?", statusBits[status]]);
  }
  if (after !== undefined) {
    conditions.push(["(at, event, n) < (?, ?, ?)", ...after.split(".").map(Number)]);
  }
  const sql = conditions.map(([condition]) => condition).join(" AND ");
  return { sql: sql && `WHERE ${sql}`, values: conditions.flatMap(([, ...values]) => values) };
}

function detailOf(db: DatabaseSync, id: string): StoredResponse | undefined {
  const row = db.prepare("SELECT event FROM responses WHERE id = ?").get(id);
  const event = row && eventIn(db, ["unfinished", "finished"], Number(row["event"]));
  return event && { ...recordOf(id, event.history), event, repeats: repeatsOf(db, event.id) };
}

function repeatsOf(db: DatabaseSync, of: string): readonly Repeat[] {
  const rows = db.prepare(`SELECT id, at FROM repeats WHERE of = ? ORDER BY seq DESC LIMIT ${repeatsShown}`).all(of);
  return rows.map(({ id, at }) => ({ event: String(id), at: new Date(Number(at)).toISOString() }));
}

function recordOf(response: string, history: readonly Transition[]): ResponseRecord {
  return { response, transitions: history.filter((step) => step.response === response) };
}
