import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { pino } from "pino";
import { describe, expect, it, vi } from "vitest";
import { limits, noNotifiers } from "../../test/support/engine.ts";
import { auditEventOf, eventOf } from "../../test/support/events.ts";
import { idle, memoryLedger } from "../../test/support/ledger.ts";
import { recordingMetrics } from "../../test/support/metrics.ts";
import type { Actionner, Call, Context, Notification, Notifier } from "../catalogue/catalogue.ts";
import { ActionError, TargetGone } from "../catalogue/errors.ts";
import { ignored, type Outcome, type Result, success } from "../catalogue/outcome.ts";
import type { Clients } from "../clients/clients.ts";
import type { Kubernetes, Pod } from "../clients/kubernetes/port.ts";
import { describeTarget, type PodTarget, podOf, type ResourceTarget } from "../events/target.ts";
import { type Ledger, LedgerUnavailable, type ResponseRecord, type Transition, type Work } from "../ledger/ledger.ts";
import type { Action, Rule } from "../rules/rule.ts";
import { type EngineOptions, type EngineSettings, startEngine } from "./engine.ts";
import { protectNamespaces, refuseMirrorPods } from "./guard.ts";
import { createNotifications } from "./notifications.ts";
import { createPermits } from "./permits.ts";

const soon = { timeout: 20_000 };
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
    pinned: [],
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
    resourceVersion: "1",
    labels: {},
    annotations: {},
    createdAt: undefined,
    owner: undefined,
    nodeName: "node-1",
    serviceAccount: undefined,
    hostNetwork: false,
    mirror: false,
    phase: "Running",
    terminating: false,
    containers: [],
    ephemeralContainers: [],
    ...traits,
  };
}

/** Actions that are done at once, and the names of those that were. */
function inOrder() {
  const order: string[] = [];
  const step = (name: string) =>
    action(
      actionner(async () => {
        order.push(name);
        return done;
      }),
      { name },
    );
  return { order, step };
}

function clientsWith(getPod: Kubernetes["getPod"], getResource?: Kubernetes["getResource"]): Clients {
  return { kubernetes: { getPod, getResource } as Partial<Kubernetes> } as Clients;
}

interface Overrides extends Partial<EngineOptions & EngineSettings> {
  readonly notifiers?: readonly Notifier[];
  readonly getPod?: (target: PodTarget) => Promise<Pod>;
  /** Called before the settings are given. */
  readonly asked?: () => void;
}

/** An engine at work on these rules, with a notifier that remembers. */
async function start(rules: readonly Rule[], { notifiers = [], getPod, asked, ...overrides }: Overrides = {}) {
  const ledger = overrides.ledger ?? (await memoryLedger());
  const clients = clientsWith(getPod ?? (async (target) => podSeen(target)));
  const metrics = recordingMetrics();
  const notified: Notification[] = [];
  const recorder = notifierNamed("recorder", async ({ notification }) => void notified.push(notification));
  const configured = [recorder, ...notifiers].map((notifier) => ({ notifier, settings: {} }));
  let current: EngineSettings = {
    rules: { rules, match: () => rules, explain: () => [] },
    clients: { real: clients, dryRun: clients },
    guards: [refuseMirrorPods, protectNamespaces(["kube-system"])],
    defaultNotifiers: ["recorder"],
    actionTimeoutMs: 5_000,
    retryMs: 0,
    logEveryEvent: false,
    ...overrides,
  };
  const engine = startEngine({
    ledger,
    current() {
      asked?.();
      return current;
    },
    clock: () => new Date(),
    notifications: createNotifications({ ...noNotifiers, notifiers: configured, clients }),
    metrics,
    logger: pino({ level: "silent" }),
    newId: () => crypto.randomUUID(),
    ...limits,
    ...overrides,
  });
  const settings = {
    /** From the next event on. */
    put(others: Partial<EngineSettings>) {
      current = { ...current, ...others };
    },
  };
  return { engine, ledger, metrics, notified, settings };
}

/** Runs the events through an engine with these rules, to the end; the outcomes in the order of the responses. */
async function respond(rules: readonly Rule[], events = [eventOf({ pod: "shop/cart-1" })], overrides: Overrides = {}) {
  const { engine, ledger, metrics, notified } = await start(rules, overrides);
  for (const event of events) {
    await ledger.accept(event);
  }
  await idle(ledger);
  await engine.stop(5_000);
  const { responses } = await ledger.responses({ limit: 100 });
  return { outcomes: responses.toReversed().flatMap(outcomesOf), metrics, notified };
}

function outcomesOf({ transitions }: ResponseRecord): Outcome[] {
  return transitions.flatMap((transition) => (transition.type === "ended" ? [transition.outcome] : []));
}

async function typesIn(ledger: Ledger) {
  const [record] = (await ledger.responses({ limit: 1 })).responses;
  return record?.transitions.map(({ type }) => type);
}

function notifierNamed(id: string, notify: Notifier["notify"]): Notifier {
  return { id, summary: "", uses: [], rbac: [], settings: {}, notify };
}

describe("a response", () => {
  it("runs the actions of a rule in order, records and notifies each", async () => {
    const { order, step } = inOrder();

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

  it("keeps what an action did until it failed", async () => {
    const half = actionner(() =>
      Promise.reject(new ActionError("conflict", "one failed", { text: "evicted: shop/a" })),
    );

    const { outcomes } = await respond([rule([action(half)])], undefined, { retryMs: 0 });

    expect(outcomes).toMatchObject([{ status: "failure", text: "evicted: shop/a" }]);
  });

  it("reports ignored as ignored, not as success", async () => {
    const events = [eventOf({ pod: "shop/cart-1" })];
    const { outcomes, metrics } = await respond(
      [rule([action(actionner(async () => ignored("the pod has no owner")))])],
      events,
    );

    expect(outcomes).toMatchObject([{ status: "ignored", message: "the pod has no owner" }]);
    expect(metrics.calls).toContainEqual([
      "actionEnded",
      expect.objectContaining({ status: "ignored" }),
      expect.any(Number),
      events[0]?.id,
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

  it.each(["settings", "trace"])(
    "to an event whose %s cannot be had is tried again later, and others go on",
    async (what) => {
      const given: number[] = [];
      const ledger = withWork(await memoryLedger(), (work) => ({
        giveBack(afterMs) {
          given.push(afterMs);
          work.giveBack(0);
        },
      }));
      const faults = new Set([what]);
      const fail = (about: string) => {
        if (faults.delete(about)) {
          throw new Error(`no ${about}`);
        }
      };
      const traces = { of: () => void fail("trace") };
      const events = [eventOf({ pod: "shop/cart-1" }), eventOf({ pod: "shop/cart-2" })];

      const { outcomes } = await respond([rule([action(actionner(async () => done))])], events, {
        ledger,
        traces,
        asked: () => fail("settings"),
      });

      expect(given).toEqual([60_000]);
      expect(outcomes.map(({ status }) => status)).toEqual(["success", "success"]);
    },
  );

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
      async () => ({ uid: "uid-7", createdAt: undefined, mirror: false, owner: undefined }),
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

  it("tell an action which pods besides its target it must leave", async () => {
    const asking = actionner(
      async ({ objectionTo }) => {
        const others = [
          podSeen({ kind: "pod", namespace: "kube-system", name: "dns", uid: "uid-2" }),
          podSeen({ kind: "pod", namespace: "shop", name: "static", uid: "uid-3" }, { mirror: true }),
          podSeen({ kind: "pod", namespace: "shop", name: "cart-2", uid: "uid-4" }),
        ];
        return success(others.map((pod) => objectionTo(pod)?.slice(0, 24) ?? "none").join("; "), { objects: {} });
      },
      { destructive: true },
    );

    const { outcomes } = await respond([rule([action(asking)])]);

    expect(outcomes).toMatchObject([{ message: "namespace kube-system is; this is a mirror pod: it; none" }]);
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
    expect(outcomes).toMatchObject([{ status: "dry_run", would: "success", message: "dry run: pod labelled" }]);
    expect(outcomes[0]?.undo).toBeUndefined();
  });

  it("says that it would fail, with the code, and stops where the real run would", async () => {
    const failing = action(actionner(() => Promise.reject(new ActionError("forbidden", "not allowed"))));

    const { outcomes } = await respond([rule([failing, failing], { dryRun: true })]);

    expect(outcomes).toMatchObject([{ status: "dry_run", would: "failure", code: "forbidden" }]);
  });
});

function context(fetch: Context["fetch"]): Context {
  return { id: "facts", summary: "", target: "pod", elements: [], uses: [], rbac: [], fetch };
}

describe("contexts", () => {
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

  it("are asked once by the actions that want the same", async () => {
    let asked = 0;
    const counting = context(async () => {
      asked += 1;
      return {};
    });
    const wanting = action(
      actionner(async () => done),
      { contexts: [counting] },
    );

    await respond([rule([wanting, wanting]), rule([wanting], { name: "another rule" })]);

    expect(asked).toBe(1);
  });

  it("that fail together with one whose target the event does not name are one outcome, and nothing is left behind", async () => {
    const failing = context(async () => {
      await sleep(20);
      throw new ActionError("unavailable", "no metadata service");
    });
    const aboutResources = { ...context(async () => ({})), id: "resources", target: "resource" as const };

    const { outcomes } = await respond([
      rule([
        action(
          actionner(async () => done),
          { contexts: [failing, aboutResources] },
        ),
      ]),
    ]);
    await sleep(100);

    expect(outcomes).toMatchObject([{ status: "failure", code: "invalid" }]);
    expect(outcomes[0]?.message).toMatch(/^context resources: the event names no resource/);
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

/** The ledger, with every work it gives changed. */
function withWork(ledger: Ledger, change: (work: Work) => Partial<Work>): Ledger {
  return {
    ...ledger,
    async *work(room, signal) {
      for await (const work of ledger.work(room, signal)) {
        yield { ...work, ...change(work) };
      }
    },
  };
}

describe("a ledger that fails", () => {
  const noDisk = () => Promise.reject(new LedgerUnavailable("no disk"));

  it("stops no action that may run again, and has the event given again until all is on record", async () => {
    let failures = 2;
    const ledger = withWork(await memoryLedger(), () => {
      const fails = failures-- > 0;
      return fails ? { record: noDisk } : {};
    });
    let runs = 0;
    const acting = actionner(async () => {
      runs += 1;
      return done;
    });

    const { outcomes, notified } = await respond([rule([action(acting)])], undefined, { ledger });

    expect(runs).toBe(3);
    expect(outcomes).toMatchObject([{ status: "success" }]);
    expect(notified).toHaveLength(1);
  });

  it("keeps an action from running that may not run twice, until its start can be recorded", async () => {
    let failures = 2;
    const order: string[] = [];
    const ledger = withWork(await memoryLedger(), (work) => ({
      async record(transitions) {
        if (failures > 0 && transitions.some(({ type }) => type === "started")) {
          failures -= 1;
          order.push("not recorded");
          return noDisk();
        }
        return work.record(transitions);
      },
    }));
    const acting = actionner(
      async () => {
        order.push("acted");
        return done;
      },
      { idempotent: false },
    );

    const { outcomes } = await respond([rule([action(acting)])], undefined, { ledger });

    expect(order).toEqual(["not recorded", "not recorded", "acted"]);
    expect(outcomes).toMatchObject([{ status: "success" }]);
  });

  it.each([
    ["ended", "that it is done", [done], 1],
    [
      "retrying",
      "that it had certainly not begun",
      [new ActionError("throttled", "later", { notBegun: true }), done],
      2,
    ],
  ] as const)(
    "to record %s does not make an action that may not run twice interrupted: this process knows %s",
    async (type, _, results, expected) => {
      const ledger = withWork(await memoryLedger(), failingOnceAt(type));
      const runs: (ActionError | Result)[] = [];
      const acting = actionner(
        async () => {
          const result = results[runs.length] ?? done;
          runs.push(result);
          return result instanceof ActionError ? Promise.reject(result) : result;
        },
        { idempotent: false },
      );

      const { outcomes, notified, metrics } = await respond([rule([action(acting)])], undefined, {
        ledger,
        retryMs: 60_000,
      });

      expect(runs).toHaveLength(expected);
      expect(outcomes).toMatchObject([{ status: "success" }]);
      expect(notified).toMatchObject([{ outcome: { status: "success" } }]);
      expect(metrics.calls.filter(([call]) => call === "actionEnded")).toHaveLength(1);
    },
  );

  it("to finish an event that no rule matches is no error of our own", async () => {
    let failures = 1;
    const lines: string[] = [];
    const ledger = withWork(await memoryLedger(), (work) => ({
      finish: () => (failures-- > 0 ? noDisk() : work.finish()),
    }));

    await respond([], undefined, {
      ledger,
      logger: pino({ level: "warn" }, { write: (line) => void lines.push(JSON.parse(line).msg) }),
    });

    expect(lines).toEqual(["event could not be recorded to its end; it is tried again"]);
  });

  it("to give work is asked again", async () => {
    const ledger = await memoryLedger();
    let failures = 1;
    const failing: Ledger = {
      ...ledger,
      work(room, signal) {
        if (failures-- > 0) {
          throw new LedgerUnavailable("no disk");
        }
        return ledger.work(room, signal);
      },
    };

    const { outcomes } = await respond([rule([action(actionner(async () => done))])], undefined, { ledger: failing });

    expect(outcomes).toMatchObject([{ status: "success" }]);
  });

  it("does not make an event that goes on in this process one that an earlier process left", async () => {
    let failures = 1;
    const ledger = withWork(await memoryLedger(), (work) => ({
      finish: () => (failures-- > 0 ? noDisk() : work.finish()),
    }));

    const { metrics } = await respond([rule([action(actionner(async () => done))])], undefined, { ledger });

    expect(metrics.calls.filter(([name]) => name === "responseResumed")).toEqual([]);
  });

  it("to finish an event is logged, and it is tried again", async () => {
    let failures = 1;
    const lines: string[] = [];
    const ledger = withWork(await memoryLedger(), (work) => ({
      finish: () => (failures-- > 0 ? noDisk() : work.finish()),
    }));

    const { outcomes, notified } = await respond([rule([action(actionner(async () => done))])], undefined, {
      ledger,
      logger: pino({ level: "warn" }, { write: (line) => void lines.push(JSON.parse(line).msg) }),
    });

    expect(outcomes).toHaveLength(1);
    expect(notified).toHaveLength(1);
    expect(lines).toEqual(["event could not be recorded to its end; it is tried again"]);
  });
});

/** As a ledger whose disk fails in the moment of such a step: from then on it takes nothing more of this work. */
function failingOnceAt(type: Transition["type"]): Parameters<typeof withWork>[1] {
  let isYetToCome = true;
  return (work) => {
    let fails = false;
    return {
      async record(transitions) {
        fails ||= isYetToCome && transitions.some((step) => step.type === type);
        if (fails) {
          isYetToCome = false;
          throw new LedgerUnavailable("no disk");
        }
        return work.record(transitions);
      },
    };
  };
}

describe("an attempt that fails", () => {
  const retried = { retryMs: limits.retryMs };
  const failingOnce = (error: Error, traits: Partial<Actionner> = {}) => {
    let runs = 0;
    const acting = actionner(async () => {
      runs += 1;
      if (runs === 1) {
        throw error;
      }
      return done;
    }, traits);
    return { acting, runs: () => runs };
  };

  it.each(["throttled", "unavailable", "timeout", "conflict"] as const)(
    "for a reason that may pass (%s) is followed by another, on record",
    async (code) => {
      const { acting, runs } = failingOnce(new ActionError(code, "not now"));
      const { engine, ledger, metrics } = await start([rule([action(acting)])], retried);
      await ledger.accept(eventOf({ pod: "shop/cart-1" }));
      await idle(ledger);
      await engine.stop(1_000);

      const [record] = (await ledger.responses({ limit: 1 })).responses;
      expect(runs()).toBe(2);
      expect(record?.transitions.map(({ type }) => type)).toEqual([
        "planned",
        "started",
        "retrying",
        "started",
        "ended",
        "closed",
        "notified",
      ]);
      expect(metrics.calls).toContainEqual(["actionRetried", { rule: "a rule", actionner: "test:act", code }]);
    },
  );

  it.each(["forbidden", "invalid", "not_found", "internal"] as const)(
    "for another reason (%s) is the last",
    async (code) => {
      const { acting, runs } = failingOnce(new ActionError(code, "never"));

      const { outcomes } = await respond([rule([action(acting)])], undefined, retried);

      expect(runs()).toBe(1);
      expect(outcomes).toMatchObject([{ status: "failure", code }]);
    },
  );

  it("is the last where the action may have been done and may not be done twice", async () => {
    const { acting, runs } = failingOnce(new ActionError("unavailable", "the answer got lost"), { idempotent: false });

    const { outcomes } = await respond([rule([action(acting)])], undefined, retried);

    expect(runs()).toBe(1);
    expect(outcomes).toMatchObject([{ status: "failure", code: "unavailable" }]);
  });

  it("is followed by another where what may not be done twice had certainly not begun", async () => {
    const { acting, runs } = failingOnce(new ActionError("unavailable", "refused", { notBegun: true }), {
      idempotent: false,
    });

    const { outcomes } = await respond([rule([action(acting)])], undefined, retried);

    expect(runs()).toBe(2);
    expect(outcomes).toMatchObject([{ status: "success" }]);
  });

  it.each([
    ["no other in a dry run where the real run has none: a conflict", "conflict", false, 1],
    ["another in a dry run where the real run has one: a conflict", "conflict", true, 2],
    ["another in a dry run where nobody has answered yet", "unavailable", false, 2],
  ] as const)("is followed by %s", async (_, code, idempotent, times) => {
    const { acting, runs } = failingOnce(new ActionError(code, "the budget refuses"), { idempotent });

    await respond([rule([action(acting)], { dryRun: true })], undefined, retried);

    expect(runs()).toBe(times);
  });

  it("waits as long as the other side asks, and not beyond the time there is", async () => {
    const { acting, runs } = failingOnce(new ActionError("throttled", "later", { retryAfterMs: 3_600_000 }));

    const { outcomes } = await respond([rule([action(acting)])], undefined, retried);

    expect(runs()).toBe(1);
    expect(outcomes).toMatchObject([{ status: "failure", code: "throttled" }]);
  });

  it("knows which one it is, and says how often it was tried", async () => {
    const attempts: number[] = [];
    const acting = actionner(async ({ attempt }) => {
      attempts.push(attempt);
      throw new ActionError("unavailable", "down", attempt < 3 ? {} : { retryAfterMs: 3_600_000 });
    });

    const { outcomes } = await respond([rule([action(acting)])], undefined, retried);

    expect(attempts).toEqual([1, 2, 3]);
    expect(outcomes).toMatchObject([{ status: "failure", message: "down (after 3 attempts)" }]);
  });

  it("lets other events have the target before it is tried again", async () => {
    const order: string[] = [];
    const ledger = await memoryLedger();
    const acting = actionner(async ({ event }) => {
      const name = String(event.uuid);
      order.push(name);
      if (name === "first" && !order.includes("second")) {
        throw new ActionError("unavailable", "down");
      }
      return done;
    });
    const events = ["first", "second"].map((uuid) => eventOf({ pod: "shop/cart-1", uuid }));

    const { metrics } = await respond([rule([action(acting)])], events, {
      ...retried,
      patience: { ...limits.patience, totalMs: 0 },
      ledger,
    });

    expect(order).toEqual(["first", "second", "first"]);
    expect(metrics.calls).not.toContainEqual(["responseResumed"]);
  });

  it("tells nobody twice of the action before it, however slow the notifier", async () => {
    const told: string[] = [];
    const delivered = Promise.withResolvers<void>();
    const slow = notifierNamed("slow", ({ notification }) => {
      told.push(notification.action.name);
      return delivered.promise;
    });
    let runs = 0;
    const failing = actionner(async () => {
      runs += 1;
      if (runs === 1) {
        throw new ActionError("unavailable", "down");
      }
      return done;
    });
    const rules = [rule([action(actionner(async () => done)), action(failing, { name: "next" })])];
    const { engine, ledger } = await start(rules, {
      ...retried,
      patience: { ...limits.patience, totalMs: 0 },
      notifications: createNotifications({
        ...noNotifiers,
        timeoutMs: 60_000,
        notifiers: [{ notifier: slow, settings: {} }],
        clients: {} as Clients,
      }),
      defaultNotifiers: ["slow"],
    });
    await ledger.accept(eventOf({ pod: "shop/cart-1" }));
    await vi.waitFor(() => expect(told).toContain("next"), soon);

    delivered.resolve();
    await idle(ledger);
    await engine.stop(1_000);

    const [record] = (await ledger.responses({ limit: 1 })).responses;
    expect(told).toEqual(["act", "next"]);
    expect(record?.transitions.filter(({ type }) => type === "notified")).toHaveLength(2);
  });

  it("looks again at a target that could not be read", async () => {
    let looks = 0;
    const destroying = actionner(async () => done, { destructive: true });

    const { outcomes } = await respond([rule([action(destroying)])], undefined, {
      ...retried,
      async getPod(target) {
        looks += 1;
        if (looks === 1) {
          throw new ActionError("unavailable", "no answer");
        }
        return podSeen(target);
      },
    });

    expect(looks).toBe(2);
    expect(outcomes).toMatchObject([{ status: "success" }]);
  });
});

describe("a target that is younger than the event", () => {
  it("is left alone: another object has taken the name while the event waited", async () => {
    const destroying = actionner(async () => done, { destructive: true });
    const later = new Date(Date.now() + 60_000);

    const { outcomes } = await respond([rule([action(destroying)])], undefined, {
      getPod: async (target) => podSeen(target, { createdAt: later }),
    });

    expect(outcomes).toMatchObject([{ status: "ignored", message: expect.stringContaining("younger than the event") }]);
  });
});

describe("an event that an earlier process left unfinished", () => {
  const event = eventOf({ pod: "shop/cart-1" });
  const at = "2026-11-21T08:00:00.000Z";
  const planned = (actions: readonly Action[]): Extract<Transition, { type: "planned" }> => ({
    type: "planned",
    at,
    response: "response-1",
    event: event.id,
    rule: "a rule",
    target: { kind: "none" },
    actions: actions.map(({ name, actionner: { id } }) => ({ name, actionner: id })),
  });
  const started: Transition = { type: "started", at, response: "response-1", action: 0, attempt: 1 };
  const ended: Transition = {
    type: "ended",
    at,
    response: "response-1",
    action: 0,
    outcome: {
      status: "success",
      message: "done before",
      code: undefined,
      would: undefined,
      target: undefined,
      objects: {},
      text: undefined,
      artifact: undefined,
      undo: undefined,
      durationMs: 1,
    },
  };

  async function resumeWith(rules: readonly Rule[], history: readonly Transition[], overrides: Overrides = {}) {
    const ledger = withWork(await memoryLedger(), () => ({ history }));
    return respond(rules, [event], { ...overrides, ledger });
  }

  it("runs an action again that was under way, where it may run again", async () => {
    const attempts: number[] = [];
    const acting = action(
      actionner(async ({ attempt }) => {
        attempts.push(attempt);
        return done;
      }),
    );

    const { notified, metrics } = await resumeWith([rule([acting])], [planned([acting]), started]);

    expect(attempts).toEqual([2]);
    expect(notified).toMatchObject([{ response: "response-1", outcome: { status: "success" } }]);
    expect(metrics.calls).toContainEqual(["responseResumed"]);
  });

  it("ends an action as interrupted that was under way and may not run twice, and tells", async () => {
    let runs = 0;
    const acting = action(
      actionner(
        async () => {
          runs += 1;
          return done;
        },
        { idempotent: false },
      ),
    );

    const { notified } = await resumeWith([rule([acting])], [planned([acting]), started]);

    expect(runs).toBe(0);
    expect(notified).toMatchObject([{ outcome: { status: "failure", code: "interrupted" } }]);
  });

  it("tells of an interrupted action how to take it back if it was done", async () => {
    const acting = action(actionner(async () => done, { idempotent: false, undo: "`kubectl uncordon NODE`" }));

    const { notified } = await resumeWith([rule([acting])], [planned([acting]), started]);

    const words = /it is not run again; if it was done: `kubectl uncordon NODE`$/;
    expect(notified).toMatchObject([{ outcome: { message: expect.stringMatching(words) } }]);
  });

  it("runs what may not run twice where its last attempt had failed before it began", async () => {
    const acting = action(actionner(async () => done, { idempotent: false }));
    const retrying: Transition = {
      type: "retrying",
      at,
      response: "response-1",
      action: 0,
      attempt: 1,
      code: "unavailable",
      message: "refused",
    };

    const { notified } = await resumeWith([rule([acting])], [planned([acting]), started, retrying]);

    expect(notified).toMatchObject([{ outcome: { status: "success" } }]);
  });

  it("runs no further action of a response that was closed, whatever its rule says by now, and tells whom it concerns", async () => {
    const { order, step } = inOrder();
    const actions = [step("first"), step("second")];
    const closed: Transition = { type: "closed", at, response: "response-1" };

    const { notified } = await resumeWith([rule(actions)], [planned(actions), started, ended, closed]);

    expect(order).toEqual([]);
    expect(notified.map(({ outcome }) => outcome.message)).toEqual(["done before"]);
  });

  it.each([
    ["tells of all that had ended", ended, "done before"],
    ["ends what was under way and may not run twice", started, expect.stringContaining("it may or may not be done")],
  ])("%s, though by its rule the action before is the last one now", async (_, last, message) => {
    const first = action(
      actionner(async () => done, { idempotent: false }),
      { name: "first", continue: false },
    );
    const actions = [first, { ...first, name: "second" }];

    const { notified } = await resumeWith([rule(actions)], [planned(actions), ended, { ...last, action: 1 }]);

    expect(notified.map(({ outcome }) => outcome.message)).toEqual(["done before", message]);
  });

  it("does not run again what has ended, tells whom it concerns, and goes on with the next action", async () => {
    const { order, step } = inOrder();
    const actions = [step("first"), step("second")];

    const { notified } = await resumeWith([rule(actions)], [planned(actions), started, ended]);

    expect(order).toEqual(["second"]);
    expect(notified.map(({ outcome }) => outcome.message)).toEqual(["done before", "done"]);
  });

  it("tells nobody twice", async () => {
    const acting = action(actionner(async () => done));
    const told: Transition = {
      type: "notified",
      at,
      response: "response-1",
      action: 0,
      notifier: "recorder",
      error: undefined,
    };

    const { notified } = await resumeWith([rule([acting])], [planned([acting]), started, ended, told]);

    expect(notified).toEqual([]);
  });

  it("is closed where its rule is gone and all its actions had ended, and tells whom that concerns", async () => {
    const ledger = await memoryLedger();
    const acting = action(actionner(async () => done));
    const recorded: Transition[] = [];
    const leaving = withWork(ledger, (work) => ({
      history: [planned([acting]), started, ended],
      async record(transitions) {
        recorded.push(...transitions);
        return work.record(transitions);
      },
    }));

    const { notified } = await respond([], [event], { ledger: leaving });

    expect(recorded.map(({ type }) => type)).toEqual(["closed", "notified"]);
    expect(notified.map(({ outcome }) => outcome.message)).toEqual(["done before"]);
  });

  it.each([
    ["planned as a dry run stays one", { dryRun: true }, { dryRun: false }],
    ["becomes a dry run where its rule is one now", {}, { dryRun: true }],
  ])("%s", async (_, plan, now) => {
    let dry: boolean | undefined;
    const acting = action(
      actionner(async ({ dryRun }) => {
        dry = dryRun;
        return done;
      }),
    );

    const { notified } = await resumeWith([rule([acting], now)], [{ ...planned([acting]), ...plan }]);

    expect(dry).toBe(true);
    expect(notified).toMatchObject([{ outcome: { status: "dry_run", would: "success" } }]);
  });

  it("has on record that it is a dry run", async () => {
    const ledger = await memoryLedger();
    await respond([rule([action(actionner(async () => done))], { dryRun: true })], [event], { ledger });

    const [record] = (await ledger.responses({ limit: 1 })).responses;
    expect(record?.transitions[0]).toMatchObject({ type: "planned", dryRun: true });
  });

  it("does not run a dry run in place of what was under way and may be done, though its rule is one now", async () => {
    let runs = 0;
    const acting = action(
      actionner(
        async () => {
          runs += 1;
          return done;
        },
        { idempotent: false },
      ),
    );

    const { notified } = await resumeWith([rule([acting], { dryRun: true })], [planned([acting]), started]);

    expect(runs).toBe(0);
    expect(notified).toMatchObject([{ outcome: { status: "failure", code: "interrupted" } }]);
  });

  it("stays a dry run where its rule is gone", async () => {
    const acting = action(actionner(async () => done));

    const { notified } = await resumeWith([], [{ ...planned([acting]), dryRun: true }]);

    expect(notified).toMatchObject([{ outcome: { status: "dry_run", would: "failure", code: "cancelled" } }]);
  });

  it("follows the plan, not the rules that match now", async () => {
    const acting = action(actionner(async () => done));
    const other = rule([acting], { name: "a new rule" });

    const { notified } = await resumeWith([rule([acting]), other], [planned([acting])]);

    expect(notified.map(({ rule: { name } }) => name)).toEqual(["a rule"]);
  });

  it.each([
    ["is gone", [], "cancelled", []],
    ["is gone, with an action under way", [], "interrupted", [started]],
    [
      "has other actions now",
      [
        rule([
          action(
            actionner(async () => done),
            { name: "renamed" },
          ),
        ]),
      ],
      "cancelled",
      [],
    ],
  ] as const)("is closed as a failure where its rule %s", async (_, rules, code, more) => {
    const acting = action(actionner(async () => done));

    const { notified } = await resumeWith(rules, [planned([acting]), ...more]);

    expect(notified).toMatchObject([{ rule: { name: "a rule" }, outcome: { status: "failure", code } }]);
  });
});

describe("settings that change", () => {
  it("are those of the moment an event is taken: a response keeps what it began with, also where it is tried again later", async () => {
    const ran: string[] = [];
    const named = (name: string, fail: () => boolean) =>
      action(
        actionner(async () => {
          ran.push(name);
          if (fail()) {
            throw new ActionError("unavailable", "down");
          }
          return done;
        }),
        { name },
      );
    let isDown = true;
    const first = rule([named("first", () => isDown), named("then", () => false)], { name: "kept" });
    const second = rule([named("second", () => false)], { name: "new" });
    const patience = { firstMs: 1, longestMs: 1, totalMs: 0 };
    const { engine, ledger, settings } = await start([first], { patience, retryMs: 60_000 });
    await ledger.accept(eventOf({ pod: "shop/cart-1" }));
    await vi.waitFor(async () => expect(await typesIn(ledger)).toContain("retrying"), soon);

    settings.put({ rules: { rules: [second], match: () => [second], explain: () => [] } });
    await ledger.accept(eventOf({ pod: "shop/cart-2" }));
    await vi.waitFor(() => expect(ran).toContain("second"), soon);
    isDown = false;
    await idle(ledger);
    await engine.stop(5_000);

    const { responses } = await ledger.responses({ limit: 100 });
    expect(
      responses
        .toReversed()
        .flatMap(outcomesOf)
        .map(({ status }) => status),
    ).toEqual(["success", "success", "success"]);
    expect(new Set(ran)).toEqual(new Set(["first", "second", "then"]));
  }, 20_000);

  it("protect also from what began before, where it is tried again", async () => {
    let isDown = true;
    const getPod = async (target: PodTarget) => {
      if (isDown) {
        throw new ActionError("unavailable", "down");
      }
      return podSeen(target);
    };
    const destroying = rule([action(actionner(async () => done, { destructive: true }))]);
    const patience = { firstMs: 1, longestMs: 1, totalMs: 0 };
    const { engine, ledger, settings } = await start([destroying], { getPod, patience, retryMs: 60_000 });
    await ledger.accept(eventOf({ pod: "shop/cart-1" }));
    await vi.waitFor(async () => expect(await typesIn(ledger)).toContain("retrying"), soon);

    settings.put({ guards: [protectNamespaces(["shop"])] });
    isDown = false;
    await idle(ledger);
    await engine.stop(5_000);

    const { responses } = await ledger.responses({ limit: 100 });
    expect(responses.flatMap(outcomesOf)).toMatchObject([{ status: "refused" }]);
  }, 20_000);

  it("protect also from what began before and waits for its turn", async () => {
    const ran: string[] = [];
    const [running, hold] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const destroying = actionner(
      async ({ target }) => {
        ran.push(describeTarget(target));
        running.resolve();
        await hold.promise;
        return done;
      },
      { destructive: true },
    );
    const permits = createPermits({ total: 1, of: () => 1 });
    const acquire = vi.spyOn(permits, "acquire");
    const { engine, ledger, settings } = await start([rule([action(destroying)])], {
      getPod: async (target) => podSeen(target),
      permits,
    });
    await ledger.accept(eventOf({ pod: "shop/cart-1" }));
    await running.promise;
    await ledger.accept(eventOf({ pod: "shop/cart-2" }));
    await vi.waitFor(() => expect(acquire).toHaveBeenCalledTimes(2), soon);

    settings.put({ guards: [protectNamespaces(["shop"])] });
    hold.resolve();
    await idle(ledger);
    await engine.stop(5_000);

    const { responses } = await ledger.responses({ limit: 100 });
    expect(
      responses
        .flatMap(outcomesOf)
        .map(({ status }) => status)
        .toSorted(),
    ).toEqual(["refused", "success"]);
    expect(ran).toEqual(["pod shop/cart-1"]);
  }, 20_000);

  it("give a response that has begun the newest clients for its next action", async () => {
    const used: unknown[] = [];
    const [running, hold] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const calling = actionner(async ({ clients }) => {
      used.push(clients.kubernetes);
      running.resolve();
      await hold.promise;
      return done;
    });
    const [old, newest] = [clientsWith(podSeen as never), clientsWith(podSeen as never)];
    const { engine, ledger, settings } = await start([rule([action(calling), action(calling)])], {
      clients: { real: old, dryRun: old },
    });
    await ledger.accept(eventOf({ pod: "shop/cart-1" }));
    await running.promise;

    settings.put({ clients: { real: newest, dryRun: newest } });
    hold.resolve();
    await idle(ledger);
    await engine.stop(5_000);

    expect(used.map((kubernetes) => kubernetes === newest.kubernetes)).toEqual([false, true]);
  }, 20_000);
});

describe("stopping", () => {
  async function stopped(
    acting: Actionner,
    graceMs: number,
    { whenStopping = () => undefined, ...overrides }: Overrides & { readonly whenStopping?: () => void } = {},
  ) {
    const running = await start([rule([action(acting), action(actionner(async () => done))])], overrides);
    await running.ledger.accept(eventOf({ pod: "shop/cart-1" }));
    await turn();
    const stopping = running.engine.stop(graceMs);
    whenStopping();
    await stopping;
    const [record] = (await running.ledger.responses({ limit: 1 })).responses;
    return { ...running, outcomes: record === undefined ? [] : outcomesOf(record) };
  }

  it("interrupts what outlives the grace period and may not run twice, on record", async () => {
    const hanging = actionner(() => new Promise(() => {}), { idempotent: false });

    const { outcomes } = await stopped(hanging, 10);

    expect(outcomes).toMatchObject([{ status: "failure", code: "interrupted" }]);
  });

  it("leaves what may run again to the next process", async () => {
    const hanging = actionner(() => new Promise(() => {}));

    const { outcomes, ledger } = await stopped(hanging, 10);

    expect(outcomes).toEqual([]);
    expect(ledger.backlog().events).toBe(1);
  });

  it("lets a running action end, and begins no other", async () => {
    const { promise: ending, resolve: whenStopping } = Promise.withResolvers<void>();
    const slow = actionner(async () => {
      await ending;
      return done;
    });

    const { outcomes, ledger } = await stopped(slow, 5_000, { whenStopping });

    expect(outcomes).toMatchObject([{ status: "success" }]);
    expect(ledger.backlog().events).toBe(1);
  });

  it("does not wait for an attempt that is yet to come", async () => {
    const failing = actionner(() => Promise.reject(new ActionError("unavailable", "down")));

    const { outcomes, ledger } = await stopped(failing, 60_000, {
      patience: { firstMs: 3_600_000, longestMs: 3_600_000, totalMs: 7_200_000 },
      retryMs: 7_200_000,
    });

    expect(outcomes).toEqual([]);
    expect(ledger.backlog().events).toBe(1);
  });

  it("leaves what may not run twice and is yet to be tried again to the next process", async () => {
    const refused = actionner(() => Promise.reject(new ActionError("unavailable", "refused", { notBegun: true })), {
      idempotent: false,
    });

    const { outcomes, ledger } = await stopped(refused, 60_000, {
      patience: { firstMs: 3_600_000, longestMs: 3_600_000, totalMs: 7_200_000 },
      retryMs: 7_200_000,
    });

    expect(outcomes).toEqual([]);
    expect(ledger.backlog().events).toBe(1);
  });

  it("puts on record that what may not run twice had not begun", async () => {
    const hanging = context(() => new Promise(() => {}));
    const acting = action(
      actionner(async () => done, { idempotent: false }),
      { contexts: [hanging] },
    );
    const { engine, ledger } = await start([rule([acting])]);
    await ledger.accept(eventOf({ pod: "shop/cart-1" }));
    await vi.waitFor(async () => expect(await typesIn(ledger)).toContain("started"), soon);

    await engine.stop(10);

    expect(await typesIn(ledger)).toEqual(["planned", "started", "retrying"]);
  });

  it("does not wait for a ledger that cannot write that an event is finished", async () => {
    const ledger = withWork(await memoryLedger(), () => ({ finish: () => new Promise(() => {}) }));
    const { engine, notified } = await start([rule([action(actionner(async () => done))])], { ledger });
    await ledger.accept(eventOf({ pod: "shop/cart-1" }));
    await vi.waitFor(() => expect(notified).toHaveLength(1), soon);

    await expect(engine.stop(10)).resolves.toBeUndefined();
  });

  it("records nothing of an event that another process has taken over", async () => {
    const lost = new AbortController();
    const ledger = withWork(await memoryLedger(), () => ({ lost: lost.signal }));
    const hanging = actionner(
      () => {
        lost.abort(new ActionError("interrupted", "another replica has it"));
        return new Promise(() => {});
      },
      { idempotent: false },
    );

    const { outcomes } = await stopped(hanging, 60_000, { ledger });

    expect(outcomes).toEqual([]);
  });
});
