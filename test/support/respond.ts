import { pino } from "pino";
import type { Actionner } from "../../src/catalogue/catalogue.ts";
import type { Outcome } from "../../src/catalogue/outcome.ts";
import type { Clients } from "../../src/clients/clients.ts";
import { type EngineSettings, startEngine } from "../../src/engine/engine.ts";
import { refuseMirrorPods } from "../../src/engine/guard.ts";
import { createNotifications } from "../../src/engine/notifications.ts";
import type { FalcoEvent } from "../../src/events/event.ts";
import type { Rule } from "../../src/rules/rule.ts";
import { compileFields } from "../../src/schema/read.ts";
import type { TestCluster } from "./cluster.ts";
import { limits, noNotifiers } from "./engine.ts";
import { idle, memoryLedger } from "./ledger.ts";
import { noMetrics } from "./metrics.ts";

interface Course {
  readonly cluster: TestCluster;
  /** All are there at once. */
  readonly events: readonly FalcoEvent[];
  readonly params?: Readonly<Record<string, unknown>>;
}

/** Runs the events through an engine at work on the cluster, with a rule of this one action, to the end. */
export async function respondWith(actionner: Actionner, { cluster, events, params = {} }: Course): Promise<Outcome[]> {
  const { values } = compileFields(actionner.params).read(params);
  return respondBy([ruleOf(actionner, values ?? {})], { clients: clientsOf(cluster), events });
}

/** The same, with these rules. */
export async function respondBy(
  rules: readonly Rule[],
  { clients, events }: { readonly clients: Clients; readonly events: readonly FalcoEvent[] },
): Promise<Outcome[]> {
  const ledger = await memoryLedger();
  const settings: EngineSettings = {
    rules: { rules, match: () => rules, explain: () => [] },
    clients: { real: clients, dryRun: clients },
    guards: [refuseMirrorPods],
    defaultNotifiers: [],
    actionTimeoutMs: 60_000,
    retryMs: limits.retryMs,
    logEveryEvent: false,
  };
  const engine = startEngine({
    ledger,
    current: () => settings,
    clock: () => new Date(),
    notifications: createNotifications({ ...noNotifiers, clients }),
    metrics: noMetrics,
    logger: pino({ level: "silent" }),
    newId: () => crypto.randomUUID(),
    ...limits,
  });

  await Promise.all(events.map((event) => ledger.accept(event)));
  await idle(ledger, 90);
  await engine.stop(60_000);

  const { responses: records } = await ledger.responses({ limit: events.length });
  return records.flatMap(({ transitions }) =>
    transitions.flatMap((transition) => (transition.type === "ended" ? [transition.outcome] : [])),
  );
}

function clientsOf({ kubernetes }: TestCluster): Clients {
  return { kubernetes: kubernetes.real } as Clients;
}

function ruleOf(actionner: Actionner, parameters: Readonly<Record<string, unknown>>): Rule {
  const action = {
    name: "act",
    description: undefined,
    actionner,
    parameters,
    contexts: [],
    output: undefined,
    continue: actionner.continues,
    ignoreErrors: false,
  };
  return {
    name: "a rule",
    description: undefined,
    conditions: [],
    pinned: [],
    continue: true,
    dryRun: false,
    actions: [action],
    notifiers: [],
  };
}
