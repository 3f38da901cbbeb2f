import { readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StoreFault } from "./fault.ts";

export const lockName = "lock.db";
/** A reader of the lock (`hallux ledger check`) has it for less than this. */
const patienceMs = 1000;
const busy = 5;

export interface Lock {
  release(): void;
}

/**
 * Makes this process the directory's only writer, or throws StoreFault, which says who is. The lock is SQLite's own on a file
 * beside the ledger: the system drops it however the process ends, and the ledger's file stays open to readers.
 */
export function takeLock(directory: string, pid: number): Lock {
  const db = new DatabaseSync(join(directory, lockName), { timeout: patienceMs });
  try {
    db.exec("BEGIN EXCLUSIVE");
    writeFileSync(holderFile(directory), `process ${pid} on ${hostname()} since ${new Date().toISOString()}\n`);
  } catch (error) {
    db.close();
    throw isBusy(error) ? heldByAnother(directory) : error;
  }
  return { release: () => db.close() };
}

/** Who has the directory now; undefined where nobody has. */
export function holderOf(directory: string): string | undefined {
  const db = new DatabaseSync(join(directory, lockName), { readOnly: true });
  try {
    db.prepare("SELECT * FROM sqlite_master").all();
    return undefined;
  } catch (error) {
    return isBusy(error) ? holderIn(directory) : undefined;
  } finally {
    db.close();
  }
}

function heldByAnother(directory: string): StoreFault {
  return new StoreFault(
    `the ledger in ${directory} belongs to ${holderIn(directory)}: end that process, or set another ledger.path`,
    true,
  );
}

function holderIn(directory: string): string {
  try {
    return readFileSync(holderFile(directory), "utf8").trim();
  } catch {
    return "another process";
  }
}

function holderFile(directory: string): string {
  return join(directory, "lock.txt");
}

function isBusy(error: unknown): boolean {
  return ((error as { readonly errcode?: number }).errcode ?? 0) % 256 === busy;
}
