import { Command } from "commander";
import type { Catalogue } from "../catalogue/catalogue.ts";
import { type NeededPermission, neededPermissions } from "../catalogue/permissions.ts";
import { type LoadOptions, loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { readRules } from "../rules/load.ts";
import { CommandFailure, type Complaining } from "./failure.ts";
import { rulesOption } from "./rules-option.ts";

export interface NeedsDeps extends Omit<LoadOptions, "path">, Complaining {
  readonly catalogue: Catalogue;
  /** To standard output. */
  readonly write: (text: string) => void | Promise<void>;
}

export interface NeedsOptions {
  readonly rules: readonly string[];
  readonly config?: string;
}

/** A command that reads rules and configuration as `hallux server` does. */
export function needsCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addOption(rulesOption())
    .option(
      "-c, --config <file>",
      "configuration file: its default_notifiers, and its rules_files where there is no -r",
    );
}

/** What they need, or a `CommandFailure` with all that is wrong in them. */
export async function readNeeds(
  { rules: given, config: path }: NeedsOptions,
  deps: NeedsDeps,
): Promise<{ readonly config: Config; readonly needed: readonly NeededPermission[] }> {
  const { config, problems } = loadConfig({ ...deps, path });
  if (config === undefined) {
    throw new CommandFailure(problems);
  }
  const files = given.length > 0 ? given : config.rules_files;
  const reading = await readRules(files, deps.catalogue, async (file) => deps.readFile(file));
  if (reading.rules === undefined) {
    throw new CommandFailure(reading.problems);
  }
  const { rules } = reading.rules;
  return {
    config,
    needed: neededPermissions({ rules, defaultNotifiers: config.default_notifiers, catalogue: deps.catalogue }),
  };
}
