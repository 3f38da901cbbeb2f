import type { ErrorCode } from "../catalogue/errors.ts";
import type { Outcome, OutcomeStatus, StoredArtifact } from "../catalogue/outcome.ts";
import type { FalcoEvent } from "../events/event.ts";
import type { JsonObject } from "../events/json.ts";
import { describeTarget, type Target } from "../events/target.ts";
import type { ResponseDetail, ResponseRecord, Transition } from "../ledger/ledger.ts";

/** How an action ended, or where it stands; `not_run`: an action before it ended the response. */
export type ActionStatus = OutcomeStatus | "pending" | "running" | "not_run";

/** One response in a list, as `GET /api/v1/responses` gives it. Times are RFC 3339. */
export interface ResponseSummary {
  readonly id: string;
  readonly event_id: string;
  readonly rule: string;
  /** `pod shop/cart-1`, or `none`. */
  readonly target: string;
  readonly target_uid: string | undefined;
  /** `open` until it is closed, then the gravest of its actions' outcomes. */
  readonly status: OutcomeStatus | "open";
  readonly planned_at: string;
  readonly closed_at: string | undefined;
  readonly actions: readonly ActionSummary[];
}

export interface ActionSummary {
  readonly name: string;
  readonly actionner: string;
  readonly status: ActionStatus;
  /** Why it failed, or, in a dry run, would. */
  readonly code: ErrorCode | undefined;
}

/** One response, whole, as `GET /api/v1/responses/<id>` gives it. */
export interface ResponseReport extends ResponseSummary {
  readonly event: EventReport;
  readonly actions: readonly ActionReport[];
  /** The newest hundred, newest first. */
  readonly repeats: readonly { readonly event_id: string; readonly at: string }[];
}

export interface EventReport {
  readonly rule: string;
  readonly priority: string;
  readonly source: string;
  readonly hostname: string | undefined;
  readonly output: string | undefined;
  readonly time: string;
  readonly received_at: string;
  /** Every key as Falco sent it. */
  readonly sent: JsonObject;
}

export interface ActionReport extends ActionSummary {
  /** How often it was begun, where that is on record. */
  readonly attempts: number | undefined;
  readonly failed_attempts: readonly FailedAttempt[];
  readonly started_at: string | undefined;
  readonly ended_at: string | undefined;
  readonly duration_ms: number | undefined;
  readonly message: string | undefined;
  /** How a dry run found that it would have ended. */
  readonly would: Outcome["would"];
  /** As the action found it. */
  readonly target: string | undefined;
  readonly target_uid: string | undefined;
  readonly objects: Readonly<Record<string, string>>;
  readonly text: string | undefined;
  readonly artifact: StoredArtifact | undefined;
  readonly undo: string | undefined;
  readonly notifications: readonly NotificationReport[];
}

export interface FailedAttempt {
  readonly attempt: number;
  readonly at: string;
  readonly code: ErrorCode;
  readonly message: string;
}

export interface NotificationReport {
  readonly notifier: string;
  readonly at: string;
  /** Absent when it was delivered. */
  readonly error: string | undefined;
}

type Step<T extends Transition["type"]> = Extract<Transition, { readonly type: T }>;

export function summaryOf({ response, transitions }: ResponseRecord): ResponseSummary {
  const planned = plannedIn(transitions);
  const closedAt = stepsOf("closed", transitions).at(-1)?.at;
  const actions = planned.actions.map(({ name, actionner }, position) => {
    const progress = progressOf(position, transitions);
    const status = statusOf(progress, closedAt !== undefined);
    return { name, actionner, status, code: progress.ended?.outcome.code };
  });
  return {
    id: response,
    event_id: planned.event,
    rule: planned.rule,
    target: describeTarget(planned.target),
    target_uid: uidOf(planned.target),
    status: closedAt === undefined ? "open" : gravest(actions.map(({ status }) => status)),
    planned_at: planned.at,
    closed_at: closedAt,
    actions,
  };
}

export function reportOf(detail: ResponseDetail): ResponseReport {
  const { actions, ...summary } = summaryOf(detail);
  return {
    ...summary,
    event: eventReport(detail.event),
    actions: actions.map((action, position) => actionReport(action, progressOf(position, detail.transitions))),
    repeats: detail.repeats.map(({ event, at }) => ({ event_id: event, at })),
  };
}

function plannedIn(transitions: readonly Transition[]): Step<"planned"> {
  const [first] = transitions;
  if (first?.type !== "planned") {
    throw new TypeError("a response on record that does not begin with `planned`");
  }
  return first;
}

/** What is on record of one action. */
interface Progress {
  readonly started: readonly Step<"started">[];
  readonly failed: readonly Step<"retrying">[];
  readonly ended: Step<"ended"> | undefined;
  readonly notified: readonly Step<"notified">[];
}

function progressOf(position: number, transitions: readonly Transition[]): Progress {
  const own = transitions.filter((step) => "action" in step && step.action === position);
  return {
    started: stepsOf("started", own),
    failed: stepsOf("retrying", own),
    ended: stepsOf("ended", own).at(-1),
    notified: stepsOf("notified", own),
  };
}

function stepsOf<T extends Transition["type"]>(type: T, transitions: readonly Transition[]): readonly Step<T>[] {
  return transitions.filter((step): step is Step<T> => step.type === type);
}

function statusOf({ started, failed, ended }: Progress, closed: boolean): ActionStatus {
  if (ended !== undefined) {
    return ended.outcome.status;
  }
  if (closed) {
    return "not_run";
  }
  return started.length + failed.length > 0 ? "running" : "pending";
}

const byGravity: readonly OutcomeStatus[] = ["failure", "refused", "expired", "dry_run", "success", "ignored"];

function gravest(statuses: readonly ActionStatus[]): OutcomeStatus {
  return byGravity.find((status) => statuses.includes(status)) ?? "ignored";
}

function eventReport(event: FalcoEvent): EventReport {
  const { rule, priority, source, hostname, output, time, receivedAt, sent } = event;
  return { rule, priority, source, hostname, output, time, received_at: receivedAt, sent };
}

function actionReport(action: ActionSummary, { started, failed, ended, notified }: Progress): ActionReport {
  const outcome = ended?.outcome;
  return {
    ...action,
    attempts: attemptsOf(started, failed),
    failed_attempts: failed.map(({ attempt, at, code, message }) => ({ attempt, at, code, message })),
    started_at: started[0]?.at,
    ended_at: ended?.at,
    duration_ms: outcome?.durationMs,
    message: outcome?.message,
    would: outcome?.would,
    target: outcome?.target && describeTarget(outcome.target),
    target_uid: outcome?.target && uidOf(outcome.target),
    objects: outcome?.objects ?? {},
    text: outcome?.text,
    artifact: outcome?.artifact,
    undo: outcome?.undo,
    notifications: notified.map(({ notifier, at, error }) => ({ notifier, at, error })),
  };
}

/** A failed attempt on record was followed by another, whose start need not be. */
function attemptsOf(started: Progress["started"], failed: Progress["failed"]): number | undefined {
  const attempts = [...started.map(({ attempt }) => attempt), ...failed.map(({ attempt }) => attempt + 1)];
  return attempts.length === 0 ? undefined : Math.max(...attempts);
}

function uidOf(target: Target): string | undefined {
  return target.kind === "none" ? undefined : target.uid;
}
