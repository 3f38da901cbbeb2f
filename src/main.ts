#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { text } from "node:stream/consumers";
import { actionners } from "../actionners/index.ts";
import { contexts } from "../contexts/index.ts";
import { notifiers } from "../notifiers/index.ts";
import { outputs } from "../outputs/index.ts";
import manifest from "../package.json" with { type: "json" };
import { createCatalogue } from "./catalogue/catalogue.ts";
import { createProgram } from "./cli/program.ts";
import type { KubeconfigSource } from "./clients/kubernetes/connection.ts";
import type { Config } from "./config/schema.ts";
import { stateDirectory } from "./config/state-directory.ts";
import type { ProcessUsage } from "./telemetry/observed.ts";

const { env, stdin, stdout, stderr, argv, pid } = process;

stdout.once("error", outputFailed);

await createProgram({
  catalogue: createCatalogue({ actionners, contexts, outputs, notifiers }),
  env,
  version: manifest.version,
  nodeVersion: process.version,
  readFile: (path) => new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path)),
  readStdin: () => text(stdin),
  write: (text) => new Promise<void>((resolve) => stdout.write(text, () => resolve())),
  writeError: (text) => void stderr.write(text),
  setExitCode: (code) => {
    process.exitCode = code;
  },
  now: () => new Date().toISOString(),
  destination: stdout,
  columns: stdout.columns,
  stateDirectory: stateDirectory(env, homedir()),
  pid,
  usage,
  kubeconfigSource,
  onStopRequest,
  onReloadRequest: (reload) => void process.on("SIGHUP", reload),
}).parseAsync(argv);

/** Whoever reads may stop early: `hallux actionners list | head -1`. A server acts on events, log or no log. */
function outputFailed({ code, message }: NodeJS.ErrnoException): void {
  if (argv[2] !== "server") {
    process.exit(code === "EPIPE" ? 0 : 1);
  }
  stdout.on("error", () => undefined);
  stderr.write(`hallux: the log cannot be written any more (${message}); events are still acted on\n`);
}

/** The configured file, else the pod's service account, else kubectl's own file. `KUBECONFIG` sets `kubeconfig`. */
function kubeconfigSource({ kubeconfig }: Config): KubeconfigSource {
  if (kubeconfig !== undefined) {
    return { from: "file", path: kubeconfig.replace(/^~(?=\/|$)/, homedir()), environment: env };
  }
  return env["KUBERNETES_SERVICE_HOST"] === undefined
    ? { from: "file", path: `${homedir()}/.kube/config`, environment: env }
    : { from: "cluster" };
}

function usage(): ProcessUsage {
  const { user, system } = process.cpuUsage();
  return { cpuSeconds: (user + system) / 1e6, residentBytes: process.memoryUsage.rss() };
}

/** The first signal stops in order; the second one ends at once. */
function onStopRequest(stop: () => Promise<void>): void {
  let stopping = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (stopping) {
        process.exit(1);
      }
      stopping = true;
      void stop().then(() => process.exit(0));
    });
  }
}
