import type { Catalogue } from "../catalogue/catalogue.ts";
import { priorities } from "../events/priority.ts";
import type { Fields } from "../schema/field.ts";
import { type JsonSchema, jsonSchemaOf } from "../schema/read.ts";
import { grammar } from "./grammar.ts";

/**
 * The rules file for editors: JSON Schema draft-07. Each file alone: what another file may complete (a missing parameter, a
 * rule without actions) is no error in it.
 */
export function rulesSchema(catalogue: Catalogue): JsonSchema {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Hallux rules",
    description: "Rules that say which actions answer which Falco events, and actions that rules share.",
    type: "array",
    items: {
      type: "object",
      ...branch({ required: ["rule"] }, { $ref: "#/definitions/rule" }),
      else: { $ref: "#/definitions/action" },
    },
    definitions: {
      rule: ruleSchema(catalogue),
      match: matchSchema(),
      action: actionSchema(catalogue),
      output: outputSchema(catalogue),
    },
  };
}

type Properties = Readonly<Record<string, JsonSchema>>;

/** The schema of the fields, with some of them said more exactly. */
function refine(fields: Fields, refined: Properties): JsonSchema {
  const schema = jsonSchemaOf(fields);
  const properties = schema["properties"] as Properties;
  const merged = Object.entries(refined).map(([name, more]) => [name, { ...properties[name], ...more }]);
  return { ...schema, properties: { ...properties, ...Object.fromEntries(merged) } };
}

function ruleSchema({ notifiers }: Catalogue): JsonSchema {
  return refine(grammar.rule, {
    match: { allOf: [{ $ref: "#/definitions/match" }] },
    actions: { items: { $ref: "#/definitions/action" } },
    notifiers: { items: oneOf(notifiers) },
  });
}

function matchSchema(): JsonSchema {
  return refine(grammar.match, {
    priority: { type: "string", pattern: priorityPattern() },
    tags: { items: { type: "string", pattern: "^[^,]*[^,\\s][^,]*(,[^,]*[^,\\s][^,]*)*$" } },
    output_fields: { items: { type: "string", pattern: "^\\s*[^\\s<>!=]+\\s*!?=\\s*\\S" } },
  });
}

function actionSchema({ actionners, contexts }: Catalogue): JsonSchema {
  const entries = [...actionners.values()];
  return {
    ...refine(grammar.action, {
      actionner: oneOf(actionners),
      additional_contexts: { items: oneOf(contexts) },
      output: { allOf: [{ $ref: "#/definitions/output" }] },
    }),
    allOf: [
      { required: ["action"] },
      ...entries.map(({ id, summary, params, output }) =>
        where("actionner", id, {
          parameters: { description: `${summary}.`, ...jsonSchemaOf(params, { partial: true }) },
          ...(output === "none" && { output: false }),
        }),
      ),
    ],
  };
}

function outputSchema({ outputs }: Catalogue): JsonSchema {
  return {
    ...refine(grammar.output, { target: oneOf(outputs) }),
    allOf: [...outputs.values()].map(({ id, params }) =>
      where("target", id, { parameters: jsonSchemaOf(params, { partial: true }) }),
    ),
  };
}

function where(key: string, id: string, properties: Readonly<Record<string, JsonSchema | boolean>>): JsonSchema {
  return branch({ properties: { [key]: { const: id } }, required: [key] }, { properties });
}

function branch(condition: JsonSchema, consequence: JsonSchema): JsonSchema {
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema, in data that is never awaited
  return { if: condition, then: consequence };
}

function oneOf(entries: ReadonlyMap<string, unknown>): JsonSchema {
  return { enum: [...entries.keys()] };
}

/** In any case, as priorities are read; JSON Schema knows no flag for it. */
function priorityPattern(): string {
  const names = [...priorities, "Info"].map((name) =>
    [...name].map((letter) => `[${letter.toUpperCase()}${letter.toLowerCase()}]`).join(""),
  );
  return `^\\s*(<=|>=|<|>|=)?\\s*(${names.join("|")})\\s*$`;
}
