import type { Logger } from "pino";
import type { Config } from "./config/schema.ts";
import { ledgerDirectory } from "./config/state-directory.ts";
import type { Ledger } from "./ledger/ledger.ts";
import { createSqliteLedger, type SqliteLedgerOptions } from "./ledger/sqlite/ledger.ts";

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
  return driver === "nats"
    ? openNats(config, common)
    : createSqliteLedger({
        ...common,
        directory: ledgerDirectory({ driver, path }, stateDirectory) ?? stateDirectory,
        pid,
      });
}

type Common = Pick<SqliteLedgerOptions, "windowSeconds" | "backlogBytes" | "retention" | "clock" | "remark">;

/** The client is loaded only where it is used. */
async function openNats({ ledger: { nats } }: Config, common: Common): Promise<Ledger> {
  const { createNatsLedger } = await import("./ledger/nats/ledger.ts");
  return createNatsLedger({
    ...common,
    servers: nats.servers,
    credentialsFile: nats.credentials_file,
    user: nats.user,
    password: nats.password,
    token: nats.token,
    tlsCaFile: nats.tls_ca_file,
    tlsCertFile: nats.tls_cert_file,
    tlsKeyFile: nats.tls_key_file,
    prefix: nats.prefix,
    replicas: nats.replicas,
    domain: nats.domain,
  });
}
