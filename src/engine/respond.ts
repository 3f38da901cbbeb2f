import type { FalcoEvent } from "../events/event.ts";
import { describeTarget, subjectOf } from "../events/target.ts";
import type { Work } from "../ledger/ledger.ts";
import type { Rule } from "../rules/rule.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { type Carried, carryOut, closeUnknown } from "./carry-out.ts";
import type { EngineOptions } from "./engine.ts";
import type { Ends } from "./execute.ts";
import { createFactsCache, type FactsCache } from "./facts.ts";
import { createJournal, type Journal } from "./journal.ts";
import { type PastResponse, pastOf } from "./past.ts";
import { createPermits, type Permits } from "./permits.ts";
import { createSightings, lookAt, type Response } from "./plan.ts";
import { summaryOf, type Tellings, uuidOf } from "./report.ts";

/** Looks at the API server for destructive actions, at the same time. */
const maxLooks = 32;

/** Carries out one response of an event. */
type Task = () => Promise<Carried>;

/** match → plan → guard → execute → record → notify, for one event. `isOurs`: it was given back by this process. */
export function createResponder(
  options: EngineOptions,
  stop: Pick<Ends, "begin" | "run">,
): (work: Work, isOurs: boolean) => Promise<void> {
  /** A flood must not ask the API server about thousands of pods at once: their deadlines would pass in the crowd. */
  const looks = createPermits({ total: maxLooks, of: () => maxLooks });
  const facts = createFactsCache(options.clock);
  const tellings: Tellings = new Map();

  return async (work, isOurs) => {
    const past = pastOf(work.history);
    const matched = past.length === 0 ? match(work.event, options) : [];
    if (matched.length + past.length === 0) {
      return finish(work, options);
    }
    const journal = createJournal(work);
    const shared = { looks, facts, tellings };
    const course = { ...shared, work, journal, ends: endsOf(work, stop), options: logging(work.event, options) };
    if (past.length > 0 && !isOurs) {
      noteResumption(past, course);
    }
    await respond(past.length === 0 ? begin(matched, course) : resume(past, course), course);
  };
}

async function respond(tasks: readonly Task[], { work, journal, options }: Course): Promise<void> {
  const faults: unknown[] = [];
  const told: Promise<boolean>[] = [];
  const waits: (number | undefined)[] = [];
  for (const task of tasks) {
    const carried = await task().catch((error: unknown) => void faults.push(error));
    told.push(...(carried?.told ?? []));
    waits.push(...(carried?.postponed === undefined ? [] : [carried.postponed.afterMs]));
  }
  if (faults.length > 0) {
    throw new AggregateError(faults, `${faults.length} of ${tasks.length} responses failed: ${faults[0]}`);
  }
  if (waits.length > 0) {
    return giveBack(work, journal, waits, options);
  }
  work.release();
  const settled = await Promise.all(told);
  return settled.every(Boolean) ? finish(work, options, journal) : work.giveBack(options.giveBackMs);
}

/** When the first of its responses may go on. */
async function giveBack(
  work: Work,
  journal: Journal,
  waits: readonly (number | undefined)[],
  { giveBackMs }: EngineOptions,
): Promise<void> {
  await journal.durable().catch(() => undefined);
  work.giveBack(Math.min(...waits.map((wait) => wait ?? giveBackMs)));
}

/** Where not all could be recorded, it is tried again: what is on record by then tells from where on. */
async function finish(work: Work, { logger, giveBackMs }: EngineOptions, journal?: Journal): Promise<void> {
  try {
    await journal?.durable();
    globalThis.halluxFailpoint?.("before-finish");
    await work.finish();
  } catch (err) {
    logger.warn({ err, uuid: uuidOf(work.event) }, "event could not be recorded to its end; it is tried again");
    work.giveBack(giveBackMs);
  }
}

/** What the responses of one event share. */
interface Course {
  readonly work: Work;
  readonly journal: Journal;
  readonly looks: Permits;
  readonly facts: FactsCache;
  readonly tellings: Tellings;
  readonly ends: Ends;
  readonly options: EngineOptions;
}

function match(event: FalcoEvent, options: EngineOptions): readonly Rule[] {
  const matched = options.rules().match(event);
  countMatches(matched, options.metrics);
  if (options.logEveryEvent || matched.length > 0) {
    logging(event, options).logger.info(
      { event: summaryOf(event), target: describeTarget(subjectOf(event)), rules: matched.map(({ name }) => name) },
      matched.length > 0 ? "event matched" : "event matches no rule",
    );
  }
  return matched;
}

/** One response for each rule, on record at once. */
function begin(matched: readonly Rule[], course: Course): readonly Task[] {
  const { work, journal, options } = course;
  const plannedAt = options.clock();
  const at = plannedAt.toISOString();
  const responses = matched.map((rule) => responseOf({ id: options.newId(), plannedAt }, rule, course));
  journal.write(
    ...responses.map(({ id, rule: { name, dryRun, actions }, target }) => ({
      type: "planned" as const,
      at,
      response: id,
      event: work.event.id,
      rule: name,
      ...(dryRun ? { dryRun } : {}),
      target,
      actions: actions.map((action) => ({ name: action.name, actionner: action.actionner.id })),
    })),
  );
  return responses.map((response) => () => carryOut({ ...course, response, past: undefined }, options));
}

function noteResumption(past: readonly PastResponse[], { options }: Course): void {
  options.logger.info({ responses: past.map(({ id }) => id) }, "event goes on where an earlier process left it");
  for (const _ of past) {
    options.metrics.responseResumed();
  }
}

/** The responses that an earlier process has planned, whatever would match now. */
function resume(past: readonly PastResponse[], course: Course): readonly Task[] {
  const { options } = course;
  const { rules } = options.rules();
  return past.map((known) => {
    const rule = rules.find((candidate) => describes(candidate, known));
    if (rule === undefined) {
      return async () => closeUnknown(known, course.work.event, course);
    }
    // What was planned to change nothing never does, whatever its rule says by now.
    const response = responseOf(known, { ...rule, dryRun: known.dryRun || rule.dryRun }, course);
    return () => carryOut({ ...course, response, past: known }, options);
  });
}

/** The rule has the name, and still the actions that were planned. */
function describes({ name, actions }: Rule, past: PastResponse): boolean {
  return (
    name === past.rule &&
    actions.length === past.actions.length &&
    actions.every(
      (action, position) =>
        action.name === past.actions[position]?.name && action.actionner.id === past.actions[position]?.actionner,
    )
  );
}

function responseOf(
  { id, plannedAt }: Pick<Response, "id" | "plannedAt">,
  rule: Rule,
  { work: { event }, looks, facts, ends, options }: Course,
): Response {
  const deadline = { timeoutMs: options.actionTimeoutMs, signal: ends.run };
  const sightings = createSightings(rule, event, async (target) => {
    const done = await looks.acquire("look", ends.begin);
    return lookAt(target, options.clients.real, deadline).finally(done);
  });
  return { id, event, rule, target: subjectOf(event), plannedAt, sightings, facts };
}

function countMatches(matched: readonly Rule[], metrics: Metrics): void {
  for (const { name } of matched) {
    metrics.ruleMatched(name);
  }
  if (matched.length === 0) {
    metrics.eventUnmatched();
  }
}

function endsOf({ lost }: Work, { begin, run }: Pick<Ends, "begin" | "run">): Ends {
  return { begin: AbortSignal.any([begin, lost]), run: AbortSignal.any([run, lost]), lost };
}

/** Each line of the log says which event it is about. */
function logging(event: FalcoEvent, options: EngineOptions): EngineOptions {
  return { ...options, logger: options.logger.child({ uuid: uuidOf(event), event_id: event.id }) };
}
