import { Command } from "commander";
import type { DestinationStream } from "pino";
import type { Catalogue } from "../catalogue/catalogue.ts";
import type { KubeconfigSource } from "../clients/kubernetes/connection.ts";
import type { LoadOptions } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { type Hallux, type HalluxOptions, startHallux } from "../hallux.ts";
import { StoreFault } from "../ledger/sqlite/fault.ts";
import { describeProblem, type Problem } from "../schema/problem.ts";
import type { Contents } from "../settings/contents.ts";
import { loadSettings } from "../settings/load.ts";
import { createLogger } from "../telemetry/logs.ts";
import type { ProcessUsage } from "../telemetry/observed.ts";
import { rulesOption } from "./rules-option.ts";

export interface ServerDeps extends Omit<LoadOptions, "path"> {
  readonly catalogue: Catalogue;
  readonly version: string;
  /** Where the log goes. */
  readonly destination: DestinationStream;
  /** To standard error. */
  readonly writeError: (text: string) => void;
  readonly setExitCode: (code: number) => void;
  /** Where the ledger is, unless `ledger.path` says otherwise. */
  readonly stateDirectory: string;
  readonly pid: number;
  /** Of this process, for the metrics. */
  readonly usage: () => ProcessUsage;
  readonly kubeconfigSource: (config: Config) => KubeconfigSource;
  /** Calls back at the first request to stop; a second one ends the process. */
  readonly onStopRequest: (stop: () => Promise<void>) => void;
  /** Calls back each time that configuration and rules are to be loaded again; from now on such a request does nothing else. */
  readonly onReloadRequest: (reload: () => void) => void;
}

interface Options {
  readonly config?: string;
  readonly rules: readonly string[];
}

/** `hallux server`. */
export function serverCommand(deps: ServerDeps): Command {
  return new Command("server")
    .description("receive events from Falco and Falcosidekick, and act on them")
    .option("-c, --config <file>", "configuration file")
    .addOption(rulesOption())
    .action((options: Options) => serve(options, deps));
}

async function serve(options: Options, deps: ServerDeps): Promise<void> {
  const reloading = reloadRequests(deps);
  const settingsOptions = { ...deps, path: options.config, rulesFiles: options.rules };
  const load = (known?: Contents) => loadSettings(settingsOptions, known);
  const loaded = await load();
  if (loaded.settings === undefined) {
    return refuse(loaded.problems, deps);
  }
  const { config, remarks } = loaded.settings;
  const logger = await createLogger({
    format: config.log_format,
    level: config.log_level,
    destination: deps.destination,
  });
  for (const { remark, message } of remarks) {
    logger.warn({ remark }, message);
  }
  const hallux = await start({ loaded, load, logger }, deps);
  if (hallux !== undefined) {
    reloading.handOver(() => {
      // It says itself what became of it, and rejects only where Hallux stops.
      hallux.reload("signal").catch(() => undefined);
    });
  }
}

/** From the start: a request that comes before there is anything to reload must not end the process, and is not forgotten. */
function reloadRequests({ onReloadRequest }: ServerDeps): { readonly handOver: (reload: () => void) => void } {
  let reload: (() => void) | undefined;
  let isWanted = false;
  onReloadRequest(() => {
    isWanted = true;
    reload?.();
  });

  return {
    handOver(to) {
      reload = to;
      if (isWanted) {
        to();
      }
    },
  };
}

type Checked = Pick<HalluxOptions, "loaded" | "load" | "logger">;

async function start(checked: Checked, deps: ServerDeps): Promise<Hallux | undefined> {
  const { catalogue, version, readFile, env, stateDirectory, pid, usage } = deps;
  const { loaded, logger } = checked;
  const { config, rules, rulesFiles: files } = loaded.settings;
  const kubeconfig = deps.kubeconfigSource(config);
  const starting = startHallux({
    ...checked,
    catalogue,
    version,
    kubeconfig,
    readFile,
    stateDirectory,
    pid,
    usage,
    metadataDisabled: env["AWS_EC2_METADATA_DISABLED"] === "true",
    googleCredentials: env["GOOGLE_APPLICATION_CREDENTIALS"],
  });
  // From the start: as the first process of a container Hallux would not hear of a signal that nobody handles.
  deps.onStopRequest(async () => {
    logger.info("hallux is stopping");
    await starting.then(
      (running) => running.stop(),
      () => undefined,
    );
    logger.info("hallux has stopped");
  });
  let hallux: Hallux;
  try {
    hallux = await starting;
  } catch (error) {
    logger.fatal(heldFault(error) ?? addressFault(error, config) ?? { err: error }, "hallux cannot start");
    deps.setExitCode(1);
    return undefined;
  }
  const { address, port } = hallux;
  const tls = config.tls.cert_file !== undefined;
  logger.info(
    {
      address,
      port,
      tls,
      rules: rules.rules.length,
      files,
      hash: loaded.settings.hash,
      version,
      kubernetes: placeOf(kubeconfig),
    },
    "hallux is listening",
  );
  return hallux;
}

function placeOf(source: KubeconfigSource): string {
  return source.from === "file" ? source.path : "the service account of this pod";
}

/** Another process has the ledger: its words say who. */
function heldFault(error: unknown): { readonly reason: string } | undefined {
  return error instanceof StoreFault ? { reason: error.message } : undefined;
}

/** What an operator can mend; undefined for any other error. */
function addressFault(
  error: unknown,
  { listen_address, listen_port }: Config,
): { readonly reason: string } | undefined {
  const address = `${listen_address}:${listen_port}`;
  switch ((error as { readonly code?: unknown }).code) {
    case "EADDRINUSE":
      return { reason: `${address} is taken by another process: end that one, or set another listen_port` };
    case "EADDRNOTAVAIL":
      return { reason: `${address} is not an address of this machine: set another listen_address` };
    case "EACCES":
      return { reason: `listening on ${address} is not permitted: set a listen_port above 1023` };
    default:
      return undefined;
  }
}

function refuse(problems: readonly Problem[], { writeError, setExitCode }: ServerDeps): void {
  writeError(problems.map((problem) => `${describeProblem(problem)}\n`).join(""));
  setExitCode(1);
}
