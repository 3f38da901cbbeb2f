import type { Attributes, Counter, Histogram } from "@opentelemetry/api";
import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import { type Backlog, type Metrics, refusalReasons } from "./metrics.ts";

/** One metric as `/metrics` shows it and the reference page describes it. */
export interface MetricDefinition {
  readonly name: string;
  readonly type: "counter" | "histogram" | "gauge";
  readonly help: string;
  readonly labels: readonly string[];
}

/** What is on `/metrics`, in this order. */
export const metricDefinitions = {
  eventsAccepted: counter("hallux_events_accepted_total", "Events made durable and answered 2xx"),
  eventsDuplicate: counter("hallux_events_duplicate_total", "Events that repeat an earlier one; nothing was done"),
  eventsRefused: counter("hallux_events_refused_total", "Requests answered 4xx or 5xx, by reason", ["reason"]),
  eventTimesReplaced: counter(
    "hallux_event_time_replaced_total",
    "Events whose time was absent or unusable and became the time of receipt",
  ),
  ruleMatches: counter("hallux_rule_matches_total", "Events that matched the rule", ["rule"]),
  eventsUnmatched: counter("hallux_events_unmatched_total", "Events that no rule matched"),
  actions: counter("hallux_actions_total", "Actions ended, by outcome; code says why one failed", [
    "rule",
    "actionner",
    "status",
    "code",
  ]),
  actionDuration: {
    name: "hallux_action_duration_seconds",
    type: "histogram",
    help: "Time an action took, with its retries",
    labels: ["actionner"],
  },
  retries: counter(
    "hallux_action_retries_total",
    "Attempts that failed and were followed by another, by what went wrong",
    ["rule", "actionner", "code"],
  ),
  responsesResumed: counter(
    "hallux_responses_resumed_total",
    "Responses that went on after a restart or on another replica",
  ),
  notifications: counter("hallux_notifications_total", "Notifications by result", ["notifier", "result"]),
  permissionsMissing: gauge(
    "hallux_permissions_missing",
    "Kubernetes permissions that the rules need and Hallux did not have when it started; absent until they are checked",
  ),
  backlogEvents: gauge("hallux_ledger_backlog_events", "Events accepted and not yet finished"),
  backlogBytes: gauge("hallux_ledger_backlog_bytes", "Size of the events accepted and not yet finished"),
  backlogAge: gauge(
    "hallux_ledger_backlog_oldest_seconds",
    "Time since the oldest of them was accepted; 0 where there is none",
  ),
  buildInfo: {
    name: "hallux_build_info",
    type: "gauge",
    help: "Always 1; the version of Hallux is in the label",
    labels: ["version"],
  },
} as const satisfies Record<string, MetricDefinition>;

/** Label sets per metric; what goes beyond is counted in one more series, labelled `otel_metric_overflow`. */
const cardinalityLimit = 5000;

const durationBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

/** A page of metrics in the Prometheus text format. */
export interface MetricsPage {
  readonly contentType: string;
  readonly body: string;
}

export interface MetricsOptions {
  readonly version: string;
  /** Asked at each scrape. */
  readonly backlog: () => Backlog;
}

/** Counts in memory; `render` gives the page for a scrape. Series without a rule in them are there from the start, at 0. */
export function createMetrics({ version, backlog }: MetricsOptions): Metrics & { render(): Promise<MetricsPage> } {
  const reader = new PageReader({ cardinalitySelector: () => cardinalityLimit });
  const provider = new MeterProvider({ readers: [reader] });
  const instruments = createInstruments(provider);
  startAtZero(instruments, version);
  observeBacklog(provider, backlog);

  return {
    eventAccepted: () => instruments.eventsAccepted.add(1),
    eventDuplicate: () => instruments.eventsDuplicate.add(1),
    eventRefused: (reason) => instruments.eventsRefused.add(1, { reason }),
    eventTimeReplaced: () => instruments.eventTimesReplaced.add(1),
    ruleMatched: (rule) => instruments.ruleMatches.add(1, { rule }),
    eventUnmatched: () => instruments.eventsUnmatched.add(1),
    actionEnded({ rule, actionner, status, code }, seconds) {
      instruments.actions.add(1, { rule, actionner, status, ...(code === undefined ? {} : { code }) });
      instruments.actionDuration.record(seconds, { actionner });
    },
    actionRetried: (labels) => instruments.retries.add(1, { ...labels }),
    responseResumed: () => instruments.responsesResumed.add(1),
    notified: (notifier, result) => instruments.notifications.add(1, { notifier, result }),
    permissionsMissing: (count) => instruments.permissionsMissing.record(count),
    render: () => reader.page(),
  };
}

type Instruments = ReturnType<typeof createInstruments>;

function createInstruments(provider: MeterProvider) {
  const meter = provider.getMeter("hallux");
  const counterOf = ({ name, help }: MetricDefinition): Counter<Attributes> =>
    meter.createCounter(name, { description: help });
  const { actionDuration, buildInfo } = metricDefinitions;
  const durations: Histogram<Attributes> = meter.createHistogram(actionDuration.name, {
    description: actionDuration.help,
    advice: { explicitBucketBoundaries: durationBuckets },
  });

  return {
    eventsAccepted: counterOf(metricDefinitions.eventsAccepted),
    eventsDuplicate: counterOf(metricDefinitions.eventsDuplicate),
    eventsRefused: counterOf(metricDefinitions.eventsRefused),
    eventTimesReplaced: counterOf(metricDefinitions.eventTimesReplaced),
    ruleMatches: counterOf(metricDefinitions.ruleMatches),
    eventsUnmatched: counterOf(metricDefinitions.eventsUnmatched),
    actions: counterOf(metricDefinitions.actions),
    actionDuration: durations,
    retries: counterOf(metricDefinitions.retries),
    responsesResumed: counterOf(metricDefinitions.responsesResumed),
    notifications: counterOf(metricDefinitions.notifications),
    permissionsMissing: meter.createGauge(metricDefinitions.permissionsMissing.name, {
      description: metricDefinitions.permissionsMissing.help,
    }),
    buildInfo: meter.createGauge(buildInfo.name, { description: buildInfo.help }),
  };
}

/** A rate over a series needs its first value to be 0, not 1. */
function startAtZero(instruments: Instruments, version: string): void {
  instruments.buildInfo.record(1, { version });
  instruments.eventsAccepted.add(0);
  instruments.eventsDuplicate.add(0);
  instruments.eventTimesReplaced.add(0);
  instruments.eventsUnmatched.add(0);
  instruments.responsesResumed.add(0);
  for (const reason of refusalReasons) {
    instruments.eventsRefused.add(0, { reason });
  }
}

function observeBacklog(provider: MeterProvider, backlog: () => Backlog): void {
  const observe = ({ name, help }: MetricDefinition, value: (found: Backlog) => number) =>
    provider
      .getMeter("hallux")
      .createObservableGauge(name, { description: help })
      .addCallback((result) => result.observe(value(backlog())));

  observe(metricDefinitions.backlogEvents, ({ events }) => events);
  observe(metricDefinitions.backlogBytes, ({ bytes }) => bytes);
  observe(metricDefinitions.backlogAge, ({ oldestAt }) =>
    oldestAt === undefined ? 0 : Math.max(0, Date.now() - oldestAt) / 1000,
  );
}

class PageReader extends MetricReader {
  readonly #serializer = new PrometheusSerializer(undefined, false, undefined, true, true);

  async page(): Promise<MetricsPage> {
    const { resourceMetrics, errors } = await this.collect();
    if (errors.length > 0) {
      throw new AggregateError(errors, "metrics could not be collected");
    }
    return {
      contentType: "text/plain; version=0.0.4; charset=utf-8",
      body: this.#serializer.serialize(resourceMetrics),
    };
  }

  protected override async onForceFlush(): Promise<void> {}

  protected override async onShutdown(): Promise<void> {}
}

function counter<const L extends readonly string[] = readonly []>(name: string, help: string, labels?: L) {
  return { name, type: "counter", help, labels: labels ?? [] } as const;
}

function gauge(name: string, help: string) {
  return { name, type: "gauge", help, labels: [] } as const;
}
