import type { Logger } from "pino";
import type { Notification } from "../catalogue/catalogue.ts";
import type { Outcome } from "../catalogue/outcome.ts";
import type { FalcoEvent } from "../events/event.ts";
import { describeTarget } from "../events/target.ts";
import type { Ledger, Transition, Work } from "../ledger/ledger.ts";
import type { Action, Rule, RuleSet } from "../rules/rule.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { ActionError } from "../catalogue/errors.ts";
import { type ExecuteOptions, execute, type Step } from "./execute.ts";
import type { Delivery, Notifications } from "./notifications.ts";
import { queueKey, type Response, sight, subjectOf } from "./plan.ts";
import { createQueues } from "./queues.ts";

/** Of the event's texts, in a log line. */
const maxNameLength = 256;
const maxOutputLength = 1024;

export interface EngineOptions extends ExecuteOptions {
  readonly ledger: Ledger;
  /** Asked once per event: a response keeps the rules it began with. */
  readonly rules: () => RuleSet;
  readonly notifications: Notifications;
  readonly defaultNotifiers: readonly string[];
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly newId: () => string;
  /** Targets worked on at the same time. */
  readonly concurrency: number;
  /** Log every event, not only those that a rule matches. */
  readonly logEveryEvent: boolean;
}

/** Of what an action read: the beginning, for whoever has only the log. */
const maxLoggedText = 2048;

/** Of the grace period: kept to tell what was interrupted. */
const shareOfLastWords = 0.1;

export interface Engine {
  /** Takes no more work, waits for what runs at most so long, then interrupts it. Resolves when nothing runs. */
  stop(graceMs: number): Promise<void>;
}

/** Takes accepted events from the ledger and responds to them, stage by stage. */
export function startEngine(options: EngineOptions): Engine {
  const taking = new AbortController();
  const interruption = new AbortController();
  const respond = createResponder(options, interruption.signal);
  const underWay = new Set<Promise<void>>();

  const takeWork = async () => {
    for await (const work of options.ledger.work(taking.signal)) {
      const handling = respond(work)
        .finally(() => work.finish())
        .catch((error: unknown) => {
          options.logger.error(
            { err: error, uuid: uuidOf(work.event) },
            "event not handled to the end: internal error",
          );
        });
      underWay.add(handling);
      void handling.finally(() => underWay.delete(handling));
    }
  };
  const takingWork = takeWork();

  return {
    async stop(graceMs) {
      taking.abort();
      const interrupt = setTimeout(
        () => interruption.abort(new ActionError("interrupted", "Hallux stopped before it ended")),
        graceMs * (1 - shareOfLastWords),
      );
      const silence = setTimeout(() => options.notifications.stop(), graceMs);
      await takingWork;
      await Promise.all(underWay);
      await options.notifications.drained();
      clearTimeout(interrupt);
      clearTimeout(silence);
    },
  };
}

/** match → plan → guard → execute → record → notify, for one event. */
function createResponder(options: EngineOptions, signal: AbortSignal): (work: Work) => Promise<void> {
  const { rules, metrics, newId, clients, actionTimeoutMs } = options;
  const queues = createQueues(options.concurrency);
  /** A flood must not ask the API server about thousands of pods at once: their deadlines would pass in the crowd. */
  const looks = createQueues(options.concurrency);
  const turns = createQueues(Number.POSITIVE_INFINITY);

  return async (work) => {
    const { event } = work;
    const log = options.logger.child({ uuid: uuidOf(event), event_id: event.id });
    const matched = rules().match(event);
    const target = subjectOf(event);
    countMatches(matched, metrics);
    if (options.logEveryEvent || matched.length > 0) {
      log.info(
        { event: summaryOf(event), target: describeTarget(target), rules: matched.map(({ name }) => name) },
        matched.length > 0 ? "event matched" : "event matches no rule",
      );
    }

    const responses = await Promise.allSettled(
      matched.map((rule) => {
        // Seen now, before it waits behind others on the same target.
        const sightings = looks.run(newId(), () =>
          sight(rule, event, clients.real, { timeoutMs: actionTimeoutMs, signal }),
        );
        return queues.run(queueKey(event, target), async () => {
          const response: Response = { id: newId(), event, rule, target, sightings: await sightings };
          await carryOut({ response, durable: work.durable, turns, signal }, { ...options, logger: log });
        });
      }),
    );
    const faults = responses.flatMap((response) => (response.status === "rejected" ? [response.reason] : []));
    if (faults.length > 0) {
      throw new AggregateError(faults, `${faults.length} of ${responses.length} responses failed: ${faults[0]}`);
    }
  };
}

function countMatches(matched: readonly Rule[], metrics: Metrics): void {
  for (const { name } of matched) {
    metrics.ruleMatched(name);
  }
  if (matched.length === 0) {
    metrics.eventUnmatched();
  }
}

/** The actions of one response, in order, each recorded and notified. */
async function carryOut(course: Omit<Step, "action">, options: EngineOptions): Promise<void> {
  const { response } = course;
  const { ledger, clock } = options;
  const record = (transition: Transition) => ledger.record(transition);
  const now = () => clock().toISOString();
  const { id, event, rule, target } = response;

  const actions = rule.actions.map(({ name, actionner }) => ({ name, actionner: actionner.id }));
  await record({ type: "planned", at: now(), response: id, event: event.id, rule: rule.name, target, actions });
  for (const [position, action] of rule.actions.entries()) {
    if (!action.actionner.idempotent) {
      await record({ type: "started", at: now(), response: id, action: position, attempt: 1 });
    }
    const outcome = await execute({ ...course, action }, options);
    await record({ type: "ended", at: now(), response: id, action: position, outcome });
    report(response, action, outcome, options);
    tell(response, position, outcome, options);
    if (endsResponse(action, outcome)) {
      break;
    }
  }
  await record({ type: "closed", at: now(), response: id });
}

function endsResponse(action: Action, outcome: Outcome): boolean {
  const failed = (outcome.would ?? outcome.status) === "failure";
  return !action.continue || (failed && !action.ignoreErrors);
}

/** The metrics and the log line of an ended action. */
function report(response: Response, action: Action, outcome: Outcome, { metrics, logger }: EngineOptions): void {
  const { status, would, code, message, durationMs, objects, text, artifact, undo, target } = outcome;
  const rule = response.rule.name;
  const actionner = action.actionner.id;
  metrics.actionEnded({ rule, actionner, status, code }, durationMs / 1000);

  const level = status === "failure" || status === "refused" ? "warn" : "info";
  logger[level](
    {
      rule,
      action: action.name,
      actionner,
      target: describeTarget(target ?? response.target),
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

/** Off the path: nothing here is waited for. */
function tell(response: Response, position: number, outcome: Outcome, options: EngineOptions): void {
  const { notifications, defaultNotifiers, clock } = options;
  const action = response.rule.actions[position];
  const notification: Notification = {
    event: response.event,
    response: response.id,
    rule: { name: response.rule.name, description: response.rule.description },
    action: { name: action?.name ?? "", actionner: action?.actionner.id ?? "" },
    outcome,
    at: clock().toISOString(),
  };
  for (const notifier of new Set([...defaultNotifiers, ...response.rule.notifiers])) {
    notifications.send(notifier, notification, (delivery) =>
      delivered(notifier, delivery, { response, position }, options),
    );
  }
}

function delivered(
  notifier: string,
  delivery: Delivery,
  { response, position }: { readonly response: Response; readonly position: number },
  { ledger, metrics, logger, clock }: EngineOptions,
): void {
  const error = delivery.status === "failure" ? delivery.error.message : undefined;
  const problem = delivery.status === "dropped" ? `dropped: ${delivery.reason}` : error;
  metrics.notified(notifier, delivery.status);
  if (problem !== undefined) {
    logger.warn({ notifier, rule: response.rule.name, message: problem }, "notification failed");
  }
  const at = clock().toISOString();
  ledger
    .record({ type: "notified", at, response: response.id, action: position, notifier, error: problem })
    .catch((err: unknown) => logger.error({ err, notifier, rule: response.rule.name }, "notification not recorded"));
}

/** What a log line shows of an event, whatever its size. */
function summaryOf({ rule, priority, source, hostname, time, output }: FalcoEvent): object {
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
function uuidOf({ uuid, id }: FalcoEvent): string {
  return uuid?.slice(0, maxNameLength) ?? id;
}
