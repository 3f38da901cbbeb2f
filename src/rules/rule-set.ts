import type { FalcoEvent } from "../events/event.ts";
import type { Explanation, Rule, RuleSet } from "./rule.ts";

/** A rule and the Falco rules it is for; none is all of them. */
export interface Indexed {
  readonly rule: Rule;
  readonly falcoRules: readonly string[];
}

interface Placed {
  readonly rule: Rule;
  readonly position: number;
}

/** Indexes by Falco rule name, so that an event costs what its own rules cost, however many others there are. */
export function createRuleSet(indexed: readonly Indexed[]): RuleSet {
  const byName = new Map<string, Placed[]>();
  const forAll: Placed[] = [];
  for (const [position, { rule, falcoRules }] of indexed.entries()) {
    const names = new Set(falcoRules.map((name) => name.trim()));
    for (const placed of names.size === 0 ? [forAll] : [...names].map((name) => listIn(byName, name))) {
      placed.push({ rule, position });
    }
  }
  const rules = indexed.map(({ rule }) => rule);
  return {
    rules,
    match: (event) => match(inOrder(byName.get(event.rule.trim()) ?? [], forAll), event),
    explain: (event) => explain(rules, event),
  };
}

function listIn(byName: Map<string, Placed[]>, name: string): Placed[] {
  const list = byName.get(name) ?? [];
  byName.set(name, list);
  return list;
}

/** Both lists are in order; so is what they make together. */
function inOrder(named: readonly Placed[], forAll: readonly Placed[]): readonly Placed[] {
  return forAll.length === 0 ? named : [...named, ...forAll].sort((a, b) => a.position - b.position);
}

function match(candidates: readonly Placed[], event: FalcoEvent): readonly Rule[] {
  const matched: Rule[] = [];
  for (const { rule } of candidates) {
    if (rule.conditions.every((condition) => condition(event) === undefined)) {
      matched.push(rule);
      if (!rule.continue) {
        break;
      }
    }
  }
  return matched;
}

function explain(rules: readonly Rule[], event: FalcoEvent): readonly Explanation[] {
  let last: Rule | undefined;
  return rules.map((rule) => {
    const failed = rule.conditions.flatMap((condition) => condition(event) ?? []);
    const reasons = last === undefined ? failed : [...failed, `rule "${last.name}" applies and has continue: false`];
    if (reasons.length === 0 && !rule.continue) {
      last = rule;
    }
    return { rule, reasons };
  });
}
