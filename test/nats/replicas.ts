import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished } from "vitest";
import type { Ledger } from "../../src/ledger/ledger.ts";
import { createNatsLedger, type NatsLedgerOptions } from "../../src/ledger/nats/ledger.ts";
import { until } from "../support/until.ts";
import type { LogEntry, ReplicaOptions } from "./replica.ts";

const script = fileURLToPath(new URL("replica.ts", import.meta.url));

/** Less than a test has: what it says is worth more than that the test was too long. */
export const patienceSeconds = 40;

export type Settings = Partial<NatsLedgerOptions> & Pick<NatsLedgerOptions, "servers">;

export function settingsOf(settings: Settings): Omit<NatsLedgerOptions, "clock" | "remark"> {
  return {
    prefix: `t${crypto.randomUUID().slice(0, 8)}`,
    replicas: 1,
    windowSeconds: 5,
    backlogBytes: 1e7,
    retention: { ageMs: 86_400_000, bytes: 1e7 },
    ...settings,
  };
}

/** Closed with the test. */
export async function openLedger(settings: Omit<NatsLedgerOptions, "clock" | "remark">): Promise<Ledger> {
  const ledger = await createNatsLedger({ ...settings, clock: Date.now, remark: () => {} });
  onTestFinished(() => ledger.close());
  return ledger;
}

export interface Replicas {
  readonly names: readonly string[];
  log(): LogEntry[];
  /** kill -9; resolves with the time at which it was. */
  kill(name: string): Promise<number>;
  /** Resolves when the log is so; rejects with what it holds where it does not become so. */
  until(holds: (log: readonly LogEntry[]) => boolean): Promise<void>;
}

/** Replicas in processes of their own, ended with the test. */
export async function startReplicas(
  count: number,
  options: Pick<ReplicaOptions, "ledger" | "workMs" | "accepts" | "stuck">,
): Promise<Replicas> {
  const directory = mkdtempSync(join(tmpdir(), "hallux-replicas-"));
  const fileOf = (name: string) => join(directory, `${name}.jsonl`);
  const names = Array.from({ length: count }, (_, n) => `replica-${n}`);
  const children = new Map<string, ChildProcess>();
  onTestFinished(async () => {
    await Promise.all([...children.values()].map((child) => end(child)));
    rmSync(directory, { recursive: true });
  });
  for (const name of names) {
    const log = fileOf(name);
    writeFileSync(log, "");
    children.set(name, fork(script, [JSON.stringify({ name, log, ...options })], { execArgv: [] }));
  }
  await Promise.all([...children.values()].map((child) => new Promise((resolve) => child.once("message", resolve))));

  const log = () => names.flatMap((name) => entriesIn(readFileSync(fileOf(name), "utf8")));
  return {
    names,
    log,
    async kill(name) {
      const child = children.get(name);
      children.delete(name);
      await (child && end(child));
      return Date.now();
    },
    until: (holds) =>
      until(
        () => JSON.stringify(stepsIn(log())),
        () => {
          for (const [name, { exitCode }] of children) {
            expect(exitCode, `${name} has ended by itself`).toBe(null);
          }
          return holds(log());
        },
        patienceSeconds,
      ),
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }
}

/** Without the end of a line that is being written, or was when its writer was killed. */
function entriesIn(text: string): LogEntry[] {
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as LogEntry);
}

/** How many of each there are. */
function stepsIn(log: readonly LogEntry[]): Record<string, number> {
  const steps = Map.groupBy(log, ({ replica, step }) => `${replica} ${step}`);
  return Object.fromEntries([...steps].map(([name, entries]) => [name, entries.length]));
}

/** The ids of the events that somebody worked on to the end. */
export function endedIn(log: readonly LogEntry[]): Set<string> {
  return new Set(log.filter(({ step }) => step === "end").map(({ event }) => event));
}

interface Stay {
  readonly replica: string;
  readonly target: string;
  readonly from: number;
  readonly to: number;
}

/** Two that worked on one target at the same time. `deaths`: when those who were killed were. */
export function clashesIn(log: readonly LogEntry[], deaths: ReadonlyMap<string, number> = new Map()): string[] {
  const stays = staysIn(log, deaths);
  const clashes: string[] = [];
  for (const [, ofTarget = []] of Map.groupBy(stays, ({ target }) => target)) {
    const inOrder = ofTarget.toSorted((a, b) => a.from - b.from);
    inOrder.forEach((stay, n) => {
      const before = inOrder[n - 1];
      if (before !== undefined && stay.from < before.to) {
        clashes.push(`${stay.target}: ${before.replica} until ${before.to}, ${stay.replica} from ${stay.from}`);
      }
    });
  }
  return clashes;
}

function staysIn(log: readonly LogEntry[], deaths: ReadonlyMap<string, number>): Stay[] {
  const open = new Map<string, LogEntry>();
  const stays: Stay[] = [];
  for (const entry of log) {
    const key = `${entry.replica} ${entry.event}`;
    const begun = open.get(key);
    if (entry.step === "begin") {
      open.set(key, entry);
    } else if (begun !== undefined) {
      open.delete(key);
      stays.push({ replica: entry.replica, target: entry.target, from: begun.at, to: entry.at });
    }
  }
  for (const { replica, target, at } of open.values()) {
    stays.push({ replica, target, from: at, to: deaths.get(replica) ?? Number.POSITIVE_INFINITY });
  }
  return stays;
}
