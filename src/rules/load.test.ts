import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { describe, expect, it } from "vitest";
import { eventOf } from "../../test/support/events.ts";
import { rulesCatalogue } from "../../test/support/rules-catalogue.ts";
import { describeProblem } from "../schema/problem.ts";
import { loadRules, readRules } from "./load.ts";
import { printRules } from "./print.ts";
import type { EffectiveRule, RulesReading } from "./rule.ts";

const catalogue = rulesCatalogue();

describe("Talon's own files", () => {
  const talon = (name: string) => ({
    path: name,
    text: readFileSync(new URL(`fixtures/talon/${name}`, import.meta.url), "utf8"),
  });

  it("load but for names that are not in the catalogue", () => {
    const { problems } = loadRules([talon("rules.yaml"), talon("rules_override.yaml")], catalogue);

    expect(problems.map(describeProblem)).toEqual(
      [
        '15:14: error: unknown actionner "cilium:networkpolicy"',
        '38:14: error: unknown actionner "gcp:function"',
        '106:18: error: unknown actionner "calico:networkpolicy"',
        '120:18: error: unknown actionner "kubernetes:cordon"',
        '122:18: error: unknown actionner "kubernetes:drain"',
        '168:17: error: unknown output "aws:s3"',
        '177:17: error: unknown output "minio:s3"',
        '188:18: error: unknown actionner "kubernetes:tcpdump"',
        '193:17: error: unknown output "aws:s3"',
        '205:18: error: unknown actionner "kubernetes:sysdig"',
        '225:17: error: unknown output "aws:s3"',
      ].map((problem) => expect.stringContaining(`rules.yaml:${problem}`)),
    );
  });

  it("load where they hold shared actions alone", () => {
    expect(effectiveOf(loadRules([talon("chart-rules.yaml")], catalogue))).toEqual([]);
  });
});

describe("a rules file", () => {
  it("may be an empty list", () => {
    expect(effective("[]")).toEqual([]);
  });

  it("says everything that a rule can say", () => {
    const [rule] = effective(`
- rule: Everything
  description: All keys
  match:
    rules: [A, B]
    priority: ">= Critical"
    source: syscalls
    tags: ["a, b", c]
    output_fields: ["k=v, k!=w"]
  continue: "false"
  dry_run: "true"
  actions:
    - action: Log
      description: Keep the log
      actionner: kubernetes:log
      continue: "False"
      ignore_errors: true
      additional_contexts: [k8snode, aws]
      parameters: { tail_lines: "5" }
      output: { target: local:file, parameters: { destination: /evidence } }
  notifiers: [k8sevents, webhook]
`);

    expect(rule).toEqual({
      rule: "Everything",
      description: "All keys",
      match: {
        rules: ["A", "B"],
        priority: ">= Critical",
        source: "syscalls",
        tags: ["a, b", "c"],
        output_fields: ["k=v, k!=w"],
      },
      continue: false,
      dry_run: true,
      actions: [
        {
          action: "Log",
          description: "Keep the log",
          actionner: "kubernetes:log",
          continue: false,
          ignore_errors: true,
          additional_contexts: ["k8snode", "aws"],
          parameters: { tail_lines: 5 },
          output: { target: "local:file", parameters: { destination: "/evidence" } },
        },
      ],
      notifiers: ["k8sevents", "webhook"],
    });
  });

  it("need say little: the rest has its default", () => {
    const [rule] = effective(`
- rule: Little
  match: {}
  actions: [{ action: Stop, actionner: kubernetes:terminate }]
`);

    expect(rule).toMatchObject({ continue: true, dry_run: false, notifiers: [] });
    expect(rule?.actions).toEqual([
      {
        action: "Stop",
        description: undefined,
        actionner: "kubernetes:terminate",
        continue: false,
        ignore_errors: false,
        additional_contexts: [],
        parameters: {
          grace_period_seconds: 0,
          ignore_daemonsets: false,
          ignore_statefulsets: false,
          ignore_standalone_pods: true,
        },
        output: undefined,
      },
    ]);
  });

  it("takes a key without a value for not given", () => {
    const [rule] = effective(`
- rule: Gaps
  description:
  match: { tags: [] }
  notifiers:
  actions: [{ action: Delete, actionner: kubernetes:delete, parameters: , output: }]
`);

    expect(rule).toMatchObject({ description: undefined, match: { tags: [] }, notifiers: [] });
  });

  it("keeps every digit of a label's value", () => {
    const [rule] = effective(`
- rule: Digits
  match: {}
  actions:
    - { action: L, actionner: kubernetes:label, parameters: { labels: { account: 012345678901, version: 1.10, empty: } } }
`);

    expect(rule?.actions[0]?.parameters).toMatchObject({
      labels: { account: "012345678901", version: "1.10", empty: "" },
    });
  });

  it("tells what is wrong in a list besides items of a wrong type", () => {
    const { problems } = loading("- { rule: R, match: {}, actions: [], notifiers: [[a], nobody, [b]] }");

    expect(problems.map(({ column, text }) => [column, text])).toEqual([
      [50, "[a]"],
      [55, "nobody"],
      [63, "[b]"],
    ]);
  });

  it("loads a parameter under its older name", () => {
    const [rule] = effective(`
- action: Isolate
  actionner: kubernetes:networkpolicy
  parameters: { allow: [10.0.0.0/8] }
- rule: Isolate
  match: {}
  actions: [{ action: Isolate, parameters: { allow_cidr: [192.168.0.0/16] } }]
`);

    expect(rule?.actions[0]?.parameters).toMatchObject({ allow_cidr: ["192.168.0.0/16", "10.0.0.0/8"] });
  });
});

describe("a shared action under a rule's action of the same name", () => {
  const shared = `
- action: Log
  description: shared
  actionner: kubernetes:log
  ignore_errors: true
  additional_contexts: [k8snode]
  parameters: { tail_lines: 5 }
  output: { target: local:file, parameters: { destination: /shared } }
`;

  it("gives what the rule's does not say", () => {
    const [rule] = effective(`${shared}
- rule: R
  match: {}
  actions: [{ action: Log }]
`);

    expect(rule?.actions[0]).toMatchObject({
      description: "shared",
      ignore_errors: true,
      parameters: { tail_lines: 5 },
    });
  });

  it("has its scalars replaced, its maps merged and its lists appended to", () => {
    const [rule] = effective(`${shared}
- rule: R
  match: {}
  actions:
    - action: Log
      description: own
      additional_contexts: [aws, k8snode]
      parameters: { tail_lines: 7 }
      output: { parameters: { destination: /own } }
`);

    expect(rule?.actions[0]).toMatchObject({
      description: "own",
      ignore_errors: true,
      additional_contexts: ["k8snode", "aws"],
      parameters: { tail_lines: 7 },
      output: { target: "local:file", parameters: { destination: "/own" } },
    });
  });

  it("may stand below the rule, and may leave required parameters to the rule", () => {
    const [rule] = effective(`
- rule: R
  match: {}
  actions: [{ action: Label, parameters: { labels: { a: b } } }]
- action: Label
  actionner: kubernetes:label
`);

    expect(rule?.actions[0]?.parameters).toEqual({ labels: { a: "b" }, level: "pod" });
  });

  it("is told once what is wrong in it, however many rules use it", () => {
    const { problems } = loading(`
- action: Stop
  actionner: kubernetes:stop
- { rule: A, match: {}, actions: [{ action: Stop }] }
- { rule: B, match: {}, actions: [{ action: Stop }] }
`);

    expect(problems).toHaveLength(1);
  });

  it("is not called missing where the file that may hold it is unreadable", async () => {
    const files: Record<string, string> = { "rule.yaml": "- { rule: A, match: {}, actions: [{ action: Stop }] }" };
    const readText = async (path: string) => files[path] ?? Promise.reject(new Error("gone"));

    const { problems } = await readRules(["shared.yaml", "rule.yaml"], catalogue, readText);

    expect(problems.map(describeProblem)).toEqual(["shared.yaml: error: the file cannot be read: Error: gone"]);
  });
});

describe("a later file over an earlier one", () => {
  const base = `
- action: Stop
  actionner: kubernetes:terminate
  parameters: { grace_period_seconds: 5 }
- rule: First
  description: base
  match: { rules: [A], priority: Critical, source: syscall, tags: [a] }
  continue: false
  actions: [{ action: Stop }, { action: Log, actionner: kubernetes:log, parameters: { tail_lines: 1 } }]
  notifiers: [k8sevents]
- rule: Second
  match: { rules: [B] }
  actions: [{ action: Stop }]
`;

  it("replaces the scalars it gives, appends to lists, merges maps and leaves the rest", () => {
    const [rule] = effective(
      base,
      "- { rule: First, description: new, match: { rules: [C], tags: [b] }, notifiers: [webhook] }",
    );

    expect(rule).toMatchObject({
      description: "new",
      match: { rules: ["A", "C"], priority: "Critical", source: "syscall", tags: ["a", "b"] },
      continue: false,
      notifiers: ["k8sevents", "webhook"],
    });
  });

  it("changes a shared action for every rule that uses it", () => {
    const rules = effective(
      base,
      "- { action: Stop, parameters: { ignore_daemonsets: true, grace_period_seconds: 2 } }",
    );

    expect(rules.map(({ actions: [stop] }) => stop?.parameters)).toMatchObject([
      { grace_period_seconds: 2, ignore_daemonsets: true },
      { grace_period_seconds: 2, ignore_daemonsets: true },
    ]);
  });

  it("merges an action into the rule's action of the same name and appends others", () => {
    const [rule] = effective(
      base,
      "- { rule: First, actions: [{ action: Log, parameters: { tail_lines: 9 } }, { action: Delete, actionner: kubernetes:delete }] }",
    );

    expect(rule?.actions.map(({ action }) => action)).toEqual(["Stop", "Log", "Delete"]);
    expect(rule?.actions[1]?.parameters).toEqual({ tail_lines: 9 });
  });

  it("keeps the rules in the order in which they first stand", () => {
    const rules = effective(
      base,
      "- { rule: Third, match: {}, actions: [{ action: Stop }] }\n- { rule: First, description: x }",
    );

    expect(rules.map(({ rule }) => rule)).toEqual(["First", "Second", "Third"]);
  });

  it("tells that it overrides no rule, and which one it may mean", () => {
    const { problems } = loading(base, "- { rule: Firsts, dry_run: true }");

    expect(problems.map(describeProblem)).toEqual([
      '1.yaml:1:11: error: rule "Firsts" has no "match" (did you mean "First"?)',
      '1.yaml:1:11: error: rule "Firsts" has no actions (did you mean "First"?)',
    ]);
  });

  it("is where the Problem is, when what it adds is wrong", () => {
    const { problems } = loading(base, "- { action: Stop, parameters: { grace_period_seconds: soon } }");

    expect(problems.map(describeProblem)).toEqual([
      '1.yaml:1:55: error: "grace_period_seconds" must be an integer, not "soon"',
    ]);
  });

  it("is another file: the same one twice is a Problem", () => {
    const file = { path: "a.yaml", text: "[]" };

    expect(loadRules([file, file], catalogue).problems.map(describeProblem)).toEqual([
      "a.yaml: error: the file is given twice",
    ]);
  });
});

describe("reading from disk", () => {
  const folder = mkdtempSync(join(tmpdir(), "hallux-rules-"));

  it("loads files that are there", async () => {
    const path = join(folder, "rules.yaml");
    writeFileSync(path, "[]");

    expect(effectiveOf(await readRules([path], catalogue))).toEqual([]);
  });

  it("tells every file that cannot be read", async () => {
    const latin = join(folder, "latin.yaml");
    writeFileSync(latin, Buffer.from([0x2d, 0x20, 0xe9]));

    const { problems } = await readRules([join(folder, "absent.yaml"), folder, latin], catalogue);

    expect(problems.map(({ message }) => message)).toEqual([
      "the file cannot be read: it does not exist",
      "the file cannot be read: it is a directory",
      "the file cannot be read: it is not UTF-8 text",
    ]);
  });
});

describe("large files", () => {
  const many = (count: number, name = "R") =>
    Array.from(
      { length: count },
      (_, n) => `- rule: ${name} ${n}\n  match: {}\n  actions: [{ action: D, actionner: kubernetes:delete }]\n`,
    ).join("");

  it("are refused where they are more than 2 MiB together", () => {
    const half = `# ${"x".repeat(1024 * 1024)}\n- { rule: A, matsch: {} }\n`;

    const { problems } = loading(half, half);

    expect(problems.map(describeProblem)).toEqual([
      "0.yaml, 1.yaml: error: the rules are 2097210 bytes long; at most 2097152 are loaded (make one of rules that differ in a value alone: rules, tags and output_fields take lists)",
    ]);
  });

  it("are loaded as small ones are, in the order of their rules", () => {
    const effective = effectiveOf(loading(many(1000), many(1000, "S")));

    expect(effective.map(({ rule }) => rule)).toEqual(
      ["R", "S"].flatMap((name) => Array.from({ length: 1000 }, (_, n) => `${name} ${n}`)),
    );
  });

  it("are told of with the line in the file", () => {
    const { problems } = loading(`${many(1000)}- rule: Z\n  matsch: {}\n`);

    expect(problems.map(({ line, column }) => [line, column])).toEqual(expect.arrayContaining([[3002, 3]]));
  });

  it("let others have their turn while they are loaded", async () => {
    let turns = 0;
    const counting = setInterval(() => {
      turns += 1;
    }, 0);

    await readRules(["rules.yaml"], catalogue, async () => many(3000));

    clearInterval(counting);
    expect(turns).toBeGreaterThan(2);
  });
});

describe("printing", () => {
  const everything = `
- action: Isolate
  actionner: kubernetes:networkpolicy
  parameters: { allow: [10.0.0.0/8] }
- rule: "Odd: # name"
  description: "1.10"
  match: { rules: ["yes", "null", A], priority: "<=Warning", tags: ["a, b"], output_fields: ['a=x\\, y, b!=\\z', "c=1"] }
  continue: false
  actions:
    - action: Isolate
      parameters: { allow_cidr: [::/0], allow_namespaces: ["5", "true"] }
    - { action: L, actionner: kubernetes:label, parameters: { labels: { v: 1.10, on: "true" } }, continue: false }
    - { action: G, actionner: kubernetes:log, output: { target: local:file, parameters: { destination: /x } } }
- { rule: All, match: {}, dry_run: true, actions: [{ action: D, actionner: kubernetes:delete }], notifiers: [webhook] }
`;

  it("makes a rules file that loads to an equal set", () => {
    const before = loading(everything);
    const printed = printRules(effectiveOf(before));

    const after = loading(printed);

    expect(effectiveOf(after)).toEqual(effectiveOf(before));
    expect(parse(printed)).toHaveLength(2);
    const event = eventOf({ rule: "yes", priority: "Notice", tags: ["b", "a"], fields: { a: "x, y", b: "w" } });
    expect(after.rules?.match(event).map(({ name }) => name)).toEqual(["Odd: # name"]);
    expect(before.rules?.match(event).map(({ name }) => name)).toEqual(["Odd: # name"]);
  });
});

function loading(...texts: string[]): RulesReading {
  return loadRules(
    texts.map((text, index) => ({ path: `${index}.yaml`, text })),
    catalogue,
  );
}

function effective(...texts: string[]): readonly EffectiveRule[] {
  return effectiveOf(loading(...texts));
}

function effectiveOf(reading: RulesReading): readonly EffectiveRule[] {
  expect(reading.problems.map(describeProblem)).toEqual([]);
  return reading.rules === undefined ? [] : reading.effective;
}
