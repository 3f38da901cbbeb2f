import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ledgerContract } from "../../../test/support/ledger-contract.ts";
import { createSqliteLedger } from "./ledger.ts";

const roomy = { backlogBytes: 1e8, retention: { ageMs: 1e9, bytes: 1e9 }, pid: 1, remark: () => undefined };

for (const thread of [true, false]) {
  ledgerContract(`sqlite ledger, ${thread ? "in a thread" : "inline"}`, async () => {
    const directory = mkdtempSync(join(tmpdir(), "hallux-ledger-"));
    return {
      open: (options) => createSqliteLedger({ ...roomy, ...options, directory, thread }),
      dispose: async () => rmSync(directory, { recursive: true, force: true }),
    };
  });
}
