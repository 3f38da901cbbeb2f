import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { eventually } from "./eventually.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A line of Hallux's log, as far as the demo reads it. */
export interface LogEntry {
  readonly level: string;
  readonly msg: string;
  readonly rule?: string;
  readonly actionner?: string;
  readonly target?: string;
  readonly status?: string;
  readonly message?: string;
  readonly undo?: string;
  readonly duration_ms?: number;
  readonly port?: number;
  readonly rules?: number;
  /** Why Hallux cannot start. */
  readonly reason?: string;
  readonly err?: { readonly message?: string };
}

export interface HalluxProcess {
  readonly url: string;
  /** From the start of the process to the first 200 of /readyz. */
  readonly readyAfterMs: number;
  /** Rules loaded. */
  readonly rules: number;
  /** The log so far. */
  readonly entries: readonly LogEntry[];
  /** Calls back with every entry from now on. */
  follow(see: (entry: LogEntry) => void): void;
  /** Resolves when the process is gone, with its exit code. */
  readonly ended: Promise<number | null>;
  stop(): Promise<void>;
}

export interface HalluxOptions {
  /** 0 takes a free one. */
  readonly port: number;
  readonly kubeconfig: string;
  readonly logFile: string;
}

export const serverArguments = ["server", "-c", "playground/demo/config.yaml"];

/** Starts Hallux as it runs in production, as a process of its own, and waits until it is ready. */
export async function startHallux({ port, kubeconfig, logFile }: HalluxOptions): Promise<HalluxProcess> {
  const started = performance.now();
  // Each cluster of the demo is a new one, and so is its history.
  const ledger = mkdtempSync(join(tmpdir(), "hallux-demo-ledger-"));
  const child = run(serverArguments, { LISTEN_PORT: String(port), KUBECONFIG: kubeconfig, LEDGER_PATH: ledger });
  const ended = endOf(child).finally(() => rmSync(ledger, { recursive: true, force: true }));
  const { entries, follow } = readLog(child, logFile);
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  try {
    const { url, rules } = await ready(child, ended, entries);
    return { url, readyAfterMs: performance.now() - started, rules, entries, follow, ended, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Should the demo itself be ended, Hallux ends with it. */
function endOf(child: ChildProcess): Promise<number | null> {
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  return once(child, "close").then(([code]) => {
    process.off("exit", kill);
    return code;
  });
}

async function ready(
  child: ChildProcess,
  ended: Promise<unknown>,
  entries: readonly LogEntry[],
): Promise<Pick<HalluxProcess, "url" | "rules">> {
  const faults = child.stderr === null ? Promise.resolve("") : text(child.stderr);
  const gone = ended.then(async () => {
    throw new Error(`Hallux did not start: ${await faults}${lastWords(entries)}`);
  });
  const listening = eventually("Hallux listens", () => entries.find(({ msg }) => msg === "hallux is listening"));
  const { port, rules = 0 } = await Promise.race([listening, gone]);
  gone.catch(() => undefined);
  const url = `http://127.0.0.1:${port}`;
  await eventually("Hallux is ready", async () => ((await fetch(`${url}/readyz`)).ok ? true : undefined));
  return { url, rules };
}

/** What a command of Hallux prints. */
export async function halluxSays(args: readonly string[]): Promise<string> {
  const child = run(args, {});
  const closed = once(child, "close");
  const [said, faults] = await Promise.all([child.stdout, child.stderr].map((stream) => (stream ? text(stream) : "")));
  const [code] = await closed;
  if (code !== 0) {
    throw new Error(`hallux ${args.join(" ")} exited with code ${code}: ${faults}`);
  }
  return said ?? "";
}

/** In a group of its own: Ctrl-C reaches the demo alone, which then stops Hallux in order. */
function run(args: readonly string[], settings: Readonly<Record<string, string>>): ChildProcess {
  const { PATH, HOME } = process.env;
  return spawn(process.execPath, ["src/main.ts", ...args], {
    cwd: root,
    env: { PATH, HOME, ...settings },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
}

function readLog({ stdout }: ChildProcess, logFile: string): Pick<HalluxProcess, "entries" | "follow"> {
  const entries: LogEntry[] = [];
  const followers: ((entry: LogEntry) => void)[] = [];
  if (stdout !== null) {
    stdout.pipe(createWriteStream(logFile));
    createInterface({ input: stdout }).on("line", (line) => {
      const entry: LogEntry = JSON.parse(line);
      entries.push(entry);
      for (const see of followers) {
        see(entry);
      }
    });
  }
  return { entries, follow: (see) => void followers.push(see) };
}

function lastWords(entries: readonly LogEntry[]): string {
  const last = entries.at(-1);
  return last === undefined
    ? ""
    : [last.msg, last.reason, last.err?.message].filter((words) => words !== undefined).join(": ");
}
