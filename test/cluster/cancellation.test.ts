import { readdirSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import { untilAborted } from "../../src/catalogue/abort.ts";
import type { Actionner, Artifact } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import type { Clients } from "../../src/clients/clients.ts";
import { createKubernetes } from "../../src/clients/kubernetes/adapter.ts";
import { targetOf } from "../../src/events/target.ts";
import { compileFields } from "../../src/schema/read.ts";
import { useCluster } from "../support/cluster.ts";
import { type ExampleStage, exampleStage } from "../support/example-stage.ts";
import { eventOf } from "../support/events.ts";
import { kubeconfigVia } from "../support/fault-proxy.ts";
import { realCatalogue } from "../support/real-catalogue.ts";
import { relayTo } from "../support/relay.ts";
import { runActionner } from "../support/run-actionner.ts";
import { memoryStore } from "../support/stored.ts";
import { workplace } from "../support/workplace.ts";

vi.setConfig({ testTimeout: 120_000 });

const cluster = await useCluster();
const actionners = [...realCatalogue.actionners.values()];
const onKubernetes = actionners.filter(({ uses }) => uses.includes("kubernetes"));
const elsewhere = actionners.filter(({ uses }) => uses.length > 0 && !uses.includes("kubernetes"));
const outputs = [...realCatalogue.outputs.values()];
const contexts = [...realCatalogue.contexts.values()];

/** Only those that wait for something to happen, asking again and again, make more for one small pod. */
const mostRequests = 10;

const ways: readonly (readonly [string, unknown, string])[] = [
  ["is cancelled", undefined, "cancelled"],
  ["reaches its deadline", new DOMException("the deadline passed", "TimeoutError"), "timeout"],
];

/**
 * Runs it with an API server that answers so many requests and then none, until it is stopped. Says what came of it; undefined where
 * it ended before. What it asks afterwards, to clean up, is answered.
 */
async function stopAt(answered: number, reason: unknown, stage: ExampleStage, actionner: Actionner) {
  const { playground } = cluster;
  if (playground === undefined) {
    throw new Error("only the playground hangs when asked to");
  }
  await using relay = await relayTo(playground.url);
  await using kubernetes = closing(kubeconfigVia(cluster.kubeconfig, relay.url));
  const controller = new AbortController();
  const hung = Promise.withResolvers<true>();
  let requests = 0;
  using _fault = disposable(
    playground.faults.inject({
      when() {
        requests += 1;
        const strikes = requests > answered && !controller.signal.aborted;
        if (strikes) {
          hung.resolve(true);
        }
        return strikes;
      },
      hang: true,
    }),
  );
  const running = runActionner(actionner, {
    ...{ cluster, event: stage.event, signal: controller.signal, store: memoryStore().store },
    params: stage.placed(actionner.examples[0]?.parameters ?? {}),
    clients: { kubernetes: kubernetes.real },
  });

  const stopped = await Promise.race([running.then(() => false), hung.promise]);
  controller.abort(reason);
  const outcome = await running;
  await vi.waitFor(() => expect(relay.waiting()).toBe(0), { timeout: 20_000 });
  return stopped ? outcome : undefined;
}

function closing(kubeconfig: string) {
  const clients = createKubernetes({ kubeconfig: { from: "text", text: kubeconfig } });
  return { real: clients.real, [Symbol.asyncDispose]: () => clients.close() };
}

function disposable(dispose: () => void): Disposable {
  return { [Symbol.dispose]: dispose };
}

describe.skipIf(cluster.real).each(ways)(
  "an actionner that %s while Kubernetes does not answer",
  (_way, reason, code) => {
    it.each(onKubernetes)(
      "ends at once with its code and its connections, at whatever request: $id",
      async (actionner) => {
        const outcomes = [];
        for (let answered = 0; answered < mostRequests; answered += 1) {
          const outcome = await stopAt(answered, reason, await exampleStage(cluster, actionner), actionner);
          if (outcome === undefined) {
            break;
          }
          outcomes.push(outcome);
        }

        expect(outcomes.length).toBeGreaterThan(0);
        expect(outcomes.map((outcome) => "code" in outcome && outcome.code)).toEqual(outcomes.map(() => code));
      },
    );
  },
);

/** Every call of every port hangs until the signal that it was given fires; one that was given none hangs for ever. */
function hangingClients(onCall: () => void): Clients {
  const hang = (...call: readonly unknown[]) => {
    onCall();
    const signal = call.find((argument) => argument instanceof AbortSignal) ?? new AbortController().signal;
    return untilAborted(new Promise<never>(() => {}), signal, "the call");
  };
  const port = new Proxy({}, { get: () => hang });
  return new Proxy({}, { get: () => port }) as Clients;
}

type Attempt = (clients: Clients, signal: AbortSignal, onCall: () => void) => Promise<unknown>;

/** What it throws when it is stopped at the first thing that it waits for. */
async function failureWhenStopped(reason: unknown, attempt: Attempt): Promise<unknown> {
  const controller = new AbortController();
  const called = Promise.withResolvers<void>();
  const running = attempt(hangingClients(called.resolve), controller.signal, called.resolve).then(
    () => "it did not fail",
    (error: unknown) => error,
  );
  await Promise.race([called.promise, running]);
  controller.abort(reason);
  return running;
}

function valuesOf({ params, examples }: Pick<Actionner, "params" | "examples">): Record<string, unknown> {
  return compileFields(params).read(examples[0]?.parameters ?? {}).values ?? {};
}

describe.each(ways)("an entry that %s while its service does not answer", (_way, reason, code) => {
  it.each(elsewhere)("ends at once with its code: $id", async (actionner) => {
    const call = {
      ...{ event: eventOf(), target: { kind: "none" } as const, params: valuesOf(actionner), facts: {} },
      ...{ store: undefined, rule: "a rule", objectionTo: () => undefined, dryRun: false, attempt: 1 },
    };

    const failure = await failureWhenStopped(reason, (clients, signal) => actionner.run({ ...call, clients, signal }));

    expect(failure).toBeInstanceOf(ActionError);
    expect(failure).toMatchObject({ code });
  });

  it.each(contexts)("ends at once with its code: the context $id", async (context) => {
    const event = eventOf({ pod: "shop/cart-1" });
    const target = targetOf(context.target, event);
    if (target.kind === "missing") {
      throw new Error(target.reason);
    }

    const failure = await failureWhenStopped(reason, (clients, signal) =>
      context.fetch({ event, target, clients, signal }),
    );

    expect(failure).toMatchObject({ name: "ActionError", code });
  });

  it.each(outputs)("ends at once with its code, and keeps nothing: the output $id", async (output) => {
    using files = workplace({});
    const params = valuesOf(output);
    const { store } = output;
    const placed = "destination" in params ? { ...params, destination: files.directory } : params;

    const failure = await failureWhenStopped(reason, (clients, signal, onRead) =>
      store({ artifact: hangingArtifact(onRead), params: placed, clients, dryRun: false, signal }),
    );

    expect(failure).toMatchObject({ name: "ActionError", code });
    expect(readdirSync(files.directory)).toEqual([]);
  });
});

/** Of which nothing ever comes. */
function hangingArtifact(onRead: () => void): Artifact {
  return {
    key: "2026-11-21T08-15-00Z_shop_cart-1_capture",
    contentType: "application/octet-stream",
    digest: () => ({ bytes: 0, sha256: "" }),
    body: {
      async *[Symbol.asyncIterator]() {
        onRead();
        await new Promise<never>(() => {});
        yield new Uint8Array();
      },
    },
  };
}
