import type { Logger } from "pino";
import type { Config } from "./config/schema.ts";
import { ledgerDirectory } from "./config/state-directory.ts";
import type { Ledger } from "./ledger/ledger.ts";
import { createSqliteLedger } from "./ledger/sqlite/ledger.ts";

export interface OpenLedgerOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Where the ledger is, unless `ledger.path` says otherwise. */
  readonly stateDirectory: string;
  readonly pid: number;
}

/** The configured driver. Rejects where another process has the ledger; any other fault is in its `faults()`. */
export function openLedger({ config, logger, stateDirectory, pid }: OpenLedgerOptions): Promise<Ledger> {
  const { driver, path, backlog_bytes: backlogBytes, retention } = config.ledger;
  const common = {
    windowSeconds: config.deduplication.time_window_seconds,
    backlogBytes,
    retention: { ageMs: retention.age_hours * 3_600_000, bytes: retention.bytes },
    clock: Date.now,
    remark: (message: string) => logger.warn({ driver }, message),
  };
  return createSqliteLedger({
    ...common,
    directory: ledgerDirectory({ driver, path }, stateDirectory) ?? stateDirectory,
    pid,
  });
}
