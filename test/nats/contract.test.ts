import { afterAll, beforeAll, describe, it } from "vitest";
import { createNatsLedger } from "../../src/ledger/nats/ledger.ts";
import { natsBinaries, type NatsServer, startNats, withoutNats } from "../peers/nats.ts";
import { ledgerContract } from "../support/ledger-contract.ts";

describe.skipIf(natsBinaries.length > 0)("nats ledger", () => {
  it.skip(withoutNats);
});

describe.each(natsBinaries)("on nats-server $version", (binary) => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await startNats({ binary });
  });
  afterAll(() => server.dispose());

  ledgerContract("nats ledger", async () => {
    const prefix = `t${crypto.randomUUID().slice(0, 8)}`;
    return {
      open: (options) =>
        createNatsLedger({
          servers: [server.url],
          prefix,
          replicas: 1,
          backlogBytes: 1e8,
          retention: { ageMs: 86_400_000, bytes: 1e8 },
          remark: () => {},
          ...options,
        }),
      async dispose() {},
    };
  });
});
