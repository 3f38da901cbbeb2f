import { type ChildProcessByStdio, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Hallux as its users run it, ended with the scope that holds it. */
export interface HalluxProcess extends AsyncDisposable {
  readonly pid: number | undefined;
  /** All that it wrote so far, to standard output and to standard error. */
  output(): string;
  /** Its log so far; only with `LOG_FORMAT=json`. */
  log(): readonly LogLine[];
  /** Resolves with the first line of the log that fits, past ones included. Rejects where Hallux ends before, or in time. */
  logged(fits: (line: LogLine) => boolean, seconds?: number): Promise<LogLine>;
  /** Its URL, once it listens. */
  listening(): Promise<string>;
  /** Resolves when it has ended and all of its output is there. */
  readonly exited: Promise<Exit>;
  signal(signal: NodeJS.Signals): void;
}

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const defaults = {
  LISTEN_ADDRESS: "127.0.0.1",
  LISTEN_PORT: "0",
  LOG_FORMAT: "json",
  SHUTDOWN_DELAY_SECONDS: "0",
};

/**
 * `hallux <args>`. It sees no variable of this process but PATH, has a home of its own, and listens on a free port unless `env` says otherwise.
 * `program` is what Node is given: its options, and Hallux as a file.
 */
export function runHallux(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  program: readonly string[] = [main],
): HalluxProcess {
  const { PATH = "" } = process.env;
  const home = mkdtempSync(join(tmpdir(), "hallux-home-"));
  const child = spawn(process.execPath, [...program, ...args], {
    env: { PATH, HOME: home, ...defaults, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.once("close", () => rmSync(home, { recursive: true, force: true }));
  return attach(child);
}

function attach(child: ChildProcessByStdio<null, Readable, Readable>): HalluxProcess {
  const log: LogLine[] = [];
  const watchers = new Set<() => void>();
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  createInterface({ input: child.stdout }).on("line", (line) => {
    log.push(...parsed(line, child.stdout.readableEnded));
    watchers.forEach((look) => void look());
  });
  const exited = new Promise<Exit>((resolve) => child.once("close", (code, signal) => resolve({ code, signal })));

  const logged: HalluxProcess["logged"] = (fits, seconds = 120) =>
    new Promise((resolve, reject) => {
      const look = () => {
        const found = log.find(fits);
        if (found !== undefined) {
          settle(() => resolve(found));
        }
      };
      const fail = (why: string) => settle(() => reject(new Error(`${why} before it logged ${fits}:\n${output}`)));
      const timer = setTimeout(() => fail(`${seconds} s passed`), seconds * 1000);
      const settle = (end: () => void) => {
        clearTimeout(timer);
        watchers.delete(look);
        end();
      };
      watchers.add(look);
      void exited.then(({ code }) => fail(`Hallux ended with ${code}`));
      look();
    });

  return {
    pid: child.pid,
    output: () => output,
    log: () => log,
    logged,
    exited,
    async listening() {
      const { address, port, tls } = await logged(({ msg }) => msg === "hallux is listening");
      return `${tls ? "https" : "http"}://${address === "0.0.0.0" ? "127.0.0.1" : address}:${port}`;
    },
    signal: (signal) => void child.kill(signal),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** What a killed process wrote last may be half a line, which is none. */
function parsed(line: string, isLast: boolean): LogLine[] {
  try {
    return line.startsWith("{") ? [JSON.parse(line)] : [];
  } catch (error) {
    if (isLast) {
      return [];
    }
    throw error;
  }
}
