import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { MemoryGroup } from "./memory-group.ts";

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN;
}

export interface Process {
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

export interface Server extends Process {
  readonly url: string;
  /** From exec to the line that says it listens. */
  readonly listeningMs: number;
  /** From exec to the first 200 on /readyz. */
  readonly readyMs: number;
  /** Resident memory now: all of it, or what is not a file's. */
  memoryMiB(part: "VmRSS" | "RssAnon"): number;
}

/** Bundles Hallux as it ships. */
export function build(): void {
  execFileSync(process.execPath, ["scripts/build.ts"], { stdio: "inherit" });
}

/** The bundled Hallux as a process of its own, with these rules. */
export async function startServer(
  rules: string,
  kubeconfig: string,
  env: Readonly<Record<string, string>> = {},
  group?: MemoryGroup,
): Promise<Server> {
  const dir = mkdtempSync(join(tmpdir(), "hallux-bench-"));
  const config = join(dir, "config.yaml");
  const rulesFile = join(dir, "rules.yaml");
  const settings = ["listen_address: 127.0.0.1", "listen_port: 0", "log_format: json", "shutdown_delay_seconds: 0"];
  writeFileSync(
    config,
    `${settings.join("\n")}\nkubeconfig: ${kubeconfig}\ndeduplication: { time_window_seconds: 0 }\n`,
  );
  writeFileSync(rulesFile, rules);

  const started = performance.now();
  const server = await startProcess(
    ["dist/hallux.js", "server", "-c", config, "-r", rulesFile],
    { ...env, LEDGER_PATH: join(dir, "ledger") },
    group,
  );
  const listeningMs = performance.now() - started;
  const url = `http://127.0.0.1:${server.port}`;
  while ((await fetch(`${url}/readyz`)).status !== 200) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const readyMs = performance.now() - started;
  return { ...server, url, listeningMs, readyMs, memoryMiB: (part) => memoryOf(server.pid, part) };
}

/** A Node process that says on which port it listens, in a line of JSON; from its first byte in the group, where there is one. */
export async function startProcess(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  group?: MemoryGroup,
): Promise<Process> {
  const [program, ...rest] =
    group === undefined
      ? [process.execPath, ...args]
      : ["/bin/sh", "-c", 'echo $$ > "$0"; exec "$@"', group.members, process.execPath, ...args];
  const child = spawn(program, rest, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  const port = await portOf(child);
  return {
    pid: child.pid as number,
    port,
    stop: () => new Promise((resolve) => child.once("exit", () => resolve()).kill()),
  };
}

async function portOf(child: ChildProcess): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
    const { port } = JSON.parse(line) as { port?: number };
    if (port !== undefined) {
      resolve(port);
    }
  });
  return promise;
}

function memoryOf(pid: number, part: string): number {
  const [, kib] = new RegExp(`${part}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) / 1024;
}
