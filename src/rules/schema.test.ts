import { readdirSync, readFileSync } from "node:fs";
import { Ajv } from "ajv";
import { describe, expect, it } from "vitest";
import { rulesCatalogue } from "../../test/support/rules-catalogue.ts";
import { formats } from "../schema/read.ts";
import { readYaml } from "../schema/yaml.ts";
import { rulesSchema } from "./schema.ts";

const accepts = new Ajv({
  strict: true,
  strictTypes: false,
  strictRequired: false,
  formats,
}).compile(rulesSchema(rulesCatalogue()));
const bad = new URL("fixtures/bad/", import.meta.url);

/** What an editor cannot know from one file, or what is no YAML at all. */
const beyondTheSchema = new Set([
  "action-without-actionner.yaml",
  "context-about-another-target.yaml",
  "duplicate-action-in-a-rule.yaml",
  "duplicate-key.yaml",
  "duplicate-rule.yaml",
  "duplicate-shared-action.yaml",
  "empty-rule-name.yaml",
  "field-condition-that-is-empty.yaml",
  "field-condition-without-value.yaml",
  "missing-output.yaml",
  "missing-parameter.yaml",
  "not-yaml.yaml",
  "output-without-target.yaml",
  "parameters-that-exclude-each-other.yaml",
  "rule-with-empty-actions.yaml",
  "rule-without-actions.yaml",
  "rule-without-match.yaml",
  "shared-action-without-actionner.yaml",
  "two-documents.yaml",
  "unknown-alias.yaml",
  "unknown-tag.yaml",
]);

describe("the schema of rules files", () => {
  it("accepts Talon's rules but for the names that the catalogue does not hold", () => {
    accepts(contentOf("fixtures/talon/rules.yaml"));

    const wrong = new Set((accepts.errors ?? []).map(({ keyword }) => keyword));
    expect([...wrong].filter((keyword) => keyword !== "if")).toEqual(["enum"]);
  });

  it.each(["fixtures/talon/rules_override.yaml", "fixtures/talon/chart-rules.yaml", "fixtures/good/all-keys.yaml"])(
    "accepts %s",
    (path) => {
      expect(accepts(contentOf(path)), JSON.stringify(accepts.errors)).toBe(true);
    },
  );

  it.each(readdirSync(bad).filter((name) => !beyondTheSchema.has(name)))("refuses %s", (name) => {
    expect(accepts(contentOf(`fixtures/bad/${name}`))).toBe(false);
  });

  it("describes the parameters of each actionner with their defaults", () => {
    expect(JSON.stringify(rulesSchema(rulesCatalogue()))).toContain(
      '"grace_period_seconds":{"description":"Seconds the pod gets to stop."',
    );
  });
});

function contentOf(path: string): unknown {
  const { document } = readYaml(path, readFileSync(new URL(path, import.meta.url), "utf8"));
  return document?.value;
}
