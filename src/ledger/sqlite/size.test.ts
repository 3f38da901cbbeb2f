import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { sizeOf } from "./size.ts";

it("adds up the ledger's own files, with its write-ahead log, and no others", async () => {
  const directory = mkdtempSync(join(tmpdir(), "hallux-test-"));
  writeFileSync(join(directory, "ledger.db"), "x".repeat(4096));
  writeFileSync(join(directory, "ledger.db-wal"), "x".repeat(100));
  writeFileSync(join(directory, "api-token"), "x");

  const size = await sizeOf(directory);

  expect(size).toBe(4196);
});

it("is not known where the directory is gone", async () => {
  const directory = mkdtempSync(join(tmpdir(), "hallux-test-"));
  rmSync(directory, { recursive: true });

  const size = await sizeOf(directory);

  expect(size).toBeUndefined();
});
