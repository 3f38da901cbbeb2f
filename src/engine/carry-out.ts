import { ActionError } from "../catalogue/errors.ts";
import type { Outcome } from "../catalogue/outcome.ts";
import type { FalcoEvent } from "../events/event.ts";
import { subjectOf, type Target } from "../events/target.ts";
import type { Action } from "../rules/rule.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Span } from "../telemetry/traces.ts";
import { type Ends, type ExecuteOptions, execute, failureOf, isRepeatable, type Postponed } from "./execute.ts";
import type { Journal } from "./journal.ts";
import type { Notifications } from "./notifications.ts";
import type { PastAction, PastResponse } from "./past.ts";
import type { Response } from "./plan.ts";
import { type EndedAction, report, type Tellings, tell } from "./report.ts";
import { beginAction, beginResponse, endAction, endResponse } from "./spans.ts";
import { timingOf } from "./timing.ts";

export interface CarryOutOptions extends ExecuteOptions {
  readonly notifications: Notifications;
  readonly defaultNotifiers: readonly string[];
  readonly metrics: Metrics;
}

/** One response of an event, with what is on record of it; `past` is undefined for a new one. */
export interface Course {
  readonly response: Response;
  readonly past: PastResponse | undefined;
  readonly journal: Journal;
  readonly ends: Ends;
  readonly tellings: Tellings;
}

interface EventOptions {
  readonly options: CarryOutOptions;
  /** Of the event; undefined where it is not traced. */
  readonly span: Span | undefined;
}

export interface Carried {
  /** Where it has to go on later. */
  readonly postponed: Postponed | undefined;
  /** Each resolves when whom it concerns was told; false where that could not be tried to its end. */
  readonly told: readonly Promise<boolean>[];
}

/** The actions of one response, in order, each recorded and notified; those on record as ended are not run again. */
export async function carryOut(course: Course, options: CarryOutOptions): Promise<Carried> {
  const { response, past, journal, tellings } = course;
  const told: Promise<boolean>[] = [];
  let failed: Outcome | undefined;

  for (const [position, action] of response.rule.actions.entries()) {
    const before = past?.actions[position];
    const outcome = before?.outcome ?? (await end(course, position, { action, before, options }));
    if (outcome.status === "postponed") {
      return { postponed: outcome, told };
    }
    told.push(
      tell(endedAction(response, position, { action, outcome }), untold(response, before, options), {
        ...options,
        journal,
        tellings,
      }),
    );
    failed = outcome.status === "failure" ? outcome : undefined;
    if (isLast(course, position, { action, outcome })) {
      break;
    }
  }
  if (!past?.closed) {
    journal.write({ type: "closed", at: now(options), response: response.id });
    response.timing.ends();
    endResponse(response.span, failed);
  }
  return { postponed: undefined, told };
}

/** Runs the action and records its outcome. */
async function end(
  { response, past, journal, ends }: Course,
  position: number,
  {
    action,
    before,
    options,
  }: { readonly action: Action; readonly before: PastAction | undefined; readonly options: CarryOutOptions },
): Promise<Outcome | Postponed> {
  const attempts = before?.attempts ?? 0;
  const span = beginAction(response, action, attempts);
  const outcome =
    before?.inFlight && !isRepeatable(action, { dryRun: past?.dryRun ?? false })
      ? interrupted(response, action)
      : await execute({ response, action, position, attempts, journal, ends, span }, options);
  endAction(span, outcome);
  if (outcome.status !== "postponed") {
    journal.write({ type: "ended", at: now(options), response: response.id, action: position, outcome });
    report(endedAction(response, position, { action, outcome }), options);
  }
  return outcome;
}

function interrupted({ target }: Response, { actionner: { undo } }: Action): Outcome {
  const words = `it was under way when Hallux ended, so it may or may not be done; it is not run again; if it was done: ${undo}`;
  return failureOf(new ActionError("interrupted", words), { target, durationMs: 0, dryRun: false });
}

/**
 * A response whose rule is no longer there, or has other actions now: what has not ended ends as a failure. `known` is what is on
 * record. Whom the rule wanted told is not known any more: the default notifiers are.
 */
export function closeUnknown(
  known: PastResponse,
  event: FalcoEvent,
  { journal, tellings, options, span: parent }: Pick<Course, "journal" | "tellings"> & EventOptions,
): Carried {
  const rule = { name: known.rule, description: undefined };
  const target = subjectOf(event);
  const span = beginResponse(parent, { ...known, target }, { name: known.rule, dryRun: known.dryRun });
  const undone = known.closed ? -1 : known.actions.findIndex(({ outcome }) => outcome === undefined);
  const told: Promise<boolean>[] = [];
  let failed: Outcome | undefined;

  for (const [position, action] of known.actions.entries()) {
    const outcome = position === undone ? notDone(known, action, target) : action.outcome;
    if (outcome === undefined) {
      continue;
    }
    const ended: EndedAction = { response: known.id, event, target, rule, action, position, outcome, span };
    if (position === undone) {
      journal.write({ type: "ended", at: now(options), response: known.id, action: position, outcome });
      report(ended, options);
      failed = outcome;
    }
    const notifiers = new Set(options.defaultNotifiers).difference(action.notified);
    told.push(tell(ended, notifiers, { ...options, journal, tellings }));
  }
  if (!known.closed) {
    journal.write({ type: "closed", at: now(options), response: known.id });
    timingOf(event, known.actions, options).ends();
    endResponse(span, failed);
  }
  return { postponed: undefined, told };
}

function notDone({ rule, dryRun }: PastResponse, { inFlight }: PastAction, target: Target): Outcome {
  const words = `rule "${rule}" is no longer loaded with these actions: what was left of the response is not done`;
  const error = new ActionError(inFlight ? "interrupted" : "cancelled", words);
  return failureOf(error, { target, durationMs: 0, dryRun });
}

/** What is on record decides before what the rule says by now. */
function isLast(
  { past }: Course,
  position: number,
  { action, outcome }: { readonly action: Action; readonly outcome: Outcome },
): boolean {
  const next = past?.actions[position + 1];
  const hasBegun = next !== undefined && (next.inFlight || next.outcome !== undefined);
  return !hasBegun && (past?.closed || endsResponse(action, outcome));
}

function endsResponse(action: Action, outcome: Outcome): boolean {
  const failed = (outcome.would ?? outcome.status) === "failure";
  return !action.continue || (failed && !action.ignoreErrors);
}

function endedAction(
  { id, event, target, rule, span }: Response,
  position: number,
  { action, outcome }: { readonly action: Action; readonly outcome: Outcome },
): EndedAction {
  return {
    response: id,
    event,
    target,
    rule: { name: rule.name, description: rule.description },
    action: { name: action.name, actionner: action.actionner.id },
    position,
    outcome,
    span,
  };
}

function untold(
  { rule }: Response,
  before: PastAction | undefined,
  { defaultNotifiers }: CarryOutOptions,
): ReadonlySet<string> {
  return new Set([...defaultNotifiers, ...rule.notifiers]).difference(before?.notified ?? new Set());
}

function now({ clock }: CarryOutOptions): string {
  return clock().toISOString();
}
