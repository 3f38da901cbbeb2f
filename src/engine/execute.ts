import type { Logger } from "pino";
import type { Facts, Store } from "../catalogue/catalogue.ts";
import { ActionError, isPassing, TargetGone } from "../catalogue/errors.ts";
import { ignored, type Outcome, type Result } from "../catalogue/outcome.ts";
import type { Clients, ClientSets } from "../clients/clients.ts";
import type { Pod, Sighted } from "../clients/kubernetes/port.ts";
import { describeTarget, type Target, targetOf } from "../events/target.ts";
import { type Ledger, LedgerUnavailable } from "../ledger/ledger.ts";
import type { Action, Rule } from "../rules/rule.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { tracedClients } from "../telemetry/traced-clients.ts";
import type { Span } from "../telemetry/traces.ts";
import { createStore } from "./artifacts.ts";
import { withDeadline } from "./deadline.ts";
import { type Guard, type GuardInput, objection } from "./guard.ts";
import type { Journal } from "./journal.ts";
import type { Permits } from "./permits.ts";
import type { Response, Sighting } from "./plan.ts";
import { type Patience, withRetries } from "./retry.ts";

/** Between attempts, once the first ones have failed. */
const postponedMs = { least: 2_000, most: 30_000 };
/** Of an outcome's text; what is longer belongs in an output. */
const maxTextLength = 16 * 1024;

export interface ExecuteOptions {
  readonly clients: ClientSets;
  readonly guards: readonly Guard[];
  /** Of one attempt. */
  readonly actionTimeoutMs: number;
  /** Of the attempts while the target waits for nothing else. */
  readonly patience: Patience;
  /** From the planning of the response: in this time an attempt may begin where the fault may pass. */
  readonly retryMs: number;
  readonly permits: Permits;
  readonly ledger: Pick<Ledger, "hold">;
  readonly metrics: Pick<Metrics, "actionRetried">;
  readonly logger: Logger;
  readonly clock: () => Date;
}

/** When to end; the reasons are `ActionError`s `interrupted`. */
export interface Ends {
  /** Nothing more begins. */
  readonly begin: AbortSignal;
  /** What runs is ended. */
  readonly run: AbortSignal;
  /** The event is another process's: it says what becomes of it. */
  readonly lost: AbortSignal;
}

export interface Step {
  readonly response: Response;
  readonly action: Action;
  /** Of the action among the rule's. */
  readonly position: number;
  /** Attempts on record from before. */
  readonly attempts: number;
  readonly journal: Journal;
  readonly ends: Ends;
  /** Undefined where the event is not traced. */
  readonly span: Span | undefined;
}

/** How an action ended, before it is dressed as an Outcome. */
type Ending =
  | Result
  | { readonly status: "refused"; readonly reason: string }
  | { readonly status: "failure"; readonly error: ActionError };

/** It has to go on later, and nothing is done twice by beginning it again. */
export interface Postponed {
  readonly status: "postponed";
  /** Undefined where it goes on as soon as it can. */
  readonly afterMs: number | undefined;
}

/**
 * Guards, then runs one action of a response, again where the fault may pass: at first at once, then later, so that others have
 * the target meanwhile. Never rejects: here, and only here, a throw becomes a `failure`.
 */
export async function execute(step: Step, options: ExecuteOptions): Promise<Outcome | Postponed> {
  const started = options.clock().getTime();
  const target = targetOf(step.action.actionner.target, step.response.event);

  const ending = target.kind === "missing" ? ignored(target.reason) : await settle(step, target, options);
  if (ending.status === "postponed") {
    return ending;
  }

  const durationMs = options.clock().getTime() - started;
  return dress(ending, {
    target: target.kind === "missing" ? undefined : target,
    durationMs,
    dryRun: step.response.rule.dryRun,
  });
}

/** What became of the attempts so far. */
interface Course {
  attempts: number;
  /** The start of the last attempt is on record, and not yet its end. */
  started: boolean;
  /** The last attempt has begun with what cannot be taken back by beginning again. */
  begun: boolean;
}

async function settle(step: Step, target: Target, options: ExecuteOptions): Promise<Ending | Postponed> {
  const course: Course = { attempts: step.attempts, started: false, begun: false };
  const may = (error: ActionError) =>
    mayRepeat(step, course, error) && !isAnswered(step, error) && isInTime(step, error, options);
  try {
    return await withRetries({
      // Once it was postponed, each turn is one attempt.
      patience: step.attempts === 0 ? options.patience : { ...options.patience, totalMs: 0 },
      signal: step.ends.begin,
      may,
      again: (error) => retrying(step, course, { error, options }),
      attempt: () => attempt({ ...step, target }, course, options),
    });
  } catch (thrown) {
    const error = asActionError(thrown);
    if (isUnfinished(step, course, error)) {
      return leave(step, course, { error, options });
    }
    if (isPassing(error) && may(error)) {
      retrying(step, course, { error, options });
      return { status: "postponed", afterMs: waitOf(step, error, options) };
    }
    return error instanceof TargetGone ? ignored(error.message) : { status: "failure", error: tried(error, course) };
  }
}

/** Half as long again as it took so far, within bounds, and not all at the same moment. */
function waitOf({ response }: Step, { retryAfterMs = 0 }: ActionError, { clock }: ExecuteOptions): number {
  const soFar = clock().getTime() - response.plannedAt.getTime();
  const wait = Math.min(Math.max(soFar / 2, postponedMs.least), postponedMs.most);
  return Math.max(wait * (0.7 + 0.6 * Math.random()), retryAfterMs);
}

function isInTime({ response }: Step, { retryAfterMs = 0 }: ActionError, { clock, retryMs }: ExecuteOptions): boolean {
  return clock().getTime() + retryAfterMs < response.plannedAt.getTime() + retryMs;
}

/** Ended from outside, or stopped while the fault could have passed; and to begin again does nothing twice. */
function isUnfinished(step: Step, course: Course, error: ActionError): boolean {
  const { begin, lost } = step.ends;
  const stopped = error.code === "interrupted" || (begin.aborted && isPassing(error));
  return lost.aborted || (stopped && mayRepeat(step, course, error));
}

/** To the next process, which would take for perhaps done what is on record as started. */
function leave(
  step: Step,
  course: Course,
  failed: { readonly error: ActionError; readonly options: ExecuteOptions },
): Postponed {
  if (course.started && !isRepeatable(step.action, step.response.rule) && !step.ends.lost.aborted) {
    retrying(step, course, failed);
  }
  return { status: "postponed", afterMs: undefined };
}

function mayRepeat({ action, response }: Step, { begun }: Course, { notBegun }: ActionError): boolean {
  return isRepeatable(action, response.rule) || !begun || notBegun;
}

/** A dry run that met a conflict has said what was asked, unless the real one would try again. */
function isAnswered({ action, response }: Step, { code }: ActionError): boolean {
  return response.rule.dryRun && !action.actionner.idempotent && code === "conflict";
}

/** Whether it may run again though it is not known whether it ran before. */
export function isRepeatable({ actionner }: Action, { dryRun }: Pick<Rule, "dryRun">): boolean {
  return actionner.idempotent || dryRun;
}

function retrying(
  step: Step,
  course: Course,
  { error: { code, message }, options }: { readonly error: ActionError; readonly options: ExecuteOptions },
): void {
  const { response, position: action, journal } = step;
  const at = options.clock().toISOString();
  const labels = { rule: response.rule.name, actionner: step.action.actionner.id, code };
  course.started = false;
  course.begun = false;
  options.metrics.actionRetried(labels);
  step.span?.note("attempt failed", { "hallux.attempt": course.attempts, "error.type": code, message });
  options.logger[course.attempts === 1 ? "warn" : "debug"](
    { ...labels, action: step.action.name, target: describeTarget(response.target), message },
    "action failed and is tried again",
  );
  journal.write({ type: "retrying", at, response: response.id, action, attempt: course.attempts, code, message });
}

function tried(error: ActionError, { attempts }: Course): ActionError {
  return attempts > 1
    ? new ActionError(error.code, `${error.message} (after ${attempts} attempts)`, { cause: error, text: error.text })
    : error;
}

interface Bound extends Step {
  readonly target: Target;
}

async function attempt(bound: Bound, course: Course, options: ExecuteOptions): Promise<Ending> {
  const { action, response, ends } = bound;
  const { actionner } = action;
  course.attempts += 1;
  course.begun = false;
  const sighting = actionner.destructive ? await response.sightings.of(bound.target.kind) : undefined;
  const seen = sighting?.kind === "seen" ? sighting.object : undefined;
  const target = withSeenUid(bound.target, seen);

  const refused = refusal({ action, target, seen }, options);
  if (refused !== undefined) {
    return refused;
  }
  mustHaveSeen(sighting);
  const step = { ...bound, target };
  const turn = actionner.oneAtATimePerOwner && seen?.owner !== undefined ? seen.owner.uid : undefined;
  return inTurn(turn, { ends, ledger: options.ledger }, async (running) => {
    const done = await options.permits.acquire(actionner.id, ends.begin);
    try {
      // While it waited, others may have come under protection.
      return (
        refusal({ action, target, seen }, options) ??
        (await run({ ...step, ends: { ...ends, run: running } }, course, options))
      );
    } finally {
      done();
    }
  });
}

function refusal(input: GuardInput, { guards }: ExecuteOptions): (Ending & { readonly status: "refused" }) | undefined {
  const reason = objection(guards, input);
  return reason === undefined ? undefined : { status: "refused", reason };
}

/** The object that was there at the time of the event, not one that took its name since. */
function withSeenUid(target: Target, seen: Sighted | undefined): Target {
  return target.kind === "none" || seen === undefined ? target : { ...target, uid: target.uid ?? seen.uid };
}

function mustHaveSeen(sighting: Sighting | undefined): void {
  switch (sighting?.kind) {
    case "gone":
      throw new TargetGone(sighting.reason);
    case "failed":
      throw sighting.error;
  }
}

/** With an owner: see `oneAtATimePerOwner`. */
async function inTurn<T>(
  owner: string | undefined,
  { ends, ledger }: Pick<Step, "ends"> & Pick<ExecuteOptions, "ledger">,
  job: (running: AbortSignal) => Promise<T>,
): Promise<T> {
  if (owner === undefined) {
    return job(ends.run);
  }
  const hold = await ledger.hold(`owner ${owner}`, ends.begin).catch(passing);
  try {
    return await job(AbortSignal.any([ends.run, hold.lost]));
  } finally {
    hold.release();
  }
}

function passing(error: unknown): never {
  throw error instanceof LedgerUnavailable ? new ActionError("unavailable", error.message, { cause: error }) : error;
}

async function run(step: Bound, course: Course, options: ExecuteOptions): Promise<Result> {
  const { action, response, target, journal, position } = step;
  const { actionner, parameters } = action;
  const { event, rule } = response;
  const { dryRun } = rule;
  const clients = tracedClients(dryRun ? options.clients.dryRun : options.clients.real, step.span);
  const timeoutMs = Math.max(options.actionTimeoutMs, (actionner.timeoutSeconds?.(parameters) ?? 0) * 1000);
  const at = options.clock().toISOString();

  journal.write({ type: "started", at, response: response.id, action: position, attempt: course.attempts });
  course.started = true;
  response.timing.begins();
  if (!isRepeatable(action, rule)) {
    await recorded(journal);
  }
  globalThis.halluxFailpoint?.("action-started");
  // The deadline starts when it is its turn.
  const result = await withDeadline({ timeoutMs, signal: step.ends.run }, async (signal) => {
    const facts = await fetchFacts(step, target, clients, signal);
    const store = storeOf(step, target, { clients, signal }, options);
    course.begun = true;
    const objectionTo = (other: Pod) => objection(options.guards, { action, target: other, seen: other });
    const about = { event, target, params: parameters, facts, rule: rule.name, objectionTo };
    return actionner.run({ ...about, clients, store, dryRun, attempt: course.attempts, signal });
  });
  globalThis.halluxFailpoint?.("action-done");
  return result;
}

/** What is not on record must not begin: after a crash it would begin again. */
async function recorded(journal: Journal): Promise<void> {
  await journal.durable().catch((cause: unknown) => {
    const words = cause instanceof Error ? cause.message : String(cause);
    throw new ActionError("interrupted", `its start could not be recorded: ${words}`, { cause });
  });
}

async function fetchFacts(
  { action, response }: Step,
  target: Target,
  clients: Clients,
  signal: AbortSignal,
): Promise<Facts> {
  const { event, facts } = response;
  // All targets first: no fetch must be under way when one of them throws.
  const calls = action.contexts.map((context) => {
    const about = context.target === target.kind ? target : targetOf(context.target, event);
    if (about.kind === "missing") {
      throw new ActionError("invalid", `context ${context.id}: ${about.reason}`);
    }
    return { context, about };
  });
  const found = await Promise.all(
    calls.map(({ context, about }) => facts.of(context, { event, target: about, clients, signal })),
  );
  return Object.assign({}, ...found);
}

function storeOf(
  { action, response }: Step,
  target: Target,
  { clients, signal }: { readonly clients: Clients; readonly signal: AbortSignal },
  { clock }: ExecuteOptions,
): Store | undefined {
  if (action.output === undefined) {
    return undefined;
  }
  const { output, parameters } = action.output;
  return createStore({ output, parameters, target, clients, signal, clock, dryRun: response.rule.dryRun });
}

function asActionError(error: unknown): ActionError {
  if (error instanceof ActionError) {
    return error;
  }
  return new ActionError("internal", error instanceof Error ? error.message : String(error), { cause: error });
}

interface Circumstances {
  readonly target: Target | undefined;
  readonly durationMs: number;
  readonly dryRun: boolean;
}

export function failureOf(error: ActionError, circumstances: Circumstances): Outcome {
  return dress({ status: "failure", error }, circumstances);
}

function dress(ending: Ending, { target, durationMs, dryRun }: Circumstances): Outcome {
  const done = ending.status === "success" ? ending : undefined;
  const text = ending.status === "failure" ? ending.error.text : done?.text;
  return {
    status: dryRun ? "dry_run" : ending.status,
    would: dryRun ? ending.status : undefined,
    message: dryRun ? `dry run: ${messageOf(ending)}` : messageOf(ending),
    code: ending.status === "failure" ? ending.error.code : undefined,
    target: done?.target ?? target,
    objects: done?.objects ?? {},
    text: text?.slice(0, maxTextLength),
    artifact: dryRun ? undefined : done?.artifact,
    undo: dryRun ? undefined : done?.undo,
    durationMs,
  };
}

function messageOf(ending: Ending): string {
  switch (ending.status) {
    case "success":
      return ending.summary;
    case "ignored":
    case "refused":
      return ending.reason;
    case "failure":
      return ending.error.message;
  }
}
