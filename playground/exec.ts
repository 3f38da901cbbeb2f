import { type ChildProcessByStdio, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import type { WebSocket } from "ws";
import { containerOf } from "./logs.ts";
import { existing } from "./objects.ts";
import { flagIn } from "./read.ts";
import type { Routed } from "./request.ts";
import { pods } from "./resources.ts";
import type { Store } from "./store.ts";
import type { Pod } from "./wire.ts";

/** What is to run, and which of its streams the client wants. */
export interface Execution {
  readonly argv: readonly string[];
  readonly container: string;
  readonly uid: string;
  readonly running: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

const channel = { stdin: 0, stdout: 1, stderr: 2, status: 3, close: 255 } as const;
/** The protocol that has the channel `close`; to older ones it means nothing. */
const closing = "v5.channel.k8s.io";
/** How long a command's descendants may hold its output open after it ended. */
const drainMs = 500;

/** Reads an exec request. Throws 400 and 404. */
export function executionOf(store: Store, { address, query }: Routed): Execution {
  const key = { resource: pods, namespace: address.namespace, name: address.name ?? "" };
  const pod = existing(store, key) as Pod;
  const container = containerOf(pod, query.get("container") ?? "");
  const status = pod.status?.containerStatuses?.find(({ name }) => name === container);
  return {
    argv: query.getAll("command"),
    container,
    uid: pod.metadata.uid,
    running: status?.state?.running !== undefined,
    stdin: flagIn(query, "stdin"),
    stdout: flagIn(query, "stdout"),
    stderr: flagIn(query, "stderr"),
  };
}

/**
 * Runs the containers' commands as processes of this machine, each container with a directory of its own, empty at first.
 * A command that still runs ends with its connection, and its process group with it; what a command left running in the
 * background ends with the pod or the playground.
 */
export class Executor {
  /** Made with the first command. */
  #root: string | undefined;
  readonly #path: string;
  readonly #running = new Set<Command>();
  /** Process groups that outlived their command, by the pod's UID. */
  readonly #left = new Map<string, Set<number>>();

  constructor(store: Store, path: string) {
    this.#path = path;
    store.subscribe(({ type, resource, object }) => {
      if (type === "DELETED" && resource === pods) {
        this.#end(object.metadata.uid);
        this.#clean(object.metadata.uid);
      }
    });
  }

  run(execution: Execution, socket: WebSocket): void {
    const refusal = refusalOf(execution);
    if (refusal !== undefined) {
      send(socket, channel.status, JSON.stringify(refusal));
      socket.close(1000);
      return;
    }
    this.#root ??= mkdtempSync(join(tmpdir(), "playground-"));
    const directory = join(this.#root, execution.uid, execution.container);
    mkdirSync(directory, { recursive: true });
    const command = new Command(execution, socket, () => this.#ended(command));
    this.#running.add(command);
    command.start(directory, this.#path);
  }

  close(): void {
    for (const uid of new Set([...this.#left.keys(), ...[...this.#running].map(({ execution }) => execution.uid)])) {
      this.#end(uid);
    }
    this.#clean("");
  }

  #clean(uid: string): void {
    if (this.#root !== undefined) {
      rmSync(join(this.#root, uid), { recursive: true, force: true });
    }
  }

  #end(uid: string): void {
    for (const command of this.#running) {
      if (command.execution.uid === uid) {
        command.interrupt();
      }
    }
    for (const group of this.#left.get(uid) ?? []) {
      signalGroup(group, "SIGKILL");
    }
    this.#left.delete(uid);
  }

  #ended(command: Command): void {
    const { execution, pid } = command;
    this.#running.delete(command);
    const left = this.#left.get(execution.uid) ?? new Set();
    if (pid !== undefined && signalGroup(pid, 0)) {
      this.#left.set(execution.uid, left.add(pid));
    }
  }
}

/** One running command and its connection. */
class Command {
  readonly execution: Execution;
  readonly #socket: WebSocket;
  readonly #ended: () => void;
  #child: Child | undefined;
  #over = false;

  constructor(execution: Execution, socket: WebSocket, ended: () => void) {
    this.execution = execution;
    this.#socket = socket;
    this.#ended = ended;
  }

  start(directory: string, path: string): void {
    const { argv, stdin, stdout, stderr } = this.execution;
    const [program = "", ...args] = argv;
    try {
      this.#child = spawn(program, args, { cwd: directory, env: { PATH: path, HOME: directory }, detached: true });
    } catch (error) {
      this.#fail(error);
      return;
    }
    const child = this.#child;
    this.#pipe(child.stdout, stdout, channel.stdout);
    this.#pipe(child.stderr, stderr, channel.stderr);
    child.stdin.on("error", () => undefined);
    if (!stdin) {
      child.stdin.end();
    }
    child.once("error", (error) => this.#fail(error));
    child.once("exit", (code, signal) => this.#drain(child, code ?? 128 + signalNumber(signal)));
    this.#socket.on("message", (data) => this.#receive(data as Buffer));
    this.#socket.once("close", () => this.interrupt());
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Kills what still runs. */
  interrupt(): void {
    if (!this.#over && this.pid !== undefined) {
      signalGroup(this.pid, "SIGKILL");
    }
    this.#end(137);
  }

  /** Tells the client how the command ended, if the client still listens. */
  #end(exitCode: number): void {
    if (this.#over) {
      return;
    }
    this.#over = true;
    this.#ended();
    send(this.#socket, channel.status, JSON.stringify(exitStatus(exitCode)));
    this.#socket.close(1000);
  }

  /** The client's first frames are empty ones: the streams are open. Output waits while the client is slow. */
  #pipe(stream: Readable, wanted: boolean, to: number): void {
    if (wanted) {
      send(this.#socket, to, "");
    }
    stream.on("data", (chunk: Buffer) => {
      if (wanted) {
        stream.pause();
        send(this.#socket, to, chunk, () => stream.resume());
      }
    });
  }

  #receive(data: Buffer): void {
    const [to] = data;
    if (to === channel.stdin) {
      this.#child?.stdin.write(data.subarray(1));
    } else if (to === channel.close && data[1] === channel.stdin && this.#socket.protocol === closing) {
      this.#child?.stdin.end();
    }
  }

  #drain(child: Child, exitCode: number): void {
    const timer = setTimeout(() => this.#end(exitCode), drainMs);
    child.once("close", () => {
      clearTimeout(timer);
      this.#end(exitCode);
    });
  }

  /** The program is not there (127) or cannot be run (126), as shells and container runtimes report it. */
  #fail(error: unknown): void {
    const { code, message } = error as NodeJS.ErrnoException;
    const missing = code === "ENOENT";
    const program = JSON.stringify(this.execution.argv[0]);
    const reason = missing ? "executable file not found in $PATH" : message;
    if (this.execution.stderr) {
      send(this.#socket, channel.stderr, `exec: ${program}: ${reason}\n`);
    }
    this.#end(missing ? 127 : 126);
  }
}

function refusalOf({ argv, container, running, stdin, stdout, stderr }: Execution): object | undefined {
  if (!running) {
    return internalError(`error executing command in container: container "${container}" is not running`);
  }
  if (!stdin && !stdout && !stderr) {
    return internalError("unable to upgrade connection: you must specify at least 1 of stdin, stdout, stderr");
  }
  return argv.length === 0 ? exitStatus(125) : undefined;
}

function internalError(message: string): object {
  return {
    metadata: {},
    status: "Failure",
    message: `Internal error occurred: ${message}`,
    reason: "InternalError",
    details: { causes: [{ message }] },
    code: 500,
  };
}

function exitStatus(code: number): object {
  if (code === 0) {
    return { metadata: {}, status: "Success" };
  }
  return {
    metadata: {},
    status: "Failure",
    message: `command terminated with non-zero exit code: command terminated with exit code ${code}`,
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: String(code) }] },
  };
}

function send(socket: WebSocket, to: number, data: string | Buffer, sent?: () => void): void {
  if (socket.readyState !== socket.OPEN) {
    sent?.();
    return;
  }
  socket.send(Buffer.concat([Buffer.of(to), typeof data === "string" ? Buffer.from(data) : data]), () => sent?.());
}

/** Signals a whole process group (0 only asks); false where nothing of it is left. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") {
      return false;
    }
    throw error;
  }
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === null ? 0 : constants.signals[signal];
}
