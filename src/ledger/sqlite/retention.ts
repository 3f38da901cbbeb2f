import type { DatabaseSync } from "node:sqlite";
import { inTransaction } from "./transaction.ts";

/** How long what is finished stays on record, and what the file may hold. */
export interface Retention {
  /** Milliseconds: what ended before goes. */
  readonly before: number;
  /** Of all but the backlog. */
  readonly bytes: number;
  /** Of the events that wait: they never go. */
  readonly backlogBytes: number;
}

/** So much goes in one step, so that events wait for a few milliseconds at most. */
const eventsPerStep = 64;
const repeatsPerStep = 256;
/** 1 MiB is given back to the file system in one step, where a quarter of the file, and 16 MiB, are unused. */
const pagesPerStep = 256;
const unusedShare = 0.25;
const unusedPages = 4096;

/** One step; true where more is to do. */
export function removeOld(db: DatabaseSync, { before, bytes, backlogBytes }: Retention): boolean {
  const { pages, unused, pageSize } = sizeOf(db);
  const tooLarge = (pages - unused) * pageSize - backlogBytes > bytes;
  const horizon = tooLarge ? Math.max(before, oldestIn(db)) : before;

  const removed = removeUpTo(db, horizon);
  return shrink(db, { pages, unused }) || removed;
}

export function sizeOf(db: DatabaseSync): {
  readonly pages: number;
  readonly unused: number;
  readonly pageSize: number;
} {
  const pragma = (name: string) => Number(db.prepare(`PRAGMA ${name}`).get()?.[name]);
  return { pages: pragma("page_count"), unused: pragma("freelist_count"), pageSize: pragma("page_size") };
}

/** When the last of those ended that one step removes. */
function oldestIn(db: DatabaseSync): number {
  const times = [
    `SELECT max(at) AS at FROM (SELECT finished_at AS at FROM finished ORDER BY finished_at LIMIT ${eventsPerStep})`,
    `SELECT max(at) AS at FROM (SELECT at FROM repeats ORDER BY seq LIMIT ${repeatsPerStep})`,
  ].map((sql) => Number(db.prepare(sql).get()?.["at"] ?? Number.POSITIVE_INFINITY));
  const oldest = Math.min(...times);
  return Number.isFinite(oldest) ? oldest : 0;
}

function removeUpTo(db: DatabaseSync, horizon: number): boolean {
  const events = db
    .prepare(`SELECT seq FROM finished WHERE finished_at <= ? ORDER BY finished_at LIMIT ${eventsPerStep}`)
    .all(horizon)
    .map(({ seq }) => Number(seq));
  const repeats = db
    .prepare(`SELECT seq FROM (SELECT seq, at FROM repeats ORDER BY seq LIMIT ${repeatsPerStep}) WHERE at <= ?`)
    .all(horizon)
    .map(({ seq }) => Number(seq));
  if (events.length + repeats.length === 0) {
    return false;
  }
  const inList = (seqs: readonly number[]) => `(${seqs.join(",")})`;
  inTransaction(db, () =>
    db.exec(`
      DELETE FROM steps WHERE event IN ${inList(events)};
      DELETE FROM responses WHERE event IN ${inList(events)};
      DELETE FROM finished WHERE seq IN ${inList(events)};
      DELETE FROM repeats WHERE seq IN ${inList(repeats)};
    `),
  );
  return events.length === eventsPerStep || repeats.length === repeatsPerStep;
}

function shrink(db: DatabaseSync, { pages, unused }: { readonly pages: number; readonly unused: number }): boolean {
  if (unused < unusedPages || unused < pages * unusedShare) {
    return false;
  }
  db.exec(`PRAGMA incremental_vacuum(${pagesPerStep})`);
  // In a file that somebody has rebuilt without auto_vacuum that does nothing.
  return sizeOf(db).unused < unused;
}
