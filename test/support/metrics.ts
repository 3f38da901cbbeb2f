import type { Metrics } from "../../src/telemetry/metrics.ts";

/** Counts nothing. */
export const noMetrics: Metrics = {
  eventAccepted: () => undefined,
  eventDuplicate: () => undefined,
  eventDurable: () => undefined,
  eventRefused: () => undefined,
  eventTimeReplaced: () => undefined,
  ruleMatched: () => undefined,
  eventUnmatched: () => undefined,
  actionEnded: () => undefined,
  actionRetried: () => undefined,
  responseBegun: () => undefined,
  responseEnded: () => undefined,
  responseResumed: () => undefined,
  notified: () => undefined,
  notificationEnded: () => undefined,
  apiAnswered: () => undefined,
  permissionsMissing: () => undefined,
};

/** Keeps every call, in order: `["eventRefused", "not_json"]`. */
export function recordingMetrics(): Metrics & { readonly calls: readonly (readonly [keyof Metrics, ...unknown[]])[] } {
  const calls: (readonly [keyof Metrics, ...unknown[]])[] = [];
  const record =
    (name: keyof Metrics) =>
    (...values: unknown[]): void => {
      calls.push([name, ...values]);
    };

  return {
    calls,
    eventAccepted: record("eventAccepted"),
    eventDuplicate: record("eventDuplicate"),
    eventDurable: record("eventDurable"),
    eventRefused: record("eventRefused"),
    eventTimeReplaced: record("eventTimeReplaced"),
    ruleMatched: record("ruleMatched"),
    eventUnmatched: record("eventUnmatched"),
    actionEnded: record("actionEnded"),
    actionRetried: record("actionRetried"),
    responseBegun: record("responseBegun"),
    responseEnded: record("responseEnded"),
    responseResumed: record("responseResumed"),
    notified: record("notified"),
    notificationEnded: record("notificationEnded"),
    apiAnswered: record("apiAnswered"),
    permissionsMissing: record("permissionsMissing"),
  };
}
