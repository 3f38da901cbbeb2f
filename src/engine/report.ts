import type { Logger } from "pino";
import type { Notification } from "../catalogue/catalogue.ts";
import type { Outcome } from "../catalogue/outcome.ts";
import type { FalcoEvent } from "../events/event.ts";
import { describeTarget, type Target } from "../events/target.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Span } from "../telemetry/traces.ts";
import type { Journal } from "./journal.ts";
import type { Delivery, Notifications } from "./notifications.ts";
import { beginNotification, endNotification } from "./spans.ts";

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
  /** Of its response. Undefined where the event is not traced. */
  readonly span: Span | undefined;
}

/** The metrics and the log line of an action. */
export function report(
  { event, rule, action, target: subject, outcome }: EndedAction,
  { metrics, logger }: ReportOptions,
): void {
  const { status, would, code, message, durationMs, objects, text, artifact, undo, target } = outcome;
  metrics.actionEnded({ rule: rule.name, actionner: action.actionner, status, code }, durationMs / 1000, event.id);

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

/**
 * What is being told now, by response, action and notifier: an event that was given back and goes on meanwhile must not have it told
 * again.
 */
export type Tellings = Map<string, Telling>;

interface Telling {
  /** Of the one who has the event now. */
  journal: Journal;
  readonly told: Promise<boolean>;
}

export interface TellOptions extends ReportOptions {
  readonly notifications: Notifications;
  readonly journal: Journal;
  readonly tellings: Tellings;
}

/**
 * Off the path. Resolves when each notifier was told or given up on, and that is written; false where it is to be told later: the
 * process stops, or the outcome itself could not be recorded.
 */
export async function tell(ended: EndedAction, notifiers: Iterable<string>, options: TellOptions): Promise<boolean> {
  const { journal, tellings } = options;
  const recorded = await journal.durable().then(
    () => true,
    () => false,
  );
  if (!recorded) {
    return false;
  }
  const told = [...notifiers].map((notifier) => {
    const key = `${ended.response} ${ended.position} ${notifier}`;
    const telling = tellings.get(key) ?? { journal, told: tellOne(ended, notifier, { key, options }) };
    telling.journal = journal;
    tellings.set(key, telling);
    return telling.told;
  });
  return (await Promise.all(told)).every(Boolean);
}

async function tellOne(
  { event, response, rule, action, position, outcome, span }: EndedAction,
  notifier: string,
  { key, options }: { readonly key: string; readonly options: TellOptions },
): Promise<boolean> {
  const { notifications, tellings, clock, metrics, logger } = options;
  const started = performance.now();
  const notification: Notification = { event, response, rule, action, outcome, at: clock().toISOString() };
  const step = beginNotification(span, notifier);
  const delivery = await notifications.send(notifier, notification, step);
  endNotification(step, delivery);
  const journal = tellings.get(key)?.journal ?? options.journal;
  tellings.delete(key);
  if (delivery.status === "stopped") {
    return false;
  }
  const error = problemOf(delivery);
  metrics.notified(notifier, delivery.status);
  if (delivery.status !== "dropped") {
    metrics.notificationEnded(notifier, (performance.now() - started) / 1000, event.id);
  }
  if (delivery.status === "failure") {
    logger.warn({ notifier, rule: rule.name, message: error }, "notification failed");
  }
  journal.write({ type: "notified", at: clock().toISOString(), response, action: position, notifier, error });
  return true;
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
