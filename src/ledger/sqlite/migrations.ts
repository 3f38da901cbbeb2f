import type { DatabaseSync } from "node:sqlite";
import { StoreFault } from "./fault.ts";
import { inTransaction } from "./transaction.ts";

/**
 * The n-th makes version n of an older file. One that was released is never changed: a change is another one.
 *
 * An event is in `unfinished` until its last response has ended; then it is deleted, or moves to `finished` where it had any.
 * So what is left to do is one small table, and needs no index.
 * `steps` are transitions as JSON lists, one list for each call of `record`, by the event's seq. `probe` is empty: what is
 * written there shows that the disk takes it.
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE unfinished (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, received_at TEXT NOT NULL, at INTEGER NOT NULL, key TEXT, text TEXT NOT NULL
  );
  CREATE TABLE finished (
    seq INTEGER PRIMARY KEY, finished_at INTEGER NOT NULL,
    id TEXT NOT NULL, received_at TEXT NOT NULL, at INTEGER NOT NULL, key TEXT, text TEXT NOT NULL
  );
  CREATE INDEX finished_at ON finished (finished_at);
  CREATE TABLE steps (
    event INTEGER NOT NULL, n INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (event, n)
  ) WITHOUT ROWID;
  CREATE TABLE responses (
    event INTEGER NOT NULL, n INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, rule TEXT NOT NULL, target TEXT NOT NULL,
    at INTEGER NOT NULL, statuses INTEGER NOT NULL, open INTEGER NOT NULL, PRIMARY KEY (event, n)
  ) WITHOUT ROWID;
  CREATE INDEX responses_at ON responses (at);
  CREATE INDEX responses_rule ON responses (rule, at);
  CREATE INDEX responses_target ON responses (target, at);
  CREATE TABLE repeats (seq INTEGER PRIMARY KEY, of TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL);
  CREATE INDEX repeats_of ON repeats (of);
  CREATE TABLE probe (data BLOB NOT NULL);
  `,
];

export function schemaVersion(db: DatabaseSync): number {
  return Number(db.prepare("PRAGMA user_version").get()?.["user_version"]);
}

/** Brings the file to the newest version, each step whole or not at all. Throws StoreFault where it is of a newer Hallux. */
export function migrate(db: DatabaseSync, steps: readonly string[] = migrations): void {
  const version = schemaVersion(db);
  if (version > steps.length) {
    throw new StoreFault(
      `the ledger was written by a newer Hallux (version ${version} of its tables; this one knows ${steps.length}): ` +
        "run that Hallux, or set another ledger.path",
      false,
    );
  }
  for (const [index, sql] of steps.entries()) {
    if (index >= version) {
      inTransaction(db, () => db.exec(`${sql}; PRAGMA user_version = ${index + 1}`));
    }
  }
}
