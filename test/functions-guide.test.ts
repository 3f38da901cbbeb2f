import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readRules } from "../src/rules/load.ts";
import { realCatalogue } from "./support/real-catalogue.ts";

const page = "docs/functions.md";
const text = readFileSync(new URL(`../${page}`, import.meta.url), "utf8");
const examples = [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, rules = ""]) => [
  /^- rule: (.*)$/m.exec(rules)?.[1] ?? "",
  rules,
]);

describe("the guide to functions", () => {
  it("shows every actionner that calls one", () => {
    const shown = new Set([...text.matchAll(/^ +actionner: (.*)$/gm)].map(([, id]) => id));

    expect([...shown].sort()).toEqual(["aws:lambda", "gcp:function", "http:call"]);
  });

  it.each(examples)("has an example that loads: %s", async (_title, rules = "") => {
    const { problems } = await readRules([page], realCatalogue, async () => rules);

    expect(problems).toEqual([]);
  });
});
