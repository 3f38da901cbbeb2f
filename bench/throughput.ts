import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { atLeast, type Figure } from "./figure.ts";
import { median, startProcess } from "./support.ts";

/** How the events come: on connections that stay open, or each on one of its own. */
export type Mode = "keep-alive" | "new-connection";

/** A server under load: all of its threads are measured. */
export interface Measured {
  readonly pid: number;
  readonly port: number;
}

export interface Comparison {
  readonly name: string;
  readonly mode: Mode;
  /** The share of what the bare server does. */
  readonly goal: number;
}

const rounds = 9;
const eventsPerRound = { "keep-alive": 20_000, "new-connection": 10_000 };
/** Until the compiler is done with both servers. */
const eventsToWarmUp = { "keep-alive": 100_000, "new-connection": 20_000 };
const connections = 32;
/** What a server does after its last answer counts, too. */
const settleMs = 300;
const script = (name: string) => join(import.meta.dirname, name);

/**
 * Events per second of a server's CPU time, against those of a bare node:http in a process of its own: in turns, so that what else
 * the machine does meets both. CPU time, because the sender competes for the same cores.
 */
export async function compareWithBare(server: Measured, comparisons: readonly Comparison[]): Promise<Figure[]> {
  const bare = await startProcess([script("bare.ts")]);
  const figures: Figure[] = [];
  for (const comparison of comparisons) {
    figures.push(await compare(server, bare, comparison));
  }
  await bare.stop();
  return figures;
}

async function compare(server: Measured, bare: Measured, { name, mode, goal }: Comparison): Promise<Figure> {
  await eventsPerCpuSecond(bare, mode, eventsToWarmUp[mode]);
  await eventsPerCpuSecond(server, mode, eventsToWarmUp[mode]);
  const samples: { ours: number; bare: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    samples.push({
      bare: await eventsPerCpuSecond(bare, mode, eventsPerRound[mode]),
      ours: await eventsPerCpuSecond(server, mode, eventsPerRound[mode]),
    });
  }
  return atLeast(name, median(samples.map(({ ours, bare }) => ours / bare)), goal, {
    measured: perSecond(median(samples.map(({ ours }) => ours))),
    against: `bare node:http ${perSecond(median(samples.map(({ bare }) => bare)))}`,
  });
}

async function eventsPerCpuSecond({ pid, port }: Measured, mode: Mode, events: number): Promise<number> {
  const load = [script("load.ts"), String(port), mode, String(connections), String(events)];
  const before = cpuSeconds(pid);
  const { stdout } = await promisify(execFile)(process.execPath, load);
  await sleep(settleMs);
  const spent = cpuSeconds(pid) - before;
  const { answered, failed } = JSON.parse(stdout) as { answered: number; failed: number };
  if (failed > 0) {
    throw new Error(`${failed} of ${failed + answered} events were not answered 2xx`);
  }
  return answered / spent;
}

/** In user and system mode, of all threads. The kernel counts in hundredths of a second (`man 5 proc`). */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const [user, system] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11);
  return (Number(user) + Number(system)) / 100;
}

function perSecond(events: number): string {
  return `${events.toFixed(0)}/s of CPU time`;
}
