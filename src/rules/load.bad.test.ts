import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { rulesCatalogue } from "../../test/support/rules-catalogue.ts";
import { describeProblem } from "../schema/problem.ts";
import { loadRules } from "./load.ts";

const folder = new URL("fixtures/bad/", import.meta.url);

const nameRule = "at most 63 letters, digits and -_. with a letter or digit at both ends";

/** Each file of fixtures/bad, named after its fault, and all that is told of it (without the file's name). */
const faults: [name: string, problems: string[]][] = [
  ["action-that-is-a-text", ['4:13: error: an action of a rule is a map (write "- action: <name>")']],
  [
    "action-without-actionner",
    [
      '5:15: error: action "Terminate Pods" has no actionner, and there is no shared action of this name (did you mean "Terminate Pod"?)',
    ],
  ],
  ["action-without-name", ['5:7: error: "action" is missing']],
  ["block-of-both-kinds", ['2:3: error: a block is either a "rule" or an "action", not both']],
  ["block-of-no-kind", ['1:3: error: a block needs a "rule" or an "action", its name (did you mean "rule"?)']],
  ["block-that-is-a-text", ['1:3: error: a block needs a "rule" or an "action", its name']],
  [
    "context-about-another-target",
    ['7:29: error: context "k8snode" is about a pod, and kubernetes:delete works on a resource'],
  ],
  ["duplicate-action-in-a-rule", ['7:15: error: action "Stop" is given twice in one rule']],
  ["duplicate-key", ['3:3: error: key "continue" is given twice']],
  ["duplicate-rule", ['9:9: error: rule "Shell" is given twice in one file']],
  ["duplicate-shared-action", ['3:11: error: action "Stop" is given twice in one file']],
  ["empty-file", [' error: the file is empty (write "- rule: …" and "- action: …" blocks, or [] for none)']],
  ["empty-rule-name", ['1:9: error: "rule" must be filled in, not empty']],
  ["empty-source", ['3:13: error: "source" must be filled in, not empty']],
  ["match-key-without-value", ['3:5: error: "rules" has no value (remove the key where it shall be no condition)']],
  ["empty-tag", ['4:9: error: "container,,shell" has an empty tag']],
  ["field-condition-that-is-empty", ["4:9: error: a condition is empty (write field=value or field!=value)"]],
  ["field-condition-with-unknown-operator", ['4:9: error: "fd.rport>" in "fd.rport>=1024" is not the name of a field']],
  [
    "field-condition-without-operator",
    ['4:9: error: "k8s.ns.name" is no condition (write field=value or field!=value)'],
  ],
  ["field-condition-without-value", ['4:9: error: "k8s.ns.name!=" has no value after the operator']],
  [
    "label-that-kubernetes-refuses",
    [
      `8:23: error: "labels.suspicious" must be a label's value (${nameRule}), not "yes, very"`,
      `9:11: error: the key "-owner" of "labels" must be a label's key, such as suspicious or example.com/owner (${nameRule}; before it perhaps a DNS name and a slash)`,
      `10:11: error: the key "example.com/seen by" of "labels" must be a label's key, such as suspicious or example.com/owner (${nameRule}; before it perhaps a DNS name and a slash)`,
      `12:17: error: "labels.file" must be a label's value (${nameRule}), not "\${FD_NAME}"`,
    ],
  ],
  [
    "keys-in-another-map",
    [
      '2:3: error: unknown key "rules" (it belongs below "match")',
      '4:3: error: unknown key "parameters" (it belongs to one of "actions")',
      '8:7: error: unknown key "target" (it belongs below "output")',
      '10:7: error: unknown key "dry_run" (it belongs to the rule itself)',
      '13:5: error: unknown key "notifiers" (it belongs to the rule itself)',
    ],
  ],
  [
    "many-at-once",
    [
      '2:14: error: unknown actionner "kubernetes:terminat" (did you mean "kubernetes:terminate"?)',
      '5:3: error: unknown key "dryrun" (did you mean "dry_run"?)',
      '7:15: error: unknown priority "Crit" (one of Emergency, Alert, Critical, Error, Warning, Notice, Informational, Debug, after one of = < <= > >=)',
      '8:21: error: "a" is no condition (write field=value or field!=value)',
      '15:16: error: "level" must be one of pod, node, not "5"',
      '16:15: error: unknown notifier "slack" ("hallux notifiers list" shows what there is)',
    ],
  ],
  [
    "missing-output",
    ['5:15: error: kubernetes:download needs an output (write "output: { target: <category:name>, parameters: {…} }")'],
  ],
  ["missing-parameter", ['5:7: error: kubernetes:label: parameter "labels" is missing']],
  [
    "not-a-list",
    [
      '1:1: error: a rules file is a list of rules and actions (write "- rule: …" and "- action: …" blocks, or [] for none)',
    ],
  ],
  [
    "not-yaml",
    ["3:3: error: not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]"],
  ],
  ["output-where-none-is-taken", ["7:7: error: kubernetes:terminate stores nothing and takes no output"]],
  ["output-without-target", ['8:9: error: the output has no "target" (its category:name)']],
  ["parameter-not-a-choice", ['9:16: error: "level" must be one of pod, node, not "nodes"']],
  [
    "parameter-not-an-ip-range",
    ['10:13: error: "allow_cidr[1]" must be an IP range such as 10.0.0.0/8, not "10.0.0.0/33"'],
  ],
  ["parameter-of-actionner-without-any", ['8:9: error: unknown key "force" (none is known here)']],
  ["parameter-too-small", ['7:43: error: "grace_period_seconds" must be at least 0, not -1']],
  ["parameters-that-exclude-each-other", ['7:7: error: kubernetes:script: give either "script" or "file"']],
  ["priority-with-unknown-operator", ['3:15: error: unknown priority "!=Critical" (did you mean "Critical"?)']],
  ["rule-with-empty-actions", ['1:9: error: rule "Shell" has no actions']],
  ["rule-without-actions", ['1:9: error: rule "Shell" has no actions']],
  ["rule-without-match", ['1:9: error: rule "Shell" has no "match" (write "match: {}" for every event)']],
  [
    "shared-action-without-actionner",
    [
      '1:11: error: action "Stop" has no actionner (where it changes an action of another file, name that file before this one)',
    ],
  ],
  [
    "token-that-is-none",
    [
      `4:11: error: "file" must be a text in which each "\${" begins a token such as \${FD_NAME}, not "/proc/\${PROC_PID/exe"`,
      `13:27: error: "file" must be a text in which each "\${" begins a token such as \${FD_NAME}, not "\${FD_NAME}\${fd.name}"`,
    ],
  ],
  ["two-documents", ["9:1: error: a second YAML document begins here (put everything into one document, without ---)"]],
  ["unknown-action-key", ['7:7: error: unknown key "ignore_error" (did you mean "ignore_errors"?)']],
  [
    "unknown-actionner",
    ['6:18: error: unknown actionner "kubernetes:terminat" (did you mean "kubernetes:terminate"?)'],
  ],
  [
    "unknown-alias",
    ["2:10: error: no anchor of this name stands before the alias (a text that begins with * needs quotes)"],
  ],
  ["unknown-context", ['7:29: error: unknown context "k8snodes" (did you mean "k8snode"?)']],
  ["unknown-match-key", ['3:5: error: unknown key "rule" (did you mean "rules"?)']],
  ["unknown-notifier", ['2:26: error: unknown notifier "webhok" (did you mean "webhook"?)']],
  ["unknown-output-key", ['9:9: error: unknown key "params" (known: target, parameters)']],
  ["unknown-output-parameter", ['11:11: error: unknown key "prefix" (known: destination)']],
  ["unknown-output", ['8:17: error: unknown output "local:files" (did you mean "local:file"?)']],
  ["unknown-parameter", ['8:9: error: unknown key "ignore_daemonset" (did you mean "ignore_daemonsets"?)']],
  ["unknown-priority", ['3:15: error: unknown priority ">=Critcal" (did you mean "Critical"?)']],
  ["unknown-rule-key", ['2:3: error: unknown key "dryrun" (did you mean "dry_run"?)']],
  ["unknown-tag", ["2:16: error: not valid YAML: unknown tag (a text that begins with ! needs quotes)"]],
  ["wrong-type-of-actions", ['4:12: error: "actions" must be a list, not "Label"']],
  ["wrong-type-of-flag", ['2:13: error: "continue" must be true or false, not "yes please"']],
  ["wrong-type-of-list", ['3:12: error: "rules" must be a list, not "Terminal shell in container"']],
  ["wrong-type-of-match", ['2:10: error: "match" must be a map of keys and values, not a list']],
  ["wrong-type-of-parameter", ['8:31: error: "grace_period_seconds" must be an integer, not "abc"']],
  ["wrong-type-of-parameters", ['7:19: error: "parameters" must be a map of keys and values, not a list']],
];

describe("a rules file that is wrong", () => {
  it.each(faults)("does not load and says where and why: %s", (name, expected) => {
    const path = `${name}.yaml`;
    const text = readFileSync(new URL(path, folder), "utf8");

    const { rules, problems } = loadRules([{ path, text }], rulesCatalogue());

    expect(problems.map((problem) => describeProblem(problem).slice(path.length + 1))).toEqual(expected);
    expect(rules).toBeUndefined();
  });

  it("shows the text at fault", () => {
    const text = readFileSync(new URL("unknown-parameter.yaml", folder), "utf8");

    const { problems } = loadRules([{ path: "x.yaml", text }], rulesCatalogue());

    expect(problems).toMatchObject([{ line: 8, column: 9, text: "ignore_daemonset" }]);
  });

  it("has a test here", () => {
    expect(readdirSync(folder).sort()).toEqual(faults.map(([name]) => `${name}.yaml`).sort());
  });
});
