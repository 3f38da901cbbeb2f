import { PolicyV1Api, type V1Pod } from "@kubernetes/client-node";
import { describe, expect, it, onTestFinished } from "vitest";
import { drain } from "../../actionners/kubernetes/drain.ts";
import { untilAborted } from "../../src/catalogue/abort.ts";
import { type ActionError, TargetGone } from "../../src/catalogue/errors.ts";
import type { Result } from "../../src/catalogue/outcome.ts";
import { createKubernetes } from "../../src/clients/kubernetes/adapter.ts";
import type { Kubernetes, Pod } from "../../src/clients/kubernetes/port.ts";
import { objection, protectNamespaces, refuseMirrorPods } from "../../src/engine/guard.ts";
import { eventually, podTemplate, useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { respondWith } from "../support/respond.ts";
import { runActionner } from "../support/run-actionner.ts";

const cluster = await useCluster();
const { core, apps, batch, connection } = cluster.api;
const policy = connection.makeApiClient(PolicyV1Api);
const { real } = cluster.kubernetes;
const selector = { matchLabels: { app: "cart" } };

/** A node of its own with one pod, which the event is about. */
async function busyNode() {
  const namespace = await cluster.namespace();
  const node = await cluster.node();
  await cluster.pod(namespace, { name: "cart-1", nodeName: node });
  return { namespace, node, event: eventOf({ pod: `${namespace}/cart-1` }) };
}

function podOn(node: string, namespace: string, name: string, traits: object = {}): Promise<V1Pod> {
  return cluster.pod(namespace, { name, nodeName: node, ...traits });
}

function isReady({ status }: V1Pod): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") ?? false;
}

/** Of the app, once there are so many and all are ready. */
async function podsOfApp(namespace: string, count: number): Promise<string[]> {
  const pods = await eventually(async () => {
    const { items } = await core.listNamespacedPod({ namespace, labelSelector: "app=cart" });
    return items.length === count && items.every(isReady) && items;
  });
  return pods.map(({ metadata }) => metadata?.name ?? "").sort();
}

/** The DaemonSet's pod there: the playground makes one on each node. */
async function agentOn(node: string, namespace: string): Promise<string> {
  const pod = await eventually(async () => {
    const { items } = await core.listNamespacedPod({ namespace, labelSelector: "app=cart" });
    return items.find(({ spec }) => spec?.nodeName === node);
  });
  return pod.metadata?.name ?? "";
}

function templateOn(nodeName: string) {
  const template = podTemplate("cart");
  return { ...template, spec: { ...template.spec, nodeName, tolerations: [{ operator: "Exists" }] } };
}

/** All of its pods are ready on the node; those that it makes from now on find none. */
async function replicaSet(namespace: string, node: string, replicas: number): Promise<string[]> {
  const metadata = { name: "cart" };
  const spec = { selector, replicas, template: templateOn(node) };
  await apps.createNamespacedReplicaSet({ namespace, body: { metadata, spec } });
  const pods = await podsOfApp(namespace, replicas);
  const template = podTemplate("cart");
  const nowhere = { ...template, spec: { ...template.spec, nodeSelector: { nowhere: "true" } } };
  await apps.replaceNamespacedReplicaSet({
    namespace,
    name: "cart",
    body: { metadata, spec: { ...spec, template: nowhere } },
  });
  await eventually(async () => {
    const { metadata, status } = await apps.readNamespacedReplicaSet({ namespace, name: "cart" });
    return status?.observedGeneration === metadata?.generation;
  });
  return pods;
}

async function budget(namespace: string, minAvailable: number): Promise<void> {
  await policy.createNamespacedPodDisruptionBudget({
    namespace,
    body: { metadata: { name: "cart" }, spec: { minAvailable, selector } },
  });
  await eventually(async () => {
    const { status } = await policy.readNamespacedPodDisruptionBudget({ namespace, name: "cart" });
    return status?.observedGeneration === 1 && status.currentHealthy === minAvailable;
  });
}

async function namesIn(namespace: string): Promise<string[]> {
  const { items } = await core.listNamespacedPod({ namespace });
  return items
    .filter(({ metadata }) => metadata?.deletionTimestamp === undefined)
    .map(({ metadata }) => metadata?.name ?? "");
}

async function isCordoned(name: string): Promise<boolean> {
  return (await core.readNode({ name })).spec?.unschedulable ?? false;
}

function textOf(result: Result | ActionError): string {
  return "text" in result ? (result.text ?? "") : "";
}

/** As the engine asks its guards. */
function guarded(...namespaces: readonly string[]) {
  const guards = [protectNamespaces(namespaces), refuseMirrorPods];
  const action = {
    name: "drain",
    description: undefined,
    actionner: drain,
    parameters: {},
    contexts: [],
    output: undefined,
    continue: true,
    ignoreErrors: false,
  };
  return (pod: Pod) => objection(guards, { action, target: pod, seen: pod });
}

describe("kubernetes:drain", () => {
  it("cordons the pod's node and evicts its pods, of every namespace, and no others", async () => {
    const { namespace, node, event } = await busyNode();
    const other = await cluster.namespace();
    await podOn(node, other, "mail-1");
    await cluster.pod(other, { name: "elsewhere", nodeName: await cluster.node(), wait: false });

    const result = await runActionner(drain, { cluster, event });

    expect(result).toMatchObject({
      status: "success",
      summary: `node ${node} drained; pods: 2 evicted, 0 left`,
      objects: { namespace, pod: "cart-1", node },
      undo: `kubectl uncordon ${node}`,
      text: `evicted: ${namespace}/cart-1, ${other}/mail-1\n`,
    });
    expect(await isCordoned(node)).toBe(true);
    expect(await namesIn(namespace)).toEqual([]);
    expect(await namesIn(other)).toEqual(["elsewhere"]);
  });

  it("leaves the pods of protected namespaces and mirror pods, and says why", async () => {
    const { namespace, node, event } = await busyNode();
    const system = await cluster.namespace();
    await podOn(node, system, "dns-1");
    await podOn(node, namespace, "static-1", { annotations: { "kubernetes.io/config.mirror": "1" } });

    const result = await runActionner(drain, { cluster, event, objectionTo: guarded(system) });

    expect(result).toMatchObject({ summary: `node ${node} drained; pods: 1 evicted, 2 left` });
    expect(textOf(result).split("\n")).toEqual(
      expect.arrayContaining([
        `evicted: ${namespace}/cart-1`,
        `left (namespace ${system} is protected (protected_namespaces)): ${system}/dns-1`,
        expect.stringMatching(`^left \\(this is a mirror pod: .*\\): ${namespace}/static-1$`),
      ]),
    );
    expect(await namesIn(system)).toEqual(["dns-1"]);
    expect(await namesIn(namespace)).toEqual(["static-1"]);
  });

  it("hears of the engine's guards which pods to leave", async () => {
    const { namespace, node, event } = await busyNode();
    await podOn(node, namespace, "static-1", { annotations: { "kubernetes.io/config.mirror": "1" } });

    const outcomes = await respondWith(drain, { cluster, events: [event] });

    expect(outcomes).toMatchObject([{ status: "success", message: `node ${node} drained; pods: 1 evicted, 1 left` }]);
    expect(await namesIn(namespace)).toEqual(["static-1"]);
  });

  it.each([true, false])("leaves the pods of a DaemonSet (ignore_daemonsets: %s)", async (ignore_daemonsets) => {
    const { namespace, node, event } = await busyNode();
    await apps.createNamespacedDaemonSet({
      namespace,
      body: { metadata: { name: "cart" }, spec: { selector, template: templateOn(node) } },
    });
    onTestFinished(async () => void (await apps.deleteNamespacedDaemonSet({ namespace, name: "cart" })));
    const agent = await agentOn(node, namespace);

    const result = await runActionner(drain, { cluster, event, params: { ignore_daemonsets } });

    expect(textOf(result)).toContain(`left (its DaemonSet would put it back at once): ${namespace}/${agent}\n`);
    expect(await namesIn(namespace)).toContain(agent);
  });

  it("leaves the pods of a StatefulSet where the rule says so", async () => {
    const { namespace, node, event } = await busyNode();
    await apps.createNamespacedStatefulSet({
      namespace,
      body: {
        metadata: { name: "cart" },
        spec: { replicas: 1, selector, serviceName: "cart", template: templateOn(node) },
      },
    });
    await podsOfApp(namespace, 1);
    const uid = async () => (await core.readNamespacedPod({ namespace, name: "cart-0" })).metadata?.uid;
    const before = await uid();

    const left = await runActionner(drain, { cluster, event, params: { ignore_statefulsets: true } });
    const after = await uid();
    await podOn(node, namespace, "cart-1");
    const evicted = await runActionner(drain, { cluster, event, params: { min_healthy_replicas: "0" } });

    expect(textOf(left)).toContain(`left (it belongs to a StatefulSet (ignore_statefulsets)): ${namespace}/cart-0\n`);
    expect(after).toBe(before);
    expect(textOf(evicted)).toContain(`${namespace}/cart-0`);
    expect(evicted).toMatchObject({ status: "success", summary: expect.stringContaining("2 evicted") });
  });

  it("leaves pods without an owner where the rule says so", async () => {
    const { namespace, node, event } = await busyNode();

    const result = await runActionner(drain, { cluster, event, params: { force: false } });

    expect(result).toMatchObject({
      summary: `node ${node} drained; pods: 0 evicted, 1 left`,
      text: `left (it has no owner (force: false)): ${namespace}/cart-1\n`,
    });
    expect(await namesIn(namespace)).toEqual(["cart-1"]);
  });

  it("leaves pods that have ended, or are ending", async () => {
    const { namespace, node, event } = await busyNode();
    await podOn(node, namespace, "done");
    const ended = [{ op: "replace", path: "/status/phase", value: "Succeeded" }];
    await core.patchNamespacedPodStatus({ namespace, name: "done", body: ended });
    await podOn(node, namespace, "ending", { finalizers: ["example.com/keep"] });
    await core.deleteNamespacedPod({ namespace, name: "ending" });

    const result = await runActionner(drain, { cluster, event });

    expect(textOf(result)).toContain(`left (it has ended): ${namespace}/done\n`);
    expect(textOf(result)).toContain(`left (it is ending already): ${namespace}/ending\n`);
    await release(namespace, "ending");
  });

  it("is ignored where the node is cordoned and has nothing to evict", async () => {
    const { node, event } = await busyNode();
    await real.patchNode(node, { unschedulable: true }, AbortSignal.timeout(60_000));

    const result = await runActionner(drain, { cluster, event, params: { force: false } });

    expect(result).toEqual({
      status: "ignored",
      reason: `node ${node} is cordoned already, and no pod is to be evicted from it`,
    });
  });

  it("does not offer to uncordon a node that somebody else has cordoned", async () => {
    const { node, event } = await busyNode();
    await real.patchNode(node, { unschedulable: true }, AbortSignal.timeout(60_000));

    const result = await runActionner(drain, { cluster, event });

    expect(result).toMatchObject({ status: "success" });
    expect(result).not.toHaveProperty("undo");
  });

  it("is ignored for a pod that is not on a node yet", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", nodeSelector: { nowhere: "true" }, wait: false });

    const result = await runActionner(drain, { cluster, event: eventOf({ pod: `${namespace}/cart-1` }) });

    expect(result).toEqual({ status: "ignored", reason: "the pod is not on a node yet" });
  });

  it("finds the pod gone", async () => {
    const namespace = await cluster.namespace();

    const error = await runActionner(drain, { cluster, event: eventOf({ pod: `${namespace}/cart-1` }) });

    expect(error).toBeInstanceOf(TargetGone);
  });

  it("never evicts a pod that takes the name of one that it saw", async () => {
    const { namespace, node, event } = await busyNode();
    const seenBefore: Kubernetes = {
      ...real,
      podsOnNode: async (...call) =>
        (await real.podsOnNode(...call)).map((pod) => ({ ...pod, uid: crypto.randomUUID() })),
    };

    const result = await runActionner(drain, { cluster, event, clients: { kubernetes: seenBefore } });

    expect(result).toMatchObject({
      summary: `node ${node} drained; pods: 0 evicted, 1 left`,
      text: `left (it is gone): ${namespace}/cart-1\n`,
    });
    expect(await namesIn(namespace)).toEqual(["cart-1"]);
  });

  it("evicts all pods of a full node", { timeout: 120_000 }, async () => {
    const { namespace, node, event } = await busyNode();
    const unstarted = { wait: false, containers: [{ command: [] }] };
    const names = Array.from({ length: 260 }, (_, index) => `cart-${index + 2}`);
    for (let start = 0; start < names.length; start += 20) {
      await Promise.all(names.slice(start, start + 20).map((name) => podOn(node, namespace, name, unstarted)));
    }

    const result = await runActionner(drain, { cluster, event, signal: AbortSignal.timeout(60_000) });

    expect(result).toMatchObject({ summary: `node ${node} drained; pods: 261 evicted, 0 left` });
    expect(await namesIn(namespace)).toEqual([]);
  });

  it("changes nothing in a dry run, and does not wait", async () => {
    const { namespace, node, event } = await busyNode();

    const result = await runActionner(drain, { cluster, event, dryRun: true, params: { max_wait_period: 3600 } });

    expect(result).toMatchObject({ status: "success", summary: `node ${node} drained; pods: 1 evicted, 0 left` });
    expect(await isCordoned(node)).toBe(false);
    expect(await namesIn(namespace)).toEqual(["cart-1"]);
  });

  it("fails where evictions are not permitted, and says what is left to do", async () => {
    const { namespace, node, event } = await busyNode();
    const rbac = drain.rbac.filter(({ resources }) => !resources.includes("pods/eviction"));
    const limited = createKubernetes({ kubeconfig: { from: "text", text: await cluster.userWith(rbac) } });

    const error = await runActionner(drain, { cluster, event, clients: { kubernetes: limited.real } });

    expect(error).toMatchObject({
      code: "forbidden",
      message: expect.stringMatching(
        `^node ${node} is cordoned, but not drained: 1 failed: ${namespace}/cart-1 \\(not permitted to create pods/eviction in namespace ${namespace}: `,
      ),
      text: expect.stringMatching(`^failed \\(not permitted .*: ${namespace}/cart-1\n$`),
    });
    expect((error as ActionError).notBegun).toBe(false);
    await limited.close();
  });

  it("ends with the signal while it waits", async () => {
    const { namespace, node, event } = await busyNode();
    await podOn(node, namespace, "slow", { finalizers: ["example.com/keep"] });
    const stop = new AbortController();
    const stopping: Kubernetes = {
      ...real,
      async evictPod(pod, signal) {
        const eviction = await real.evictPod(pod, signal);
        setTimeout(() => stop.abort(), 300);
        return eviction;
      },
    };

    const run = { cluster, event, params: { max_wait_period: 3600 }, signal: stop.signal };
    const error = await runActionner(drain, { ...run, clients: { kubernetes: stopping } });

    expect(error).toMatchObject({ code: "cancelled" });
    await release(namespace, "slow");
  });

  it.each(drain.examples)("does as its example says: $title", async ({ parameters }) => {
    const { namespace, node, event } = await busyNode();

    const result = await runActionner(drain, { cluster, event, params: parameters });

    expect(result).toMatchObject({ status: "success", summary: `node ${node} drained; pods: 1 evicted, 0 left` });
    expect(await namesIn(namespace)).toEqual([]);
  });

  it("gives each attempt time to spare within the action's own", () => {
    const params = { ...defaults, max_wait_period: 300 };

    const seconds = drain.timeoutSeconds?.(params);

    expect(seconds).toBeGreaterThan(300 + 60);
  });
});

const defaults = {
  min_healthy_replicas: undefined,
  ignore_daemonsets: false,
  ignore_statefulsets: false,
  force: true,
  ignore_errors: false,
  max_wait_period: 0,
  wait_period_excluded_namespaces: [],
};

async function release(namespace: string, name: string): Promise<void> {
  await core.patchNamespacedPod({ namespace, name, body: [{ op: "remove", path: "/metadata/finalizers" }] });
}

describe("min_healthy_replicas of kubernetes:drain", () => {
  it.each([
    ["3", 1, "2 of 3"],
    ["2", 2, "1 of 3"],
    ["100%", 1, "2 of 3"],
    ["34%", 2, "1 of 3"],
  ])("%s evicts %i of 3 pods, though all are to go side by side", async (minimum, evicted, ready) => {
    const { namespace, node, event } = await busyNode();
    await replicaSet(namespace, node, 3);

    const result = await runActionner(drain, { cluster, event, params: { min_healthy_replicas: minimum } });

    expect(result).toMatchObject({
      summary: `node ${node} drained; pods: ${evicted + 1} evicted, ${3 - evicted} left`,
    });
    expect(textOf(result)).toContain(`left (${ready} pods of ReplicaSet cart are ready, fewer than `);
  });

  it("counts in a dry run as it would count", async () => {
    const { namespace, node, event } = await busyNode();
    await replicaSet(namespace, node, 3);
    const run = { cluster, event, params: { min_healthy_replicas: "2" } };

    const dry = await runActionner(drain, { ...run, dryRun: true });
    const done = await runActionner(drain, run);

    expect(dry).toMatchObject({ summary: `node ${node} drained; pods: 3 evicted, 1 left` });
    expect(done).toMatchObject({ summary: `node ${node} drained; pods: 3 evicted, 1 left` });
  });

  it.each([
    [
      "ReplicationController",
      (namespace: string, node: string) =>
        core.createNamespacedReplicationController({
          namespace,
          body: {
            metadata: { name: "cart" },
            spec: { replicas: 1, selector: { app: "cart" }, template: templateOn(node) },
          },
        }),
    ],
    [
      "Job",
      (namespace: string, node: string) => {
        const { metadata, spec } = templateOn(node);
        const template = { metadata, spec: { ...spec, restartPolicy: "Never" } };
        return batch.createNamespacedJob({ namespace, body: { metadata: { name: "cart" }, spec: { template } } });
      },
    ],
  ])("counts the pods of a %s, too", async (kind, create) => {
    const { namespace, node, event } = await busyNode();
    await create(namespace, node);
    await podsOfApp(namespace, 1);

    const result = await runActionner(drain, { cluster, event, params: { min_healthy_replicas: "2" } });

    expect(textOf(result)).toContain(`left (1 of 1 pods of ${kind} cart are ready, fewer than 2`);
  });
});

describe("max_wait_period of kubernetes:drain", () => {
  it("waits until the pods have ended, and fails where they do not", async () => {
    const { namespace, node, event } = await busyNode();
    await podOn(node, namespace, "slow", { finalizers: ["example.com/keep"] });

    const error = await runActionner(drain, { cluster, event, params: { max_wait_period: 4 } });

    expect(error).toMatchObject({
      code: "timeout",
      message: `node ${node} is cordoned, but not drained: 1 failed: ${namespace}/slow (it was evicted, and has not ended within 4 s); 1 evicted, 0 left; to take the cordon back: kubectl uncordon ${node}`,
    });
    await release(namespace, "slow");
  });

  it("is over as soon as the pods have ended", async () => {
    const { namespace, node, event } = await busyNode();
    await podOn(node, namespace, "slow", { finalizers: ["example.com/keep"] });
    const releasing: Kubernetes = {
      ...real,
      async evictPod(pod, signal) {
        const eviction = await real.evictPod(pod, signal);
        setTimeout(() => void (pod.name === "slow" && release(namespace, "slow")), 500);
        return eviction;
      },
    };

    const params = { max_wait_period: 3600 };
    const result = await runActionner(drain, { cluster, event, params, clients: { kubernetes: releasing } });

    expect(result).toMatchObject({ status: "success", summary: `node ${node} drained; pods: 2 evicted, 0 left` });
    expect(await namesIn(namespace)).toEqual([]);
  });

  it("ends with a last try where a budget asks for more patience than that", async () => {
    const { node, event } = await busyNode();
    let asked = 0;
    const unsettled: Kubernetes = {
      ...real,
      async evictPod(pod, signal) {
        asked += 1;
        return asked > 1
          ? real.evictPod(pod, signal)
          : { kind: "refused", reason: "the budget is still being processed", retryAfterMs: 10_000 };
      },
    };

    const params = { max_wait_period: 5 };
    const result = await runActionner(drain, { cluster, event, params, clients: { kubernetes: unsettled } });

    expect(asked).toBe(2);
    expect(result).toMatchObject({ status: "success", summary: `node ${node} drained; pods: 1 evicted, 0 left` });
  });

  it("is not for the pods of excluded namespaces: they are evicted, and not waited for", async () => {
    const { namespace, node, event } = await busyNode();
    await podOn(node, namespace, "slow", { finalizers: ["example.com/keep"] });
    const params = { max_wait_period: 3600, wait_period_excluded_namespaces: [namespace] };

    const result = await runActionner(drain, { cluster, event, params });

    expect(result).toMatchObject({ status: "success", summary: `node ${node} drained; pods: 2 evicted, 0 left` });
    await release(namespace, "slow");
  });
});

describe.skipIf(cluster.real)("a PodDisruptionBudget, to kubernetes:drain,", () => {
  it.skip("needs a real control plane: the playground keeps no disruption budgets");
});

describe.runIf(cluster.real)("a PodDisruptionBudget, to kubernetes:drain,", () => {
  it("holds its pods back, which is a failure that names them", async () => {
    const { namespace, node, event } = await busyNode();
    const pods = await replicaSet(namespace, node, 2);
    await budget(namespace, 2);

    const error = await runActionner(drain, { cluster, event });

    expect(error).toMatchObject({
      code: "conflict",
      message: expect.stringMatching(
        `^node ${node} is cordoned, but not drained: 2 failed: .*disruption budget.*; 1 evicted, 0 left; to take the cordon back: kubectl uncordon ${node}$`,
      ),
    });
    expect((error as ActionError).message).toContain("cart needs 2 healthy pods and has 2 currently");
    expect(textOf(error as ActionError)).toContain(`${namespace}/${pods[0]}, ${namespace}/${pods[1]}`);
    expect(await namesIn(namespace)).toEqual(expect.arrayContaining(pods));
  });

  it("is asked again, and its pods go when it lets them", async () => {
    const { namespace, node, event } = await busyNode();
    await replicaSet(namespace, node, 2);
    await budget(namespace, 2);
    let refusals = 0;
    const releasing: Kubernetes = {
      ...real,
      async evictPod(pod, signal) {
        const eviction = await real.evictPod(pod, signal);
        refusals += eviction.kind === "refused" ? 1 : 0;
        if (eviction.kind === "refused" && refusals === 2) {
          await policy.deleteNamespacedPodDisruptionBudget({ namespace, name: "cart" });
        }
        return eviction;
      },
    };

    const params = { max_wait_period: 30 };
    const result = await runActionner(drain, { cluster, event, params, clients: { kubernetes: releasing } });

    expect(refusals).toBeGreaterThanOrEqual(2);
    expect(result).toMatchObject({ status: "success", summary: `node ${node} drained; pods: 3 evicted, 0 left` });
  });

  it("that never lets them go is asked until the time is over, and not longer", async () => {
    const { namespace, node, event } = await busyNode();
    await replicaSet(namespace, node, 2);
    await budget(namespace, 2);
    let asked = 0;
    const counting: Kubernetes = {
      ...real,
      async evictPod(pod, signal) {
        asked += 1;
        return real.evictPod(pod, signal);
      },
    };

    const params = { max_wait_period: 8 };
    const error = await runActionner(drain, { cluster, event, params, clients: { kubernetes: counting } });

    expect(error).toMatchObject({ code: "conflict" });
    expect(asked).toBeGreaterThan(1 + 2 + 2);
    expect(asked).toBeLessThan(1 + 2 * 10);
  });

  it("does not make it a failure where the rule ignores errors", async () => {
    const { namespace, node, event } = await busyNode();
    await replicaSet(namespace, node, 2);
    await budget(namespace, 2);

    const result = await runActionner(drain, { cluster, event, params: { ignore_error: true } });

    expect(result).toMatchObject({
      status: "success",
      summary: expect.stringMatching(`^node ${node} drained but for what failed \\(ignore_errors\\): 2 failed: `),
      text: expect.stringMatching(/^failed \(.*disruption budget/),
    });
  });

  it("is asked in a dry run, too", async () => {
    const { namespace, node, event } = await busyNode();
    const pods = await replicaSet(namespace, node, 2);
    await budget(namespace, 2);

    const error = await runActionner(drain, { cluster, event, dryRun: true, params: { max_wait_period: 60 } });

    expect(error).toMatchObject({ code: "conflict", message: expect.stringContaining("disruption budget") });
    expect(await namesIn(namespace)).toEqual(expect.arrayContaining(["cart-1", ...pods]));
  });
});

describe.skipIf(cluster.real)("faults between kubernetes:drain and the API server", () => {
  const { playground } = cluster;

  it("that pass are tried again, also where no budget is waited for", async () => {
    const { node, event } = await busyNode();
    const busy = playground?.faults.inject({
      when: { resource: "pods", subresource: "eviction" },
      answer: 429,
      retryAfterSeconds: 1,
      times: 2,
    });

    const result = await runActionner(drain, { cluster, event });

    busy?.();
    expect(result).toMatchObject({ status: "success", summary: `node ${node} drained; pods: 1 evicted, 0 left` });
  });

  it("that pass once the node is cordoned are tried again, and the cordon can still be taken back", async () => {
    const { node, event } = await busyNode();
    const broken = playground?.faults.inject({ when: { verb: "list", resource: "pods" }, answer: 503, times: 1 });

    const outcomes = await respondWith(drain, { cluster, events: [event] });

    broken?.();
    expect(outcomes).toMatchObject([{ status: "success", undo: `kubectl uncordon ${node}` }]);
  });

  it("that do not pass once the node is cordoned say so", async () => {
    const { node, event } = await busyNode();
    const broken = playground?.faults.inject({ when: { verb: "list", resource: "pods" }, answer: 403 });

    const error = await runActionner(drain, { cluster, event });

    broken?.();
    expect(error).toMatchObject({
      code: "forbidden",
      message: expect.stringMatching(
        `^node ${node} is cordoned, but not drained: .*; to take the cordon back: kubectl uncordon ${node}$`,
      ),
      notBegun: false,
    });
  });

  it("that keep the pods from being seen do not hide what was evicted", async () => {
    const { namespace, node, event } = await busyNode();
    let looks = 0;
    const blind: Kubernetes = {
      ...real,
      async podsOnNode(name, signal) {
        looks += 1;
        return looks === 1 ? real.podsOnNode(name, signal) : untilAborted(new Promise(() => {}), signal, "the look");
      },
    };

    const error = await runActionner(drain, {
      cluster,
      event,
      params: { max_wait_period: 1 },
      clients: { kubernetes: blind },
    });

    expect(error).toMatchObject({
      code: "timeout",
      message: expect.stringContaining(`1 failed: ${namespace}/cart-1 (it was evicted, and has not ended within 1 s)`),
    });
    expect(await isCordoned(node)).toBe(true);
  });

  it("that would last longer than is waited are failures at once", async () => {
    const { namespace, event } = await busyNode();
    const busy = playground?.faults.inject({
      when: { resource: "pods", subresource: "eviction" },
      answer: 429,
      retryAfterSeconds: 3600,
    });

    const error = await runActionner(drain, { cluster, event });

    busy?.();
    expect(error).toMatchObject({ code: "throttled" });
    expect(await namesIn(namespace)).toEqual(["cart-1"]);
  });
});

describe("kubernetes:drain, over all of these tests,", () => {
  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(drain)).toEqual([]);
  });
});
