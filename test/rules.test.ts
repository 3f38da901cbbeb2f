import { existsSync, globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { readRules } from "../src/rules/load.ts";
import type { EffectiveRule, RuleSet, RulesReading } from "../src/rules/rule.ts";
import { eventOf } from "./support/events.ts";
import { realCatalogue } from "./support/real-catalogue.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const shipped = globSync("rules/**/*.yaml", { cwd: root }).sort();
const falco = fileURLToPath(new URL("../../shared/data/falco/", import.meta.url));

function load(file: string): Promise<RulesReading> {
  return readRules([root + file], realCatalogue);
}

function falcoRulesOf(rules: readonly EffectiveRule[]): string[] {
  return rules.flatMap(({ match }) => match.rules ?? []);
}

describe("the rules that ship", () => {
  it("are a default set and examples", () => {
    expect(shipped).toContain("rules/default.yaml");
    expect(shipped.length).toBeGreaterThan(1);
  });

  it.each(shipped)("load: %s", async (file) => {
    const { problems } = await load(file);

    expect(problems).toEqual([]);
  });

  it("load all together", async () => {
    const { problems } = await readRules(
      shipped.map((file) => root + file),
      realCatalogue,
    );

    expect(problems).toEqual([]);
  });

  it.skipIf(!existsSync(falco)).each(shipped)(
    "name only rules that Falco has: %s (skipped where ../shared/data/falco is absent)",
    async (file) => {
      const published = globSync("*.yaml", { cwd: falco }).map((name) => readFileSync(falco + name, "utf8"));
      const known = published.flatMap((text) => [...text.matchAll(/^- rule: *(.*?) *$/gm)].map(([, name]) => name));
      const { effective = [] } = (await load(file)) as { effective?: readonly EffectiveRule[] };

      expect(known.length).toBeGreaterThan(50);
      expect(falcoRulesOf(effective).filter((name) => !known.includes(name))).toEqual([]);
    },
  );
});

describe("the default rules", () => {
  let rules: RuleSet;

  beforeAll(async () => {
    const reading = await load("rules/default.yaml");
    if (reading.rules === undefined) {
      throw new Error("rules/default.yaml does not load");
    }
    rules = reading.rules;
  });

  it("stop, delete and cut off nothing", () => {
    const actions = rules.rules.flatMap((rule) => rule.actions);

    expect(actions.filter(({ actionner }) => actionner.destructive)).toEqual([]);
  });

  it("act where Falco calls an event critical", () => {
    const matched = rules.match(eventOf({ rule: "Anything", priority: "Critical", pod: "shop/cart-1" }));

    expect(matched).toHaveLength(1);
  });

  it("let a notice go that is none of those listed", () => {
    const matched = rules.match(eventOf({ rule: "Anything", priority: "Notice", pod: "shop/cart-1" }));

    expect(matched).toEqual([]);
  });

  it("act once on an event", () => {
    const events = ["Read sensitive file untrusted", "Drop and execute new binary in container"].flatMap((rule) =>
      (["Critical", "Warning"] as const).map((priority) => eventOf({ rule, priority, pod: "shop/cart-1" })),
    );

    expect(events.map((event) => rules.match(event).length)).toEqual([1, 1, 1, 1]);
  });
});
