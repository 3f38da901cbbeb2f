import { Command } from "commander";
import type { DestinationStream, Logger } from "pino";
import type { Catalogue } from "../catalogue/catalogue.ts";
import type { KubeconfigSource } from "../clients/kubernetes/connection.ts";
import { type LoadOptions, loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { type Hallux, startHallux } from "../hallux.ts";
import { StoreFault } from "../ledger/sqlite/fault.ts";
import { readRules } from "../rules/load.ts";
import type { RuleSet } from "../rules/rule.ts";
import { describeProblem, type Problem } from "../schema/problem.ts";
import { createLogger } from "../telemetry/logs.ts";

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
  readonly kubeconfigSource: (config: Config) => KubeconfigSource;
  /** Calls back at the first request to stop; a second one ends the process. */
  readonly onStopRequest: (stop: () => Promise<void>) => void;
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
    .option(
      "-r, --rules <file>",
      "rules file, later ones over earlier ones",
      (file, files: string[]) => [...files, file],
      [],
    )
    .action((options: Options) => serve(options, deps));
}

async function serve(options: Options, deps: ServerDeps): Promise<void> {
  const reading = loadConfig({ ...deps, path: options.config });
  if (reading.config === undefined) {
    return refuse(reading.problems, deps);
  }
  const { config, remarks } = reading;
  const files = options.rules.length > 0 ? options.rules : config.rules_files;
  const { rules, problems } = await readRules(files, deps.catalogue);
  if (rules === undefined) {
    return refuse(problems, deps);
  }
  const unusable = unusableNotifiers(rules, config);
  if (unusable.length > 0) {
    deps.writeError(unusable.map((line) => `error: ${line}\n`).join(""));
    return deps.setExitCode(1);
  }
  const logger = await createLogger({
    format: config.log_format,
    level: config.log_level,
    destination: deps.destination,
  });
  for (const remark of remarks) {
    logger.warn({ remark }, "setting without effect");
  }
  for (const remark of unusableOutputs(rules, config)) {
    logger.warn({ remark }, "output without its settings");
  }
  await start({ config, rules, files, logger }, deps);
}

interface Checked {
  readonly config: Config;
  readonly rules: RuleSet;
  readonly files: readonly string[];
  readonly logger: Logger;
}

async function start({ config, rules, files, logger }: Checked, deps: ServerDeps): Promise<void> {
  const { catalogue, version, readFile, env, stateDirectory, pid } = deps;
  const kubeconfig = deps.kubeconfigSource(config);
  const starting = startHallux({
    config,
    rules,
    catalogue,
    logger,
    version,
    kubeconfig,
    readFile,
    stateDirectory,
    pid,
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
    return deps.setExitCode(1);
  }
  const { address, port } = hallux;
  const tls = config.tls.cert_file !== undefined;
  logger.info(
    { address, port, tls, rules: rules.rules.length, files, version, kubernetes: placeOf(kubeconfig) },
    "hallux is listening",
  );
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

/** Notifiers that rules name and the configuration does not complete. */
function unusableNotifiers({ rules }: RuleSet, { notifiers }: Config): readonly string[] {
  return rules.flatMap(({ name, notifiers: named }) =>
    named
      .filter((notifier) => notifiers[notifier] === undefined)
      .map(
        (notifier) =>
          `rule "${name}": notifier ${notifier} lacks its settings (notifiers.${notifier} in the configuration)`,
      ),
  );
}

/** It still starts, as Talon does: of such a rule the other actions work. */
function unusableOutputs({ rules }: RuleSet, { minio }: Config): readonly string[] {
  return rules.flatMap(({ name, actions }) =>
    actions
      .filter(({ output }) => output?.output.uses.includes("minio") && minio.endpoint === undefined)
      .map(
        ({ name: action, output }) =>
          `rule "${name}": action "${action}" will fail, for ${output?.output.id} lacks minio.endpoint in the configuration`,
      ),
  );
}

function refuse(problems: readonly Problem[], { writeError, setExitCode }: ServerDeps): void {
  writeError(problems.map((problem) => `${describeProblem(problem)}\n`).join(""));
  setExitCode(1);
}
