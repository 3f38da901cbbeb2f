import { setTimeout as sleep } from "node:timers/promises";
import type { Ledger } from "../../src/ledger/ledger.ts";
import { createSqliteLedger } from "../../src/ledger/sqlite/ledger.ts";

/** The embedded ledger, with nothing on disk and no thread. */
export function memoryLedger(): Promise<Ledger> {
  return createSqliteLedger({
    directory: ":memory:",
    thread: false,
    pid: process.pid,
    windowSeconds: 0,
    backlogBytes: 1e6,
    retention: { ageMs: 3_600_000, bytes: 1e9 },
    clock: Date.now,
    remark: () => undefined,
  });
}

/** Resolves when every accepted event is finished. */
export async function idle(ledger: Pick<Ledger, "backlog">): Promise<void> {
  while (ledger.backlog().events > 0) {
    await sleep(2);
  }
}
