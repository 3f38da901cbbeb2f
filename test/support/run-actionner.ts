import type { Actionner, Call, Context, Facts, Store } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import { ignored, type Result } from "../../src/catalogue/outcome.ts";
import type { Clients } from "../../src/clients/clients.ts";
import type { FalcoEvent } from "../../src/events/event.ts";
import { targetOf } from "../../src/events/target.ts";
import { compileFields } from "../../src/schema/read.ts";
import type { TestCluster } from "./cluster.ts";
import { patient } from "./patient.ts";

interface Run {
  readonly event: FalcoEvent;
  readonly cluster: TestCluster;
  /** As a rule would write them; the defaults are filled in. */
  readonly params?: Readonly<Record<string, unknown>>;
  readonly dryRun?: boolean;
  readonly attempt?: number;
  readonly facts?: Facts;
  readonly store?: Store;
  readonly rule?: string;
  readonly objectionTo?: Call["objectionTo"];
  readonly signal?: AbortSignal;
  /** In place of the cluster's. */
  readonly clients?: Partial<Clients>;
}

/**
 * Runs an actionner as the engine does: what it returns, or the ActionError that it throws. Rejects where it makes a request
 * that its `rbac` (of these parameters) does not declare, or tells more of its target than which it was.
 */
export async function runActionner(actionner: Actionner, run: Run): Promise<Result | ActionError> {
  const {
    event,
    cluster,
    dryRun = false,
    attempt = 1,
    facts = {},
    store,
    rule = "a rule",
    objectionTo = () => undefined,
  } = run;
  const params = valuesOf(actionner, run.params ?? {});
  const target = targetOf(actionner.target, event);
  if (target.kind === "missing") {
    return ignored(target.reason);
  }
  const signal = run.signal ?? AbortSignal.timeout(60_000);
  const clients = clientsOf(run, dryRun);
  const rbac = actionner.rbacFor?.(params) ?? actionner.rbac;
  const result = await cluster.permissions.during({ id: actionner.id, rbac }, () =>
    actionner
      .run({ event, target, params, facts, clients, store, rule, objectionTo, dryRun, attempt, signal })
      .catch((error: unknown) => thrownActionError(error)),
  );
  mustOnlyRefer(actionner, result);
  return result;
}

const referring = new Set(["kind", "namespace", "name", "uid", "resource"]);

/** Outcomes are sent to notifiers: a target with more than its name would take annotations, and secrets in them, along. */
function mustOnlyRefer({ id }: Actionner, result: Result | ActionError): void {
  const target = "target" in result ? (result.target ?? {}) : {};
  const more = Object.keys(target).filter((key) => !referring.has(key));
  if (more.length > 0) {
    throw new Error(`${id} puts more into its outcome's target than which it was: ${more.join(", ")}`);
  }
}

/** Fetches a context's facts, likewise. */
export async function fetchContext(context: Context, run: Pick<Run, "event" | "cluster" | "clients">): Promise<Facts> {
  const target = targetOf(context.target, run.event);
  if (target.kind === "missing") {
    throw new Error(target.reason);
  }
  const clients = clientsOf(run, false);
  return run.cluster.permissions.during(context, () =>
    context.fetch({ event: run.event, target, clients, signal: AbortSignal.timeout(60_000) }),
  );
}

/** A client that the test did not hand in is not to be used. */
function clientsOf({ cluster, clients = {} }: Pick<Run, "cluster" | "clients">, dryRun: boolean): Clients {
  const { kubernetes = dryRun ? cluster.kubernetes.dryRun : cluster.kubernetes.real } = clients;
  return { ...clients, kubernetes: patient(kubernetes) } as Clients;
}

function valuesOf({ id, params }: Actionner, raw: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { values, problems } = compileFields(params).read(raw);
  if (values === undefined) {
    throw new Error(`${id}: ${problems.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ")}`);
  }
  return values;
}

function thrownActionError(error: unknown): ActionError {
  if (error instanceof ActionError) {
    return error;
  }
  throw error;
}
