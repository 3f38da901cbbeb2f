import type { Actionner, Call, Facts } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import type { Result } from "../../src/catalogue/outcome.ts";
import type { Clients } from "../../src/clients/clients.ts";
import type { FalcoEvent } from "../../src/events/event.ts";
import type { Fields } from "../../src/schema/field.ts";
import { compileFields } from "../../src/schema/read.ts";
import { eventOf } from "./events.ts";

export interface RunAlone {
  /** As a rule would write them; the defaults are filled in. */
  readonly params: Readonly<Record<string, unknown>>;
  /** One that the test did not hand in is not to be used. */
  readonly clients: Partial<Clients>;
  readonly event?: FalcoEvent;
  readonly facts?: Facts;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

/** Runs an actionner that works on nothing in the cluster, as the engine does; rejects as it does. */
export async function runAlone<P extends Fields>(actionner: Actionner<P, "none">, run: RunAlone): Promise<Result> {
  const { values, problems } = compileFields(actionner.params).read(run.params);
  if (values === undefined) {
    throw new Error(problems.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; "));
  }
  const call: Call<P, "none"> = {
    event: run.event ?? eventOf({ pod: "shop/cart-1" }),
    target: { kind: "none" },
    params: values,
    facts: run.facts ?? {},
    clients: run.clients as Clients,
    store: undefined,
    rule: "a rule",
    objectionTo: () => undefined,
    attempt: 1,
    dryRun: run.dryRun ?? false,
    signal: run.signal ?? AbortSignal.timeout(60_000),
  };
  return actionner.run(call);
}

/** The ActionError that it rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<ActionError> {
  const error = await promise.then(
    (value) => new Error(`no failure, but ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ActionError)) {
    throw error;
  }
  return error;
}
