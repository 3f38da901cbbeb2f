/** A page of metrics for a scraper. */
export interface MetricsPage {
  readonly contentType: string;
  readonly body: string;
}

export type Labels = Readonly<Record<string, string>>;

/** One metric with all of its series. The name of a counter ends in `_total`. */
export interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly series: readonly Series[];
}

export type Series =
  | { readonly labels: Labels; readonly value: number }
  | { readonly labels: Labels; readonly buckets: readonly Bucket[]; readonly sum: number };

export interface Bucket {
  /** Infinity for the last one. */
  readonly upTo: number;
  /** In this bucket alone. */
  readonly count: number;
  readonly exemplar: BucketExemplar | undefined;
}

/** The labels, names and values, are at most 128 characters together. */
export interface BucketExemplar {
  readonly labels: Labels;
  readonly value: number;
  /** In milliseconds. */
  readonly at: number;
}

const contentTypes = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
} as const;

export type PageFormat = keyof typeof contentTypes;

/** Prometheus' text format, or OpenMetrics 1.0, which knows exemplars. */
export function renderPage(families: readonly Family[], format: PageFormat): MetricsPage {
  const lines = families
    .filter(({ series }) => series.length > 0)
    .flatMap((family) => [
      ...headOf(family, format),
      ...family.series.flatMap((one) => samplesOf(family, one, format)),
    ]);
  return {
    contentType: contentTypes[format],
    body: [...lines, ...(format === "openmetrics" ? ["# EOF"] : []), ""].join("\n"),
  };
}

/** What the scraper likes best, as its `Accept` says; the text format where it says nothing of OpenMetrics 1.0. */
export function formatFor(accept = ""): PageFormat {
  const ranges = accept.toLowerCase().split(",").map(rangeOf);
  const likes = (types: readonly string[], version: string) =>
    Math.max(
      0,
      ...ranges
        .filter((range) => types.includes(range.type) && (range.version ?? version) === version)
        .map(({ quality }) => quality),
    );
  const openMetrics = likes(["application/openmetrics-text"], "1.0.0");
  return openMetrics > 0 && openMetrics >= likes(["text/plain"], "0.0.4") ? "openmetrics" : "text";
}

/** `application/openmetrics-text; version=1.0.0; q=0.5` */
function rangeOf(text: string) {
  const [type = "", ...parameters] = text.split(";").map((part) => part.trim());
  const parameterOf = (name: string) =>
    parameters
      .find((parameter) => parameter.startsWith(`${name}=`))
      ?.slice(name.length + 1)
      .replaceAll('"', "");
  return { type, version: parameterOf("version"), quality: Number(parameterOf("q") ?? 1) || 0 };
}

/** OpenMetrics names a counter without the suffix of its samples. */
function headOf({ name, type, help }: Family, format: PageFormat): readonly string[] {
  const family = format === "openmetrics" && type === "counter" ? name.replace(/_total$/, "") : name;
  return [`# HELP ${family} ${help}`, `# TYPE ${family} ${type}`];
}

function samplesOf({ name }: Family, series: Series, format: PageFormat): readonly string[] {
  if ("value" in series) {
    return [sample(name, series.labels, series.value)];
  }
  let count = 0;
  const buckets = series.buckets.map(({ upTo, count: here, exemplar }) => {
    count += here;
    const line = sample(`${name}_bucket`, { ...series.labels, le: boundary(upTo) }, count);
    return exemplar === undefined || format === "text" ? line : `${line} # ${exemplarText(exemplar)}`;
  });
  return [...buckets, sample(`${name}_sum`, series.labels, series.sum), sample(`${name}_count`, series.labels, count)];
}

function sample(name: string, labels: Labels, value: number): string {
  const text = labelText(labels);
  return `${name}${text === "{}" ? "" : text} ${value}`;
}

function exemplarText({ labels, value, at }: BucketExemplar): string {
  return `${labelText(labels)} ${value} ${(at / 1000).toFixed(3)}`;
}

function labelText(labels: Labels): string {
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

/** The same in both formats, so that the series are the same ones: OpenMetrics wants `1.0`. */
function boundary(upTo: number): string {
  if (upTo === Number.POSITIVE_INFINITY) {
    return "+Inf";
  }
  return Number.isInteger(upTo) ? upTo.toFixed(1) : String(upTo);
}
