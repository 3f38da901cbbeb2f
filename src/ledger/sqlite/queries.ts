import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
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
  const event = (table: string) => db.prepare(`SELECT id, received_at AS receivedAt, text FROM ${table} WHERE seq = ?`);
  const file: File = {
    db,
    unfinished: event("unfinished"),
    finished: event("finished"),
    steps: db.prepare("SELECT body FROM steps WHERE event = ? ORDER BY n"),
  };
  return {
    unfinished: (seq) => eventIn(file, file.unfinished.get(seq), seq),
    responses: (query) => pageOf(file, query),
    response: (id) => detailOf(file, id),
  };
}

/** With what is asked often. */
interface File {
  readonly db: DatabaseSync;
  readonly unfinished: StatementSync;
  readonly finished: StatementSync;
  readonly steps: StatementSync;
}

function eventIn(file: File, row: unknown, seq: number): StoredEvent | undefined {
  return row === undefined ? undefined : { ...(row as Omit<StoredEvent, "history">), history: stepsOf(file, seq) };
}

function stepsOf({ steps }: File, event: number): Transition[] {
  return transitionsIn(steps.all(event).map(({ body }) => String(body)));
}

/** One more than asked for is read, to know whether there is a next page. */
function pageOf(file: File, query: ResponseQuery): ResponsePage {
  const { sql, values } = filterOf(query);
  const rows = file.db
    .prepare(`SELECT event, n, id, at FROM responses ${sql} ORDER BY at DESC, event DESC, n DESC LIMIT ?`)
    .all(...values, query.limit + 1) as unknown as ResponseRow[];
  const page = rows.slice(0, query.limit);
  const last = page.at(-1);
  const steps = new Map([...new Set(page.map(({ event }) => event))].map((event) => [event, stepsOf(file, event)]));
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

function detailOf(file: File, id: string): StoredResponse | undefined {
  const row = file.db.prepare("SELECT event FROM responses WHERE id = ?").get(id);
  const seq = Number(row?.["event"]);
  const event = row && eventIn(file, file.unfinished.get(seq) ?? file.finished.get(seq), seq);
  return event && { ...recordOf(id, event.history), event, repeats: repeatsOf(file.db, event.id) };
}

function repeatsOf(db: DatabaseSync, of: string): readonly Repeat[] {
  const rows = db.prepare(`SELECT id, at FROM repeats WHERE of = ? ORDER BY seq DESC LIMIT ${repeatsShown}`).all(of);
  return rows.map(({ id, at }) => ({ event: String(id), at: new Date(Number(at)).toISOString() }));
}

function recordOf(response: string, history: readonly Transition[]): ResponseRecord {
  return { response, transitions: history.filter((step) => step.response === response) };
}
