import type { Meter } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider, type MetricReader } from "@opentelemetry/sdk-metrics";
import { type MetricDefinition, metricDefinitions } from "./definitions.ts";
import { apiStatuses, type Metrics, notificationResults, refusalReasons } from "./metrics.ts";
import { type Observed, observe } from "./observed.ts";
import type { MetricsPage } from "./open-metrics.ts";
import { PageReader } from "./page-reader.ts";
import { createRuleCounters, type RuleCounters } from "./rule-counters.ts";
import { createTimer } from "./timer.ts";

export interface MetricsOptions {
  readonly version: string;
  /** Those that the readers beside the page show, too. */
  readonly ruleCounters?: RuleCounters;
  /** The trace of an event, for exemplars; undefined where it has none. */
  readonly traceId?: (event: string) => string | undefined;
  /** Who tells, for the readers: `service.name` and the like. */
  readonly resource?: Readonly<Record<string, string>>;
  /** Beside the page. Whoever gives them ends them. */
  readonly readers?: readonly MetricReader[];
}

/** What is configured. */
export interface Counted {
  readonly rules: Iterable<string>;
  readonly notifiers: Iterable<string>;
}

export interface MetricsStore extends Metrics {
  /** This is in force now: what is new in it is shown at 0, and what rules have counted that are gone not much longer. */
  follow(counted: Counted): void;
  /** What is shown from now on. */
  observe(observed: Partial<Observed>): void;
  /** The collector did not take them, or there was no room for them. */
  spansDropped(count: number): void;
  /** The page for a scrape, in the format that its `Accept` asks for. */
  render(accept?: string): Promise<MetricsPage>;
}

/** Counts in memory. What can happen without a rule or a notifier is there from the start, at 0. */
export function createMetrics(options: MetricsOptions): MetricsStore {
  const { traceId = () => undefined, resource = {}, readers = [], ruleCounters = createRuleCounters() } = options;
  const page = new PageReader([ruleCounters.producer]);
  const provider = new MeterProvider({ resource: resourceFromAttributes(resource), readers: [page, ...readers] });
  const meter = provider.getMeter("hallux");
  const counters = createCounters(meter);
  const timers = createTimers(meter);
  const exemplars = new Map(Object.values(timers).map(({ name, exemplars }) => [name, exemplars]));
  const permissionsMissing = gaugeOf(meter, metricDefinitions.permissionsMissing);
  startAtZero(counters);
  showProcess(meter, options);

  return {
    eventAccepted: () => counters.eventsAccepted.add(1),
    eventDuplicate: () => counters.eventsDuplicate.add(1),
    eventDurable: timers.acceptDuration.record,
    eventRefused: (reason) => counters.eventsRefused.add(1, { reason }),
    eventTimeReplaced: () => counters.eventTimesReplaced.add(1),
    ruleMatched: (rule) => ruleCounters.ruleMatches.add({ rule }, 1),
    eventUnmatched: () => counters.eventsUnmatched.add(1),
    actionEnded({ rule, actionner, status, code }, seconds, event) {
      ruleCounters.actions.add({ rule, actionner, status, ...(code === undefined ? {} : { code }) }, 1);
      timers.actionDuration.record(seconds, event, actionner);
    },
    actionRetried: ({ rule, actionner, code }) => ruleCounters.retries.add({ rule, actionner, code }, 1),
    responseBegun: timers.responseDelay.record,
    responseEnded: timers.responseDuration.record,
    responseResumed: () => counters.responsesResumed.add(1),
    notified: (notifier, result) => counters.notifications.add(1, { notifier, result }),
    notificationEnded: (notifier, seconds, event) => timers.notificationDuration.record(seconds, event, notifier),
    apiAnswered: (status) => counters.apiRequests.add(1, { status: String(status) }),
    permissionsMissing: (count) => permissionsMissing.record(count),
    spansDropped: (count) => counters.spansDropped.add(count),
    follow({ rules, notifiers }) {
      ruleCounters.follow(rules);
      for (const notifier of notifiers) {
        for (const result of notificationResults) {
          counters.notifications.add(0, { notifier, result });
        }
      }
    },
    observe: (observed) => observe(meter, observed),
    render: (accept) => page.page(accept, { exemplars: (name) => exemplars.get(name), traceId }),
  };
}

function createCounters(meter: Meter) {
  const counterOf = ({ name, help }: MetricDefinition) => meter.createCounter(name, { description: help });
  return {
    eventsAccepted: counterOf(metricDefinitions.eventsAccepted),
    eventsDuplicate: counterOf(metricDefinitions.eventsDuplicate),
    eventsRefused: counterOf(metricDefinitions.eventsRefused),
    eventTimesReplaced: counterOf(metricDefinitions.eventTimesReplaced),
    eventsUnmatched: counterOf(metricDefinitions.eventsUnmatched),
    responsesResumed: counterOf(metricDefinitions.responsesResumed),
    notifications: counterOf(metricDefinitions.notifications),
    apiRequests: counterOf(metricDefinitions.apiRequests),
    spansDropped: counterOf(metricDefinitions.spansDropped),
  };
}

function createTimers(meter: Meter) {
  return {
    acceptDuration: createTimer(meter, metricDefinitions.acceptDuration),
    responseDelay: createTimer(meter, metricDefinitions.responseDelay),
    responseDuration: createTimer(meter, metricDefinitions.responseDuration),
    actionDuration: createTimer(meter, metricDefinitions.actionDuration),
    notificationDuration: createTimer(meter, metricDefinitions.notificationDuration),
  };
}

function gaugeOf(meter: Meter, { name, help }: MetricDefinition) {
  return meter.createGauge(name, { description: help });
}

/** A rate over a series needs its first value to be 0, not 1. */
function startAtZero(counters: ReturnType<typeof createCounters>): void {
  counters.eventsAccepted.add(0);
  counters.eventsDuplicate.add(0);
  counters.eventTimesReplaced.add(0);
  counters.eventsUnmatched.add(0);
  counters.responsesResumed.add(0);
  counters.spansDropped.add(0);
  for (const reason of refusalReasons) {
    counters.eventsRefused.add(0, { reason });
  }
  for (const status of apiStatuses) {
    counters.apiRequests.add(0, { status: String(status) });
  }
}

function showProcess(meter: Meter, { version }: MetricsOptions): void {
  gaugeOf(meter, metricDefinitions.buildInfo).record(1, { version });
  gaugeOf(meter, metricDefinitions.startTime).record(Math.round(performance.timeOrigin) / 1000);
}
