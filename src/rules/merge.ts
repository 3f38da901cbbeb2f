import type { Block, ParsedFile } from "./parse.ts";
import { asDamaged, itemsIn, type MapTree, mergeMaps, plain, type Tree, withEntry } from "./tree.ts";

/** What all files together say, by name, in the order in which the names first stand. */
export interface Merged {
  readonly actions: ReadonlyMap<string, MapTree>;
  readonly rules: ReadonlyMap<string, MapTree>;
}

/** Where a file is incomplete, what another one refers to may have been in it: nothing can be called missing. */
export function mergeFiles(files: readonly ParsedFile[]): Merged {
  const whole = files.every(({ complete }) => complete);
  const trusted = (blocks: readonly Block[]) =>
    whole ? blocks : blocks.map(({ name, tree }) => ({ name, tree: asDamaged(tree) }));
  return {
    actions: mergeBlocks(trusted(files.flatMap(({ actions }) => actions)), mergeMaps),
    rules: mergeBlocks(trusted(files.flatMap(({ rules }) => rules)), mergeRules),
  };
}

/**
 * A later file's rule over an earlier one's: as any two maps, but that an action of the same name is merged into it at its
 * place; others are appended.
 */
function mergeRules(earlier: MapTree, later: MapTree): MapTree {
  const merged = mergeMaps(earlier, later);
  const actions = merged.entries.get("actions");
  const items = [...mergeBlocks([...actionsOf(earlier), ...actionsOf(later)], mergeMaps).values()];
  return actions?.kind === "list" ? withEntry(merged, "actions", { ...actions, items }) : merged;
}

/** The rule's actions that are still there after parsing, each with its name. */
export function actionsOf(rule: MapTree): readonly Block[] {
  return itemsIn(rule, "actions").flatMap((item) =>
    item.kind === "map" ? [{ name: nameIn(item, "action"), tree: item }] : [],
  );
}

export function nameIn(tree: MapTree, key: string): string {
  const name: Tree | undefined = tree.entries.get(key);
  return name === undefined ? "" : String(plain(name)).trim();
}

function mergeBlocks(
  blocks: readonly Block[],
  merge: (earlier: MapTree, later: MapTree) => MapTree,
): ReadonlyMap<string, MapTree> {
  const byName = new Map<string, MapTree>();
  for (const { name, tree } of blocks) {
    const earlier = byName.get(name);
    byName.set(name, earlier === undefined ? tree : merge(earlier, tree));
  }
  return byName;
}
