import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { eventOf } from "../../test/support/events.ts";
import { rulesCatalogue } from "../../test/support/rules-catalogue.ts";
import { decodeEvent } from "../events/decode.ts";
import type { FalcoEvent } from "../events/event.ts";
import { describeProblem } from "../schema/problem.ts";
import { parseFieldTests, splitAtCommas } from "./conditions.ts";
import { loadRules } from "./load.ts";
import { createRuleSet } from "./rule-set.ts";
import type { Match, Rule, RuleSet } from "./rule.ts";

describe("matching by Falco rule", () => {
  it("takes any of the names", () => {
    const match = { rules: ["A", "B"] };

    expect(matches(match, eventOf({ rule: "B" }))).toBe(true);
    expect(reason(match, eventOf({ rule: "C" }))).toBe(`Falco's rule is "C", not "A" or "B"`);
  });

  it("takes every rule where none is named", () => {
    expect(matches({}, eventOf({ rule: "any" }))).toBe(true);
    expect(matches({ rules: [] }, eventOf({ rule: "any" }))).toBe(true);
  });

  it("does not mind blanks around a name", () => {
    expect(matches({ rules: [" A "] }, eventOf({ rule: "A" }))).toBe(true);
    expect(matches({ rules: ["A"] }, eventOf({ rule: "A " }))).toBe(true);
  });

  it("is exact about the rest", () => {
    expect(matches({ rules: ["shell"] }, eventOf({ rule: "Shell" }))).toBe(false);
    expect(matches({ rules: ["constructor"] }, eventOf({ rule: "toString" }))).toBe(false);
  });
});

describe("matching by priority", () => {
  it.each([
    ["Critical", ["Critical"]],
    ["=critical", ["Critical"]],
    [">=Critical", ["Emergency", "Alert", "Critical"]],
    [">= Critical", ["Emergency", "Alert", "Critical"]],
    [" >  CRITICAL ", ["Emergency", "Alert"]],
    ["<Notice", ["Informational", "Debug"]],
    ["<=Notice", ["Notice", "Informational", "Debug"]],
    ["Info", ["Informational"]],
    ["<= Informational", ["Informational", "Debug"]],
  ])("takes %j for %j", (priority, expected) => {
    const all = ["Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"] as const;

    expect(all.filter((one) => matches({ priority }, eventOf({ priority: one })))).toEqual(expected);
  });

  it("says why not", () => {
    expect(reason({ priority: ">=Critical" }, eventOf({ priority: "Debug" }))).toBe(
      "priority is Debug, not >=Critical",
    );
  });
});

describe("matching by source", () => {
  it.each(["syscall", "syscalls"])("takes Falco's and Falcosidekick's syscall for one: %s", (source) => {
    expect(matches({ source }, decoded({ source: "syscall" }))).toBe(true);
    expect(matches({ source }, decoded({ source: "syscalls" }))).toBe(true);
    expect(matches({ source }, decoded({ source: "" }))).toBe(true);
    expect(reason({ source }, decoded({ source: "k8s_audit" }))).toBe('source is "k8s_audit", not "syscall"');
  });
});

describe("matching by tags", () => {
  it("wants all tags of one item", () => {
    const match = { tags: ["a, b", "c"] };

    expect(matches(match, eventOf({ tags: ["b", "x", "a"] }))).toBe(true);
    expect(matches(match, eventOf({ tags: ["c"] }))).toBe(true);
    expect(reason(match, eventOf({ tags: ["a", "x"] }))).toBe('tags ["a", "x"] cover none of [a+b, c]');
    expect(matches(match, eventOf({ tags: [] }))).toBe(false);
  });

  it("knows tags with dashes and underscores", () => {
    expect(matches({ tags: ["mitre-attack, T1059_x"] }, eventOf({ tags: ["T1059_x", "mitre-attack"] }))).toBe(true);
  });

  it("does not mind a tag that is there twice", () => {
    expect(matches({ tags: ["a, b"] }, eventOf({ tags: ["a", "a", "b"] }))).toBe(true);
    expect(matches({ tags: ["a, a"] }, eventOf({ tags: ["a"] }))).toBe(true);
    expect(matches({ tags: ["a, b"] }, eventOf({ tags: ["a", "a"] }))).toBe(false);
  });
});

describe("matching by output fields", () => {
  it("wants all conditions of one item", () => {
    const match = { output_fields: ["k8s.ns.name!=kube-system, k8s.ns.name!=falco", "user.name=root"] };

    expect(matches(match, withFields({ "k8s.ns.name": "shop" }))).toBe(true);
    expect(matches(match, withFields({ "k8s.ns.name": "falco", "user.name": "root" }))).toBe(true);
    expect(reason(match, withFields({ "k8s.ns.name": "falco", "user.name": "www" }))).toBe(
      'k8s.ns.name!=falco fails: k8s.ns.name is "falco"; user.name=root fails: user.name is "www"',
    );
  });

  it("keeps the second = of a value", () => {
    const match = { output_fields: ["proc.cmdline=env A=B==, proc.name!=x=y"] };

    expect(matches(match, withFields({ "proc.cmdline": "env A=B==", "proc.name": "x" }))).toBe(true);
    expect(matches(match, withFields({ "proc.cmdline": "env A", "proc.name": "x" }))).toBe(false);
    expect(matches(match, withFields({ "proc.cmdline": "env A=B==", "proc.name": "x=y" }))).toBe(false);
  });

  it("takes a pair of double quotes around a value for no part of it, as Talon does", () => {
    const match = { output_fields: ['k8s.ns.name="shop", user.name!="root"'] };

    expect(matches(match, withFields({ "k8s.ns.name": "shop", "user.name": "www" }))).toBe(true);
    expect(matches(match, withFields({ "k8s.ns.name": '"shop"', "user.name": "www" }))).toBe(false);
    expect(matches(match, withFields({ "k8s.ns.name": "shop", "user.name": "root" }))).toBe(false);
  });

  it("does not mind blanks around field, operator and value", () => {
    const match = { output_fields: ["  k8s.ns.name  !=  kube-system , user.name = root "] };

    expect(matches(match, withFields({ "k8s.ns.name": "kube-system", "user.name": "root" }))).toBe(false);
    expect(matches(match, withFields({ "k8s.ns.name": "shop", "user.name": "root" }))).toBe(true);
  });

  it.each(["a_b", "a-b", "a/b", "evt.arg[0]", "proc.aname[2]", "json.value[/a/b_c]", "app.kubernetes.io/name"])(
    "knows a field named %s",
    (field) => {
      expect(matches({ output_fields: [`${field}=v`] }, withFields({ [field]: "v" }))).toBe(true);
      expect(matches({ output_fields: [`${field}!=v`] }, withFields({ [field]: "v" }))).toBe(false);
    },
  );

  it("takes a comma after a backslash as part of the value", () => {
    const match = { output_fields: ["proc.cmdline=ls a\\, b, user.name=root"] };

    expect(matches(match, withFields({ "proc.cmdline": "ls a, b", "user.name": "root" }))).toBe(true);
  });

  it("takes two backslashes before a comma as one, and the comma as the end", () => {
    const match = { output_fields: ["fs.path=C:\\temp\\\\, user.name=root"] };

    expect(matches(match, withFields({ "fs.path": "C:\\temp\\", "user.name": "root" }))).toBe(true);
  });

  it("compares large numbers digit by digit", () => {
    const match = { output_fields: ["evt.time=1763689041886038257"] };

    expect(matches(match, decodedFields('{"evt.time": 1763689041886038257}'))).toBe(true);
    expect(matches(match, decodedFields('{"evt.time": 1763689041886038258}'))).toBe(false);
    expect(matches({ output_fields: ["evt.res=1000000000"] }, decodedFields('{"evt.res": 1000000000}'))).toBe(true);
  });

  it("compares numbers and booleans by their text", () => {
    expect(matches({ output_fields: ["proc.tty=34816"] }, withFields({ "proc.tty": 34816 }))).toBe(true);
    expect(matches({ output_fields: ["proc.tty!=0"] }, withFields({ "proc.tty": 34816 }))).toBe(true);
    expect(matches({ output_fields: ["proc.tty!=0"] }, withFields({ "proc.tty": 0 }))).toBe(false);
    expect(matches({ output_fields: ["proc.tty=34816"] }, withFields({ "proc.tty": "34816" }))).toBe(true);
    expect(matches({ output_fields: ["fd.is_server=true"] }, withFields({ "fd.is_server": true }))).toBe(true);
    expect(matches({ output_fields: ["fd.is_server!=true"] }, withFields({ "fd.is_server": true }))).toBe(false);
  });

  it.each([[{}], [{ "k8s.ns.name": null }], [{ "k8s.ns.name": "<NA>" }], [{ "k8s.ns.name": "" }]])(
    "fails closed where the field is unknown: %j",
    (fields) => {
      expect(matches({ output_fields: ["k8s.ns.name!=kube-system"] }, withFields(fields))).toBe(false);
      expect(matches({ output_fields: ["k8s.ns.name=kube-system"] }, withFields(fields))).toBe(false);
    },
  );

  it("finds <NA> where it is asked for by name", () => {
    expect(matches({ output_fields: ["container.id=<NA>"] }, withFields({ "container.id": "<NA>" }))).toBe(true);
    expect(matches({ output_fields: ["container.id=<NA>"] }, withFields({}))).toBe(false);
  });

  it.each(["__proto__", "constructor", "toString"])("takes %s for a field like any other", (field) => {
    expect(matches({ output_fields: [`${field}!=x`] }, withFields({}))).toBe(false);
  });

  it("gives no reason that could move a terminal's cursor or hide a line", () => {
    const said = reason({ output_fields: ["a=b"] }, withFields({ a: "\u001b[2J\u009b1A\u202e\nx" }));

    expect(said).toBe('a=b fails: a is "\\u001b[2J\\u{9b}1A\\u{202e}\\nx"');
  });
});

describe("a set of rules", () => {
  it("matches from top to bottom, whether a rule names Falco rules or not", () => {
    const rules = setOf([
      { name: "1", rules: ["A"] },
      { name: "2" },
      { name: "3", rules: ["B"] },
      { name: "4", rules: ["A"] },
    ]);

    expect(namesOf(rules, eventOf({ rule: "A" }))).toEqual(["1", "2", "4"]);
  });

  it("ends with a rule that applies and does not continue", () => {
    const rules = setOf([
      { name: "1", rules: ["A"] },
      { name: "2", continue: false },
      { name: "3", rules: ["A"] },
    ]);

    expect(namesOf(rules, eventOf({ rule: "A" }))).toEqual(["1", "2"]);
    expect(rules.explain(eventOf({ rule: "A" })).map(({ reasons }) => reasons)).toEqual([
      [],
      [],
      ['rule "2" applies and has continue: false'],
    ]);
  });

  it("goes on after a rule that does not continue and does not apply", () => {
    const rules = setOf([{ name: "1", rules: ["B"], continue: false }, { name: "2" }]);

    expect(namesOf(rules, eventOf({ rule: "A" }))).toEqual(["2"]);
  });

  it("names a rule once although it names a Falco rule twice", () => {
    expect(namesOf(setOf([{ name: "1", rules: ["A", "A "] }]), eventOf({ rule: "A" }))).toEqual(["1"]);
  });

  it("explains a rule with all of its reasons", () => {
    const rules = setFrom({ rules: ["A"], priority: "Critical" });

    const [explanation] = rules.explain(eventOf({ rule: "B", priority: "Debug" }));

    expect(explanation?.reasons).toHaveLength(2);
  });

  it("finds by its index what trying every rule finds", () => {
    const name = fc.constantFrom("A", "B", "C", "__proto__");
    const sketch = fc.record({
      rules: fc.uniqueArray(name, { maxLength: 3 }),
      continue: fc.boolean(),
      holds: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(sketch, { maxLength: 12 }), name, (sketches, raised) => {
        const rules = setOf(sketches.map((one, index) => ({ ...one, name: String(index) })));
        const event = eventOf({ rule: raised });

        const found = namesOf(rules, event);

        const applying = sketches.flatMap((one, index) =>
          one.holds && (one.rules.length === 0 || one.rules.includes(raised)) ? [index] : [],
        );
        const last = applying.findIndex((index) => !sketches[index]?.continue);
        const naive = last === -1 ? applying : applying.slice(0, last + 1);
        expect(found).toEqual(naive.map(String));
        expect(rules.explain(event).flatMap(({ rule, reasons }) => (reasons.length === 0 ? [rule.name] : []))).toEqual(
          found,
        );
      }),
    );
  });
});

describe("texts of conditions", () => {
  const value = fc
    .string({ unit: "binary", minLength: 1 })
    .map((text) => text.trim())
    .filter((text) => text !== "");

  it("hold any values, escaped", () => {
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), (values) => {
        const parsed = parseFieldTests(values.map((one) => `k=${escaped(one)}`).join(" , "));

        expect(parsed).toEqual({ value: values.map((one) => ({ field: "k", operator: "=", value: one })) });
      }),
    );
  });

  it("are divided at commas in linear time", () => {
    const slashes = "\\".repeat(200_000);

    expect(splitAtCommas(`${slashes}x`)).toEqual([`${slashes}x`]);
  });

  /** Backslashes before a comma twice, the comma with one, and quotes around what has its own. */
  function escaped(text: string): string {
    const written = text.replace(/(?<!\\)(\\*),/g, "$1$1\\,");
    return /^".*"$/s.test(text) ? `"${written}"` : written;
  }
});

interface Sketch {
  readonly name: string;
  readonly rules?: readonly string[];
  readonly continue?: boolean;
  readonly holds?: boolean;
}

function setOf(sketches: readonly Sketch[]): RuleSet {
  return createRuleSet(sketches.map((sketch) => ({ rule: ruleOf(sketch), falcoRules: sketch.rules ?? [] })));
}

function ruleOf({ name, rules = [], holds = true, ...sketch }: Sketch): Rule {
  const known = new Set(rules.map((one) => one.trim()));
  return {
    name,
    description: undefined,
    conditions: [
      ({ rule }) => (known.size === 0 || known.has(rule) ? undefined : "another rule"),
      () => (holds ? undefined : "never"),
    ],
    pinned: [],
    continue: sketch.continue ?? true,
    dryRun: false,
    actions: [],
    notifiers: [],
  };
}

function namesOf(rules: RuleSet, event: FalcoEvent): readonly string[] {
  return rules.match(event).map(({ name }) => name);
}

function setFrom(match: Match): RuleSet {
  const block = { rule: "R", match, actions: [{ action: "D", actionner: "kubernetes:delete" }] };
  const reading = loadRules([{ path: "x", text: JSON.stringify([block]) }], rulesCatalogue());
  expect(reading.problems.map(describeProblem)).toEqual([]);
  return reading.rules as RuleSet;
}

function matches(match: Match, event: FalcoEvent): boolean {
  return setFrom(match).match(event).length === 1;
}

function reason(match: Match, event: FalcoEvent): string | undefined {
  return setFrom(match).explain(event)[0]?.reasons.join(" AND ");
}

function withFields(fields: Readonly<Record<string, string | number | boolean | null>>): FalcoEvent {
  return eventOf({ fields });
}

function decodedFields(fields: string): FalcoEvent {
  return decode(`{"rule": "R", "priority": "Debug", "output_fields": ${fields}}`);
}

function decoded(top: Readonly<Record<string, string>>): FalcoEvent {
  return decode(JSON.stringify({ rule: "R", priority: "Debug", ...top }));
}

function decode(text: string): FalcoEvent {
  const { event } = decodeEvent(text, { id: "1", receivedAt: "2026-01-01T00:00:00Z" });
  if (event === undefined) {
    throw new Error("not an event");
  }
  return event;
}
