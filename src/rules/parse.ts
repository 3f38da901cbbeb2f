import { didYouMean, type Problem } from "../schema/problem.ts";
import type { FieldProblem } from "../schema/read.ts";
import type { Steps } from "../schema/steps.ts";
import { fileProblem, readYamlList } from "../schema/yaml.ts";
import { grammar, homeOf, readers } from "./grammar.ts";
import {
  type ListTree,
  type MapTree,
  mapIn,
  plain,
  plant,
  problemIn,
  prune,
  type Tree,
  withEntry,
  withoutEmpty,
} from "./tree.ts";

export interface RulesFile {
  readonly path: string;
  readonly text: string;
}

/** A rule or a shared action as one file gives it; what was wrong in it is left out. */
export interface Block {
  readonly name: string;
  readonly tree: MapTree;
}

export interface ParsedFile {
  readonly actions: readonly Block[];
  readonly rules: readonly Block[];
  /** False where a block could not be read at all. */
  readonly complete: boolean;
  readonly problems: readonly Problem[];
}

/** Reads the blocks of one file and checks everything that can be told without the other files and the catalogue. */
export function* parseFile({ path, text }: RulesFile): Steps<ParsedFile> {
  const { documents, problems } = yield* readYamlList(path, text);
  if (problems.length > 0) {
    return unreadableFile(problems);
  }
  const items: Tree[] = [];
  for (const document of documents) {
    const root = plant(document);
    if (root.kind !== "list") {
      return unreadableFile([notAList(path, root)]);
    }
    for (const item of root.items) {
      items.push(item);
    }
    yield;
  }
  return yield* parseBlocks(items);
}

export function unreadableFile(problems: readonly Problem[]): ParsedFile {
  return { actions: [], rules: [], complete: false, problems };
}

function notAList(path: string, root: Tree): Problem {
  const hint = 'write "- rule: …" and "- action: …" blocks, or [] for none';
  return root.kind === "scalar" && root.value === null
    ? fileProblem(path, "the file is empty", hint)
    : problemIn(root, [], { message: "a rules file is a list of rules and actions", hint });
}

function* parseBlocks(items: readonly Tree[]): Steps<ParsedFile> {
  const found: Problem[] = [];
  const blocks = { action: [] as Block[], rule: [] as Block[] };
  for (const item of items) {
    const kind = kindOf(item, found);
    const block = kind && parseBlock(kind, item as MapTree, found);
    if (kind && block) {
      blocks[kind].push(block);
    }
    yield;
  }
  return {
    actions: firstOfName(blocks.action, { kind: "action", place: "file" }, found),
    rules: firstOfName(blocks.rule, { kind: "rule", place: "file" }, found),
    complete: blocks.action.length + blocks.rule.length === items.length,
    problems: found,
  };
}

function kindOf(item: Tree, found: Problem[]): "action" | "rule" | undefined {
  const keys = item.kind === "map" ? [...item.entries.keys()] : [];
  const kinds = (["action", "rule"] as const).filter((kind) => keys.includes(kind));
  if (kinds.length === 1) {
    return kinds[0];
  }
  found.push(
    kinds.length === 2
      ? problemIn(item, ["action"], { message: 'a block is either a "rule" or an "action", not both', at: "key" })
      : problemIn(item, [], { message: 'a block needs a "rule" or an "action", its name', hint: nearKind(keys) }),
  );
  return undefined;
}

function nearKind(keys: readonly string[]): string | undefined {
  return keys.map((key) => didYouMean(key, ["rule", "action"])).find((hint) => hint !== undefined);
}

function parseBlock(kind: "action" | "rule", tree: MapTree, found: Problem[]): Block | undefined {
  const checked = kind === "rule" ? checkRule(tree, found) : checkAction(tree, found);
  const name = checked.entries.get(kind);
  return name === undefined ? undefined : { name: String(plain(name)).trim(), tree: checked };
}

function checkRule(tree: MapTree, found: Problem[]): MapTree {
  const rule = check("rule", tree, found);
  const match = mapIn(rule, "match");
  const actions = rule.entries.get("actions");
  const withMatch = match ? withEntry(rule, "match", checkMatch(match, found)) : rule;
  return actions?.kind === "list" ? withActions(withMatch, actions, found) : withMatch;
}

/** A condition whose items are all commented out would be none, and the rule would match everything. */
function checkMatch(tree: MapTree, found: Problem[]): MapTree {
  const given = withoutEmpty(tree);
  const emptied = [...tree.entries.keys()].filter((key) => !given.entries.has(key));
  const hint = "remove the key where it shall be no condition";
  found.push(...emptied.map((key) => problemIn(tree, [key], { message: `"${key}" has no value`, hint, at: "key" })));
  return check("match", given, found);
}

function withActions(rule: MapTree, list: ListTree, found: Problem[]): MapTree {
  const blocks = list.items.flatMap((item) => parseAction(item, found) ?? []);
  const named = firstOfName(blocks, { kind: "action", place: "rule" }, found);
  const actions = { ...list, items: named.map(({ tree }) => tree) };
  return { ...withEntry(rule, "actions", actions), damaged: rule.damaged || named.length < list.items.length };
}

function parseAction(item: Tree, found: Problem[]): Block | undefined {
  if (item.kind === "map") {
    return parseBlock("action", item, found);
  }
  found.push(problemIn(item, [], { message: "an action of a rule is a map", hint: 'write "- action: <name>"' }));
  return undefined;
}

function checkAction(tree: MapTree, found: Problem[]): MapTree {
  const action = check("action", tree, found);
  const output = mapIn(action, "output");
  return output ? withEntry(action, "output", check("output", output, found)) : action;
}

function check(kind: keyof typeof grammar, tree: MapTree, found: Problem[]): MapTree {
  const given = withoutEmpty(tree);
  const { problems } = readers[kind].read(plain(given));
  found.push(...problems.map((problem) => problemIn(given, problem.path, withHome(problem, kind, given))));
  return problems.reduceRight((left, { path }) => prune(left, path), given);
}

/** Wrong indentation puts keys of one map into another. Nobody meant a key that stands there already. */
function withHome(problem: FieldProblem, kind: keyof typeof grammar, { entries }: MapTree): FieldProblem {
  const [key, ...inner] = problem.path;
  if (inner.length > 0 || typeof key !== "string" || Object.hasOwn(grammar[kind], key)) {
    return problem;
  }
  const free = Object.keys(grammar[kind]).filter((one) => !entries.has(one));
  return { ...problem, hint: didYouMean(key, free) ?? homeOf(key) ?? problem.hint };
}

function firstOfName(
  blocks: readonly Block[],
  { kind, place }: { readonly kind: "action" | "rule"; readonly place: "file" | "rule" },
  found: Problem[],
): readonly Block[] {
  const names = new Set<string>();
  return blocks.filter(({ name, tree }) => {
    if (names.has(name)) {
      found.push(problemIn(tree, [kind], { message: `${kind} "${name}" is given twice in one ${place}` }));
      return false;
    }
    names.add(name);
    return true;
  });
}
