import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPlayground } from "../playground/index.ts";
import { build, median, startServer } from "./support.ts";

/** Exec → first 200 on /readyz, and resident memory after five quiet seconds, of the bundle that ships. Linux only. */
const limits = { readyMs: 1000, restMiB: 120 };
const runs = 5;
const quietMs = 5000;

build();
const playground = await startPlayground();
const kubeconfig = join(mkdtempSync(join(tmpdir(), "hallux-bench-")), "kubeconfig");
writeFileSync(kubeconfig, playground.kubeconfig);
const rules = readFileSync("rules/default.yaml", "utf8");

const ready: number[] = [];
const rest: number[] = [];
for (let run = 0; run < runs; run++) {
  const server = await startServer(rules, kubeconfig);
  await new Promise((resolve) => setTimeout(resolve, quietMs));
  ready.push(server.readyMs);
  rest.push(server.memoryMiB());
  await server.stop();
}
await playground.close();

console.log(`exec → ready    ${median(ready).toFixed(0)} ms   (limit ${limits.readyMs}; runs ${rounded(ready)})`);
console.log(`memory at rest  ${median(rest).toFixed(0)} MiB  (limit ${limits.restMiB}; runs ${rounded(rest)})`);
process.exitCode = median(ready) <= limits.readyMs && median(rest) <= limits.restMiB ? 0 : 1;

function rounded(values: readonly number[]): string {
  return values.map((value) => value.toFixed(0)).join(" ");
}
