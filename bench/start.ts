import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPlayground } from "../playground/index.ts";
import { createMemoryGroup } from "./memory-group.ts";
import { build, median, startServer } from "./support.ts";

/**
 * Exec → the line that says it listens, exec → first 200 on /readyz (the Kubernetes client is loaded), and memory after ten quiet
 * seconds, of the bundle that ships: as Kubernetes counts it, where this may make a control group (root), and all that is resident.
 * Linux only.
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
const group = createMemoryGroup();
const working: number[] = [];
const resident: number[] = [];
const own: number[] = [];
for (let run = 0; run < runs; run++) {
  const server = await startServer(rules, kubeconfig, {}, group);
  await new Promise((resolve) => setTimeout(resolve, quietMs));
  listening.push(server.listeningMs);
  ready.push(server.readyMs);
  working.push(...(group === undefined ? [] : [group.workingSetMiB()]));
  resident.push(server.memoryMiB("VmRSS"));
  own.push(server.memoryMiB("RssAnon"));
  await server.stop();
}
await playground.close();

console.log(`exec → listening ${rounded(listening)} ms, limit ${limits.listeningMs}`);
console.log(`exec → ready     ${rounded(ready)} ms`);
const limited = group === undefined ? resident : working;
if (group !== undefined) {
  console.log(`memory at rest   ${rounded(working)} MiB as \`kubectl top\` shows it, limit ${limits.restMiB}`);
}
console.log(`resident         ${rounded(resident)} MiB${group === undefined ? `, limit ${limits.restMiB}` : ""}`);
console.log(
  `  of it its own  ${rounded(own)} MiB; the rest is Node's program, which is read from its file again when it is needed`,
);
group?.remove();
process.exitCode = median(listening) <= limits.listeningMs && median(limited) <= limits.restMiB ? 0 : 1;

/** The median, and the runs. */
function rounded(values: readonly number[]): string {
  return `${median(values).toFixed(0)} (${values.map((value) => value.toFixed(0)).join(" ")})`;
}
