import { type Attributes, ValueType } from "@opentelemetry/api";
import { millisToHrTime } from "@opentelemetry/core";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  DataPointType,
  type MetricProducer,
  type SumMetricData,
} from "@opentelemetry/sdk-metrics";
import { type MetricDefinition, maxSeries, metricDefinitions } from "./definitions.ts";

/** After its rule went, or counted for the last time: so long somebody may still come to read it. */
const keptMs = 600_000;

type RuleLabels = Readonly<Record<string, string>> & { readonly rule: string };

interface Counter {
  add(labels: RuleLabels, by: number): void;
}

/**
 * The counters by rule. Those of the SDK keep a series for ever: rules that come and go would take the room from those that are in
 * force.
 */
export interface RuleCounters {
  readonly ruleMatches: Counter;
  readonly actions: Counter;
  readonly retries: Counter;
  /**
   * These are in force now. Each has its matches, at 0 until it has any, where there is room for all of them; what the others have
   * counted goes after a while.
   */
  follow(rules: Iterable<string>): void;
  /** For readers. */
  readonly producer: MetricProducer;
}

/** In milliseconds since 1970. */
export function createRuleCounters(clock: () => number = Date.now): RuleCounters {
  const counters = {
    ruleMatches: createCounter(metricDefinitions.ruleMatches, clock),
    actions: createCounter(metricDefinitions.actions, clock),
    retries: createCounter(metricDefinitions.retries, clock),
  };
  const all = Object.values(counters);
  let inForce: ReadonlySet<string> = new Set();

  const forget = () => {
    for (const counter of all) {
      counter.forget(inForce, clock() - keptMs);
    }
  };

  return {
    ...counters,
    follow(rules) {
      const next = new Set(rules);
      const gone = inForce.difference(next);
      for (const counter of all) {
        counter.keep(gone);
      }
      inForce = next;
      forget();
      // Those that never match must not take the room from those that do.
      for (const rule of next.size < maxSeries ? next : []) {
        counters.ruleMatches.add({ rule }, 0);
      }
    },
    producer: {
      async collect() {
        forget();
        const metrics = all.map(({ data }) => data()).filter(({ dataPoints }) => dataPoints.length > 0);
        const resourceMetrics = {
          resource: resourceFromAttributes({}),
          scopeMetrics: [{ scope: { name: "hallux" }, metrics }],
        };
        return { resourceMetrics, errors: [] };
      },
    },
  };
}

interface Series {
  /** Undefined where it counts what there was no room for. */
  readonly rule: string | undefined;
  readonly attributes: Attributes;
  readonly since: number;
  value: number;
  /** From then on it is kept for so long, whatever becomes of its rule. */
  neededAt: number;
}

/** As the SDK calls it. */
const overflow: Attributes = { "otel.metric.overflow": true };

function createCounter({ name, help }: MetricDefinition, clock: () => number) {
  const series = new Map<string, Series>();

  const begin = (labels: RuleLabels, key: string): Series => {
    const hasRoom = series.size < maxSeries - 1;
    const place = hasRoom ? key : "";
    const since = clock();
    const begun = series.get(place) ?? {
      ...(hasRoom ? { rule: labels.rule, attributes: labels } : { rule: undefined, attributes: overflow }),
      since,
      value: 0,
      neededAt: since,
    };
    series.set(place, begun);
    return begun;
  };

  return {
    add(labels: RuleLabels, by: number) {
      const key = JSON.stringify(labels);
      const one = series.get(key) ?? begin(labels, key);
      one.value += by;
      one.neededAt = clock();
    },
    /** Those of these rules are needed now. */
    keep(rules: ReadonlySet<string>) {
      for (const one of series.values()) {
        one.neededAt = one.rule !== undefined && rules.has(one.rule) ? clock() : one.neededAt;
      }
    },
    /** Those of other rules that were not needed any more since then. */
    forget(rules: ReadonlySet<string>, since: number) {
      for (const [key, { rule, neededAt }] of series) {
        if (rule !== undefined && !rules.has(rule) && neededAt < since) {
          series.delete(key);
        }
      }
    },
    data(): SumMetricData {
      const endTime = millisToHrTime(clock());
      return {
        descriptor: { name, description: help, unit: "", valueType: ValueType.DOUBLE },
        dataPointType: DataPointType.SUM,
        aggregationTemporality: AggregationTemporality.CUMULATIVE,
        isMonotonic: true,
        dataPoints: [...series.values()].map(({ attributes, since, value }) => ({
          attributes,
          startTime: millisToHrTime(since),
          endTime,
          value,
        })),
      };
    },
  };
}
