import type { ErrorCode } from "../catalogue/errors.ts";
import type { OutcomeStatus } from "../catalogue/outcome.ts";

/** Why the intake refused a request; a metric label and the `reason` of the answer. */
export const refusalReasons = [
  "unauthorized",
  "method_not_allowed",
  "not_found",
  "unsupported_encoding",
  "bad_encoding",
  "too_large",
  "timeout",
  "not_http",
  "aborted",
  "not_json",
  "not_an_object",
  "invalid_rule",
  "invalid_priority",
  "invalid_field",
  "unavailable",
] as const;

export type RefusalReason = (typeof refusalReasons)[number];

/** Events accepted and not yet finished, as the ledger tells. */
export interface Backlog {
  readonly events: number;
  readonly bytes: number;
  /** When the oldest of them was accepted, in milliseconds; undefined where there is none. */
  readonly oldestAt: number | undefined;
  /** The same of those on which no action runs now. */
  readonly oldestWaitingAt: number | undefined;
}

/** With what the read API and `/-/reload` answer; a metric label. */
export const apiStatuses = [200, 400, 401, 403, 404, 405, 422, 429, 500, 503] as const;

export type ApiStatus = (typeof apiStatuses)[number];

/** How a notification ended; a metric label. */
export const notificationResults = ["success", "failure", "dropped"] as const;

export type NotificationResult = (typeof notificationResults)[number];

/**
 * What is counted, where it happens. Labels are bounded: names come from the rules and the catalogue, never from an event. With
 * how long something took goes the id of the event: an exemplar, not a label.
 */
export interface Metrics {
  eventAccepted(): void;
  eventDuplicate(): void;
  /** From the end of its request until it, or the event that it repeats, was durable: `event` is the one on record. */
  eventDurable(seconds: number, event: string): void;
  eventRefused(reason: RefusalReason): void;
  /** The event's time was absent or unusable. */
  eventTimeReplaced(): void;
  ruleMatched(rule: string): void;
  /** Events that no rule matched. */
  eventUnmatched(): void;
  actionEnded(
    labels: {
      readonly rule: string;
      readonly actionner: string;
      readonly status: OutcomeStatus;
      readonly code: ErrorCode | undefined;
    },
    seconds: number,
    event: string,
  ): void;
  actionRetried(labels: { readonly rule: string; readonly actionner: string; readonly code: ErrorCode }): void;
  /** The first action of a response begins; the time is that since its event was accepted. */
  responseBegun(seconds: number, event: string): void;
  /** No more of its actions will run; the time is that since its event was accepted. */
  responseEnded(seconds: number, event: string): void;
  /** A response that an earlier process left unfinished goes on. */
  responseResumed(): void;
  notified(notifier: string, result: NotificationResult): void;
  /** A notification was delivered or given up; the time is that in the queue, too. */
  notificationEnded(notifier: string, seconds: number, event: string): void;
  apiAnswered(status: ApiStatus): void;
  /** Of those that the rules need, as the API server said when it was asked. */
  permissionsMissing(count: number): void;
}
