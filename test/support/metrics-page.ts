/** One metric of a page, as a strict reader finds it. */
export interface ReadFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly ReadSample[];
}

export interface ReadSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  readonly exemplar: ReadExemplar | undefined;
}

export interface ReadExemplar {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** In seconds. */
  readonly at: number;
}

const name = "[a-zA-Z_][a-zA-Z0-9_]*";
const label = `${name}="(?:[^"\\\\\\n]|\\\\["\\\\n])*"`;
const labelsPattern = `\\{(?:${label}(?:,${label})*)?\\}`;
const number = "-?(?:\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?|\\+?Inf)";
const sampleLine = new RegExp(
  `^(${name})(${labelsPattern})? (${number})(?: # (${labelsPattern}) (${number}) (\\d+\\.\\d{3}))?$`,
);
const headLine = new RegExp(`^# (HELP|TYPE) (${name}) (.+)$`);

/** Of each type: how a sample may be called, after the name of its family. */
const suffixes = {
  text: { counter: [""], gauge: [""], histogram: ["_bucket", "_sum", "_count"] },
  openmetrics: { counter: ["_total"], gauge: [""], histogram: ["_bucket", "_sum", "_count"] },
} as const;

/** Throws at the first line that is not as the format says. */
export function readMetrics(page: string, format: "text" | "openmetrics"): readonly ReadFamily[] {
  const lines = linesOf(page, format);
  const families: { name: string; type: string; help: string; samples: ReadSample[] }[] = [];
  for (const line of lines) {
    const [, keyword, family = "", text = ""] = headLine.exec(line) ?? [];
    const last = families.at(-1);
    if (keyword === "HELP") {
      must(!families.some((known) => known.name === family), `family twice: ${line}`);
      families.push({ name: family, type: "", help: text, samples: [] });
    } else if (keyword === "TYPE") {
      must(last?.name === family && last.type === "" && text in suffixes[format], `TYPE out of place: ${line}`);
      Object.assign(last ?? {}, { type: text });
    } else {
      must(last !== undefined && last.type !== "", `sample without TYPE: ${line}`);
      last?.samples.push(sampleIn(line, last, format));
    }
  }
  families.forEach(checkFamily);
  return families;
}

function linesOf(page: string, format: "text" | "openmetrics"): readonly string[] {
  must(page.endsWith(format === "openmetrics" ? "\n# EOF\n" : "\n"), "the page does not end as it should");
  const lines = page.split("\n").slice(0, format === "openmetrics" ? -2 : -1);
  must(!lines.includes("") && !lines.includes("# EOF"), "an empty line, or the end before the end");
  return lines;
}

function sampleIn(line: string, family: { name: string; type: string }, format: "text" | "openmetrics"): ReadSample {
  const found = sampleLine.exec(line);
  must(found !== null, `no sample: ${line}`);
  const [, sample = "", labels = "{}", value, exemplarLabels, exemplarValue, at] = found ?? [];
  const allowed: readonly string[] = suffixes[format][family.type as keyof (typeof suffixes)["text"]];
  must(
    sample.startsWith(family.name) && allowed.includes(sample.slice(family.name.length)),
    `not of its family: ${line}`,
  );
  if (exemplarLabels === undefined) {
    return { name: sample, labels: labelsIn(labels), value: numberIn(value), exemplar: undefined };
  }
  must(format === "openmetrics" && sample.endsWith("_bucket"), `no place for an exemplar: ${line}`);
  const exemplar = { labels: labelsIn(exemplarLabels), value: numberIn(exemplarValue), at: Number(at) };
  must(Object.entries(exemplar.labels).flat().join("").length <= 128, `exemplar too long: ${line}`);
  return { name: sample, labels: labelsIn(labels), value: numberIn(value), exemplar };
}

function labelsIn(text: string): Readonly<Record<string, string>> {
  const pairs = [...text.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)].map(
    ([, label = "", value = ""]) =>
      [label, value.replace(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped))] as const,
  );
  must(new Set(pairs.map(([label]) => label)).size === pairs.length, `label twice: ${text}`);
  return Object.fromEntries(pairs);
}

function numberIn(text: string | undefined): number {
  return text?.endsWith("Inf") ? Number(text.replace("Inf", "Infinity")) : Number(text);
}

/** No series twice; buckets in order, each with those below it, the last one all; exemplars in their own bucket. */
function checkFamily({ name: family, type, samples }: ReadFamily): void {
  must(type !== "" && samples.length > 0, `nothing of ${family}`);
  const series = samples.map((sample) => `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`);
  must(new Set(series).size === series.length, `a series of ${family} twice`);
  if (type !== "histogram") {
    return;
  }
  const bySeries = Map.groupBy(samples, ({ labels: { le: _, ...others } }) => JSON.stringify(others));
  for (const [of, parts] of bySeries) {
    checkBuckets(`${family} ${of}`, parts);
  }
}

function checkBuckets(of: string, parts: readonly ReadSample[]): void {
  const buckets = parts.filter((part) => part.name.endsWith("_bucket"));
  let below: { upTo: number; count: number } = { upTo: Number.NEGATIVE_INFINITY, count: 0 };
  for (const { labels, value, exemplar } of buckets) {
    const upTo = numberIn(labels["le"]);
    must(/^(\+Inf|\d+\.\d+)$/.test(labels["le"] ?? ""), `le of ${of}: ${labels["le"]}`);
    must(upTo > below.upTo && value >= below.count, `buckets of ${of} out of order`);
    must(
      exemplar === undefined || (exemplar.value > below.upTo && exemplar.value <= upTo),
      `an exemplar of ${of} in another's bucket`,
    );
    below = { upTo, count: value };
  }
  const count = parts.find((part) => part.name.endsWith("_count"))?.value;
  must(below.upTo === Number.POSITIVE_INFINITY && below.count === count, `the last bucket of ${of} is not all`);
  must(
    parts.some((part) => part.name.endsWith("_sum")),
    `no sum of ${of}`,
  );
}

function must(holds: boolean, fault: string): void {
  if (!holds) {
    throw new Error(fault);
  }
}
