import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stringify } from "yaml";
import { freePorts } from "../support/free-ports.ts";

const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "hallux-peers");

/** Undefined where it is not installed: `test/peers/loki.sh` does it. */
export const lokiBinary: string | undefined = [join(cache, "loki-3.7.8", "loki")].find((path) => existsSync(path));

export const withoutLoki = "Loki is not here: test/peers/loki.sh installs it";

export interface Entry {
  readonly labels: Readonly<Record<string, string>>;
  /** Nanoseconds. */
  readonly at: string;
  readonly line: string;
}

export interface LokiServer extends AsyncDisposable {
  readonly url: string;
  /** What a query of the last day finds for a tenant. */
  query(query: string, tenant: string): Promise<readonly Entry[]>;
}

/** With tenants, and its files in a directory of its own. Resolves when it takes entries. */
export async function startLoki(binary: string): Promise<LokiServer> {
  const directory = mkdtempSync(join(tmpdir(), "hallux-loki-"));
  const [http = 0, grpc = 0] = await freePorts(2);
  writeFileSync(join(directory, "loki.yaml"), configOf({ http, grpc, directory }));
  const child = spawn(binary, [`-config.file=${join(directory, "loki.yaml")}`], { stdio: "ignore", cwd: directory });
  const url = `http://127.0.0.1:${http}`;
  const server: LokiServer = {
    url,
    query: (query, tenant) => entriesOf(url, query, tenant),
    async [Symbol.asyncDispose]() {
      await killed(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
  await ready(url, child).catch(async (error: unknown) => {
    await server[Symbol.asyncDispose]();
    throw error;
  });
  return server;
}

function configOf({ http, grpc, directory }: { http: number; grpc: number; directory: string }): string {
  const address = "127.0.0.1";
  return stringify({
    auth_enabled: true,
    analytics: { reporting_enabled: false },
    server: {
      http_listen_address: address,
      http_listen_port: http,
      grpc_listen_address: address,
      grpc_listen_port: grpc,
      log_level: "error",
    },
    common: {
      instance_addr: address,
      path_prefix: directory,
      replication_factor: 1,
      ring: { kvstore: { store: "inmemory" } },
      storage: {
        filesystem: { chunks_directory: join(directory, "chunks"), rules_directory: join(directory, "rules") },
      },
    },
    ingester: { lifecycler: { min_ready_duration: "0s" } },
    schema_config: {
      configs: [
        {
          from: "2024-01-01",
          store: "tsdb",
          object_store: "filesystem",
          schema: "v13",
          index: { prefix: "index_", period: "24h" },
        },
      ],
    },
  });
}

async function ready(url: string, child: ChildProcess): Promise<void> {
  for (let attempts = 0; attempts < 600 && child.exitCode === null; attempts++) {
    const answer = await fetch(`${url}/ready`).catch(() => undefined);
    if (answer?.ok) {
      return;
    }
    await sleep(100);
  }
  throw new Error(`Loki is not ready, exit code ${child.exitCode}`);
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode === null) {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }
}

interface Streams {
  readonly data: {
    readonly result: readonly {
      readonly stream: Readonly<Record<string, string>>;
      readonly values: readonly (readonly [string, string])[];
    }[];
  };
}

async function entriesOf(url: string, query: string, tenant: string): Promise<readonly Entry[]> {
  const now = Date.now();
  const range = { start: `${now - 86_400_000}000000`, end: `${now + 60_000}000000`, limit: "1000" };
  const answer = await fetch(`${url}/loki/api/v1/query_range?${new URLSearchParams({ query, ...range })}`, {
    headers: { "x-scope-orgid": tenant },
  });
  const { data } = (await answer.json()) as Streams;
  return data.result.flatMap(({ stream, values }) => values.map(([at, line]) => ({ labels: stream, at, line })));
}
