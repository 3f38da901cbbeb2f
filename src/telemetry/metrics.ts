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
}

/** What is counted, where it happens. Labels are bounded: names come from the rules and the catalogue, never from an event. */
export interface Metrics {
  eventAccepted(): void;
  eventDuplicate(): void;
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
  ): void;
  actionRetried(labels: { readonly rule: string; readonly actionner: string; readonly code: ErrorCode }): void;
  /** A response that an earlier process left unfinished goes on. */
  responseResumed(): void;
  notified(notifier: string, result: "success" | "failure" | "dropped"): void;
  /** Of those that the rules need, as the API server said when it was asked. */
  permissionsMissing(count: number): void;
}
