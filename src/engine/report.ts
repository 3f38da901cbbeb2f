import type { Logger } from "pino";
import type { Notification } from "../catalogue/catalogue.ts";
import type { Outcome } from "../catalogue/outcome.ts";
import type { FalcoEvent } from "../events/event.ts";
import { describeTarget, type Target } from "../events/target.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Journal } from "./journal.ts";
import type { Delivery, Notifications } from "./notifications.ts";

/** Of the event's texts, in a log line. */
const maxNameLength = 256;
const maxOutputLength = 1024;
/** Of what an action read: the beginning, for whoever has only the log. */
const maxLoggedText = 2048;

export interface ReportOptions {
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly clock: () => Date;
}

/** One action that ended, wherever it is told. */
export interface EndedAction {
  readonly response: string;
  readonly event: FalcoEvent;
  readonly target: Target;
  readonly rule: { readonly name: string; readonly description: string | undefined };
  readonly action: { readonly name: string; readonly actionner: string };
  /** Among the rule's actions. */
  readonly position: number;
  readonly outcome: Outcome;
}

/** The metrics and the log line of an action. */
export function report(
  { rule, action, target: subject, outcome }: EndedAction,
  { metrics, logger }: ReportOptions,
): void {
  const { status, would, code, message, durationMs, objects, text, artifact, undo, target } = outcome;
  metrics.actionEnded({ rule: rule.name, actionner: action.actionner, status, code }, durationMs / 1000);

  const level = status === "failure" || status === "refused" ? "warn" : "info";
  logger[level](
    {
      rule: rule.name,
      action: action.name,
      actionner: action.actionner,
      target: describeTarget(target ?? subject),
      status,
      would,
      code,
      message,
      objects,
      text: text?.slice(0, maxLoggedText),
      artifact,
      undo,
      duration_ms: durationMs,
    },
    "action ended",
  );
}

export interface TellOptions extends ReportOptions {
  readonly notifications: Notifications;
  readonly journal: Journal;
}

/**
 * Off the path. Resolves when each notifier was told or given up on, and that is written; false where it is to be told later: the
 * process stops, or the outcome itself could not be recorded.
 */
export async function tell(ended: EndedAction, notifiers: Iterable<string>, options: TellOptions): Promise<boolean> {
  const { notifications, journal, clock } = options;
  const recorded = await journal.durable().then(
    () => true,
    () => false,
  );
  if (!recorded) {
    return false;
  }
  const { event, response, rule, action, position, outcome } = ended;
  const notification: Notification = { event, response, rule, action, outcome, at: clock().toISOString() };
  const deliveries = [...notifiers].map(async (notifier) => {
    const delivery = await notifications.send(notifier, notification);
    if (delivery.status === "stopped") {
      return false;
    }
    const error = problemOf(delivery);
    options.metrics.notified(notifier, delivery.status);
    if (delivery.status === "failure") {
      options.logger.warn({ notifier, rule: rule.name, message: error }, "notification failed");
    }
    journal.write({ type: "notified", at: clock().toISOString(), response, action: position, notifier, error });
    return true;
  });
  return (await Promise.all(deliveries)).every(Boolean);
}

function problemOf(delivery: Delivery): string | undefined {
  switch (delivery.status) {
    case "failure":
      return delivery.error.message;
    case "dropped":
      return `dropped: ${delivery.reason}`;
    default:
      return undefined;
  }
}

/** What a log line shows of an event, whatever its size. */
export function summaryOf({ rule, priority, source, hostname, time, output }: FalcoEvent): object {
  return {
    rule: rule.slice(0, maxNameLength),
    priority,
    source: source.slice(0, maxNameLength),
    hostname: hostname?.slice(0, maxNameLength),
    time,
    output: output?.slice(0, maxOutputLength),
  };
}

/** For a log line, as long as it may be. */
export function uuidOf({ uuid, id }: FalcoEvent): string {
  return uuid?.slice(0, maxNameLength) ?? id;
}
