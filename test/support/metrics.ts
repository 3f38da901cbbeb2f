import type { Metrics } from "../../src/telemetry/metrics.ts";

/** Counts nothing. */
export const noMetrics: Metrics = {
  eventAccepted: () => undefined,
  eventDuplicate: () => undefined,
  eventRefused: () => undefined,
  eventTimeReplaced: () => undefined,
  ruleMatched: () => undefined,
  eventUnmatched: () => undefined,
  actionEnded: () => undefined,
  actionRetried: () => undefined,
  responseResumed: () => undefined,
  notified: () => undefined,
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
    eventRefused: record("eventRefused"),
    eventTimeReplaced: record("eventTimeReplaced"),
    ruleMatched: record("ruleMatched"),
    eventUnmatched: record("eventUnmatched"),
    actionEnded: record("actionEnded"),
    actionRetried: record("actionRetried"),
    responseResumed: record("responseResumed"),
    notified: record("notified"),
    permissionsMissing: record("permissionsMissing"),
  };
}
