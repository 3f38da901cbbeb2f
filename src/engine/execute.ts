import type { Facts, Store } from "../catalogue/catalogue.ts";
import { ActionError, TargetGone } from "../catalogue/errors.ts";
import { ignored, type Outcome, type Result } from "../catalogue/outcome.ts";
import type { Clients, ClientSets } from "../clients/clients.ts";
import { type Target, targetOf } from "../events/target.ts";
import type { Action } from "../rules/rule.ts";
import { createStore } from "./artifacts.ts";
import { withDeadline } from "./deadline.ts";
import { type Guard, objection } from "./guard.ts";
import type { Response, Sighting } from "./plan.ts";
import type { Queues } from "./queues.ts";

/** Of an outcome's text; what is longer belongs in an output. */
const maxTextLength = 16 * 1024;

export interface ExecuteOptions {
  readonly clients: ClientSets;
  readonly guards: readonly Guard[];
  /** Of the configuration, by output id. */
  readonly outputSettings: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  readonly actionTimeoutMs: number;
  readonly clock: () => Date;
}

/** How an action ended, before it is dressed as an Outcome. */
type Ending =
  | Result
  | { readonly status: "refused"; readonly reason: string }
  | { readonly status: "failure"; readonly error: ActionError };

export interface Step {
  readonly response: Response;
  readonly action: Action;
  /** Before this an action that is not idempotent must not start. */
  readonly durable: Promise<void>;
  /** By the UID of an owner: see `oneAtATimePerOwner`. */
  readonly turns: Queues;
  /** Fires when the engine gives up at shutdown. */
  readonly signal: AbortSignal;
}

/** Guards, then runs one action of a response. Never rejects: here, and only here, a throw becomes a `failure`. */
export async function execute(step: Step, options: ExecuteOptions): Promise<Outcome> {
  const started = options.clock().getTime();
  const target = targetOf(step.action.actionner.target, step.response.event);

  const ending = target.kind === "missing" ? ignored(target.reason) : await settle(step, target, options);

  const durationMs = options.clock().getTime() - started;
  return dress(ending, {
    target: target.kind === "missing" ? undefined : target,
    durationMs,
    dryRun: step.response.rule.dryRun,
  });
}

async function settle(step: Step, found: Target, options: ExecuteOptions): Promise<Ending> {
  const { action, response } = step;
  const target = withSeenUid(found, response);
  try {
    const reason = refusal(action, response, target, options.guards);
    return reason === undefined ? await run(step, target, options) : { status: "refused", reason };
  } catch (error) {
    if (error instanceof TargetGone) {
      return ignored(error.message);
    }
    return { status: "failure", error: asActionError(error) };
  }
}

/** The object that was there when the response was planned, not one that took its name since. */
function withSeenUid(target: Target, { sightings }: Response): Target {
  const sighting = sightings[target.kind];
  return target.kind === "none" || sighting?.kind !== "seen"
    ? target
    : { ...target, uid: target.uid ?? sighting.object.uid };
}

function refusal(
  action: Action,
  { sightings }: Response,
  target: Target,
  guards: readonly Guard[],
): string | undefined {
  const sighting = action.actionner.destructive ? sightings[target.kind] : undefined;
  const reason = objection(guards, { action, target, seen: sighting?.kind === "seen" ? sighting.object : undefined });
  if (reason === undefined && sighting !== undefined) {
    mustHaveSeen(sighting);
  }
  return reason;
}

function mustHaveSeen(sighting: Sighting): void {
  switch (sighting.kind) {
    case "gone":
      throw new TargetGone(sighting.reason);
    case "failed":
      throw new ActionError(sighting.code, sighting.reason);
    case "seen":
      return;
  }
}

async function run(step: Step, target: Target, options: ExecuteOptions): Promise<Result> {
  const { action, response, durable } = step;
  const { actionner, parameters } = action;
  const { dryRun } = response.rule;
  const clients = dryRun ? options.clients.dryRun : options.clients.real;
  const timeoutMs = Math.max(options.actionTimeoutMs, (actionner.timeoutSeconds?.(parameters) ?? 0) * 1000);

  if (!actionner.idempotent) {
    await durable;
  }
  const attempt = async (signal: AbortSignal) => {
    const facts = await fetchFacts(step, target, clients, signal);
    const store = storeOf(step, target, { clients, signal }, options);
    const { event, rule } = response;
    return actionner.run({ event, target, params: parameters, facts, clients, store, rule: rule.name, dryRun, signal });
  };
  // The deadline starts when it is its turn.
  return inTurn(step, target, () => withDeadline({ timeoutMs, signal: step.signal }, attempt));
}

function inTurn<T>({ action, response, turns }: Step, { kind }: Target, job: () => Promise<T>): Promise<T> {
  const sighting = response.sightings[kind];
  const owner = sighting?.kind === "seen" ? sighting.object.owner : undefined;
  return action.actionner.oneAtATimePerOwner && owner !== undefined ? turns.run(owner.uid, job) : job();
}

async function fetchFacts(
  { action, response }: Step,
  target: Target,
  clients: Clients,
  signal: AbortSignal,
): Promise<Facts> {
  const found = await Promise.all(
    action.contexts.map((context) => {
      const about = context.target === target.kind ? target : targetOf(context.target, response.event);
      if (about.kind === "missing") {
        throw new ActionError("invalid", `context ${context.id}: ${about.reason}`);
      }
      return context.fetch({ event: response.event, target: about, clients, signal });
    }),
  );
  return Object.assign({}, ...found);
}

function storeOf(
  { action, response }: Step,
  target: Target,
  { clients, signal }: { readonly clients: Clients; readonly signal: AbortSignal },
  { outputSettings, clock }: ExecuteOptions,
): Store | undefined {
  if (action.output === undefined) {
    return undefined;
  }
  const { output, parameters } = action.output;
  const settings = outputSettings.get(output.id) ?? {};
  return createStore({ output, parameters, settings, target, clients, signal, clock, dryRun: response.rule.dryRun });
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

function dress(ending: Ending, { target, durationMs, dryRun }: Circumstances): Outcome {
  const done = ending.status === "success" ? ending : undefined;
  return {
    status: dryRun ? "dry_run" : ending.status,
    would: dryRun ? ending.status : undefined,
    message: dryRun ? `dry run: ${messageOf(ending)}` : messageOf(ending),
    code: ending.status === "failure" ? ending.error.code : undefined,
    target: done?.target ?? target,
    objects: done?.objects ?? {},
    text: done?.text?.slice(0, maxTextLength),
    artifact: done?.artifact,
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
