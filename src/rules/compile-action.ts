import type { Actionner, Catalogue, Context, Output } from "../catalogue/catalogue.ts";
import type { Fields } from "../schema/field.ts";
import { didYouMean, type Problem } from "../schema/problem.ts";
import { compileFields, type FieldProblem, type FieldsReader } from "../schema/read.ts";
import type { Path } from "../schema/yaml.ts";
import { readers } from "./grammar.ts";
import { nameIn } from "./merge.ts";
import type { Action, NamedFile } from "./rule.ts";
import { childOf, type Fault, type MapTree, mapIn, mergeMaps, plain, problemIn, type Tree } from "./tree.ts";

/** What actions are checked against. */
export interface Known {
  readonly catalogue: Catalogue;
  /** The shared actions of all files. */
  readonly shared: ReadonlyMap<string, MapTree>;
  /** Readers of parameters, each compiled on first use. */
  readonly readerOf: (params: Fields) => FieldsReader;
  /** Those that parameters name; filled on the way, as `found` is. */
  readonly files: NamedFile[];
}

export function createKnown(catalogue: Catalogue, shared: ReadonlyMap<string, MapTree>): Known {
  const compiled = new Map<Fields, FieldsReader>();
  const readerOf = (params: Fields) => {
    const reader = compiled.get(params) ?? compileFields(params);
    compiled.set(params, reader);
    return reader;
  };
  return { catalogue, shared, readerOf, files: [] };
}

/** One action of a rule over the shared action of its name. Undefined, with Problems, where it cannot be run. */
export function compileAction(own: MapTree, known: Known, found: Problem[]): Action | undefined {
  const base = known.shared.get(nameIn(own, "action"));
  const tree = base === undefined ? own : mergeMaps(base, own);
  const values = readers.action.read(plain(tree)).values;
  if (values === undefined) {
    return undefined;
  }

  const work = { tree, known, found };
  const actionner = actionnerOf(values.actionner, work);
  const contexts = contextsOf(values.additional_contexts ?? [], actionner, work);
  const output = outputOf(actionner, work);
  const parameters = actionner && parametersOf(actionner, work);
  return (
    actionner &&
    parameters && {
      name: values.action,
      description: values.description,
      actionner,
      parameters,
      contexts,
      output,
      continue: values.continue ?? actionner.continues,
      ignoreErrors: values.ignore_errors ?? false,
    }
  );
}

/** The entry of the catalogue that a text of the file names. */
export function entryNamed<E>(
  entries: ReadonlyMap<string, E>,
  {
    name,
    kind,
    tree,
    path,
  }: { readonly name: string; readonly kind: string; readonly tree: Tree; readonly path: Path },
  found: Problem[],
): E | undefined {
  const entry = entries.get(name);
  if (entry === undefined) {
    const hint = didYouMean(name, entries.keys()) ?? `"hallux ${kind}s list" shows what there is`;
    found.push(problemIn(tree, path, { message: `unknown ${kind} "${name}"`, hint }));
  }
  return entry;
}

interface Work {
  /** The action, merged, or its output. */
  readonly tree: MapTree;
  readonly known: Known;
  readonly found: Problem[];
}

function actionnerOf(id: string | undefined, { tree, known, found }: Work): Actionner | undefined {
  if (id !== undefined) {
    return entryNamed(known.catalogue.actionners, { name: id, kind: "actionner", tree, path: ["actionner"] }, found);
  }
  if (!tree.damaged) {
    found.push(problemIn(tree, ["action"], withoutActionner(nameIn(tree, "action"), known.shared)));
  }
  return undefined;
}

function withoutActionner(name: string, shared: ReadonlyMap<string, MapTree>): Fault {
  return shared.has(name)
    ? {
        message: `action "${name}" has no actionner`,
        hint: "where it changes an action of another file, name that file before this one",
      }
    : {
        message: `action "${name}" has no actionner, and there is no shared action of this name`,
        hint: didYouMean(name, shared.keys()),
      };
}

function contextsOf(ids: readonly string[], actionner: Actionner | undefined, work: Work): readonly Context[] {
  const { tree, known, found } = work;
  const contexts = ids.flatMap((name, index) => {
    const path = ["additional_contexts", index];
    const context = entryNamed(known.catalogue.contexts, { name, kind: "context", tree, path }, found);
    if (context && actionner && !fits(context, actionner)) {
      const message = `context "${name}" is about a ${context.target}, and ${actionner.id} works on a ${actionner.target}`;
      found.push(problemIn(tree, path, { message }));
    }
    return context ?? [];
  });
  return [...new Set(contexts)];
}

/** An action that works on nothing in the cluster (a Lambda) may still be told about the event's pod. */
function fits(context: Context, actionner: Actionner): boolean {
  return context.target === "none" || actionner.target === "none" || context.target === actionner.target;
}

function outputOf(actionner: Actionner | undefined, work: Work): Action["output"] {
  const given = mapIn(work.tree, "output");
  if (given === undefined) {
    tellMissingOutput(actionner, work);
    return undefined;
  }
  if (actionner?.output === "none") {
    const message = `${actionner.id} stores nothing and takes no output`;
    work.found.push(problemIn(work.tree, ["output"], { message, at: "key" }));
  }
  return compileOutput(given, work);
}

function tellMissingOutput(actionner: Actionner | undefined, { tree, found }: Work): void {
  if (actionner?.output === "required" && !tree.damaged) {
    const hint = 'write "output: { target: <category:name>, parameters: {…} }"';
    found.push(problemIn(tree, ["action"], { message: `${actionner.id} needs an output`, hint }));
  }
}

function compileOutput(given: MapTree, { known, found }: Work): Action["output"] {
  const { target } = readers.output.read(plain(given)).values ?? {};
  if (target === undefined) {
    if (!given.damaged) {
      found.push(problemIn(given, [], { message: 'the output has no "target"', hint: "its category:name" }));
    }
    return undefined;
  }
  const where = { name: target, kind: "output", tree: given, path: ["target"] };
  const output = entryNamed(known.catalogue.outputs, where, found);
  const parameters = output && parametersOf(output, { tree: given, known, found });
  return output && parameters && { output, parameters };
}

function parametersOf(entry: Actionner | Output, { tree, known, found }: Work): Action["parameters"] | undefined {
  const parameters = readParameters(entry, tree, { known, found });
  const fault = parameters && !tree.damaged ? entry.check?.(parameters) : undefined;
  if (fault !== undefined) {
    found.push(problemIn(tree, ["parameters"], { message: `${entry.id}: ${fault}`, at: "key" }));
  }
  known.files.push(...filesIn(parameters ?? {}, entry.params, tree));
  return parameters;
}

function filesIn(parameters: Action["parameters"], params: Fields, tree: MapTree): readonly NamedFile[] {
  return Object.entries(parameters).flatMap(([name, value]) =>
    params[name]?.namesFile ? pathsIn(value, [name]).map((named) => namedFile(named, tree)) : [],
  );
}

interface Named {
  readonly file: string;
  /** Among the parameters. */
  readonly at: Path;
}

function pathsIn(value: unknown, at: Path): readonly Named[] {
  return typeof value === "string"
    ? [{ file: value, at }]
    : Object.entries(value as Readonly<Record<string, string>>).map(([key, file]) => ({ file, at: [...at, key] }));
}

function namedFile({ file: path, at }: Named, tree: MapTree): NamedFile {
  const { file, line, column, text } = problemIn(tree, ["parameters", ...at], { message: "" });
  return { path, place: { file, line, column, text } };
}

/** The `parameters` of an action or an output. What was left out of a damaged one has been told. */
function readParameters(
  { id, params }: { readonly id: string; readonly params: Fields },
  tree: MapTree,
  { known, found }: Omit<Work, "tree">,
): Action["parameters"] | undefined {
  const given = tree.entries.get("parameters");
  if (given === undefined && tree.damaged) {
    return undefined;
  }
  const { values, problems } = known.readerOf(params).read(given && plain(given));
  const told = problems.flatMap((problem) => tellable(problem, { id, tree, given }) ?? []);
  found.push(...told.map((problem) => problemIn(tree, ["parameters", ...problem.path], problem)));
  return values;
}

/** That a parameter is missing is said with the name of what needs it, and not of a damaged map. */
function tellable(
  problem: FieldProblem,
  { id, tree, given }: { readonly id: string; readonly tree: MapTree; readonly given: Tree | undefined },
): FieldProblem | undefined {
  const [key] = problem.path;
  const present = key === undefined || (given !== undefined && childOf(given, key) !== undefined);
  if (present) {
    return problem;
  }
  return tree.damaged ? undefined : { ...problem, message: `${id}: parameter ${problem.message}` };
}
