import { type MetricDefinition, metricDefinitions } from "../../src/telemetry/definitions.ts";
import { must } from "../chart/helm.ts";
import { promtool } from "../peers/promtool.ts";

/** Those that Prometheus, its operator or a central ruler add to each series. */
const targetLabels = ["cluster", "namespace", "job", "pod", "instance"];

const definitions: readonly MetricDefinition[] = Object.values(metricDefinitions);

/** The names in a query that Hallux does not have: metrics, and labels of its metrics. */
export function unknownNames(query: string): readonly string[] {
  const selectors = [...query.matchAll(/\b([a-z]\w*)\{([^}]*)\}/g)];
  const labels = selectors.flatMap(([, metric = "", matchers = ""]) =>
    [...matchers.matchAll(/(\w+)\s*[=!]~?\s*"[^"]*"/g)].map(([, label = ""]) => ({ label, known: labelsOf(metric) })),
  );
  const known = metricsIn(query).flatMap(labelsOf);
  const grouped = [...query.matchAll(/\b(?:by|without|on)\s*\(([^)]*)\)/g)]
    .flatMap(([, names = ""]) => names.split(/[\s,]+/).filter((name) => name !== ""))
    .map((label) => ({ label, known }));
  return [
    ...metricsIn(query).filter((metric) => labelsOf(metric).length === 0),
    ...[...labels, ...grouped].filter((one) => !one.known.includes(one.label)).map(({ label }) => label),
  ];
}

/** As they are defined, or `up`. */
export function metricsIn(query: string): readonly string[] {
  return query.match(/\b(hallux_\w+|process_\w+|up(?=\{))/g) ?? [];
}

/** The definition of a metric, or of the histogram that a series is part of. */
export function definitionOf(metric: string): MetricDefinition | undefined {
  return definitions.find(({ name, type }) =>
    type === "histogram" ? new RegExp(`^${name}_(bucket|sum|count)$`).test(metric) : name === metric,
  );
}

function labelsOf(metric: string): readonly string[] {
  if (metric === "up") {
    return targetLabels;
  }
  const definition = definitionOf(metric);
  const le = metric.endsWith("_bucket") ? ["le"] : [];
  return definition === undefined ? [] : [...targetLabels, ...definition.labels, ...le];
}

/** For the name of a suite: why it is skipped where a program is not here. */
export function unlessHere(program: string | undefined, why: string): string {
  return program === undefined ? ` (${why})` : "";
}

/** With a value for each variable: for a dashboard on which all is chosen. */
export function withoutGrafana(query: string): string {
  return query.replaceAll(/\$__(rate_interval|range)/g, "5m").replaceAll(/\$(namespace|job|pod)/g, ".*");
}

/** Throws with promtool's words where one of them cannot be parsed. */
export function mustParse(queries: readonly string[]): void {
  const rules = queries.map((expr, index) => ({ record: `query:${index}`, expr }));
  const file = JSON.stringify({ groups: [{ name: "queries", rules }] });
  must(promtool, ["check", "rules", "--lint=none"], file);
}
