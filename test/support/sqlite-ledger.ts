import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Ledger } from "../../src/ledger/ledger.ts";
import { createSqliteLedger, type SqliteLedgerOptions } from "../../src/ledger/sqlite/ledger.ts";
import { roomyLedger } from "./ledger.ts";

/** Removed with the test. */
export function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "hallux-ledger-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Without a thread, with much room and little patience, unless the options say otherwise; closed with the test. */
export async function openLedger(directory: string, options: Partial<SqliteLedgerOptions> = {}): Promise<Ledger> {
  const ledger = await createSqliteLedger({
    ...roomyLedger(directory),
    windowSeconds: 5,
    thread: false,
    pace: { retryMs: 10, tendMs: 10 },
    ...options,
  });
  onTestFinished(() => ledger.close());
  return ledger;
}

/** Is called at each step of a commit, in this thread; until the test ends. */
export function onFailpoint(hook: (step: string) => void): void {
  globalThis.halluxFailpoint = hook;
  onTestFinished(() => {
    globalThis.halluxFailpoint = undefined;
  });
}

/** As SQLite throws it. */
export function sqliteError(errcode: number, message: string): Error {
  return Object.assign(new Error(message), { code: "ERR_SQLITE_ERROR", errcode });
}
