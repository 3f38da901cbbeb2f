import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { type Figure, tableOf } from "./figure.ts";

/**
 * All figures in one table, and in bench/results.json. The labels are measured on the cluster of KUBECONFIG, without one on the
 * playground. Exits with 1 where a goal is missed or a bench failed.
 */
const benches = [
  { file: "bench/durable.ts" },
  { file: "bench/label.ts" },
  { file: "bench/ledger.ts", options: ["--expose-gc"] },
  { file: "bench/nats.ts" },
];

const lines = join(mkdtempSync(join(tmpdir(), "hallux-bench-")), "figures");
const failed: string[] = [];
for (const { file, options = [] } of benches) {
  console.log(`\n${file}`);
  const before = figuresIn(lines).length;
  const child = spawn(process.execPath, [...options, file], {
    stdio: "inherit",
    env: { ...process.env, BENCH_RESULTS: lines },
  });
  const [code] = await once(child, "close");
  // With figures, 1 says that one of them is missed.
  if (code !== 0 && figuresIn(lines).length === before) {
    failed.push(file);
  }
}

const figures = figuresIn(lines);
const machine = { node: process.version, cores: availableParallelism(), cpu: cpus()[0]?.model };
writeFileSync(
  "bench/results.json",
  `${JSON.stringify({ at: new Date().toISOString(), ...machine, figures }, null, 2)}\n`,
);
console.log(`\n${tableOf(figures)}\n\nbench/results.json has them, too`);
for (const file of failed) {
  console.error(`${file} gave no figures`);
}
process.exitCode = failed.length === 0 && figures.every(({ met }) => met) ? 0 : 1;

function figuresIn(file: string): readonly Figure[] {
  return existsSync(file)
    ? readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Figure)
    : [];
}
