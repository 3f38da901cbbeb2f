import { setTimeout as sleep } from "node:timers/promises";
import type { Ledger } from "../../src/ledger/ledger.ts";
import { createSqliteLedger, type SqliteLedgerOptions } from "../../src/ledger/sqlite/ledger.ts";

/** Of an embedded ledger with much room, which takes every event for a new one. */
export function roomyLedger(directory: string): SqliteLedgerOptions {
  return {
    directory,
    pid: process.pid,
    windowSeconds: 0,
    backlogBytes: 1e9,
    retention: { ageMs: 1e12, bytes: 1e12 },
    clock: Date.now,
    remark: () => undefined,
  };
}

/** The embedded ledger, with nothing on disk and no thread. */
export function memoryLedger(): Promise<Ledger> {
  return createSqliteLedger({ ...roomyLedger(":memory:"), thread: false });
}

/** Resolves when every accepted event is finished. Rejects where that takes too long. */
export async function idle(ledger: Pick<Ledger, "backlog">, seconds = 25): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  for (let { events } = ledger.backlog(); events > 0; { events } = ledger.backlog()) {
    if (performance.now() > deadline) {
      throw new Error(`${events} events are still not finished after ${seconds} s`);
    }
    await sleep(2);
  }
}
