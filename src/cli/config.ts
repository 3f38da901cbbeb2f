import { Command, Option } from "commander";
import { Document, isCollection, isNode } from "yaml";
import { type ConfigReading, type LoadOptions, loadConfig } from "../config/load.ts";
import { type Config, type Section, sectionsOf } from "../config/schema.ts";
import { describeProblem } from "../schema/problem.ts";
import { maskLogins } from "../schema/secret.ts";

export interface ConfigDeps extends Omit<LoadOptions, "path"> {
  /** To standard output. */
  readonly write: (text: string) => void;
  /** To standard error. */
  readonly writeError: (text: string) => void;
  readonly setExitCode: (code: number) => void;
}

interface Options {
  readonly config?: string;
  readonly output: "yaml" | "json";
}

/** `hallux config print`. */
export function configCommand(deps: ConfigDeps): Command {
  return new Command("config").description("show the configuration").addCommand(
    new Command("print")
      .description("print the effective configuration, secrets masked, and where each setting came from")
      .option("-c, --config <file>", "configuration file")
      .addOption(new Option("-o, --output <format>", "how to print").choices(["yaml", "json"]).default("yaml"))
      .action((options: Options) => print(options, deps)),
  );
}

function print({ config: path, output }: Options, { write, writeError, setExitCode, ...deps }: ConfigDeps): void {
  const reading = loadConfig({ ...deps, path });
  if (reading.config === undefined) {
    writeError(reading.problems.map((problem) => `${describeProblem(problem)}\n`).join(""));
    setExitCode(1);
    return;
  }
  write(
    output === "json"
      ? `${JSON.stringify(reading.config, maskLogins, 2)}\n`
      : yamlOf(reading, sectionsOf(deps.catalogue)),
  );
}

type Loaded = Extract<ConfigReading, { readonly origins: unknown }>;

/** A configuration file that says the same, with `default`, `file` or `environment` behind each setting. */
function yamlOf({ config: { self, ...settings }, origins, remarks }: Loaded, sections: readonly Section[]): string {
  const document = new Document(JSON.parse(JSON.stringify(settings, maskLogins)));
  document.commentBefore = [...remarks, `Hallux runs in ${placeOf(self)}`].map((line) => ` ${line}`).join("\n");

  for (const path of sections.flatMap((section) =>
    Object.keys(section.fields).map((name) => [...section.path, name]),
  )) {
    const node = document.getIn(path, true);
    if (isNode(node)) {
      node.comment = ` ${origins.get(path.join(".")) ?? "default"}`;
    }
    if (isCollection(node)) {
      node.flow = true;
    }
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

function placeOf({ namespace, pod }: Config["self"]): string {
  return namespace === undefined ? "no cluster" : `namespace ${namespace}, pod ${pod ?? "unknown"}`;
}
