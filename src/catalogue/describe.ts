import { stringify } from "yaml";
import type { TargetKind } from "../events/target.ts";
import type { Field, FieldSchema, Fields } from "../schema/field.ts";
import type { Actionner, Catalogue, Context, Example, Notifier, Output, PolicyRule } from "./catalogue.ts";

export type EntryKind = keyof Catalogue;

/** An entry of the catalogue as listings and the reference show it. */
export interface EntryDescription {
  readonly id: string;
  readonly summary: string;
  /** Markdown. */
  readonly description?: string;
  /** What tells entries of its kind apart. */
  readonly traits: Readonly<Record<string, string | boolean | readonly string[]>>;
  readonly parameters: readonly FieldDescription[];
  /** Of the configuration file. */
  readonly settings: readonly FieldDescription[];
  /** `get, delete pods`. */
  readonly permissions: readonly string[];
  readonly undo?: string;
  readonly examples: readonly ExampleDescription[];
}

export interface FieldDescription {
  readonly name: string;
  /** `integer`, `pod | node`. */
  readonly type: string;
  readonly required: boolean;
  readonly secret: boolean;
  readonly default?: Field["default"];
  /** `1 to 30`, `at least 1`. */
  readonly bounds?: string;
  readonly aliases: readonly string[];
  readonly summary: string;
}

export interface ExampleDescription {
  readonly title: string;
  /** A rules file, YAML. */
  readonly rule: string;
}

/** The entries of one kind, in the catalogue's order. */
export function describeEntries(kind: EntryKind, catalogue: Catalogue): readonly EntryDescription[] {
  switch (kind) {
    case "actionners":
      return [...catalogue.actionners.values()].map((actionner) => describeActionner(actionner, catalogue));
    case "contexts":
      return [...catalogue.contexts.values()].map(describeContext);
    case "outputs":
      return [...catalogue.outputs.values()].map((output) => describeOutput(output, catalogue));
    case "notifiers":
      return [...catalogue.notifiers.values()].map(describeNotifier);
  }
}

export function describeFields(fields: Fields): readonly FieldDescription[] {
  return Object.entries(fields).map(([name, field]) => {
    const bounds = boundsOf(field.schema);
    return {
      name,
      type: typeOf(field),
      required: field.required,
      secret: field.secret,
      ...(field.default !== undefined && { default: field.default }),
      ...(bounds !== "" && { bounds }),
      aliases: field.aliases,
      summary: field.summary,
    };
  });
}

const eventFieldsOf: Readonly<Record<TargetKind, string>> = {
  pod: "pod (k8s.pod.name, k8s.ns.name)",
  resource: "resource (ka.target.resource, ka.target.name)",
  none: "none",
};

function describeActionner(actionner: Actionner, catalogue: Catalogue): EntryDescription {
  const { target, needs, output, continues, idempotent, destructive, undo, params, examples } = actionner;
  return {
    ...common(actionner),
    traits: { target: eventFieldsOf[target], ...(needs && { needs }), output, continues, idempotent, destructive },
    parameters: describeFields(params),
    settings: [],
    undo,
    examples: examples.map((example) => ({
      title: example.title,
      rule: ruleOf(example, { actionner, output: output === "required" ? exampleOutput(catalogue) : undefined }),
    })),
  };
}

function describeContext(context: Context): EntryDescription {
  return {
    ...common(context),
    traits: { target: eventFieldsOf[context.target], elements: context.elements },
    parameters: [],
    settings: [],
    examples: [],
  };
}

function describeOutput(output: Output, catalogue: Catalogue): EntryDescription {
  const actionner = [...catalogue.actionners.values()].find((one) => one.output !== "none");
  return {
    ...common(output),
    traits: {},
    parameters: describeFields(output.params),
    settings: [],
    examples:
      actionner === undefined
        ? []
        : output.examples.map((example) => ({
            title: example.title,
            rule: ruleOf(
              { title: example.title, parameters: actionner.examples[0]?.parameters ?? {} },
              { actionner, output: { target: output.id, parameters: example.parameters } },
            ),
          })),
  };
}

function describeNotifier(notifier: Notifier): EntryDescription {
  return {
    ...common(notifier),
    traits: {},
    parameters: [],
    settings: describeFields(notifier.settings),
    examples: [],
  };
}

function common({
  id,
  summary,
  description,
  rbac,
}: {
  readonly id: string;
  readonly summary: string;
  readonly description?: string;
  readonly rbac: readonly PolicyRule[];
}): Pick<EntryDescription, "id" | "summary" | "description" | "permissions"> {
  return { id, summary, ...(description !== undefined && { description }), permissions: rbac.map(permissionOf) };
}

/** `get, delete pods`, `create events (events.k8s.io)`. */
function permissionOf({ apiGroups, resources, verbs }: PolicyRule): string {
  const groups = apiGroups.filter((group) => group !== "");
  return `${verbs.join(", ")} ${resources.join(", ")}${groups.length === 0 ? "" : ` (${groups.join(", ")})`}`;
}

interface ExampleStep {
  readonly actionner: Actionner;
  readonly output: { readonly target: string; readonly parameters: Example["parameters"] } | undefined;
}

/** Rules of Falco's own, so that an example works as it stands. */
const exampleMatches: Readonly<Record<TargetKind, object>> = {
  pod: { rules: ["Terminal shell in container"] },
  resource: { rules: ["Create/Modify Configmap With Private Credentials"], source: "k8s_audit" },
  none: { rules: ["Terminal shell in container"] },
};

/** The only one of Falco's own rules that sends a remote IP. */
const exampleConnection = { rules: ["Redirect STDOUT/STDIN to Network Connection in Container"] };

function ruleOf({ title, parameters }: Example, { actionner, output }: ExampleStep): string {
  const action = {
    action: title,
    actionner: actionner.id,
    ...(Object.keys(parameters).length > 0 && { parameters }),
    ...(output !== undefined && { output }),
  };
  const match = actionner.needs === undefined ? exampleMatches[actionner.target] : exampleConnection;
  return stringify([{ rule: title, match, actions: [action] }], { lineWidth: 0 });
}

function exampleOutput({ outputs }: Catalogue): ExampleStep["output"] {
  const output = [...outputs.values()].find(({ examples }) => examples.length > 0);
  return output && { target: output.id, parameters: output.examples[0]?.parameters ?? {} };
}

function typeOf({ schema, secret }: Field): string {
  switch (schema.type) {
    case "array":
      return `list of ${schema.items?.enum?.join(" | ") ?? (schema.items?.format === "cidr" ? "IP ranges" : "texts")}`;
    case "object":
      return secret ? "map, secret" : "map";
    case "boolean":
      return "true | false";
    case "integer":
      return "integer";
    default:
      return schema.enum?.join(" | ") ?? textTypeOf(schema, secret);
  }
}

function textTypeOf({ format }: FieldSchema, secret: boolean): string {
  const words = { uri: "URL", cidr: "IP range" }[format ?? ""] ?? "text";
  return secret ? `${words}, secret` : words;
}

function boundsOf({ minimum, maximum, minLength, minItems, minProperties, pattern }: FieldSchema): string {
  const least = minLength ?? minItems ?? minProperties ?? 0;
  return [
    rangeOf(minimum, maximum),
    least === 1 ? "not empty" : least > 1 ? `at least ${least} long` : undefined,
    pattern === undefined ? undefined : `matches \`${pattern}\``,
  ]
    .filter((part) => part !== undefined)
    .join(", ");
}

function rangeOf(minimum: number | undefined, maximum: number | undefined): string | undefined {
  if (minimum !== undefined && maximum !== undefined) {
    return `${minimum} to ${maximum}`;
  }
  return minimum === undefined ? (maximum === undefined ? undefined : `at most ${maximum}`) : `at least ${minimum}`;
}
