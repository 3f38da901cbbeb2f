import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Document, isScalar, stringify, visit } from "yaml";
import type { PolicyRule } from "../../src/catalogue/catalogue.ts";
import { describeEntries } from "../../src/catalogue/describe.ts";
import { type NeededPermission, neededPermissions, permissionText, rolesOf } from "../../src/catalogue/permissions.ts";
import { withFileSettings } from "../../src/config/given.ts";
import { type Section, sectionsOf } from "../../src/config/schema.ts";
import { loadRules } from "../../src/rules/load.ts";
import type { Rule } from "../../src/rules/rule.ts";
import type { Field, Fields } from "../../src/schema/field.ts";
import { realCatalogue } from "../support/real-catalogue.ts";
import { dashboard } from "./dashboard.ts";

/** What the chart holds of Hallux: made from the code by `npx node test/chart/generate.ts`, and compared with it by a test. */

const root = join(import.meta.dirname, "../..");
const chart = join(root, "charts/hallux");

export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

export function shippedRules(): string {
  return readFileSync(join(root, "rules/default.yaml"), "utf8");
}

/** The ClusterRole's rules that `hallux rbac` prints for the default rules. */
export function shippedRole(): readonly PolicyRule[] {
  return clusterRole(needed(rulesIn(shippedRules()), []));
}

/** What every entry of the catalogue needs, wherever it works. */
export function fullRole(): readonly PolicyRule[] {
  const rules = describeEntries("actionners", realCatalogue).flatMap(({ examples }) =>
    examples.flatMap(({ rule }) => rulesIn(rule)),
  );
  const contexts = [...realCatalogue.contexts.keys()].flatMap((id) => rulesIn(ruleWithContext(id)));
  const anywhere = [...rules, ...contexts].map((rule) => ({ ...rule, pinned: [] }));
  return clusterRole(needed(anywhere, [...realCatalogue.notifiers.keys()]));
}

/** Of `config` in the values: the configuration without what the chart decides by itself. */
export function configSchema(): JsonSchema {
  const sections = sectionsOf(realCatalogue);
  const inside = (parent: string) =>
    sections.filter(({ path }) => path.length > 0 && path.slice(0, -1).join(".") === parent);
  const objectOf = ({ path, summary, fields }: Section): JsonSchema =>
    closed(summary, {
      ...propertiesOf(path, fields),
      ...Object.fromEntries(inside(path.join(".")).map((section) => [section.path.at(-1), objectOf(section)])),
    });
  const [general] = sections;
  if (general === undefined) {
    throw new Error("the configuration has no sections");
  }
  const { properties, ...rest } = objectOf(general);
  const notifiers = Object.fromEntries(inside("notifiers").map((section) => [section.path.at(-1), objectOf(section)]));
  return { ...rest, properties: { ...(properties as JsonSchema), notifiers: closed("Whom to tell", notifiers) } };
}

/** Of `existingSecrets` in the values: each setting that a file can hold. */
export function existingSecretsSchema(): JsonSchema {
  const settings = sectionsOf(realCatalogue).flatMap(({ path, fields }) =>
    Object.entries(fields)
      .filter(([name, { mayBeInFile }]) => mayBeInFile || filesOfSenders.test([...path, name].join(".")))
      .map(([name]) => [...path, name].join(".")),
  );
  const key = { type: "string", minLength: 1 };
  const where = {
    type: "object",
    additionalProperties: false,
    required: ["name", "key"],
    properties: { name: key, key },
  };
  return closed("Settings whose value is in a Secret", Object.fromEntries(settings.map((name) => [name, where])));
}

/** Writes all of it. */
export function writeGenerated(): void {
  writeFileSync(join(chart, "files/rules.yaml"), shippedRules());
  writeFileSync(join(chart, "files/role.yaml"), roleText(shippedRole()));
  writeFileSync(join(chart, "files/role-full.yaml"), roleText(fullRole()));
  writeFileSync(join(chart, "dashboards/hallux.json"), `${JSON.stringify(dashboard(), null, 2)}\n`);
  const path = join(chart, "values.schema.json");
  const schema = JSON.parse(readFileSync(path, "utf8"));
  const generated = { config: configSchema(), existingSecrets: existingSecretsSchema() };
  const properties = { ...schema.properties, ...generated };
  writeFileSync(path, `${JSON.stringify({ ...schema, properties }, null, 2)}\n`);
}

/** Lists of words on one line, as people write roles. */
export function roleText(rules: readonly PolicyRule[]): string {
  const document = new Document(rules);
  visit(document, {
    Seq(_, seq) {
      seq.flow = seq.items.every(isScalar);
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

const filesOfSenders = /^(tls\.client_ca_file|ledger\.nats\.\w+_file|gcp\.credentials_path|otel\.collector_ca_file)$/;
/** Where rules, ledger and certificate are is the chart's to say. */
const ofTheChart = /^(rules_files|ledger\.path|tls\.(cert|key)_file)$/;

function propertiesOf(path: readonly string[], fields: Fields): JsonSchema {
  return Object.fromEntries(
    Object.entries(withFileSettings(fields))
      .filter(([name]) => !ofTheChart.test([...path, name].join(".")))
      .flatMap(([name, field]) => [name, ...field.aliases].map((one) => [one, schemaOf(one, field)])),
  );
}

function schemaOf(name: string, { schema: { format: _, ...schema }, summary }: Field): JsonSchema {
  const port = name === "listen_port" ? { minimum: 1 } : {};
  return { description: summary, ...schema, ...port };
}

function closed(description: string, properties: JsonSchema): JsonSchema {
  return { ...(description ? { description } : {}), type: "object", additionalProperties: false, properties };
}

function needed(rules: readonly Rule[], defaultNotifiers: readonly string[]): readonly NeededPermission[] {
  return neededPermissions({ rules, defaultNotifiers, catalogue: realCatalogue });
}

/** In all namespaces, whatever they are needed in. */
function clusterRole(permissions: readonly NeededPermission[]): readonly PolicyRule[] {
  const wide = permissions.map((one) => ({ ...one, namespace: undefined }));
  const once = [...new Map(wide.map((one) => [permissionText(one), one])).values()];
  return rolesOf(once).flatMap(({ rules }) => rules.map(({ permissions: _, ...rule }) => rule));
}

function ruleWithContext(id: string): string {
  const action = { action: "Mark", actionner: "kubernetes:label", parameters: { labels: { a: "b" } } };
  return stringify([{ rule: id, match: {}, actions: [{ ...action, additional_contexts: [id] }] }]);
}

function rulesIn(text: string): readonly Rule[] {
  const { rules, problems } = loadRules([{ path: "rules.yaml", text }], realCatalogue);
  if (rules === undefined) {
    throw new Error(JSON.stringify(problems));
  }
  return rules.rules;
}
