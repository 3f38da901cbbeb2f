import type { Outcome } from "../catalogue/outcome.ts";
import type { Action, Rule } from "../rules/rule.ts";
import { type Span, type SpanEnding, spanErrorOf, targetAttributes } from "../telemetry/traces.ts";
import type { Postponed } from "./execute.ts";
import type { Delivery } from "./notifications.ts";
import type { Response } from "./plan.ts";

/** From the planning of the response to the end of its last action, which may come in another process. */
export function beginResponse(
  event: Span | undefined,
  { id, plannedAt, target }: Pick<Response, "id" | "plannedAt" | "target">,
  { name, dryRun }: Pick<Rule, "name" | "dryRun">,
): Span | undefined {
  return event?.begin(`response ${name}`, {
    id,
    startedAt: plannedAt,
    attributes: {
      "hallux.response.id": id,
      "hallux.rule": name,
      "hallux.dry_run": dryRun,
      ...targetAttributes(target),
    },
  });
}

/** One turn of the action: one that is postponed has another one later. */
export function beginAction(
  { span, rule, target }: Response,
  { name, actionner }: Action,
  attempts: number,
): Span | undefined {
  return span?.begin(`action ${name}`, {
    attributes: {
      "hallux.rule": rule.name,
      "hallux.action": name,
      "hallux.actionner": actionner.id,
      "hallux.attempts.before": attempts === 0 ? undefined : attempts,
      ...targetAttributes(target),
    },
  });
}

export function endAction(span: Span | undefined, outcome: Outcome | Postponed): void {
  span?.end(
    outcome.status === "postponed" ? { attributes: { "hallux.action.status": "postponed" } } : endingOf(outcome),
  );
}

function endingOf(outcome: Outcome): SpanEnding {
  const { status, would, target } = outcome;
  const attributes = {
    "hallux.action.status": status,
    "hallux.action.would": would,
    "hallux.action.message": messageOf(outcome),
    ...(target === undefined ? {} : targetAttributes(target)),
  };
  return { attributes, error: errorOf(outcome) };
}

function errorOf(outcome: Outcome): SpanEnding["error"] {
  const { status, code = "internal" } = outcome;
  return status === "failure" ? { code, message: messageOf(outcome) } : undefined;
}

/** An error nobody foresaw may hold anything: its words stay in the log and the history. */
function messageOf({ code, message }: Outcome): string | undefined {
  return code === "internal" ? undefined : message;
}

/** `failed` is its last outcome, where that is a failure. */
export function endResponse(span: Span | undefined, failed: Outcome | undefined): void {
  span?.end({ error: failed && errorOf(failed) });
}

/** In the queue, too. */
export function beginNotification(response: Span | undefined, notifier: string): Span | undefined {
  return response?.begin(`notify ${notifier}`, { attributes: { "hallux.notifier": notifier } });
}

export function endNotification(span: Span | undefined, delivery: Delivery): void {
  span?.end({ attributes: { "hallux.notification.status": delivery.status }, error: notificationError(delivery) });
}

function notificationError(delivery: Delivery): SpanEnding["error"] {
  switch (delivery.status) {
    case "failure":
      return spanErrorOf(delivery.error);
    case "dropped":
      return { code: "dropped", message: delivery.reason };
    case "success":
    case "stopped":
      return undefined;
  }
}
