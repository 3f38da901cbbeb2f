import type { FalcoEvent } from "../events/event.ts";
import { describeTarget, subjectOf } from "../events/target.ts";
import type { Work } from "../ledger/ledger.ts";
import type { Rule } from "../rules/rule.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { tracedClients } from "../telemetry/traced-clients.ts";
import type { Span } from "../telemetry/traces.ts";
import { type Carried, carryOut, closeUnknown } from "./carry-out.ts";
import type { EngineOptions, EngineSettings } from "./engine.ts";
import type { Ends } from "./execute.ts";
import { createFactsCache, type FactsCache } from "./facts.ts";
import { createJournal, type Journal } from "./journal.ts";
import { type PastResponse, pastOf } from "./past.ts";
import { createPermits, type Permits } from "./permits.ts";
import { createSightings, lookAt, type Response } from "./plan.ts";
import { summaryOf, type Tellings, uuidOf } from "./report.ts";
import { beginResponse } from "./spans.ts";
import { timingOf } from "./timing.ts";
import { createUnwritten } from "./unwritten.ts";

/** Looks at the API server for destructive actions, at the same time. */
const maxLooks = 32;

/** Carries out one response of an event. */
type Task = () => Promise<Carried>;

/** How one event is responded to. */
export interface Terms {
  readonly settings: EngineSettings;
  /** This process has given it back before. */
  readonly isOurs: boolean;
  /** Of the event; undefined where it is not traced. */
  readonly span: Span | undefined;
}

/**
 * match → plan → guard → execute → record → notify, for one event. Resolves with the milliseconds after which it is to be given
 * again; undefined where it is finished.
 */
export function createResponder(
  options: EngineOptions,
  stop: Pick<Ends, "begin" | "run">,
): (work: Work, terms: Terms) => Promise<number | undefined> {
  /** A flood must not ask the API server about thousands of pods at once: their deadlines would pass in the crowd. */
  const looks = createPermits({ total: maxLooks, of: () => maxLooks });
  const facts = createFactsCache(options.clock);
  const tellings: Tellings = new Map();
  const unwritten = createUnwritten();

  return async (work, { settings, isOurs, span }) => {
    const missing = unwritten.take(work);
    const past = pastOf(work.history.concat(missing));
    const matched = past.length === 0 ? match(work.event, { settings, span }, options) : [];
    if (matched.length + past.length === 0) {
      return finish(work, options);
    }
    const journal = createJournal(work);
    const shared = { looks, facts, tellings };
    const course = {
      ...shared,
      work,
      span,
      journal,
      ends: endsOf(work, stop),
      options: withNewest({ ...logging(work.event, options), ...settings }),
    };
    if (missing.length > 0) {
      journal.write(...missing);
    }
    const tasks = past.length === 0 ? begin(matched, course) : resume(past, course, isOurs);
    return respond(tasks, course).finally(() => unwritten.keep(work, journal));
  };
}

async function respond(tasks: readonly Task[], { work, journal, options }: Course): Promise<number | undefined> {
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
    return earliest(journal, waits, options);
  }
  work.release();
  const settled = await Promise.all(told);
  return settled.every(Boolean) ? finish(work, options, journal) : options.giveBackMs;
}

/** When the first of its responses may go on. */
async function earliest(
  journal: Journal,
  waits: readonly (number | undefined)[],
  { giveBackMs }: EngineOptions,
): Promise<number> {
  await journal.durable().catch(() => undefined);
  return Math.min(...waits.map((wait) => wait ?? giveBackMs));
}

/** Where not all could be recorded, it is tried again: what is on record by then tells from where on. */
async function finish(
  work: Work,
  { logger, giveBackMs }: EngineOptions,
  journal?: Journal,
): Promise<number | undefined> {
  try {
    await journal?.durable();
    globalThis.halluxFailpoint?.("before-finish");
    await work.finish();
    return undefined;
  } catch (err) {
    logger.warn({ err, uuid: uuidOf(work.event) }, "event could not be recorded to its end; it is tried again");
    return giveBackMs;
  }
}

/** What the responses of one event share. */
interface Course {
  readonly work: Work;
  readonly span: Span | undefined;
  readonly journal: Journal;
  readonly looks: Permits;
  readonly facts: FactsCache;
  readonly tellings: Tellings;
  readonly ends: Ends;
  readonly options: EngineOptions & EngineSettings;
}

function match(
  event: FalcoEvent,
  { settings, span }: Pick<Terms, "settings" | "span">,
  options: EngineOptions,
): readonly Rule[] {
  const step = span?.begin("match");
  const matched = settings.rules.match(event);
  step?.end({ attributes: { "hallux.rules.matched": matched.length } });
  countMatches(matched, options.metrics);
  if (settings.logEveryEvent || matched.length > 0) {
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
function resume(past: readonly PastResponse[], course: Course, isOurs: boolean): readonly Task[] {
  const { options } = course;
  const { rules } = options.rules;
  if (!isOurs) {
    noteResumption(past, course);
  }
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
  { id, plannedAt, actions = [] }: Pick<Response, "id" | "plannedAt"> & Partial<Pick<PastResponse, "actions">>,
  rule: Rule,
  { work: { event }, span: parent, looks, facts, ends, options }: Course,
): Response {
  const target = subjectOf(event);
  const span = beginResponse(parent, { id, plannedAt, target }, rule);
  const clients = tracedClients(options.clients.real, span);
  const deadline = { timeoutMs: options.actionTimeoutMs, signal: ends.run };
  const sightings = createSightings(rule, event, async (sought) => {
    const done = await looks.acquire("look", ends.begin);
    return lookAt(sought, clients, deadline).finally(done);
  });
  const timing = timingOf(event, actions, options);
  return { id, event, rule, target, plannedAt, sightings, facts, span, timing };
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

/** Whom to protect and how to log in somewhere is always as it is now, for what has begun, too. */
function withNewest(options: Course["options"]): Course["options"] {
  const { current } = options;
  return {
    ...options,
    get clients() {
      return current().clients;
    },
    get guards() {
      return current().guards;
    },
  };
}

/** Each line of the log says which event it is about. */
function logging(event: FalcoEvent, options: EngineOptions): EngineOptions {
  return { ...options, logger: options.logger.child({ uuid: uuidOf(event), event_id: event.id }) };
}
