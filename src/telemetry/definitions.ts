import { errorCodes } from "../catalogue/errors.ts";
import { outcomeStatuses } from "../catalogue/outcome.ts";
import { apiStatuses, notificationResults, refusalReasons } from "./metrics.ts";

/** One metric as `/metrics` shows it and the reference page describes it. */
export interface MetricDefinition {
  readonly name: string;
  readonly type: "counter" | "histogram" | "gauge";
  readonly help: string;
  readonly labels: readonly string[];
  /** Of labels that take no others. Those of the rest are in `openLabels`. */
  readonly values?: Readonly<Record<string, readonly string[]>>;
  /** Of a histogram: the upper bounds, in seconds. */
  readonly buckets?: readonly number[];
}

/** Labels whose values are none of a closed list: where they come from. Never from an event. */
export const openLabels = {
  rule: "the name of a rule in the rules files",
  actionner: "the id of an actionner in the catalogue",
  notifier: "the name of a configured notifier",
  version: "that of Hallux",
  hash: "of the configuration in force",
} as const satisfies Record<string, string>;

/** A label of its own counts what is beyond so many label sets of one metric. */
export const maxSeries = 5000;
export const overflowLabel = "otel_metric_overflow";

const actionBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

/** What is on `/metrics`, in this order. */
export const metricDefinitions = {
  eventsAccepted: counter("hallux_events_accepted_total", "Events made durable and answered 2xx"),
  eventsDuplicate: counter("hallux_events_duplicate_total", "Events that repeat an earlier one; nothing was done"),
  eventsRefused: counter("hallux_events_refused_total", "Requests answered 4xx or 5xx, by reason", {
    labels: ["reason"],
    values: { reason: refusalReasons },
  }),
  eventTimesReplaced: counter(
    "hallux_event_time_replaced_total",
    "Events whose time was absent or unusable and became the time of receipt",
  ),
  acceptDuration: histogram(
    "hallux_accept_duration_seconds",
    "From the end of a request until its event, or the one it repeats, was durable",
    { labels: [], buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5] },
  ),
  connections: gauge("hallux_connections", "Connections that are open on the port"),
  connectionsLimit: gauge("hallux_connections_limit", "Connections beyond which the next ones are dropped"),
  ruleMatches: counter("hallux_rule_matches_total", "Events that matched the rule", { labels: ["rule"] }),
  eventsUnmatched: counter("hallux_events_unmatched_total", "Events that no rule matched"),
  responseDelay: histogram(
    "hallux_response_delay_seconds",
    "From the acceptance of an event until the first action of a response to it began",
    { labels: [], buckets: [0.001, 0.0025, ...actionBuckets, 300, 600] },
  ),
  responseDuration: histogram(
    "hallux_response_duration_seconds",
    "From the acceptance of an event until the last action of a response to it had ended",
    { labels: [], buckets: [...actionBuckets, 300, 600, 1800] },
  ),
  responsesResumed: counter(
    "hallux_responses_resumed_total",
    "Responses that went on after a restart or on another replica",
  ),
  actions: counter("hallux_actions_total", "Actions ended, by outcome; code says why one failed", {
    labels: ["rule", "actionner", "status", "code"],
    values: { status: outcomeStatuses, code: errorCodes },
  }),
  actionDuration: histogram(
    "hallux_action_duration_seconds",
    "Time an action took, with its retries; of one that was put off, its last turn",
    {
      labels: ["actionner"],
      buckets: actionBuckets,
    },
  ),
  retries: counter(
    "hallux_action_retries_total",
    "Attempts that failed and were followed by another, by what went wrong",
    { labels: ["rule", "actionner", "code"], values: { code: errorCodes } },
  ),
  actionsRunning: gauge("hallux_actions_running", "Actions that run now", ["actionner"]),
  actionsLimit: gauge("hallux_actions_limit", "Actions that may run at the same time; the others wait"),
  notifications: counter("hallux_notifications_total", "Notifications by result", {
    labels: ["notifier", "result"],
    values: { result: notificationResults },
  }),
  notificationDuration: histogram(
    "hallux_notification_duration_seconds",
    "Time until a notification was delivered or given up, with its wait and its retries",
    { labels: ["notifier"], buckets: [...actionBuckets, 300] },
  ),
  notificationsWaiting: gauge("hallux_notifications_waiting", "Notifications in the queue of the notifier", [
    "notifier",
  ]),
  permissionsMissing: gauge(
    "hallux_permissions_missing",
    "Kubernetes permissions that the rules need and Hallux does not have, as of the last start or reload; absent until they are checked",
  ),
  configSuccessful: gauge(
    "hallux_config_last_reload_successful",
    "1 where the last attempt to load configuration and rules put them in force, 0 where they were refused",
  ),
  configTime: gauge(
    "hallux_config_last_reload_success_timestamp_seconds",
    "When the configuration and the rules in force were loaded",
  ),
  configInfo: gauge(
    "hallux_config_info",
    "Always 1; the SHA-256 of the configuration and rules in force, without their secrets, is in the label",
    ["hash"],
  ),
  ledgerAvailable: gauge("hallux_ledger_available", "1 while the ledger takes events, else 0: senders get 503"),
  ledgerSize: gauge(
    "hallux_ledger_size_bytes",
    "Size of the ledger's files, or of its streams in NATS, when it was last to be had",
  ),
  backlogEvents: gauge("hallux_ledger_backlog_events", "Events accepted and not yet finished"),
  backlogBytes: gauge("hallux_ledger_backlog_bytes", "Size of the events accepted and not yet finished"),
  backlogLimit: gauge(
    "hallux_ledger_backlog_limit_bytes",
    "Size beyond which no more is accepted (ledger.backlog_bytes)",
  ),
  backlogAge: gauge(
    "hallux_ledger_backlog_oldest_seconds",
    "Time since the oldest of them was accepted; 0 where there is none",
  ),
  backlogWaiting: gauge(
    "hallux_ledger_backlog_waiting_seconds",
    "Time since the oldest of them on which no action runs was accepted; 0 where there is none",
  ),
  apiRequests: counter(
    "hallux_api_requests_total",
    "Requests to the read API and for a reload, by the status of the answer",
    {
      labels: ["status"],
      values: { status: apiStatuses.map(String) },
    },
  ),
  spansDropped: counter(
    "hallux_spans_dropped_total",
    "Spans that the collector did not take, or for which there was no room; 0 where no traces are sent",
  ),
  ready: gauge("hallux_ready", "1 while /readyz says ready, else 0"),
  buildInfo: gauge("hallux_build_info", "Always 1; the version of Hallux is in the label", ["version"]),
  cpuSeconds: counter("process_cpu_seconds_total", "CPU time of the process, in user and system mode"),
  residentMemory: gauge("process_resident_memory_bytes", "Resident memory of the process"),
  startTime: gauge("process_start_time_seconds", "When the process started, in seconds since 1970"),
} as const satisfies Record<string, MetricDefinition>;

type Labelled = Pick<MetricDefinition, "labels" | "values">;

function counter(name: string, help: string, { labels, values = {} }: Labelled = { labels: [] }): MetricDefinition {
  return { name, type: "counter", help, labels, values };
}

function gauge(name: string, help: string, labels: readonly string[] = []): MetricDefinition {
  return { name, type: "gauge", help, labels };
}

/** A definition of a histogram. */
export type HistogramDefinition = Required<Pick<MetricDefinition, "buckets">> & MetricDefinition;

function histogram(
  name: string,
  help: string,
  shape: Required<Pick<MetricDefinition, "labels" | "buckets">>,
): HistogramDefinition {
  return { name, type: "histogram", help, ...shape };
}
