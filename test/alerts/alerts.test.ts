import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parse, stringify } from "yaml";
import { chart, find, helm, render, run, type Values, withoutHelm } from "../chart/helm.ts";
import { promtool, withoutPromtool } from "../peers/promtool.ts";
import { type Case, cases, type Says } from "./cases.ts";
import { mustParse, unknownNames, unlessHere } from "./queries.ts";

/** A day of minutes takes promtool seconds. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

interface RulesFile {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Alert[] }[];
}

const path = join(chart, "files/alerts.yaml");
const text = readFileSync(path, "utf8");
const alerts = alertsOf(parse(text));
const runbooks = join(chart, "../../docs/runbooks");
const pages = readdirSync(runbooks).filter((name) => name !== "README.md");
const skipped = unlessHere(helm, withoutHelm) + unlessHere(promtool, withoutPromtool);

describe("the alerts", () => {
  it.each(alerts)("say in few words what is wrong, how bad it is, and where to read on: $alert", (alert) => {
    const { labels, annotations } = alert;

    expect(Object.keys(labels)).toEqual(["severity"]);
    expect(["critical", "warning", "info"]).toContain(labels["severity"]);
    expect(Object.keys(annotations)).toEqual(["summary", "description", "runbook_url"]);
    expect(annotations["summary"]).toMatch(/^[^{}]{10,90}$/);
    expect(annotations["description"]?.length).toBeGreaterThan(10);
    expect(annotations["runbook_url"]).toBe(`docs/runbooks/${alert.alert}.md`);
  });

  it.each(alerts)("ask for metrics and labels that Hallux has, of this Hallux: $alert", ({ expr }) => {
    const selectors = expr.match(/\{[^}]*\}/g) ?? [];

    expect(unknownNames(expr)).toEqual([]);
    expect(selectors.filter((selector) => !selector.startsWith('{job="hallux"'))).toEqual([]);
  });

  it.each(alerts)("keep the labels that their words name: $alert", ({ expr, annotations }) => {
    const named = [
      ...Object.values(annotations)
        .join()
        .matchAll(/\$labels\.(\w+)/g),
    ].map(([, label = ""]) => label);
    const [, by] = /^(?:sum|max|min|count) by \(([^)]*)\)/.exec(expr) ?? [];

    expect(named.filter((label) => !(by ?? "instance, pod").split(", ").includes(label))).toEqual([]);
  });

  it("have a runbook each, which the list of runbooks names with the same severity", () => {
    const list = readFileSync(join(runbooks, "README.md"), "utf8");

    const rows = [...list.matchAll(/^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \|/gm)].map(([, ...row]) => row);
    const expected = alerts.map(({ alert, labels }) => [alert, alert, labels["severity"]]);

    expect(pages.sort()).toEqual(alerts.map(({ alert }) => `${alert}.md`).sort());
    expect(rows.sort()).toEqual(expected.sort());
  });

  it("can each be changed by values of the chart", () => {
    const schema = JSON.parse(readFileSync(join(chart, "values.schema.json"), "utf8"));

    const names = Object.keys(schema.properties.prometheusRule.properties.alerts.properties);

    expect(names).toEqual(alerts.map(({ alert }) => alert));
  });

  it("are all tried on series for which they fire and others for which they are silent", () => {
    const tried = Object.values(cases).flatMap(({ fires, silent }) => [fires, silent].map(Object.keys));

    expect(Object.keys(cases)).toEqual(alerts.map(({ alert }) => alert));
    expect(tried.filter((names) => names.length === 0)).toEqual([]);
  });
});

describe("the runbooks", () => {
  it.each(pages)("ask for metrics and labels that Hallux has: %s", (page) => {
    expect(queriesIn(page).flatMap(unknownNames)).toEqual([]);
  });

  it.each(pages)("say what it means, what it does to whom, and where to look: %s", (page) => {
    const content = readFileSync(join(runbooks, page), "utf8");

    expect(content).toMatch(/^# \w+\n\n\S.*\n(.+\n)*\n\*\*Impact\*\*: .*\n/);
    expect(content).toContain("\n## Look\n");
  });

  it.skipIf(promtool === undefined)(
    `have queries that Prometheus takes${unlessHere(promtool, withoutPromtool)}`,
    () => {
      mustParse(pages.flatMap(queriesIn));
    },
  );
});

describe.skipIf(helm === undefined)(`the chart's PrometheusRule${unlessHere(helm, withoutHelm)}`, () => {
  it("holds each alert, for this release, with the labels for all", () => {
    const rendered = rulesFor({ alertLabels: { team: "security" } });

    expect(rendered.map(({ alert }) => alert)).toEqual(alerts.map(({ alert }) => alert));
    expect(rendered.map(({ labels }) => labels)).toEqual(alerts.map(({ labels }) => ({ ...labels, team: "security" })));
    expect(rendered.map(({ expr }) => expr)).toEqual(
      alerts.map(({ expr }) => expr.replaceAll('job="hallux"', 'namespace="hallux",job="hallux"')),
    );
  });

  it("leaves out, changes and links as the values say, each for its own alert", () => {
    const values = {
      runbookUrl: "https://wiki.example.com/hallux/",
      alerts: {
        HalluxNoEvents: { enabled: false },
        HalluxFallsBehind: { for: "15m", labels: { severity: "critical" }, expr: "vector(1)" },
        HalluxDown: { annotations: { summary: "Help" } },
      },
    };

    const before = rulesFor({});
    const after = rulesFor(values);

    expect(after).toEqual(
      before
        .filter(({ alert }) => alert !== "HalluxNoEvents")
        .map((rule) => ({ ...rule, ...changes[rule.alert], annotations: annotationsOf(rule) })),
    );
  });

  it("has no alert that the values misspell", () => {
    expect(() => rulesFor({ alerts: { HalluxFallBehind: {} } })).toThrow("HalluxFallBehind");
  });
});

describe.skipIf(promtool === undefined)(`promtool${unlessHere(promtool, withoutPromtool)}`, () => {
  it("takes the file as it is, for a Prometheus without operator", () => {
    expect(run(promtool, ["check", "rules", "--lint=all", "--lint-fatal", path])).toMatchObject({ code: 0 });
  });
});

describe("what docs/operations.md shows", () => {
  it.skipIf(helm === undefined)(`as values, the chart takes${unlessHere(helm, withoutHelm)}`, () => {
    const kinds = render(parse(shownAs("values.yaml"))).map(({ kind }) => kind);

    expect(kinds).toEqual(expect.arrayContaining(["ServiceMonitor", "PrometheusRule", "NetworkPolicy"]));
  });

  it.skipIf(promtool === undefined)(
    `as configuration, Prometheus takes${unlessHere(promtool, withoutPromtool)}`,
    () => {
      using directory = temporaryDirectory();
      const file = join(directory.path, "prometheus.yml");
      writeFileSync(file, shownAs("prometheus.yml"));
      writeFileSync(join(directory.path, "alerts.yaml"), text);

      expect(run(promtool, ["check", "config", "--lint=all", "--lint-fatal", file])).toMatchObject({ code: 0 });
    },
  );
});

describe.skipIf(skipped !== "")(`promtool on the chart's alerts${skipped}`, () => {
  let directory: ReturnType<typeof temporaryDirectory>;
  let byName: ReadonlyMap<string, Alert>;

  beforeAll(() => {
    directory = temporaryDirectory();
    byName = new Map(rulesFor({}).map((rule) => [rule.alert, rule]));
  });

  afterAll(() => directory[Symbol.dispose]());

  it("takes them", () => {
    const rules = join(directory.path, "rules.yaml");
    writeFileSync(rules, fileOf([...byName.values()]));

    expect(run(promtool, ["check", "rules", "--lint=all", "--lint-fatal", rules])).toMatchObject({ code: 0 });
  });

  it.each(Object.entries(cases))("sees when it fires and when it is silent: %s", (name, { fires, silent }) => {
    const alert = byName.get(name);
    const tests = [
      ...Object.entries(fires).map(([why, one]) => trial(`fires: ${why}`, one, [expected(alert, one.says)], name)),
      ...Object.entries(silent).map(([why, one]) => trial(`silent: ${why}`, one, [], name)),
    ];
    const file = join(directory.path, `${name}.test.yaml`);
    writeFileSync(join(directory.path, `${name}.yaml`), fileOf([alert]));
    writeFileSync(file, stringify({ rule_files: [`${name}.yaml`], evaluation_interval: "1m", tests }));

    const { stdout, stderr } = run(promtool, ["test", "rules", file]);

    expect(`${stdout}${stderr}`).toContain("SUCCESS");
  });
});

const changes: Readonly<Record<string, Partial<Alert>>> = {
  HalluxFallsBehind: { for: "15m", labels: { severity: "critical" }, expr: "vector(1)" },
};

function annotationsOf({ alert, annotations }: Alert): Alert["annotations"] {
  const linked = { ...annotations, runbook_url: `https://wiki.example.com/hallux/${alert}.md` };
  return alert === "HalluxDown" ? { ...linked, summary: "Help" } : linked;
}

function fileOf(rules: readonly (Alert | undefined)[]): string {
  return stringify({ groups: [{ name: "hallux", rules }] });
}

function rulesFor(prometheusRule: Values): readonly Alert[] {
  const { groups } = find(render({ prometheusRule: { enabled: true, ...prometheusRule } }), "PrometheusRule")["spec"];
  return alertsOf({ groups });
}

function alertsOf({ groups }: RulesFile): readonly Alert[] {
  return groups.flatMap(({ rules }) => rules);
}

/** The example in docs/operations.md that begins with the name of a file. */
function shownAs(name: string): string {
  const page = readFileSync(join(chart, "../../docs/operations.md"), "utf8");
  return page.split(`\n\`\`\`yaml\n# ${name}\n`)[1]?.split("\n```")[0] ?? "";
}

function temporaryDirectory() {
  const path = mkdtempSync(join(tmpdir(), "hallux-alerts-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

function queriesIn(page: string): readonly string[] {
  const blocks = readFileSync(join(runbooks, page), "utf8").matchAll(/```promql\n(.*?)```/gs);
  return [...blocks].flatMap(([, block = ""]) => block.trim().split("\n"));
}

function trial(name: string, { series, at }: Case, alertsThen: readonly object[], alertname: string) {
  const input = Object.entries(series).map(([one, values]) => ({ series: onTarget(one), values }));
  return {
    name,
    interval: "1m",
    input_series: input,
    alert_rule_test: [{ eval_time: at, alertname, exp_alerts: alertsThen }],
  };
}

/** With the labels that Prometheus adds. */
function onTarget(series: string): string {
  const [, name = "", labels = ""] = /^(\w+)(?:\{(.*)\})?$/.exec(series) ?? [];
  const pod = /pod="(\w+)"/.exec(labels)?.[1] ?? "a";
  const own = labels.split(",").filter((label) => label !== "" && !label.startsWith("pod="));
  const target = [`namespace="hallux"`, `job="hallux"`, `pod="${pod}"`, `instance="${pod}:2803"`];
  return `${name}{${[...target, ...own].join(",")}}`;
}

function expected(alert: Alert | undefined, { labels = {}, description }: Says) {
  return {
    exp_labels: { ...alert?.labels, namespace: "hallux", job: "hallux", ...labels },
    exp_annotations: { ...alert?.annotations, description },
  };
}
