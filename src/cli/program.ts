import { Command } from "commander";
import { loadConfig } from "../config/load.ts";
import { entriesCommand } from "./catalogue.ts";
import { configCommand } from "./config.ts";
import { ledgerCommand } from "./ledger.ts";
import { preflightCommand } from "./preflight.ts";
import { rbacCommand } from "./rbac.ts";
import { responsesCommand } from "./responses.ts";
import { rulesCommand, type RulesSettings } from "./rules.ts";
import { schemaCommand } from "./schema.ts";
import { type ServerDeps, serverCommand } from "./server.ts";
import { versionCommand } from "./version.ts";

/** The process, as the commands see it. */
export interface ProgramDeps extends ServerDeps {
  /** `v26.10.0`. */
  readonly nodeVersion: string;
  /** To standard output; a promise resolves when there is room for more. */
  readonly write: (text: string) => void | Promise<void>;
  readonly readStdin: () => Promise<string>;
  /** RFC 3339. */
  readonly now: () => string;
  /** Of the terminal that standard output is, if it is one; 0 where that does not say. */
  readonly columns?: number | undefined;
}

/** `hallux`, with all its commands. */
export function createProgram(deps: ProgramDeps): Command {
  return new Command("hallux")
    .description("Response engine for Falco: matches events against YAML rules and acts on them")
    .version(deps.version, "-V, --version", "print the version")
    .addCommand(serverCommand(deps))
    .addCommand(
      rulesCommand({
        ...deps,
        readFile: async (path) => deps.readFile(path),
        settings: (path) => rulesSettings(path, deps),
      }),
    )
    .addCommand(rbacCommand(deps))
    .addCommand(preflightCommand(deps))
    .addCommand(responsesCommand(deps))
    .addCommand(ledgerCommand(deps))
    .addCommand(entriesCommand("actionners", deps))
    .addCommand(entriesCommand("contexts", deps))
    .addCommand(entriesCommand("outputs", deps))
    .addCommand(entriesCommand("notifiers", deps))
    .addCommand(schemaCommand(deps))
    .addCommand(configCommand(deps))
    .addCommand(versionCommand(deps));
}

function rulesSettings(path: string | undefined, { env, readFile, catalogue }: ProgramDeps): RulesSettings {
  const { config, problems } = loadConfig({ path, env, readFile, catalogue });
  return { files: config?.rules_files ?? [], protectedNamespaces: config?.protected_namespaces ?? [], problems };
}
