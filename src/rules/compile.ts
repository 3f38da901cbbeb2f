import type { Catalogue } from "../catalogue/catalogue.ts";
import { didYouMean, type Problem } from "../schema/problem.ts";
import type { Steps } from "../schema/steps.ts";
import { compileAction, createKnown, entryNamed, type Known } from "./compile-action.ts";
import { readers } from "./grammar.ts";
import { compileMatch } from "./match.ts";
import { actionsOf, type Merged } from "./merge.ts";
import type { Action, EffectiveAction, EffectiveRule, Match, NamedFile, Rule } from "./rule.ts";
import { type Fault, type MapTree, mapIn, plain, problemIn } from "./tree.ts";

export interface CompiledRule {
  readonly rule: Rule;
  readonly effective: EffectiveRule;
}

export interface Compiled {
  readonly rules: readonly CompiledRule[];
  readonly files: readonly NamedFile[];
}

/** Resolves and checks everything. The rules are to be used only where no Problem was found. */
export function* compileRules(merged: Merged, catalogue: Catalogue, found: Problem[]): Steps<Compiled> {
  const known = createKnown(catalogue, merged.actions);
  yield* compileUnused(merged, known, found);
  const rules: CompiledRule[] = [];
  for (const [name, tree] of merged.rules) {
    const rule = compileRule(tree, { name, merged, known, found });
    rules.push(...(rule === undefined ? [] : [rule]));
    yield;
  }
  return { rules, files: known.files };
}

/** A shared action that no rule uses is held to the same as if one did. */
function* compileUnused({ actions, rules }: Merged, known: Known, found: Problem[]): Steps<void> {
  const used = new Set([...rules.values()].flatMap((rule) => actionsOf(rule).map(({ name }) => name)));
  for (const [name, tree] of actions) {
    if (!used.has(name)) {
      compileAction(onlyName(tree), known, found);
    }
    yield;
  }
}

function onlyName(tree: MapTree): MapTree {
  return { ...tree, entries: new Map([...tree.entries].filter(([key]) => key === "action")) };
}

interface Work {
  readonly name: string;
  readonly merged: Merged;
  readonly known: Known;
  readonly found: Problem[];
}

function compileRule(tree: MapTree, work: Work): CompiledRule | undefined {
  const { name, known, found } = work;
  const values = readers.rule.read(plain(tree)).values;
  const matchTree = mapIn(tree, "match");
  const blocks = actionsOf(tree);
  tellMissing({ match: matchTree !== undefined, actions: blocks.length > 0 }, tree, work);

  const notifiers = [...new Set(values?.notifiers ?? [])];
  tellUnknownNotifiers(tree, values?.notifiers ?? [], work);
  const compiled = matchTree && compileMatch(matchTree, found);
  const actions = blocks.flatMap((block) => compileAction(block.tree, known, found) ?? []);
  if (values === undefined || compiled === undefined) {
    return undefined;
  }
  const rule = {
    name,
    description: values.description,
    conditions: compiled.conditions,
    pinned: compiled.pinned,
    continue: values.continue ?? true,
    dryRun: values.dry_run ?? false,
    actions,
    notifiers,
  };
  return { rule, effective: effectiveRule(rule, compiled.match) };
}

/** Without `match` a rule would apply to every event: who wants that has to say so. */
function tellMissing(
  has: { readonly match: boolean; readonly actions: boolean },
  tree: MapTree,
  { name, merged, found }: Work,
): void {
  if (tree.damaged || (has.match && has.actions)) {
    return;
  }
  const near = has.match || has.actions ? undefined : otherRuleNear(name, merged);
  const hint = near ?? 'write "match: {}" for every event';
  const faults: Fault[] = [
    ...(has.match ? [] : [{ message: `rule "${name}" has no "match"`, hint }]),
    ...(has.actions ? [] : [{ message: `rule "${name}" has no actions`, hint: near }]),
  ];
  found.push(...faults.map((fault) => problemIn(tree, ["rule"], fault)));
}

/** What has neither is meant to change a rule of an earlier file. */
function otherRuleNear(name: string, { rules }: Merged): string | undefined {
  return didYouMean(
    name,
    [...rules.keys()].filter((other) => other !== name),
  );
}

function tellUnknownNotifiers(tree: MapTree, names: readonly string[], { known, found }: Work): void {
  for (const [index, name] of names.entries()) {
    entryNamed(known.catalogue.notifiers, { name, kind: "notifier", tree, path: ["notifiers", index] }, found);
  }
}

function effectiveRule(rule: Rule, match: Match): EffectiveRule {
  return {
    rule: rule.name,
    description: rule.description,
    match,
    continue: rule.continue,
    dry_run: rule.dryRun,
    actions: rule.actions.map(effectiveAction),
    notifiers: rule.notifiers,
  };
}

function effectiveAction(action: Action): EffectiveAction {
  return {
    action: action.name,
    description: action.description,
    actionner: action.actionner.id,
    continue: action.continue,
    ignore_errors: action.ignoreErrors,
    additional_contexts: action.contexts.map(({ id }) => id),
    parameters: action.parameters,
    output: action.output && { target: action.output.output.id, parameters: action.output.parameters },
  };
}
