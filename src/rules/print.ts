import { stringify } from "yaml";
import type { EffectiveRule } from "./rule.ts";

/** A rules file that says alone what all files together said. */
export function printRules(rules: readonly EffectiveRule[]): string {
  return stringify(rules.map(withoutNothing), { lineWidth: 120, aliasDuplicateObjects: false });
}

/** Absent keys, empty texts of help and empty lists say nothing; `match` and `parameters` may be empty on purpose. */
function withoutNothing(rule: EffectiveRule): unknown {
  return { ...filled(rule), match: rule.match, actions: rule.actions.map(filled) };
}

function filled(block: object): object {
  return Object.fromEntries(
    Object.entries(block).filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0)),
  );
}
