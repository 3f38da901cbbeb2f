import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { rulesCatalogue } from "../../test/support/rules-catalogue.ts";
import { fileProblem } from "../schema/yaml.ts";
import { type RulesDeps, rulesCommand } from "./rules.ts";
import { schemaCommand } from "./schema.ts";

const good = readFileSync(new URL("../rules/fixtures/good/all-keys.yaml", import.meta.url), "utf8");
const bad = readFileSync(new URL("../rules/fixtures/bad/many-at-once.yaml", import.meta.url), "utf8");

const shell = JSON.stringify({
  rule: "Terminal shell in container",
  priority: "Notice",
  source: "syscall",
  tags: ["container", "shell"],
  time: "2026-01-01T00:00:00Z",
  output_fields: { "k8s.ns.name": "shop", "k8s.pod.name": "cart-1", "proc.tty": 34816 },
});

describe("rules check", () => {
  it("counts what is good", async () => {
    const ran = await run(["check", "-r", "good.yaml"], { "good.yaml": good });

    expect(ran).toEqual({ out: "2 rules, 5 actions: no problems\n", err: "", code: 0 });
  });

  it("tells each problem on a line of standard error and exits 1", async () => {
    const ran = await run(["check", "-r", "bad.yaml"], { "bad.yaml": bad });

    expect(ran.err.trimEnd().split("\n")).toHaveLength(6);
    expect(ran.err).toContain('bad.yaml:5:3: error: unknown key "dryrun" (did you mean "dry_run"?)\n');
    expect(ran).toMatchObject({ out: "", code: 1 });
  });

  it("tells them as JSON", async () => {
    const ran = await run(["check", "-r", "bad.yaml", "--output", "json"], { "bad.yaml": bad });

    expect(JSON.parse(ran.out)).toContainEqual({
      file: "bad.yaml",
      line: 5,
      column: 3,
      text: "dryrun",
      message: 'unknown key "dryrun"',
      hint: 'did you mean "dry_run"?',
    });
    expect(ran).toMatchObject({ err: "", code: 1 });
  });

  it("tells no problems as an empty list", async () => {
    const ran = await run(["check", "-r", "good.yaml", "-o", "json"], { "good.yaml": good });

    expect(JSON.parse(ran.out)).toEqual([]);
  });

  it("remarks on files that rules name and that are not here, once each, and finds nothing wrong", async () => {
    const here = fileURLToPath(import.meta.url);
    const rules = `
- action: Collect
  actionner: kubernetes:script
  parameters:
    file: /nowhere/collect.sh
- rule: Once
  match: {}
  actions: [{ action: Collect }, { action: Here, actionner: kubernetes:script, parameters: { file: ${here} } }]
- rule: Again
  match: {}
  actions: [{ action: Collect }]
`;

    const text = await run(["check", "-r", "rules.yaml"], { "rules.yaml": rules });
    const json = await run(["check", "-r", "rules.yaml", "-o", "json"], { "rules.yaml": rules });

    const remark =
      "rules.yaml:5:11: remark: the file /nowhere/collect.sh cannot be read on this machine: it does not exist (it must be there where Hallux runs)\n";
    expect(text).toEqual({ out: "2 rules, 3 actions: no problems\n", err: remark, code: 0 });
    expect(json).toEqual({ out: "[]\n", err: remark, code: 0 });
  });

  it("tells a file that cannot be read", async () => {
    const ran = await run(["check", "-r", "absent.yaml", "-r", "good.yaml"], { "good.yaml": good });

    expect(ran.err).toBe("absent.yaml: error: the file cannot be read: it does not exist\n");
    expect(ran.code).toBe(1);
  });

  it("reads the configuration's files where none is named", async () => {
    const ran = await run(["check", "-c", "config.yaml"], { "from-config.yaml": good });

    expect(ran.out).toBe("2 rules, 5 actions: no problems\n");
  });

  it("says how files are named where one is named without -r", async () => {
    const check = rulesCommand(depsOf({ out: "", err: "", code: 0 }, {})).commands.find(
      (one) => one.name() === "check",
    );
    let told = "";
    check?.exitOverride().configureOutput({
      writeErr: (text) => {
        told += text;
      },
    });

    const parsed = check?.parseAsync(["good.yaml"], { from: "user" });

    await expect(parsed).rejects.toMatchObject({ code: "commander.excessArguments" });
    expect(told).toMatch(/good\.yaml\.\n\n?\(rules files are named by -r; /);
  });

  it("says in its help that -r may be given again, and what counts without it", () => {
    const check = rulesCommand(depsOf({ out: "", err: "", code: 0 }, {})).commands.find(
      (one) => one.name() === "check",
    );

    const help = check?.helpInformation().replaceAll(/\s+/g, " ");

    expect(help).toContain(
      "rules file; may be given again, later ones over earlier ones (default: rules_files of the configuration)",
    );
  });

  it("tells what is wrong with the configuration", async () => {
    const ran = await run(["check", "-c", "broken.yaml"], {});

    expect(ran).toEqual({ out: "", err: "broken.yaml: error: no such luck\n", code: 1 });
  });
});

describe("rules print", () => {
  it("prints one rules file that checks and prints the same", async () => {
    const override = "- { rule: Everything else, dry_run: true }";

    const first = await run(["print", "-r", "a", "-r", "b"], { a: good, b: override });
    const second = await run(["print", "-r", "printed"], { printed: first.out });

    expect(first.out).toContain("- rule: Everything else\n  match: {}\n  continue: true\n  dry_run: true\n");
    expect(second.out).toBe(first.out);
  });

  it("prints nothing of a set that does not load", async () => {
    const ran = await run(["print", "-r", "bad.yaml"], { "bad.yaml": bad });

    expect(ran).toMatchObject({ out: "", code: 1 });
  });
});

describe("rules explain", () => {
  it("tells what each rule would do, and why not", async () => {
    const rules = `
- rule: Shell in the shop
  match: { output_fields: ["k8s.ns.name=shop"] }
  continue: false
  dry_run: true
  actions:
    - { action: Mark, actionner: kubernetes:label, parameters: { labels: { suspicious: "true" } } }
    - { action: Call, actionner: aws:lambda, parameters: { aws_lambda_name: f }, additional_contexts: [aws] }
    - { action: Delete, actionner: kubernetes:delete }
    - { action: Terminate, actionner: kubernetes:terminate }
    - { action: Log, actionner: kubernetes:log, output: { target: local:file, parameters: { destination: /x } } }
- rule: Critical in the shop
  match: { priority: Critical, output_fields: ["k8s.ns.name!=shop"] }
  actions: [{ action: Terminate, actionner: kubernetes:terminate }]
`;

    const ran = await run(["explain", "-r", "r.yaml", "event.json"], { "r.yaml": rules, "event.json": shell });

    expect(ran.out).toMatchInlineSnapshot(`
      "1. Shell in the shop: applies, as a dry run: nothing is changed
         - Mark (kubernetes:label) on pod shop/cart-1
             labels:
               suspicious: "true"
             level: pod
         - Call (aws:lambda)
             aws_lambda_name: f
             aws_lambda_alias_or_version: $LATEST
             aws_lambda_invocation_type: RequestResponse
             additional_contexts:
               - aws
         - Delete (kubernetes:delete): does not run: the event names no resource (ka.target.resource, ka.target.name)
         - Terminate (kubernetes:terminate) on pod shop/cart-1
             grace_period_seconds: 0
             ignore_daemonsets: false
             ignore_statefulsets: false
             ignore_standalone_pods: true
         - Log (kubernetes:log): does not run: action "Terminate" has continue: false
         later rules are not tried (continue: false)

      2. Critical in the shop: does not apply
         - priority is Notice, not Critical
         - k8s.ns.name!=shop fails: k8s.ns.name is "shop"
         - rule "Shell in the shop" applies and has continue: false

      1 of 2 rules apply
      "
    `);
    expect(ran).toMatchObject({ err: "", code: 0 });
  });

  it("tells what a guard will refuse", async () => {
    const rules = `
- rule: Shell
  match: { rules: [Terminal shell in container] }
  actions: [{ action: Delete, actionner: kubernetes:delete }]
`;
    const target = { "ka.target.resource": "secrets", "ka.target.name": "s", "ka.target.namespace": "kube-system" };
    const event = JSON.stringify({ ...JSON.parse(shell), output_fields: target });

    const ran = await run(["explain", "-r", "rules.yaml", "event.json"], { "rules.yaml": rules, "event.json": event });

    expect(ran.out).toContain(
      "- Delete (kubernetes:delete): does not run: refused: namespace kube-system is protected",
    );
  });

  it("takes the event from standard input", async () => {
    const ran = await run(["explain", "-r", "good.yaml", "-o", "json", "-"], { "good.yaml": good, "-": shell });

    expect(JSON.parse(ran.out)).toMatchObject([
      { rule: "Shell in the shop", applies: true, dry_run: true, actions: [{ target: "pod shop/cart-1" }, {}, {}, {}] },
      {
        rule: "Everything else",
        applies: false,
        reasons: ['rule "Shell in the shop" applies and has continue: false'],
      },
    ]);
  });

  it("tells that the event is none, and what is wrong with the rules, at once", async () => {
    const ran = await run(["explain", "-r", "absent.yaml", "event.json"], { "event.json": "{" });

    expect(ran.err).toContain("absent.yaml: error: the file cannot be read: it does not exist\n");
    expect(ran.err).toContain("event.json: error: not a Falco event: ");
    expect(ran).toMatchObject({ out: "", code: 1 });
  });

  it("tells that the event cannot be read", async () => {
    const ran = await run(["explain", "-r", "good.yaml", "absent.json"], { "good.yaml": good });

    expect(ran).toMatchObject({ err: "absent.json: error: the file cannot be read: it does not exist\n", code: 1 });
  });
});

describe("schema", () => {
  it("prints a JSON Schema", async () => {
    let out = "";
    const command = schemaCommand({
      catalogue: rulesCatalogue(),
      write: (text) => {
        out += text;
      },
    });

    await command.parseAsync([], { from: "user" });

    expect(JSON.parse(out)).toMatchObject({ $schema: "http://json-schema.org/draft-07/schema#", type: "array" });
  });
});

interface Ran {
  readonly out: string;
  readonly err: string;
  readonly code: number;
}

async function run(args: readonly string[], files: Readonly<Record<string, string>>): Promise<Ran> {
  const ran = { out: "", err: "", code: 0 };
  await rulesCommand(depsOf(ran, files)).parseAsync([...args], { from: "user" });
  return ran;
}

function depsOf(ran: { -readonly [K in keyof Ran]: Ran[K] }, files: Readonly<Record<string, string>>): RulesDeps {
  const read = async (path: string) =>
    files[path] ?? Promise.reject(Object.assign(new Error("no such file"), { code: "ENOENT" }));
  return {
    catalogue: rulesCatalogue(),
    readFile: read,
    readStdin: () => read("-"),
    write: (text) => {
      ran.out += text;
    },
    writeError: (text) => {
      ran.err += text;
    },
    setExitCode: (code) => {
      ran.code = code;
    },
    settings: (path) =>
      path === "broken.yaml"
        ? { files: [], protectedNamespaces: [], problems: [fileProblem(path, "no such luck")] }
        : { files: ["from-config.yaml"], protectedNamespaces: ["kube-system"], problems: [] },
    now: () => "2026-01-01T00:00:00.000Z",
  };
}
