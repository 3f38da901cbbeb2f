import { Command, Option } from "commander";
import { type LoadOptions, loadConfig } from "../config/load.ts";
import { ledgerDirectory } from "../config/state-directory.ts";
import { exportLedger, type Inspection, inspectLedger } from "../ledger/sqlite/inspect.ts";
import { printable, withUnseenShown } from "../telemetry/logs.ts";
import { CommandFailure, type Complaining, telling } from "./failure.ts";

export interface LedgerDeps extends Omit<LoadOptions, "path">, Complaining {
  /** Where the ledger is, unless `ledger.path` says otherwise. */
  readonly stateDirectory: string;
  /** To standard output; a promise resolves when there is room for more. */
  readonly write: (text: string) => void | Promise<void>;
}

interface Options {
  readonly path?: string;
  readonly config?: string;
}

interface CheckOptions extends Options {
  readonly output: "text" | "json";
}

/** `hallux ledger check|export`. */
export function ledgerCommand(deps: LedgerDeps): Command {
  return new Command("ledger")
    .description("look into the files of the embedded ledger; changes nothing, also while a server runs")
    .addCommand(
      command("check", "tell whether the files are whole and what is in them, exit 1 if they are damaged")
        .addOption(new Option("-o, --output <format>", "how to print").choices(["text", "json"]).default("text"))
        .action((options: CheckOptions) => telling(deps, () => reading(() => check(options, deps)))),
    )
    .addCommand(
      command(
        "export",
        "print events, responses and duplicates as JSON, one on each line; of damaged files what can be read",
      ).action((options: Options) => telling(deps, () => reading(() => exportAll(options, deps)))),
    );
}

function command(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option("--path <directory>", "directory of the ledger")
    .option("-c, --config <file>", "configuration that names it, where there is no --path");
}

async function check(options: CheckOptions, deps: LedgerDeps): Promise<void> {
  const directory = directoryOf(options, deps);
  const inspection = found(directory, inspectLedger(directory));
  await deps.write(options.output === "json" ? `${JSON.stringify(inspection, undefined, 2)}\n` : textOf(inspection));
  if (inspection.damage.length > 0) {
    deps.setExitCode(1);
  }
}

async function exportAll(options: Options, deps: LedgerDeps): Promise<void> {
  const directory = directoryOf(options, deps);
  const complain = (fault: string) => {
    deps.writeError(`cannot be read: ${fault}\n`);
    deps.setExitCode(1);
  };
  for (const one of found(directory, exportLedger(directory, complain))) {
    await deps.write(`${withUnseenShown(JSON.stringify(one))}\n`);
  }
}

/** What the file system and SQLite say is told, too. */
async function reading(look: () => Promise<void>): Promise<void> {
  await look().catch((cause: Error) => {
    throw cause instanceof CommandFailure ? cause : new CommandFailure(cause.message, { cause });
  });
}

function directoryOf({ path, config: file }: Options, deps: LedgerDeps): string {
  if (path !== undefined) {
    return path;
  }
  const { config, problems } = loadConfig({ ...deps, path: file });
  if (config === undefined) {
    throw new CommandFailure(problems);
  }
  const directory = ledgerDirectory(config.ledger, deps.stateDirectory);
  if (directory === undefined) {
    throw new CommandFailure("ledger.driver is nats: there are no files; --path names the directory of another ledger");
  }
  return directory;
}

function found<T>(directory: string, what: T | undefined): T {
  if (what === undefined) {
    throw new CommandFailure(`there is no ledger in ${directory}: --path names another directory`);
  }
  return what;
}

function textOf(inspection: Inspection): string {
  const { file, version, in_use_by, bytes, unused_bytes, waiting_events, oldest_waiting, damage } = inspection;
  const rows = [
    ["file", `${file}, version ${known(version)}`],
    ["in use by", in_use_by ?? "nobody"],
    ["size", `${mebibytes(bytes)}${unused_bytes === undefined ? "" : `, ${mebibytes(unused_bytes)} of it unused`}`],
    [
      "waiting events",
      `${known(waiting_events)}${oldest_waiting === undefined ? "" : `, the oldest since ${oldest_waiting}`}`,
    ],
    ["ended events", known(inspection.ended_events)],
    ["responses", known(inspection.responses)],
    ["duplicates", known(inspection.duplicates)],
    ["damage", damage.length === 0 ? "none" : "the file is damaged; `hallux ledger export` saves what can be read:"],
  ];
  const table = rows.map(([name = "", value = ""]) => `${name.padEnd(16)}${printable(value)}\n`);
  return [...table, ...damage.map((line) => `  ${printable(line)}\n`)].join("");
}

function known(figure: number | undefined): string {
  return figure === undefined ? "unknown" : String(figure);
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MiB`;
}
