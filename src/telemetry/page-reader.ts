import {
  DataPointType,
  type Histogram,
  type MetricData,
  type MetricProducer,
  MetricReader,
} from "@opentelemetry/sdk-metrics";
import { type MetricDefinition, maxSeries, metricDefinitions, overflowLabel } from "./definitions.ts";
import type { Exemplar, Exemplars } from "./exemplars.ts";
import {
  type BucketExemplar,
  type Family,
  formatFor,
  type Labels,
  type MetricsPage,
  renderPage,
} from "./open-metrics.ts";
import { temporalityOf } from "./temporality.ts";

export interface PageOptions {
  /** By the name of the histogram. */
  readonly exemplars: (name: string) => Exemplars | undefined;
  /** The trace of an event, where there is one. */
  readonly traceId: (event: string) => string | undefined;
}

/** Collects when it is asked, for one page. */
export class PageReader extends MetricReader {
  #collecting: Promise<ReadonlyMap<string, MetricData>> | undefined;

  constructor(producers: readonly MetricProducer[]) {
    super({
      cardinalitySelector: () => maxSeries,
      aggregationTemporalitySelector: temporalityOf,
      metricProducers: [...producers],
    });
  }

  async page(accept: string | undefined, options: PageOptions): Promise<MetricsPage> {
    // Two that collect at the same time would take the gauges away from each other.
    this.#collecting ??= this.#collectAll().finally(() => {
      this.#collecting = undefined;
    });
    const collected = await this.#collecting;
    const families = Object.values(metricDefinitions).map((definition) => familyOf(definition, collected, options));
    return renderPage(families, formatFor(accept));
  }

  async #collectAll(): Promise<ReadonlyMap<string, MetricData>> {
    const { resourceMetrics, errors } = await this.collect();
    if (errors.length > 0) {
      throw new AggregateError(errors, "metrics could not be collected");
    }
    const metrics = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics);
    return new Map(metrics.map((metric) => [metric.descriptor.name, metric]));
  }

  protected override async onForceFlush(): Promise<void> {}

  protected override async onShutdown(): Promise<void> {}
}

function familyOf(
  { name, type, help, labels, buckets }: MetricDefinition,
  collected: ReadonlyMap<string, MetricData>,
  options: PageOptions,
): Family {
  const metric = collected.get(name);
  const isUntouched = metric === undefined && labels.length === 0 && buckets !== undefined;
  return { name, type, help, series: isUntouched ? [emptySeries(buckets)] : seriesOf(metric, options) };
}

/** A rate over a series needs its first value to be 0. */
function emptySeries(boundaries: readonly number[]): Family["series"][number] {
  const buckets = [...boundaries, Number.POSITIVE_INFINITY].map((upTo) => ({ upTo, count: 0, exemplar: undefined }));
  return { labels: {}, sum: 0, buckets };
}

function seriesOf(metric: MetricData | undefined, options: PageOptions): Family["series"] {
  switch (metric?.dataPointType) {
    case DataPointType.HISTOGRAM: {
      const exemplars = options.exemplars(metric.descriptor.name);
      return metric.dataPoints.map(({ attributes, value }) => {
        const labels = labelsOf(attributes);
        const noted = exemplars?.of(Object.values(labels)[0] ?? "") ?? [];
        return { labels, sum: value.sum ?? 0, buckets: bucketsOf(value, noted, options) };
      });
    }
    case DataPointType.SUM:
    case DataPointType.GAUGE:
      return metric.dataPoints.map(({ attributes, value }) => ({ labels: labelsOf(attributes), value }));
    default:
      return [];
  }
}

function bucketsOf({ buckets }: Histogram, noted: readonly (Exemplar | undefined)[], { traceId }: PageOptions) {
  return buckets.counts.map((count, position) => ({
    upTo: buckets.boundaries[position] ?? Number.POSITIVE_INFINITY,
    count,
    exemplar: exemplarOf(noted[position], traceId),
  }));
}

function exemplarOf(noted: Exemplar | undefined, traceId: PageOptions["traceId"]): BucketExemplar | undefined {
  if (noted === undefined) {
    return undefined;
  }
  const trace = traceId(noted.event);
  const labels = { ...(trace === undefined ? {} : { trace_id: trace }), event_id: noted.event };
  return { labels, value: noted.value, at: noted.at };
}

/** The SDK's own label has dots in its name. */
function labelsOf(attributes: Readonly<Record<string, unknown>>): Labels {
  return "otel.metric.overflow" in attributes
    ? { [overflowLabel]: "true" }
    : Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, String(value)]));
}
