import { Command, Option } from "commander";
import type { Catalogue } from "../catalogue/catalogue.ts";
import { objection, protectNamespaces, protectSystemRoles } from "../engine/guard.ts";
import { decodeEvent } from "../events/decode.ts";
import type { FalcoEvent } from "../events/event.ts";
import { type ReadText, readRules, unreadable } from "../rules/load.ts";
import { remarksOn } from "../rules/named-files.ts";
import { printRules } from "../rules/print.ts";
import type { RulesReading } from "../rules/rule.ts";
import { describeProblem, describeRemark, type Problem } from "../schema/problem.ts";
import { fileProblem } from "../schema/yaml.ts";
import { explainRules, explanationText } from "./explanation.ts";
import { rulesOption } from "./rules-option.ts";

export interface RulesDeps {
  readonly catalogue: Catalogue;
  /** As UTF-8. Rejects where that is not possible. */
  readonly readFile: ReadText;
  readonly readStdin: () => Promise<string>;
  /** To standard output. */
  readonly write: (text: string) => void;
  /** To standard error. */
  readonly writeError: (text: string) => void;
  readonly setExitCode: (code: number) => void;
  /** What the configuration says of rules: `rules_files` for when no `-r` is given, `protected_namespaces`. */
  readonly settings: (configPath: string | undefined) => RulesSettings;
  /** RFC 3339: when an event is taken to have been received. */
  readonly now: () => string;
}

export interface RulesSettings {
  readonly files: readonly string[];
  readonly protectedNamespaces: readonly string[];
  readonly problems: readonly Problem[];
}

interface Options {
  readonly rules: readonly string[];
  readonly config?: string;
  readonly output: "text" | "json";
}

/** `hallux rules check|print|explain`. */
export function rulesCommand(deps: RulesDeps): Command {
  return new Command("rules")
    .description("check, print and explain rules files")
    .addCommand(
      command("check", "tell everything that is wrong, exit 1 if anything is")
        .showHelpAfterError(howFilesAreNamed)
        .action(checking(deps)),
    )
    .addCommand(
      command("print", "print what the files make together, as one rules file")
        .showHelpAfterError(howFilesAreNamed)
        .action(printing(deps)),
    )
    .addCommand(
      command("explain", "tell for one event which rules apply and what they would do, and why the others do not")
        .argument("[event]", "file with the event as Falco sends it; - is standard input", "-")
        .action(explaining(deps)),
    );
}

const howFilesAreNamed = "(rules files are named by -r; --help shows all options)";

function command(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addOption(rulesOption())
    .option("-c, --config <file>", "configuration that names the rules files, where there is no -r")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["text", "json"]).default("text"));
}

function checking(deps: RulesDeps) {
  return async (options: Options) => {
    const reading = await readAll(options, deps);
    if (reading.rules === undefined) {
      fail(reading.problems, options, deps);
      return;
    }
    const actions = reading.effective.reduce((sum, rule) => sum + rule.actions.length, 0);
    const remarks = await remarksOn(reading.files);
    deps.writeError(remarks.map((remark) => `${describeRemark(remark)}\n`).join(""));
    const counts = `${count(reading.effective.length, "rule")}, ${count(actions, "action")}`;
    deps.write(options.output === "json" ? json([]) : `${counts}: no problems\n`);
  };
}

function printing(deps: RulesDeps) {
  return async (options: Options) => {
    const reading = await readAll(options, deps);
    if (reading.rules === undefined) {
      fail(reading.problems, options, deps);
      return;
    }
    deps.write(options.output === "json" ? json(reading.effective) : printRules(reading.effective));
  };
}

function explaining(deps: RulesDeps) {
  return async (path: string, options: Options) => {
    const [reading, event] = await Promise.all([readAll(options, deps), readEvent(path, deps)]);
    const settings = deps.settings(options.config);
    const problems = [...settings.problems, ...reading.problems, ...("problem" in event ? [event.problem] : [])];
    if (reading.rules === undefined || "problem" in event || settings.problems.length > 0) {
      fail(problems, options, deps);
      return;
    }
    const guards = [protectNamespaces(settings.protectedNamespaces), protectSystemRoles];
    const explained = explainRules(reading.rules, event.event, (input) => objection(guards, input));
    deps.write(options.output === "json" ? json(explained) : explanationText(explained));
  };
}

async function readAll({ rules, config }: Options, deps: RulesDeps): Promise<RulesReading> {
  const { files, problems } = rules.length > 0 ? { files: rules, problems: [] } : deps.settings(config);
  return problems.length > 0 ? { rules: undefined, problems } : readRules(files, deps.catalogue, deps.readFile);
}

async function readEvent(
  path: string,
  { readFile, readStdin, now }: RulesDeps,
): Promise<{ readonly event: FalcoEvent } | { readonly problem: Problem }> {
  const file = path === "-" ? "standard input" : path;
  const reading = path === "-" ? readStdin() : readFile(path);
  return reading.then(
    (text) => decodeOrTell(text, file, now()),
    (error: unknown) => ({ problem: unreadable(file, error) }),
  );
}

function decodeOrTell(
  text: string,
  file: string,
  receivedAt: string,
): { readonly event: FalcoEvent } | { readonly problem: Problem } {
  const { event, fault } = decodeEvent(text, { id: "explain", receivedAt });
  return fault === undefined ? { event } : { problem: fileProblem(file, `not a Falco event: ${fault.message}`) };
}

/** Problems are the result that was asked for as JSON, and else a complaint. */
function fail(problems: readonly Problem[], { output }: Options, { write, writeError, setExitCode }: RulesDeps): void {
  if (output === "json") {
    write(json(problems));
  } else {
    writeError(problems.map((problem) => `${describeProblem(problem)}\n`).join(""));
  }
  setExitCode(1);
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
