import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { freePorts } from "../support/free-ports.ts";
import { until } from "../support/until.ts";

/** A nats-server that is installed here. */
export interface NatsBinary {
  readonly version: string;
  readonly path: string;
}

/** The oldest first. Empty where none is to be had: `test/peers/nats.sh` installs them. */
export const natsBinaries: readonly NatsBinary[] = findBinaries();

export const withoutNats = "no nats-server is here: test/peers/nats.sh installs one";

export interface NatsServer {
  readonly url: string;
  readonly directory: string;
  /** SIGTERM, or another signal; resolves when it has ended. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** With the same files and port. Resolves when it answers. */
  start(): Promise<void>;
  /** Ends it and removes its files. */
  dispose(): Promise<void>;
}

export interface NatsServerSettings {
  readonly binary: NatsBinary;
  /** More of the configuration file. */
  readonly config?: string;
  readonly jetStream?: boolean;
}

export async function startNats({ binary, config = "", jetStream = true }: NatsServerSettings): Promise<NatsServer> {
  const directory = mkdtempSync(join(tmpdir(), "hallux-nats-"));
  const [port] = await freePorts(1);
  const store = jetStream ? `jetstream { store_dir: "${join(directory, "store")}" }` : "";
  writeFileSync(join(directory, "nats.conf"), `listen: 127.0.0.1:${port}\n${store}\n${config}\n`);
  const server = processOf(binary, directory, `nats://127.0.0.1:${port}`);
  await server.start();
  return server;
}

/** Three servers that know each other. */
export async function startNatsCluster(binary: NatsBinary): Promise<readonly NatsServer[]> {
  const [a, b, c, ...routes] = await freePorts(6);
  const servers = [a, b, c].map((port, n) => {
    const directory = mkdtempSync(join(tmpdir(), "hallux-nats-"));
    mkdirSync(join(directory, "store"));
    const others = routes.map((route) => `"nats://127.0.0.1:${route}"`).join(", ");
    const config = [
      `server_name: n${n}`,
      `listen: 127.0.0.1:${port}`,
      `jetstream { store_dir: "${join(directory, "store")}" }`,
      `cluster { name: c, listen: 127.0.0.1:${routes[n]}, routes: [${others}] }`,
    ];
    writeFileSync(join(directory, "nats.conf"), config.join("\n"));
    return processOf(binary, directory, `nats://127.0.0.1:${port}`);
  });
  await Promise.all(servers.map((server) => server.start()));
  return servers;
}

function processOf({ path }: NatsBinary, directory: string, url: string): NatsServer {
  let child: ChildProcess | undefined;
  const stop = async (signal: NodeJS.Signals = "SIGTERM") => {
    const running = child;
    child = undefined;
    if (running !== undefined && running.exitCode === null) {
      const ended = new Promise((resolve) => running.once("exit", resolve));
      running.kill(signal);
      await ended;
    }
  };
  return {
    url,
    directory,
    stop,
    async start() {
      const started = spawn(path, ["-c", join(directory, "nats.conf")], { stdio: "ignore" });
      child = started;
      await answering(url, started);
    },
    async dispose() {
      await stop("SIGKILL");
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function answering(url: string, child: ChildProcess): Promise<void> {
  return until(`nats-server answers at ${url}`, () => {
    if (child.exitCode !== null) {
      throw new Error(`nats-server ended with ${child.exitCode}`);
    }
    return greets(new URL(url));
  });
}

function greets({ hostname, port }: URL): Promise<boolean> {
  const socket = createConnection({ host: hostname, port: Number(port), timeout: 5_000 });
  return new Promise<boolean>((resolve) => {
    socket.once("data", () => resolve(true)).once("error", () => resolve(false));
    socket.once("timeout", () => resolve(false)).once("close", () => resolve(false));
  }).finally(() => socket.destroy());
}

function findBinaries(): NatsBinary[] {
  const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "hallux-peers");
  const places = [
    ...[...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin"].map((place) => join(place, "nats-server")),
    ...globSync(join(cache, "nats-*", "nats-server")),
  ].filter((path) => existsSync(path));
  const found = places.map((path) => ({ path, version: versionOf(path) }));
  const versions = new Map(found.map((binary) => [binary.version, binary]));
  return [...versions.values()].sort((a, b) => a.version.localeCompare(b.version, "en", { numeric: true }));
}

function versionOf(path: string): string {
  return /v(\d+\.\d+\.\d+)/.exec(execFileSync(path, ["--version"], { encoding: "utf8" }))?.[1] ?? "unknown";
}
