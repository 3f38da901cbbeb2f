import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { Image } from "./dockerfile.ts";
import { fillRoot } from "./root.ts";

/** The file system of the image, and the volumes that are mounted into it. */
export interface Stage extends Disposable {
  readonly root: string;
  readonly config: string;
  readonly state: string;
}

export interface Container extends AsyncDisposable {
  /** Of the program, as this machine numbers it. */
  readonly pid: number;
  readonly url: string;
  output(): string;
  /** As the runtime ends it; resolves with its exit code. */
  stop(): Promise<number | null>;
}

/** Why containers cannot be played here; undefined where they can. */
export function missing(): string | undefined {
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    return "test/image needs root on Linux";
  }
  const args = ["--mount", "--pid", "--ipc", "--uts", "--fork", "mount", "--make-rprivate", "/"];
  return spawnSync("unshare", args).status === 0 ? undefined : "test/image needs unshare, which is not permitted here";
}

export function prepare(
  image: Image,
  files: { readonly bundle: string; readonly config: Record<string, string> },
): Stage {
  const directory = mkdtempSync(join(tmpdir(), "hallux-image-"));
  const [root, config, state] = ["root", "config", "state"].map((name) => mkdtempSync(join(directory, `${name}-`)));
  const stage = { root: root as string, config: config as string, state: state as string };
  fillRoot(stage.root, image, files);
  for (const [name, text] of Object.entries(files.config)) {
    writeFileSync(join(stage.config, name), text);
  }
  for (const path of [directory, stage.root, stage.config]) {
    chmodSync(path, 0o755);
  }
  const [uid = 0, gid = 0] = image.user.split(":").map(Number);
  chownSync(stage.state, uid, gid);
  return { ...stage, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}

/** What the entry point prints with these arguments, to standard output and to standard error. */
export function runOnce(image: Image, stage: Stage, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(script, argumentsOf(image, stage, args), {
    env: environment(image),
    encoding: "utf8",
  });
  return stdout + stderr;
}

/** Starts the entry point, and resolves when Hallux listens. */
export async function start(image: Image, stage: Stage, args: readonly string[]): Promise<Container> {
  const child = spawn(script, argumentsOf(image, stage, args), {
    env: { ...environment(image), LOG_FORMAT: "json", LISTEN_ADDRESS: "127.0.0.1", LISTEN_PORT: "0" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  const port = await portOf(child, () => output);
  const pid = Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8"));
  const url = `http://127.0.0.1:${port}`;
  // It says that it listens before it listens to signals, and the first process of a container is not ended by one that it ignores.
  await fetch(`${url}/healthz`);
  return {
    pid,
    url,
    output: () => output,
    stop: () => {
      process.kill(pid, "SIGTERM");
      return exited;
    },
    async [Symbol.asyncDispose]() {
      // Its parent's end would not reach it: the change of user takes that signal away.
      if (child.exitCode === null) {
        process.kill(pid, "SIGKILL");
      }
      await exited;
    },
  };
}

const script = join(import.meta.dirname, "run.sh");

function argumentsOf({ user, entrypoint }: Image, { root, config, state }: Stage, args: readonly string[]): string[] {
  return [root, config, state, user, ...entrypoint, ...args];
}

function environment({ env }: Image): Record<string, string> {
  return { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/home/nonroot", ...env };
}

function portOf(child: ChildProcessByStdio<null, Readable, Readable>, output: () => string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("close", (code) => reject(new Error(`it ended with ${code}:\n${output()}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { port } = line.startsWith("{") ? (JSON.parse(line) as { port?: number }) : {};
      if (port !== undefined) {
        resolve(port);
      }
    });
  });
}
