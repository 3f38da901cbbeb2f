import type { Problem } from "../schema/problem.ts";
import {
  fieldsAre,
  isNotOwn,
  type Parsed,
  parseFieldTests,
  parsePriority,
  parseTags,
  pinnedBy,
  ruleIsOneOf,
  sourceIs,
  tagsInclude,
} from "./conditions.ts";
import { readers } from "./grammar.ts";
import type { Condition, Match } from "./rule.ts";
import { type MapTree, plain, problemIn } from "./tree.ts";

export interface CompiledMatch {
  readonly match: Match;
  /** Incomplete where something was found wrong. */
  readonly conditions: readonly Condition[];
  /** See `Rule`. */
  readonly pinned: readonly ReadonlyMap<string, string>[];
}

/** A key that is absent, and a list that is empty, is no condition. */
export function compileMatch(tree: MapTree, found: Problem[]): CompiledMatch {
  const match: Match = readers.match.read(plain(tree)).values ?? {};
  const { rules = [], priority, source, tags = [], output_fields = [] } = match;
  const items = { tree, found };
  const tagGroups = parseItems(tags, parseTags, { ...items, key: "tags" });
  const fieldGroups = parseItems(output_fields, parseFieldTests, { ...items, key: "output_fields" });
  return {
    match,
    pinned: fieldGroups.map(pinnedBy),
    conditions: [
      ...(rules.length > 0 ? [ruleIsOneOf(rules)] : []),
      ...(priority === undefined ? [] : parseAt(["priority"], parsePriority(priority), items)),
      source === undefined ? isNotOwn : sourceIs(source),
      ...(tags.length > 0 ? [tagsInclude(tagGroups)] : []),
      ...(output_fields.length > 0 ? [fieldsAre(fieldGroups)] : []),
    ],
  };
}

interface Where {
  readonly tree: MapTree;
  readonly found: Problem[];
}

function parseItems<T>(
  items: readonly string[],
  parse: (text: string) => Parsed<T>,
  { key, ...where }: Where & { readonly key: string },
): readonly T[] {
  return items.flatMap((item, index) => parseAt([key, index], parse(item), where));
}

function parseAt<T>(path: readonly (string | number)[], parsed: Parsed<T>, { tree, found }: Where): readonly T[] {
  if ("value" in parsed) {
    return [parsed.value];
  }
  found.push(problemIn(tree, path, parsed.fault));
  return [];
}
