import { setImmediate as turn } from "node:timers/promises";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import type { Actionner, Call, Context, Notification, Notifier } from "../catalogue/catalogue.ts";
import { ActionError, TargetGone } from "../catalogue/errors.ts";
import { ignored, type Outcome, type Result, success } from "../catalogue/outcome.ts";
import type { Clients } from "../clients/clients.ts";
import type { Kubernetes, Pod } from "../clients/kubernetes/port.ts";
import { type PodTarget, podOf, type ResourceTarget } from "../events/target.ts";
import type { Ledger, ResponseRecord } from "../ledger/ledger.ts";
import { createMemoryLedger } from "../ledger/memory.ts";
import type { Action, Rule } from "../rules/rule.ts";
import { recordingMetrics } from "../../test/support/metrics.ts";
import { auditEventOf, eventOf } from "../../test/support/events.ts";
import { type EngineOptions, startEngine } from "./engine.ts";
import { protectNamespaces, refuseMirrorPods } from "./guard.ts";
import { createNotifications } from "./notifications.ts";

const done = success("done", { objects: {} });

/** An actionner whose behaviour is the test's. */
function actionner(run: (call: Call) => Promise<Result>, traits: Partial<Actionner> = {}): Actionner {
  return {
    id: "test:act",
    summary: "Do what the test says",
    target: "pod",
    params: {},
    uses: [],
    rbac: [],
    destructive: false,
    idempotent: true,
    continues: true,
    output: "none",
    undo: "",
    examples: [],
    run,
    ...traits,
  };
}

function action(behind: Actionner, traits: Partial<Action> = {}): Action {
  return {
    name: "act",
    description: undefined,
    actionner: behind,
    parameters: {},
    contexts: [],
    output: undefined,
    continue: behind.continues,
    ignoreErrors: false,
    ...traits,
  };
}

function rule(actions: readonly Action[], traits: Partial<Rule> = {}): Rule {
  const name = traits.name ?? "a rule";
  return {
    name,
    description: undefined,
    conditions: [],
    continue: true,
    dryRun: false,
    actions,
    notifiers: [],
    ...traits,
  };
}

function podSeen(target: PodTarget, traits: Partial<Pod> = {}): Pod {
  return {
    ...target,
    uid: target.uid ?? "uid-1",
    labels: {},
    annotations: {},
    owner: undefined,
    nodeName: "node-1",
    hostNetwork: false,
    mirror: false,
    phase: "Running",
    containers: [],
    ...traits,
  };
}

function clientsWith(getPod: Kubernetes["getPod"], getResource?: Kubernetes["getResource"]): Clients {
  return { kubernetes: { getPod, getResource } as unknown as Kubernetes, aws: {} as Clients["aws"] };
}

function memoryLedger(): Ledger {
  return createMemoryLedger({ windowSeconds: 0, backlogBytes: 1e6, historyBytes: 1e6, clock: Date.now });
}

interface Overrides extends Partial<EngineOptions> {
  readonly notifiers?: readonly Notifier[];
  readonly getPod?: (target: PodTarget) => Promise<Pod>;
}

/** An engine at work on these rules, with a notifier that remembers. */
function start(rules: readonly Rule[], { notifiers = [], getPod, ...overrides }: Overrides = {}) {
  const ledger = overrides.ledger ?? memoryLedger();
  const clients = clientsWith(getPod ?? (async (target) => podSeen(target)));
  const metrics = recordingMetrics();
  const notified: Notification[] = [];
  const recorder = notifierNamed("recorder", async ({ notification }) => void notified.push(notification));
  const configured = [recorder, ...notifiers].map((notifier) => ({ notifier, settings: {} }));
  const engine = startEngine({
    ledger,
    rules: () => ({ rules, match: () => rules, explain: () => [] }),
    clients: { real: clients, dryRun: clients },
    guards: [refuseMirrorPods, protectNamespaces(["kube-system"])],
    outputSettings: new Map(),
    actionTimeoutMs: 5_000,
    clock: () => new Date(),
    notifications: createNotifications({
      notifiers: configured,
      clients,
      timeoutMs: 50,
      queueLimit: 9,
      concurrency: 4,
    }),
    defaultNotifiers: ["recorder"],
    metrics,
    logger: pino({ level: "silent" }),
    newId: () => crypto.randomUUID(),
    concurrency: 8,
    logEveryEvent: false,
    ...overrides,
  });
  return { engine, ledger, metrics, notified };
}

/** Runs the events through an engine with these rules, to the end; the outcomes in the order of the responses. */
async function respond(rules: readonly Rule[], events = [eventOf({ pod: "shop/cart-1" })], overrides: Overrides = {}) {
  const { engine, ledger, metrics, notified } = start(rules, overrides);
  for (const event of events) {
    await ledger.accept(event);
  }
  await engine.stop(5_000);
  const records = await ledger.responses({ limit: 100 });
  return { outcomes: records.toReversed().flatMap(outcomesOf), metrics, notified };
}

function outcomesOf({ transitions }: ResponseRecord): Outcome[] {
  return transitions.flatMap((transition) => (transition.type === "ended" ? [transition.outcome] : []));
}

function notifierNamed(id: string, notify: Notifier["notify"]): Notifier {
  return { id, summary: "", uses: [], rbac: [], settings: {}, notify };
}

describe("a response", () => {
  it("runs the actions of a rule in order, records and notifies each", async () => {
    const order: string[] = [];
    const step = (name: string) =>
      action(
        actionner(async () => {
          order.push(name);
          return done;
        }),
        { name },
      );

    const { outcomes, notified } = await respond([rule([step("first"), step("second")])]);

    expect(order).toEqual(["first", "second"]);
    expect(outcomes.map(({ status }) => status)).toEqual(["success", "success"]);
    expect(notified.map((notification) => notification.action.name).sort()).toEqual(["first", "second"]);
  });

  it("stops after an action that does not continue", async () => {
    const { outcomes } = await respond([
      rule([
        action(
          actionner(async () => done),
          { continue: false },
        ),
        action(actionner(async () => done)),
      ]),
    ]);

    expect(outcomes).toHaveLength(1);
  });

  it("stops after a failure, unless the action ignores errors", async () => {
    const failing = actionner(() => Promise.reject(new ActionError("forbidden", "not allowed to patch pods")));
    const next = action(actionner(async () => done));

    const strict = await respond([rule([action(failing), next])]);
    const lenient = await respond([rule([action(failing, { ignoreErrors: true }), next])]);

    expect(strict.outcomes).toMatchObject([
      { status: "failure", code: "forbidden", message: "not allowed to patch pods" },
    ]);
    expect(lenient.outcomes.map(({ status }) => status)).toEqual(["failure", "success"]);
  });

  it("reports ignored as ignored, not as success", async () => {
    const { outcomes, metrics } = await respond([
      rule([action(actionner(async () => ignored("the pod has no owner")))]),
    ]);

    expect(outcomes).toMatchObject([{ status: "ignored", message: "the pod has no owner" }]);
    expect(metrics.calls).toContainEqual([
      "actionEnded",
      expect.objectContaining({ status: "ignored" }),
      expect.any(Number),
    ]);
  });

  it("is ignored where the target is gone", async () => {
    const gone = actionner(() => Promise.reject(new TargetGone("pod shop/cart-1 is gone")));

    const { outcomes } = await respond([rule([action(gone)])]);

    expect(outcomes).toMatchObject([{ status: "ignored", message: "pod shop/cart-1 is gone" }]);
  });

  it("is ignored where the event names no pod", async () => {
    const never = actionner(() => Promise.reject(new Error("must not run")));

    const { outcomes } = await respond([rule([action(never)])], [eventOf({ fields: { "proc.name": "sh" } })]);

    expect(outcomes).toMatchObject([{ status: "ignored", message: expect.stringContaining("names no pod") }]);
  });

  it("turns an error that nobody foresaw into failure/internal and goes on with other events", async () => {
    let calls = 0;
    const flaky = actionner(async () => {
      calls += 1;
      if (calls === 1) {
        throw new TypeError("x is not a function");
      }
      return done;
    });

    const { outcomes } = await respond(
      [rule([action(flaky)])],
      [eventOf({ pod: "shop/a" }), eventOf({ pod: "shop/b" })],
    );

    expect(outcomes.map(({ status, code }) => [status, code])).toEqual([
      ["failure", "internal"],
      ["success", undefined],
    ]);
  });
});

describe("a deadline", () => {
  it("ends an action that hangs and heeds no signal", async () => {
    const hanging = actionner(() => new Promise(() => {}));

    const { outcomes } = await respond([rule([action(hanging)])], undefined, { actionTimeoutMs: 20 });

    expect(outcomes).toMatchObject([{ status: "failure", code: "timeout" }]);
  });

  it("ends the look at a pod before a destructive action, too", async () => {
    const destroying = actionner(async () => done, { destructive: true });

    const { outcomes } = await respond([rule([action(destroying)])], undefined, {
      getPod: () => new Promise(() => {}),
      actionTimeoutMs: 20,
    });

    expect(outcomes).toMatchObject([
      { status: "failure", code: "timeout", message: expect.stringContaining("pod shop/cart-1 could not be read") },
    ]);
  });

  it("fires the action's signal", async () => {
    let aborted = false;
    const waiting = actionner(({ signal }) => {
      signal.addEventListener("abort", () => (aborted = true));
      return new Promise(() => {});
    });

    await respond([rule([action(waiting)])], undefined, { actionTimeoutMs: 20 });

    expect(aborted).toBe(true);
  });
});

describe("responses on targets", () => {
  it("run one after another on the same pod, side by side on different pods", async () => {
    const running = new Map<string, number>();
    let together = 0;
    const overlapping: string[] = [];
    const busy = actionner(async ({ event }) => {
      const pod = podOf(event);
      const name = pod.kind === "pod" ? pod.name : "";
      running.set(name, (running.get(name) ?? 0) + 1);
      if ((running.get(name) ?? 0) > 1) {
        overlapping.push(name);
      }
      together = Math.max(
        together,
        [...running.values()].reduce((sum, count) => sum + count, 0),
      );
      await turn();
      await turn();
      running.set(name, (running.get(name) ?? 0) - 1);
      return done;
    });
    const events = ["a", "b", "a", "b", "a", "c"].map((name) => eventOf({ pod: `shop/${name}` }));

    await respond([rule([action(busy)])], events);

    expect(overlapping).toEqual([]);
    expect(together).toBeGreaterThan(1);
  });

  it("never run on two pods of one owner at once where the actionner decides by the others", async () => {
    let running = 0;
    let most = 0;
    const counting = actionner(
      async () => {
        running += 1;
        most = Math.max(most, running);
        await turn();
        running -= 1;
        return done;
      },
      { destructive: true, oneAtATimePerOwner: true },
    );
    const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "cart", uid: "owner-1" };
    const getPod = async (target: PodTarget) => podSeen(target, { owner });
    const events = ["a", "b", "c"].map((name) => eventOf({ pod: `shop/${name}` }));

    const { outcomes } = await respond([rule([action(counting)])], events, { getPod });

    expect(outcomes).toHaveLength(3);
    expect(most).toBe(1);
  });

  it("hold a destructive action to the pod that was there when it was planned", async () => {
    const uids: (string | undefined)[] = [];
    const destroying = actionner(
      async ({ target }) => {
        uids.push((target as PodTarget).uid);
        return done;
      },
      {
        destructive: true,
      },
    );
    let seen = 0;
    const getPod = async (target: PodTarget) => {
      seen += 1;
      return podSeen(target, { uid: `uid-${seen}` });
    };

    await respond([rule([action(destroying)])], [eventOf({ pod: "shop/db-0" }), eventOf({ pod: "shop/db-0" })], {
      getPod,
    });

    expect(uids).toEqual(["uid-1", "uid-2"]);
  });

  it("hold a deletion to the object of the audit event that was there when it was planned", async () => {
    const uids: (string | undefined)[] = [];
    const deleting = actionner(
      async ({ target }) => {
        uids.push((target as ResourceTarget).uid);
        return done;
      },
      { destructive: true, target: "resource" },
    );
    const clients = clientsWith(
      async (target) => podSeen(target),
      async () => ({ uid: "uid-7", mirror: false, owner: undefined }),
    );

    await respond([rule([action(deleting)])], [auditEventOf("configmaps", "shop/settings")], {
      clients: { real: clients, dryRun: clients },
    });

    expect(uids).toEqual(["uid-7"]);
  });

  it("do not destroy blindly where the pod could not be read when planned", async () => {
    const destroying = actionner(async () => done, { destructive: true });
    const getPod = () => Promise.reject(new ActionError("unavailable", "connection refused"));

    const { outcomes } = await respond([rule([action(destroying)])], undefined, { getPod });

    expect(outcomes).toMatchObject([{ status: "failure", code: "unavailable" }]);
  });

  it("do not destroy a pod that was gone when planned", async () => {
    const destroying = actionner(async () => done, { destructive: true });
    const getPod = () => Promise.reject(new TargetGone("pod shop/cart-1 is gone"));

    const { outcomes } = await respond([rule([action(destroying)])], undefined, { getPod });

    expect(outcomes).toMatchObject([{ status: "ignored" }]);
  });
});

describe("guards", () => {
  it("refuse a destructive action in a protected namespace, and nothing else", async () => {
    const destroying = actionner(async () => done, { destructive: true });
    const labelling = actionner(async () => done);

    const { outcomes } = await respond(
      [rule([action(destroying)]), rule([action(labelling)])],
      [eventOf({ pod: "kube-system/coredns-1" })],
    );

    expect(outcomes.map(({ status }) => status)).toEqual(["refused", "success"]);
  });

  it("refuse to destroy a mirror pod", async () => {
    const destroying = actionner(async () => done, { destructive: true });

    const { outcomes } = await respond([rule([action(destroying)])], undefined, {
      getPod: async (target) => podSeen(target, { mirror: true }),
    });

    expect(outcomes).toMatchObject([{ status: "refused", message: expect.stringContaining("mirror pod") }]);
  });
});

describe("a dry run", () => {
  it("runs the action with the clients that change nothing, and says what would happen", async () => {
    const dryRunClients = clientsWith(async (target) => podSeen(target));
    const used: Clients[] = [];
    const acting = actionner(async ({ clients }) => {
      used.push(clients);
      return success("pod labelled", { objects: {}, undo: "undo it" });
    });
    const real = clientsWith(async (target) => podSeen(target));

    const { outcomes } = await respond([rule([action(acting)], { dryRun: true })], undefined, {
      clients: { real, dryRun: dryRunClients },
    });

    expect(used).toEqual([dryRunClients]);
    expect(used[0]).toBe(dryRunClients);
    expect(outcomes).toMatchObject([
      { status: "dry_run", would: "success", message: "dry run: pod labelled", undo: undefined },
    ]);
  });

  it("says that it would fail, with the code, and stops where the real run would", async () => {
    const failing = action(actionner(() => Promise.reject(new ActionError("forbidden", "not allowed"))));

    const { outcomes } = await respond([rule([failing, failing], { dryRun: true })]);

    expect(outcomes).toMatchObject([{ status: "dry_run", would: "failure", code: "forbidden" }]);
  });
});

describe("contexts", () => {
  const context = (fetch: Context["fetch"]): Context => ({
    id: "facts",
    summary: "",
    target: "pod",
    elements: [],
    uses: [],
    rbac: [],
    fetch,
  });

  it("hand their facts to the action that asked for them", async () => {
    const facts: object[] = [];
    const reading = actionner(async (call) => {
      facts.push(call.facts);
      return done;
    });

    await respond([
      rule([action(reading, { contexts: [context(async () => ({ "node.hostname": "node-1" }))] }), action(reading)]),
    ]);

    expect(facts).toEqual([{ "node.hostname": "node-1" }, {}]);
  });

  it("that fail are an outcome of the action", async () => {
    const failing = context(() => Promise.reject(new ActionError("unavailable", "no metadata service")));

    const { outcomes } = await respond([
      rule([
        action(
          actionner(async () => done),
          { contexts: [failing] },
        ),
      ]),
    ]);

    expect(outcomes).toMatchObject([{ status: "failure", code: "unavailable", message: "no metadata service" }]);
  });
});

describe("notifiers", () => {
  it("that hang or fail change nothing for the others", async () => {
    const hanging = notifierNamed("hanging", () => new Promise(() => {}));
    const failing = notifierNamed("failing", () => Promise.reject(new Error("refused")));

    const { notified, metrics } = await respond(
      [rule([action(actionner(async () => done))], { notifiers: ["hanging", "failing"] })],
      undefined,
      {
        notifiers: [hanging, failing],
      },
    );

    expect(notified).toHaveLength(1);
    expect(metrics.calls).toEqual(
      expect.arrayContaining([
        ["notified", "recorder", "success"],
        ["notified", "failing", "failure"],
        ["notified", "hanging", "failure"],
      ]),
    );
  });
});

describe("a ledger that fails", () => {
  const noDisk = () => Promise.reject(new Error("no disk"));

  it("for one response leaves the others of the event running, and the event unfinished until they end", async () => {
    const ledger = memoryLedger();
    const order: string[] = [];
    const slow = actionner(async () => {
      await turn();
      order.push("acted");
      return done;
    });
    const failing: Ledger = {
      ...ledger,
      record: (transition) =>
        transition.type === "planned" && transition.rule === "unlucky" ? noDisk() : ledger.record(transition),
      async *work(signal) {
        for await (const work of ledger.work(signal)) {
          yield { ...work, finish: async () => void order.push("finished") };
        }
      },
    };

    await respond([rule([action(slow)], { name: "unlucky" }), rule([action(slow)])], undefined, { ledger: failing });

    expect(order).toEqual(["acted", "finished"]);
  });

  it("to finish an event or to record a notification is logged, and stops nothing", async () => {
    const ledger = memoryLedger();
    const lines: string[] = [];
    const failing: Ledger = {
      ...ledger,
      record: (transition) => (transition.type === "notified" ? noDisk() : ledger.record(transition)),
      async *work(signal) {
        for await (const work of ledger.work(signal)) {
          yield { ...work, finish: noDisk };
        }
      },
    };

    const { outcomes } = await respond(
      [rule([action(actionner(async () => done))])],
      [eventOf({ pod: "shop/a" }), eventOf({ pod: "shop/b" })],
      { ledger: failing, logger: pino({ level: "error" }, { write: (line) => void lines.push(JSON.parse(line).msg) }) },
    );

    expect(outcomes).toHaveLength(2);
    expect(lines.sort()).toEqual([
      "event not handled to the end: internal error",
      "event not handled to the end: internal error",
      "notification not recorded",
      "notification not recorded",
    ]);
  });
});

describe("stopping", () => {
  it("interrupts what outlives the grace period, on record", async () => {
    const hanging = actionner(() => new Promise(() => {}));
    const { engine, ledger } = start([rule([action(hanging)])]);
    await ledger.accept(eventOf({ pod: "shop/cart-1" }));

    await engine.stop(10);

    const [record] = await ledger.responses({ limit: 1 });
    expect(record?.transitions).toContainEqual(
      expect.objectContaining({
        type: "ended",
        outcome: expect.objectContaining({ status: "failure", code: "interrupted" }),
      }),
    );
  });
});
