import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { decodeEvent } from "../../events/decode.ts";
import { type Known, rememberedKeys } from "../deduplication.ts";
import { waitingOf } from "../lanes.ts";
import type { Batch, EventRow, FinishedRow, LeftRow, StepsRow } from "./batch.ts";
import { type Lock, lockName, takeLock } from "./lock.ts";
import { migrate, schemaVersion } from "./migrations.ts";
import { type Retention, removeOld } from "./retention.ts";
import { sameFiles } from "./same-files.ts";
import { inTransaction } from "./transaction.ts";

/** Stands for a directory: everything stays in the memory of this process. */
export const inMemory = ":memory:";
export const fileName = "ledger.db";
const rowsAtOnce = 2000;
/** `hallux ledger check` may have the file for a moment. */
const patienceMs = 2000;
/** A disk that takes this takes some events. */
const probeBytes = 262_144;

/** The write side of the ledger's file. All of it is synchronous and throws what SQLite throws. */
export interface Store {
  readonly db: DatabaseSync;
  recover(): Recovery;
  /** The seq of the next event. */
  next(): number;
  /** The unfinished events after this seq, oldest first; some thousands, none where there are no more. */
  left(after: number): readonly LeftRow[];
  commit(batch: Batch): void;
  /** A little of what there is to remove; true where more is left. */
  tend(retention: Retention): boolean;
  close(): void;
}

/** What an earlier process left. */
export interface Recovery {
  /** The seq of the next event. */
  readonly next: number;
  /** Of events that have ended, oldest first. */
  readonly known: readonly Known[];
}

/** Opens the directory's file, which it makes where there is none, as its only writer; tries that the disk takes something. */
export function openStore(directory: string, pid: number): Store {
  if (directory === inMemory) {
    return storeOn(openFile(inMemory), { mustBeThere: () => undefined, release: () => undefined });
  }
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const lock = takeLock(directory, pid);
  try {
    const db = openFile(join(directory, fileName));
    return storeOn(db, { ...lock, mustBeThere: sameFiles(directory, [fileName, `${fileName}-wal`, lockName]) });
  } catch (error) {
    lock.release();
    throw error;
  }
}

function openFile(path: string): DatabaseSync {
  if (path !== inMemory) {
    // Events tell of attacks: nobody else reads them. SQLite gives its other files the same mode.
    closeSync(openSync(path, "a", 0o600));
  }
  const db = new DatabaseSync(path, { timeout: patienceMs });
  try {
    if (schemaVersion(db) === 0) {
      db.exec("PRAGMA auto_vacuum = INCREMENTAL");
    }
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 16777216");
    migrate(db);
    // Nothing is written to a file that cannot be read.
    db.prepare("SELECT (SELECT count(*) FROM unfinished), (SELECT max(finished_at) FROM finished)").get();
    db.exec(`INSERT INTO probe VALUES (zeroblob(${probeBytes})); DELETE FROM probe`);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** What stands around the file. */
interface Surroundings extends Lock {
  readonly mustBeThere: () => void;
}

function storeOn(db: DatabaseSync, { mustBeThere, release }: Surroundings): Store {
  const statements = prepareStatements(db);
  return {
    db,
    recover: () => ({ next: nextIn(db), known: knownIn(db) }),
    next: () => nextIn(db),
    left: (after) => leftIn(db, after),
    commit(batch) {
      mustBeThere();
      commit(db, statements, batch);
    },
    tend(retention) {
      mustBeThere();
      return removeOld(db, retention);
    },
    close() {
      db.close();
      release();
    },
  };
}

type Statements = Readonly<Record<"event" | "repeat" | "steps" | "plan" | "mark" | "keep" | "drop", StatementSync>>;

function prepareStatements(db: DatabaseSync): Statements {
  const next = (table: string) => `(SELECT coalesce(max(n), 0) + 1 FROM ${table} WHERE event = ?1)`;
  return {
    event: db.prepare("INSERT INTO unfinished (seq, id, received_at, at, key, text) VALUES (?, ?, ?, ?, ?, ?)"),
    repeat: db.prepare("INSERT INTO repeats (of, id, at) VALUES (?, ?, ?)"),
    steps: db.prepare(`INSERT INTO steps VALUES (?1, ${next("steps")}, ?2)`),
    plan: db.prepare(`INSERT OR IGNORE INTO responses VALUES (?1, ${next("responses")}, ?2, ?3, ?4, ?5, 0, 1)`),
    mark: db.prepare("UPDATE responses SET statuses = statuses | ?2, open = open AND ?3 WHERE id = ?1"),
    keep: db.prepare(
      "INSERT INTO finished SELECT seq, ?2, id, received_at, at, key, text FROM unfinished WHERE seq = ?1",
    ),
    drop: db.prepare("DELETE FROM unfinished WHERE seq BETWEEN ? AND ?"),
  };
}

function commit(db: DatabaseSync, statements: Statements, batch: Batch): void {
  inTransaction(db, () => {
    write(statements, batch);
    globalThis.halluxFailpoint?.("event-before-commit");
  });
  if (batch.events.length > 0) {
    globalThis.halluxFailpoint?.("event-committed");
  }
  if (batch.steps.length > 0) {
    globalThis.halluxFailpoint?.("transitions-committed");
  }
}

function write(statements: Statements, { events, repeats, steps, finished, at }: Batch): void {
  for (const event of events) {
    statements.event.run(event.seq, event.id, event.receivedAt, event.at, event.key, event.text);
  }
  for (const repeat of repeats) {
    statements.repeat.run(repeat.of, repeat.id, repeat.at);
  }
  for (const row of steps) {
    writeSteps(statements, row);
  }
  finish(statements, finished, at);
}

function writeSteps({ steps, plan, mark }: Statements, { event, body, plans, marks }: StepsRow): void {
  steps.run(event, body);
  for (const { response, rule, target, at } of plans) {
    plan.run(event, response, rule, target, at);
  }
  for (const { response, statuses, closed } of marks) {
    mark.run(response, statuses, closed ? 0 : 1);
  }
}

/** Events end about in the order in which they came: what follows one on another goes in one statement. */
function finish({ keep, drop }: Statements, finished: readonly FinishedRow[], at: number): void {
  const seqs = finished.map(({ seq }) => seq).sort((a, b) => a - b);
  for (const { seq } of finished.filter(({ kept }) => kept)) {
    keep.run(seq, at);
  }
  let [first] = seqs;
  for (const [index, seq] of seqs.entries()) {
    if (first !== undefined && seqs[index + 1] !== seq + 1) {
      drop.run(first, seq);
      first = seqs[index + 1];
    }
  }
}

function nextIn(db: DatabaseSync): number {
  // Steps of an event whose row is lost (a file moved away under a running server) are no other event's history.
  const last = db.prepare(`
    SELECT max(seq) AS seq FROM
      (SELECT max(seq) AS seq FROM unfinished UNION SELECT max(seq) FROM finished UNION SELECT max(event) FROM steps)
  `);
  return Number(last.get()?.["seq"] ?? 0) + 1;
}

function knownIn(db: DatabaseSync): readonly Known[] {
  const known = db.prepare(
    `SELECT key, id, at FROM (SELECT key, id, at, finished_at FROM finished ORDER BY finished_at DESC LIMIT ${rememberedKeys})
     WHERE key IS NOT NULL ORDER BY finished_at`,
  );
  return known.all() as unknown as Known[];
}

function leftIn(db: DatabaseSync, after: number): readonly LeftRow[] {
  const rows = db.prepare(`
    SELECT seq, id, received_at AS receivedAt, at, key, text, EXISTS (SELECT 1 FROM steps WHERE event = seq) AS recorded
    FROM unfinished WHERE seq > ? ORDER BY seq LIMIT ${rowsAtOnce}
  `);
  // Row by row: the texts of all of them may be more than there is memory.
  return Array.from(rows.iterate(after), (row) => leftRow(row as unknown as EventRow & { readonly recorded: number }));
}

/** An event that cannot be decoded waits for nobody: the one who takes it is told. */
function leftRow({ text, receivedAt, recorded, ...row }: EventRow & { readonly recorded: number }): LeftRow {
  const { event } = decodeEvent(text, { id: row.id, receivedAt });
  const waiting = event === undefined ? { lane: undefined, group: "", bytes: text.length } : waitingOf(event);
  return { ...row, ...waiting, recorded: recorded === 1 };
}
