import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { metricDefinitions } from "../../src/telemetry/definitions.ts";
import { type Dashboard, dashboard, type Panel } from "../chart/dashboard.ts";
import { chart, find, helm, render, withoutHelm } from "../chart/helm.ts";
import { promtool, withoutPromtool } from "../peers/promtool.ts";
import { definitionOf, metricsIn, mustParse, unknownNames, unlessHere, withoutGrafana } from "./queries.ts";

const text = readFileSync(join(chart, "dashboards/hallux.json"), "utf8");
const shipped: Dashboard & { readonly templating: { readonly list: readonly Variable[] } } = JSON.parse(text);
const panels = shipped.panels.filter(({ type }) => type !== "row");
const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

interface Variable {
  readonly name: string;
  readonly definition?: string;
}

describe("the dashboard", () => {
  it("is what test/chart/dashboard.ts says (npm run generate makes it)", () => {
    expect(shipped).toEqual(JSON.parse(JSON.stringify(dashboard())));
  });

  it.each(panels)("says what a panel shows, in which unit, from the chosen data source: $title", (panel) => {
    const sources = [panel, ...(panel.targets ?? [])].map((one) => one["datasource"]);

    expect(panel.title).not.toBe("");
    expect(panel.description?.length).toBeGreaterThan(10);
    expect(panel["fieldConfig"]).toMatchObject({ defaults: { unit: expect.stringMatching(/^\w+$/) } });
    expect(sources).toEqual(sources.map(() => ({ type: "prometheus", uid: "$datasource" })));
    expect(panel.targets?.length).toBeGreaterThan(0);
  });

  it("has each id and each title once, and no panel over another", () => {
    const ids = shipped.panels.map(({ id }) => id);
    const titles = shipped.panels.map(({ title }) => title);
    const cells = shipped.panels.flatMap(cellsOf);

    expect(ids).toEqual([...new Set(ids)]);
    expect(titles).toEqual([...new Set(titles)]);
    expect(cells).toHaveLength(new Set(cells).size);
  });

  it.each(panels)("asks for metrics and labels that Hallux has: $title", ({ targets = [] }) => {
    const selectors = targets.flatMap(({ expr }) => expr.match(/\{[^}]*\}/g) ?? []);

    expect(targets.flatMap(({ expr }) => unknownNames(expr))).toEqual([]);
    expect(selectors.filter((one) => !one.startsWith('{namespace=~"$namespace",job=~"$job",pod=~"$pod"'))).toEqual([]);
  });

  it.each(panels)("names series by labels that the query keeps: $title", ({ targets = [] }) => {
    const unknown = targets.flatMap(({ expr, ...target }) => {
      const named = [...String(target["legendFormat"]).matchAll(/\{\{(\w+)\}\}/g)].map(([, label = ""]) => label);
      const kept = / ?by \(([^)]*)\)/.exec(expr)?.[1]?.split(", ") ?? ["pod", "instance"];
      return named.filter((label) => !kept.includes(label));
    });

    expect(unknown).toEqual([]);
  });

  it("shows every metric", () => {
    const shown = new Set(queries.flatMap(metricsIn).map((metric) => definitionOf(metric)?.name));

    const hidden = Object.values(metricDefinitions).filter(({ name }) => !shown.has(name));

    expect(hidden.map(({ name }) => name)).toEqual([]);
  });

  it("chooses data source, namespace, job and pod by metrics that there are", () => {
    const variables = shipped.templating.list;

    expect(variables.map(({ name }) => name)).toEqual(["datasource", "namespace", "job", "pod"]);
    expect(variables.flatMap(({ definition = "" }) => unknownNames(definition))).toEqual([]);
  });

  it.skipIf(promtool === undefined)(`asks what Prometheus understands${unlessHere(promtool, withoutPromtool)}`, () => {
    const annotation = String(Object(shipped["annotations"]).list[0].expr);

    mustParse([...queries, annotation].map(withoutGrafana));
  });
});

describe.skipIf(helm === undefined)(`the chart's ConfigMap of the dashboard${unlessHere(helm, withoutHelm)}`, () => {
  it("holds it as it is, where Grafana's sidecar looks for it", () => {
    const annotations = { grafana_folder: "Security" };

    const objects = render({ rules: sidecarAlone, dashboard: { enabled: true, annotations } });
    const { metadata, data } = find(objects, "ConfigMap");

    expect(metadata).toMatchObject({
      name: "hallux-dashboard",
      labels: { grafana_dashboard: "1", "app.kubernetes.io/name": "hallux" },
      annotations,
    });
    expect(`${data["hallux.json"].trimEnd()}\n`).toBe(text);
  });

  it("is not there unless it is asked for", () => {
    const objects = render({ rules: sidecarAlone });

    expect(objects.filter(({ kind }) => kind === "ConfigMap")).toEqual([]);
  });
});

/** Without a ConfigMap of rules. */
const sidecarAlone = { default: false, existingConfigMaps: [{ name: "mine", key: "rules.yaml" }] };

function cellsOf({ gridPos: { x, y, w, h } }: Panel): readonly string[] {
  return Array.from({ length: w * h }, (_, index) => `${x + (index % w)}/${y + Math.floor(index / w)}`);
}
