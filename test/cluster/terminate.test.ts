import { type V1Pod, Watch } from "@kubernetes/client-node";
import { describe, expect, it } from "vitest";
import { terminate } from "../../actionners/kubernetes/terminate.ts";
import { TargetGone } from "../../src/catalogue/errors.ts";
import type { Kubernetes } from "../../src/clients/kubernetes/port.ts";
import { eventually, podTemplate, useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { respondWith } from "../support/respond.ts";
import { runActionner } from "../support/run-actionner.ts";

const cluster = await useCluster();
const { core, apps, batch, connection } = cluster.api;
const selector = { matchLabels: { app: "cart" } };
const template = podTemplate("cart");

async function uidOf(namespace: string, name: string): Promise<string | undefined> {
  const pod = await core.readNamespacedPod({ namespace, name }).catch(() => undefined);
  return pod?.metadata?.uid;
}

/** The name of one pod of the app that runs and is ready, once as many are as asked for. */
async function readyPod(namespace: string, ready = 1): Promise<string> {
  const pods = await eventually(async () => {
    const { items } = await core.listNamespacedPod({ namespace, labelSelector: "app=cart" });
    const running = items.filter(({ status }) =>
      status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True"),
    );
    return running.length >= ready && running;
  });
  return pods[0]?.metadata?.name ?? "";
}

/** Pods that the ReplicaSet makes once this has resolved find no node. */
async function starve(namespace: string, name: string, replicas: number): Promise<void> {
  const nowhere = { ...template, spec: { ...template.spec, nodeSelector: { nowhere: "true" } } };
  const spec = { selector, replicas, template: nowhere };
  // Without a resourceVersion: the controller writes the status at the same time.
  await apps.replaceNamespacedReplicaSet({ namespace, name, body: { metadata: { name }, spec } });
  await eventually(async () => {
    const { metadata, status } = await apps.readNamespacedReplicaSet({ namespace, name });
    return status?.observedGeneration === metadata?.generation;
  });
}

/** What the pod's deletion gave it after that version. Not what the pod says now: whoever has stopped it makes that 0. */
async function graceGiven({ metadata }: V1Pod): Promise<number | undefined> {
  const { namespace, name, resourceVersion } = metadata ?? {};
  const given = Promise.withResolvers<number | undefined>();
  const watch = await new Watch(connection).watch(
    `/api/v1/namespaces/${namespace}/pods`,
    { fieldSelector: `metadata.name=${name}`, resourceVersion },
    (_type, { metadata: seen }: V1Pod) => {
      if (seen?.deletionTimestamp !== undefined) {
        given.resolve(seen.deletionGracePeriodSeconds);
      }
    },
    given.reject,
  );
  return given.promise.finally(() => watch.abort());
}

/** A ReplicaSet that wants so many replicas, of which so many are ready; the event is about one that is. */
async function replicaSet({ ready, wanted = ready }: { readonly ready: number; readonly wanted?: number }) {
  const namespace = await cluster.namespace();
  const name = "cart";
  await apps.createNamespacedReplicaSet({
    namespace,
    body: { metadata: { name }, spec: { replicas: ready, selector, template } },
  });
  const pod = await readyPod(namespace, ready);
  if (wanted !== ready) {
    await starve(namespace, name, wanted);
  }
  await eventually(async () => {
    const { spec, status } = await apps.readNamespacedReplicaSet({ namespace, name });
    return spec?.replicas === wanted && status?.replicas === wanted && (status.readyReplicas ?? 0) === ready;
  });
  return { namespace, pod, event: eventOf({ pod: `${namespace}/${pod}` }) };
}

describe("kubernetes:terminate", () => {
  it("deletes the pod, and its owner makes another", async () => {
    const { namespace, pod, event } = await replicaSet({ ready: 1 });
    const uid = await uidOf(namespace, pod);

    const result = await runActionner(terminate, { cluster, event });

    expect(result).toMatchObject({
      status: "success",
      summary: "pod deleted",
      objects: { namespace, pod },
      target: { kind: "pod", uid },
    });
    await eventually(async () => (await uidOf(namespace, pod)) === undefined);
    expect(await readyPod(namespace)).not.toBe(pod);
  });

  it("never deletes a pod that has taken the name", async () => {
    const namespace = await cluster.namespace();
    const { metadata: first } = await cluster.pod(namespace, { name: "cart-1" });
    await core.deleteNamespacedPod({ namespace, name: "cart-1", gracePeriodSeconds: 0 });
    await eventually(async () => (await uidOf(namespace, "cart-1")) === undefined);
    const { metadata: second } = await cluster.pod(namespace, { name: "cart-1" });

    const error = await runActionner(terminate, {
      cluster,
      event: eventOf({ pod: `${namespace}/cart-1`, podUid: first?.uid ?? "" }),
      params: { ignore_standalone_pods: false },
    });

    expect(error).toBeInstanceOf(TargetGone);
    expect(await uidOf(namespace, "cart-1")).toBe(second?.uid);
  });

  it("never deletes a pod that takes the name between the look and the deletion", async () => {
    const namespace = await cluster.namespace();
    const { metadata } = await cluster.pod(namespace, { name: "cart-1" });
    const { real } = cluster.kubernetes;
    const takenOver: Kubernetes = {
      ...real,
      getPod: async (target, signal) => ({ ...(await real.getPod(target, signal)), uid: crypto.randomUUID() }),
    };

    const error = await runActionner(terminate, {
      cluster,
      clients: { kubernetes: takenOver },
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { ignore_standalone_pods: false },
    });

    expect(error).toBeInstanceOf(TargetGone);
    expect(await uidOf(namespace, "cart-1")).toBe(metadata?.uid);
  });

  it("finds the pod gone", async () => {
    const namespace = await cluster.namespace();

    const error = await runActionner(terminate, { cluster, event: eventOf({ pod: `${namespace}/cart-1` }) });

    expect(error).toBeInstanceOf(TargetGone);
  });

  it("leaves a pod without an owner alone, unless told otherwise", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1" });
    const run = { cluster, event: eventOf({ pod: `${namespace}/cart-1` }) };

    const left = await runActionner(terminate, run);
    const uid = await uidOf(namespace, "cart-1");
    const deleted = await runActionner(terminate, {
      ...run,
      params: { ignore_standalone_pods: false, min_healthy_replicas: "2" },
    });

    expect(left).toEqual({ status: "ignored", reason: "the pod has no owner (ignore_standalone_pods)" });
    expect(uid).toBeDefined();
    expect(deleted).toMatchObject({ status: "success" });
  });

  it("leaves a DaemonSet's pod alone where the rule says so", async () => {
    const namespace = await cluster.namespace();
    await apps.createNamespacedDaemonSet({
      namespace,
      body: { metadata: { name: "cart" }, spec: { selector, template } },
    });
    const pod = await readyPod(namespace);
    const run = { cluster, event: eventOf({ pod: `${namespace}/${pod}` }) };

    const left = await runActionner(terminate, { ...run, params: { ignore_daemonsets: true } });
    const deleted = await runActionner(terminate, { ...run, params: { min_healthy_replicas: "1" } });

    expect(left).toEqual({ status: "ignored", reason: "the pod belongs to a DaemonSet (ignore_daemonsets)" });
    expect(deleted).toMatchObject({ status: "success" });
  });

  it("leaves a StatefulSet's pod alone where the rule says so", async () => {
    const namespace = await cluster.namespace();
    await apps.createNamespacedStatefulSet({
      namespace,
      body: { metadata: { name: "cart" }, spec: { replicas: 1, selector, template, serviceName: "cart" } },
    });
    const pod = await readyPod(namespace);
    await eventually(async () => {
      const { status } = await apps.readNamespacedStatefulSet({ namespace, name: "cart" });
      return status?.readyReplicas === 1;
    });
    const run = { cluster, event: eventOf({ pod: `${namespace}/${pod}` }) };

    const left = await runActionner(terminate, { ...run, params: { ignore_statefulsets: true } });
    const deleted = await runActionner(terminate, { ...run, params: { min_healthy_replicas: "100%" } });

    expect(left).toEqual({ status: "ignored", reason: "the pod belongs to a StatefulSet (ignore_statefulsets)" });
    expect(deleted).toMatchObject({ status: "success" });
  });

  it.each(["3", "67%", "100%"])(
    "leaves the pod alone where 2 of 3 replicas are ready and %s must be",
    async (minimum) => {
      const { namespace, pod, event } = await replicaSet({ ready: 2, wanted: 3 });

      const result = await runActionner(terminate, { cluster, event, params: { min_healthy_replicas: minimum } });

      expect(result).toEqual({
        status: "ignored",
        reason: `2 of 3 pods of ReplicaSet cart are ready, fewer than 3 (min_healthy_replicas ${minimum})`,
      });
      expect(await uidOf(namespace, pod)).toBeDefined();
    },
  );

  it.each(["0", "2", "34%", "66%"])(
    "deletes the pod where 2 of 3 replicas are ready and %s must be",
    async (minimum) => {
      const { event } = await replicaSet({ ready: 2, wanted: 3 });

      const result = await runActionner(terminate, { cluster, event, params: { min_healthy_replicas: minimum } });

      expect(result).toMatchObject({ status: "success" });
    },
  );

  it.each([
    ["100%", ["ignored", "ignored", "success"]],
    ["2", ["ignored", "success", "success"]],
  ])("holds the minimum of %s where all 3 replicas raise events at the same moment", async (minimum, expected) => {
    const { namespace } = await replicaSet({ ready: 3 });
    const { items } = await core.listNamespacedPod({ namespace });
    await starve(namespace, "cart", 3);
    const pods = items.map(({ metadata }) => metadata?.name ?? "");

    const outcomes = await respondWith(terminate, {
      cluster,
      events: pods.map((pod) => eventOf({ pod: `${namespace}/${pod}` })),
      params: { min_healthy_replicas: minimum },
    });

    expect(outcomes.map(({ status }) => status).sort()).toEqual(expected);
    const left = await Promise.all(pods.map((pod) => uidOf(namespace, pod)));
    expect(left.filter((uid) => uid !== undefined)).toHaveLength(expected.filter((one) => one === "ignored").length);
  });

  it.each([
    [
      "ReplicationController",
      (namespace: string) =>
        core.createNamespacedReplicationController({
          namespace,
          body: { metadata: { name: "cart" }, spec: { replicas: 1, selector: { app: "cart" }, template } },
        }),
    ],
    [
      "Job",
      (namespace: string) =>
        batch.createNamespacedJob({
          namespace,
          body: {
            metadata: { name: "cart" },
            spec: { parallelism: 1, template: { ...template, spec: { ...template.spec, restartPolicy: "Never" } } },
          },
        }),
    ],
  ])("counts the ready pods of a %s too", async (kind, create) => {
    const namespace = await cluster.namespace();
    await create(namespace);
    const pod = await readyPod(namespace);

    const result = await runActionner(terminate, {
      cluster,
      event: eventOf({ pod: `${namespace}/${pod}` }),
      params: { min_healthy_replicas: "2" },
    });

    expect(result).toMatchObject({
      status: "ignored",
      reason: expect.stringMatching(new RegExp(`^[01] of 1 pods of ${kind} cart are ready, fewer than 2`)),
    });
  });

  it("leaves the pod alone where nobody can count its owner's pods", async () => {
    const namespace = await cluster.namespace();
    await core.createNamespacedPod({
      namespace,
      body: {
        ...template,
        metadata: {
          name: "cart-1",
          ownerReferences: [
            { apiVersion: "example.com/v1", kind: "Shop", name: "cart", uid: crypto.randomUUID(), controller: true },
          ],
        },
      },
    });

    const result = await runActionner(terminate, {
      cluster,
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { min_healthy_replicas: "1" },
    });

    expect(result).toEqual({
      status: "ignored",
      reason: "the ready pods of Shop cart cannot be counted (min_healthy_replicas)",
    });
  });

  it("lets the pod stop in the time the rule gives it", async () => {
    const namespace = await cluster.namespace();
    const pod = await cluster.pod(namespace, {
      name: "cart-1",
      terminationGracePeriodSeconds: 30,
      finalizers: ["example.com/keep"],
    });

    await runActionner(terminate, {
      cluster,
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { ignore_standalone_pods: false, grace_period_seconds: 2 },
    });

    expect(await graceGiven(pod)).toBe(2);
    await core.patchNamespacedPod({
      namespace,
      name: "cart-1",
      body: [{ op: "remove", path: "/metadata/finalizers" }],
    });
  });

  it("deletes nothing in a dry run", async () => {
    const { namespace, pod, event } = await replicaSet({ ready: 1 });

    const result = await runActionner(terminate, { cluster, event, dryRun: true });

    expect(result).toMatchObject({ status: "success" });
    const { metadata } = await core.readNamespacedPod({ namespace, name: pod });
    expect(metadata?.deletionTimestamp).toBeUndefined();
  });

  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(terminate)).toEqual([]);
  });
});
