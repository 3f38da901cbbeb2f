import { type Field, flag, text, textList } from "../schema/field.ts";
import { compileFields } from "../schema/read.ts";

/** The keys of a rules file, declared once: their check, their merging and the editor's schema come from here. */

const actionKeys = {
  action: name("Name of the action; where it is that of a shared action, that one is the base of this one"),
  description: text("What it is for"),
  actionner: text("What it does, category:name"),
  continue: flag("Whether the rule's following actions run afterwards; the default depends on the actionner"),
  ignore_errors: flag("Whether the rule's following actions run although this one failed"),
  additional_contexts: textList("Facts to fetch before it runs"),
  parameters: map("What the actionner is told"),
  output: map("Where its artifact is stored"),
};

const ruleKeys = {
  rule: name("Name of the rule"),
  description: text("What it is for"),
  match: map("Which events it applies to: all of these conditions must hold; {} is every event"),
  continue: flag("Whether later rules are tried for the same event; the default is true"),
  dry_run: flag("Say what would be done, and do nothing; the default is false"),
  actions: list("What to do, in order"),
  notifiers: textList("Whom to tell, in addition to the configuration's default_notifiers"),
};

const matchKeys = {
  rules: textList("Falco rules, any of them; none is every rule"),
  priority: text("A priority, or a comparison with one: >=Critical"),
  source: text("Falco's source: syscall, k8s_audit …; or hallux, for responses that come back from Falcosidekick", {
    minLength: 1,
  }),
  tags: textList("Tags, any of these items; within an item all of the comma-separated ones"),
  output_fields: textList(
    "Conditions field=value or field!=value, any of these items; within an item all of the comma-separated ones",
  ),
};

const outputKeys = {
  target: text("Which output, category:name"),
  parameters: map("What the output is told"),
};

export const grammar = { action: actionKeys, rule: ruleKeys, match: matchKeys, output: outputKeys };

export const readers = {
  action: compileFields(actionKeys),
  rule: compileFields(ruleKeys),
  match: compileFields(matchKeys),
  output: compileFields(outputKeys),
};

const homes = {
  rule: "it belongs to the rule itself",
  match: 'it belongs below "match"',
  action: 'it belongs to one of "actions"',
  output: 'it belongs below "output"',
} as const satisfies Readonly<Record<keyof typeof grammar, string>>;

/** Where a key belongs that this map does not know, in words. */
export function homeOf(key: string): string | undefined {
  const kind = (Object.keys(homes) as (keyof typeof homes)[]).find((one) => Object.hasOwn(grammar[one], key));
  return kind && homes[kind];
}

function name(summary: string): Field<string> {
  const field = text(summary, { required: true, minLength: 1 });
  return { ...field, tolerate: (value) => trimmed(field.tolerate(value)) };
}

function trimmed(value: unknown): unknown {
  return typeof value === "string" ? value.trim() : value;
}

function map(summary: string): Field<Readonly<Record<string, unknown>> | undefined> {
  return asGiven(summary, "object");
}

function list(summary: string): Field<readonly unknown[] | undefined> {
  return asGiven(summary, "array");
}

function asGiven<T>(summary: string, type: "object" | "array"): Field<T> {
  const tolerate = (value: unknown) => value;
  return { summary, schema: { type }, required: false, default: undefined, aliases: [], secret: false, tolerate };
}
