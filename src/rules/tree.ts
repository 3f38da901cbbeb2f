import type { Problem } from "../schema/problem.ts";
import { type Path, problemAt, type YamlDocument } from "../schema/yaml.ts";

/** YAML data in which every value knows where it was written, also after values of several files have been merged. */
export type Tree = ScalarTree | ListTree | MapTree;

export interface ScalarTree extends Origin {
  readonly kind: "scalar";
  readonly value: unknown;
}

export interface ListTree extends Origin {
  readonly kind: "list";
  readonly items: readonly Tree[];
}

export interface MapTree extends Origin {
  readonly kind: "map";
  readonly entries: ReadonlyMap<string, Tree>;
  /** Something in it was wrong, has been told and left out: what is missing now may have been there. */
  readonly damaged: boolean;
}

interface Origin {
  readonly document: YamlDocument;
  readonly path: Path;
}

export interface Fault {
  readonly message: string;
  readonly hint?: string | undefined;
  readonly at?: "key" | "value";
}

export function plant(document: YamlDocument, path: Path = [], value: unknown = document.value): Tree {
  if (Array.isArray(value)) {
    return {
      kind: "list",
      document,
      path,
      items: value.map((item: unknown, index) => plant(document, [...path, index], item ?? null)),
    };
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).map(([key, entry]) => [key, plant(document, [...path, key], entry)] as const);
    return { kind: "map", document, path, entries: new Map(entries), damaged: false };
  }
  return { kind: "scalar", document, path, value };
}

/** The data alone. */
export function plain(tree: Tree): unknown {
  switch (tree.kind) {
    case "scalar":
      return tree.value;
    case "list":
      return tree.items.map(plain);
    case "map":
      return Object.fromEntries([...tree.entries].map(([key, entry]) => [key, plain(entry)]));
  }
}

export function childOf(tree: Tree, key: string | number): Tree | undefined {
  if (tree.kind === "map") {
    return tree.entries.get(String(key));
  }
  return tree.kind === "list" && typeof key === "number" ? tree.items[key] : undefined;
}

export function mapIn(tree: MapTree, key: string): MapTree | undefined {
  const child = tree.entries.get(key);
  return child?.kind === "map" ? child : undefined;
}

export function itemsIn(tree: MapTree, key: string): readonly Tree[] {
  const child = tree.entries.get(key);
  return child?.kind === "list" ? child.items : [];
}

/** Scalars of the later replace, lists append, maps merge; what the later does not give stays. */
export function merge(earlier: Tree, later: Tree): Tree {
  if (earlier.kind === "list" && later.kind === "list") {
    return { ...later, items: [...earlier.items, ...later.items] };
  }
  return earlier.kind === "map" && later.kind === "map" ? mergeMaps(earlier, later) : later;
}

export function mergeMaps(earlier: MapTree, later: MapTree): MapTree {
  const entries = new Map(earlier.entries);
  for (const [key, entry] of later.entries) {
    const before = entries.get(key);
    entries.set(key, before === undefined ? entry : merge(before, entry));
  }
  return { ...later, entries, damaged: earlier.damaged || later.damaged };
}

export function withEntry(tree: MapTree, key: string, entry: Tree): MapTree {
  return { ...tree, entries: new Map(tree.entries).set(key, entry) };
}

/** A key without a value gives nothing. */
export function withoutEmpty(tree: MapTree): MapTree {
  const filled = [...tree.entries].filter(([, entry]) => entry.kind !== "scalar" || entry.value !== null);
  return { ...tree, entries: new Map(filled) };
}

/** Leaves out the value at the path, if it is there; the maps on the way are damaged. */
export function prune(tree: MapTree, path: Path): MapTree {
  return pruneTree(tree, path) as MapTree;
}

/** The same, with something missing from every map in it. */
export function asDamaged<T extends Tree>(tree: T): T;
export function asDamaged(tree: Tree): Tree {
  switch (tree.kind) {
    case "scalar":
      return tree;
    case "list":
      return { ...tree, items: tree.items.map((item) => asDamaged(item)) };
    case "map": {
      const entries = [...tree.entries].map(([key, entry]) => [key, asDamaged(entry)] as const);
      return { ...tree, entries: new Map(entries), damaged: true };
    }
  }
}

function pruneTree(tree: Tree, [first, ...rest]: Path): Tree | undefined {
  if (first === undefined) {
    return undefined;
  }
  const child = childOf(tree, first);
  const left = child === undefined ? undefined : pruneTree(child, rest);
  switch (tree.kind) {
    case "map":
      return { ...tree, entries: replaced(tree.entries, String(first), left), damaged: true };
    case "list":
      return { ...tree, items: tree.items.flatMap((item, index) => (index === first ? (left ?? []) : item)) };
    case "scalar":
      return tree;
  }
}

function replaced(entries: ReadonlyMap<string, Tree>, key: string, entry: Tree | undefined): ReadonlyMap<string, Tree> {
  return new Map(
    [...entries].flatMap(([name, old]) => (name === key ? (entry ? [[name, entry]] : []) : [[name, old]])),
  );
}

/** The Problem at a path below the tree, or at the nearest parent that exists. */
export function problemIn(tree: Tree, path: Path, fault: Fault): Problem {
  let found = tree;
  for (const key of path) {
    const child = childOf(found, key);
    if (child === undefined) {
      return problemAt(found.document, found.path, { ...fault, at: "value" });
    }
    found = child;
  }
  return problemAt(found.document, found.path, fault);
}
