import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Catalogue } from "../catalogue/catalogue.ts";
import { faultOf } from "../schema/file-fault.ts";
import type { Problem } from "../schema/problem.ts";
import { atOnce, inTurns, type Steps } from "../schema/steps.ts";
import { fileProblem } from "../schema/yaml.ts";
import { compileRules } from "./compile.ts";
import { mergeFiles } from "./merge.ts";
import { type ParsedFile, parseFile, type RulesFile, unreadableFile } from "./parse.ts";
import { createRuleSet } from "./rule-set.ts";
import type { RulesReading } from "./rule.ts";

/** Loads the files, later ones over earlier ones. One Problem anywhere and nothing is loaded. Pure. */
export function loadRules(files: readonly RulesFile[], catalogue: Catalogue): RulesReading {
  return atOnce(load(files, catalogue));
}

/** Reads a file as UTF-8. Rejects with the file system's error, or a TypeError where it is not UTF-8. */
export type ReadText = (path: string) => Promise<string>;

/**
 * Reads and loads, in short steps between which others have their turn. A file that cannot be read is a Problem like any other; never
 * rejects because of one.
 */
export async function readRules(
  paths: readonly string[],
  catalogue: Catalogue,
  readText: ReadText = readUtf8,
): Promise<RulesReading> {
  return inTurns(load(await Promise.all(paths.map((path) => readPath(path, readText))), catalogue));
}

type UnreadableFile = Pick<RulesFile, "path"> & { readonly problem: Problem };

function* load(given: readonly (RulesFile | UnreadableFile)[], catalogue: Catalogue): Steps<RulesReading> {
  const paths = given.map(({ path }) => path);
  const tooLarge = tooLargeTogether(given);
  if (tooLarge !== undefined) {
    return { rules: undefined, problems: [tooLarge] };
  }
  const files: ParsedFile[] = [];
  for (const file of given) {
    files.push("problem" in file ? unreadableFile([file.problem]) : yield* parseFile(file));
  }
  const found = [...givenTwice(paths), ...files.flatMap(({ problems }) => problems)];
  const { rules, files: named } = yield* compileRules(mergeFiles(files), catalogue, found);
  if (found.length > 0) {
    return { rules: undefined, problems: inOrder(unique(found), paths) };
  }
  return {
    rules: createRuleSet(rules.map(({ rule, effective }) => ({ rule, falcoRules: effective.match.rules ?? [] }))),
    effective: rules.map(({ effective }) => effective),
    files: unique(named),
    problems: [],
  };
}

/** Rules in force and others that are being loaded take some 50 times this much of the heap. */
const maxBytes = 2 * 1024 * 1024;

function tooLargeTogether(given: readonly (RulesFile | UnreadableFile)[]): Problem | undefined {
  const files = given.flatMap((file) => ("text" in file ? [file] : []));
  const size = files.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
  const hint = "make one of rules that differ in a value alone: rules, tags and output_fields take lists";
  return size > maxBytes
    ? fileProblem(
        files.map(({ path }) => path).join(", "),
        `the rules are ${size} bytes long; at most ${maxBytes} are loaded`,
        hint,
      )
    : undefined;
}

async function readPath(path: string, readText: ReadText): Promise<RulesFile | UnreadableFile> {
  return readText(path).then(
    (text) => ({ path, text }),
    (error: unknown) => ({ path, problem: unreadable(path, error) }),
  );
}

/** `ReadText` of this machine. */
export async function readUtf8(path: string): Promise<string> {
  return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
}

/** The Problem of a file that `ReadText` rejected. */
export function unreadable(path: string, error: unknown): Problem {
  return fileProblem(path, `the file cannot be read: ${faultOf(error) ?? String(error)}`);
}

/** Its lists would be appended to themselves. */
function givenTwice(paths: readonly string[]): readonly Problem[] {
  const places = paths.map((path) => resolve(path));
  const twice = new Set(paths.filter((_, index) => places.indexOf(places[index] ?? "") !== index));
  return [...twice].map((path) => fileProblem(path, "the file is given twice"));
}

/** What is found in a shared action is found once for each rule that uses it. */
function unique<T>(found: readonly T[]): readonly T[] {
  return [...new Map(found.map((one) => [JSON.stringify(one), one])).values()];
}

function inOrder(problems: readonly Problem[], paths: readonly string[]): readonly Problem[] {
  const position = ({ file, line = 0, column = 0 }: Problem) => [paths.indexOf(file), line, column] as const;
  return [...problems].sort((a, b) => {
    const [left, right] = [position(a), position(b)];
    return left[0] - right[0] || left[1] - right[1] || left[2] - right[2];
  });
}
