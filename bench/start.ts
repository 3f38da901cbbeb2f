import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPlayground } from "../playground/index.ts";
import { build, median, startServer } from "./support.ts";

/**
 * Exec → the line that says it listens, exec → first 200 on /readyz (the Kubernetes client is loaded), and resident memory after ten
 * quiet seconds, of the bundle that ships. Linux only.
 */
const limits = { listeningMs: 400, restMiB: 90 };
const runs = 5;
const quietMs = 10_000;

build();
const playground = await startPlayground();
const kubeconfig = join(mkdtempSync(join(tmpdir(), "hallux-bench-")), "kubeconfig");
writeFileSync(kubeconfig, playground.kubeconfig);
const rules = readFileSync("rules/default.yaml", "utf8");

const listening: number[] = [];
const ready: number[] = [];
const rest: number[] = [];
const own: number[] = [];
for (let run = 0; run < runs; run++) {
  const server = await startServer(rules, kubeconfig);
  await new Promise((resolve) => setTimeout(resolve, quietMs));
  listening.push(server.listeningMs);
  ready.push(server.readyMs);
  rest.push(server.memoryMiB("VmRSS"));
  own.push(server.memoryMiB("RssAnon"));
  await server.stop();
}
await playground.close();

console.log(`exec → listening ${rounded(listening)} ms, limit ${limits.listeningMs}`);
console.log(`exec → ready     ${rounded(ready)} ms`);
console.log(`memory at rest   ${rounded(rest)} MiB, limit ${limits.restMiB}`);
console.log(`  of it its own  ${rounded(own)} MiB; the rest is Node's program, shared by all processes that run it`);
process.exitCode = median(listening) <= limits.listeningMs && median(rest) <= limits.restMiB ? 0 : 1;

/** The median, and the runs. */
function rounded(values: readonly number[]): string {
  return `${median(values).toFixed(0)} (${values.map((value) => value.toFixed(0)).join(" ")})`;
}
