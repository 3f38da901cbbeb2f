import { describe, expect, it } from "vitest";
import { label } from "../../actionners/kubernetes/label.ts";
import { ActionError, TargetGone } from "../../src/catalogue/errors.ts";
import { createKubernetes } from "../../src/clients/kubernetes/adapter.ts";
import { compileFields } from "../../src/schema/read.ts";
import { useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { runActionner } from "../support/run-actionner.ts";

const cluster = await useCluster();
const { core } = cluster.api;

const long = "a".repeat(63);
const oddLabels: readonly (readonly [key: string, value: string])[] = [
  ["suspicious", "very much so!"],
  ["suspicious", "a.b-c_D9"],
  ["suspicious", "-a"],
  ["suspicious", long],
  ["suspicious", `${long}a`],
  ["analysis/status", "yes"],
  ["Example.com/status", "yes"],
  ["a..b/status", "yes"],
  [`${"a".repeat(253)}/${long}`, "yes"],
  [`${"a".repeat(254)}/a`, "yes"],
  ["a/b/c", "yes"],
  ["not a key", "yes"],
  ["/a", "yes"],
];

describe("kubernetes:label", () => {
  it("sets the labels and leaves the others as they are, in one request", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", labels: { app: "cart" } });
    const getPod = () => Promise.reject(new Error("nothing is to be read"));

    const result = await runActionner(label, {
      cluster,
      clients: { kubernetes: { ...cluster.kubernetes.real, getPod } },
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { labels: { suspicious: "true", "example.com/by": "falco" } },
    });

    const pod = await core.readNamespacedPod({ namespace, name: "cart-1" });
    expect(result).toMatchObject({
      status: "success",
      summary: "pod labelled",
      objects: { namespace, pod: "cart-1" },
      target: { uid: pod.metadata?.uid },
      undo: `kubectl label pod cart-1 -n ${namespace} suspicious- example.com/by-`,
    });
    expect(pod.metadata?.labels).toMatchObject({ app: "cart", suspicious: "true", "example.com/by": "falco" });
  });

  it("removes a label whose value is empty", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", labels: { app: "cart", trusted: "true" } });

    const result = await runActionner(label, {
      cluster,
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { labels: { trusted: "", absent: "" } },
    });

    expect(result).toMatchObject({
      status: "success",
      undo: `kubectl label pod cart-1 -n ${namespace} --overwrite trusted=true`,
    });
    const pod = await core.readNamespacedPod({ namespace, name: "cart-1" });
    expect(pod.metadata?.labels).toMatchObject({ app: "cart" });
    expect(pod.metadata?.labels).not.toHaveProperty("trusted");
  });

  it("says how to put back what it overwrote and removed, and nothing of what it left as it was", async () => {
    const namespace = await cluster.namespace();
    const labels = { app: "cart", tier: "web", trusted: "", suspicious: "true" };
    await cluster.pod(namespace, { name: "cart-1", labels });

    const result = await runActionner(label, {
      cluster,
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { labels: { app: "", tier: "quarantine", trusted: "", suspicious: "true", constructor: "falco" } },
    });

    const pod = await core.readNamespacedPod({ namespace, name: "cart-1" });
    expect(pod.metadata?.labels).toMatchObject({ tier: "quarantine", suspicious: "true", constructor: "falco" });
    expect(pod.metadata?.labels).not.toHaveProperty("app");
    expect(pod.metadata?.labels).not.toHaveProperty("trusted");
    expect(result).toHaveProperty(
      "undo",
      `kubectl label pod cart-1 -n ${namespace} --overwrite app=cart tier=web trusted= constructor-`,
    );
  });

  it("writes nothing, and has nothing to undo, where the labels are there already", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", labels: { tier: "web" } });
    const { real } = cluster.kubernetes;
    const patchPod = () => Promise.reject(new Error("nothing is to be written"));
    const run = { cluster, event: eventOf({ pod: `${namespace}/cart-1` }), params: { labels: { tier: "q", old: "" } } };
    await runActionner(label, run);

    const again = await runActionner(label, { ...run, clients: { kubernetes: { ...real, patchPod } } });

    expect(again).toMatchObject({ status: "success", summary: "pod is labelled so already" });
    expect(again).not.toHaveProperty("undo");
  });

  it("says where it may have been done by an attempt whose answer was lost", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", labels: { tier: "web" } });
    const { real } = cluster.kubernetes;
    const addLabelsToPod: typeof real.addLabelsToPod = async (...call) => {
      await real.addLabelsToPod(...call);
      throw new ActionError("unavailable", "the answer is lost");
    };
    const run = { cluster, event: eventOf({ pod: `${namespace}/cart-1` }), params: { labels: { suspicious: "true" } } };

    const first = await runActionner(label, { ...run, clients: { kubernetes: { ...real, addLabelsToPod } } });
    const second = await runActionner(label, { ...run, attempt: 2 });

    expect(first).toMatchObject({ code: "unavailable" });
    const summary = "pod is labelled so, perhaps by an attempt whose answer was lost";
    expect(second).toMatchObject({ status: "success", summary });
  });

  it("labels a pod that has no labels yet", async () => {
    const namespace = await cluster.namespace();
    const container = { name: "main", image: "busybox" };
    await core.createNamespacedPod({
      namespace,
      body: { metadata: { name: "bare" }, spec: { containers: [container] } },
    });

    const result = await runActionner(label, {
      cluster,
      event: eventOf({ pod: `${namespace}/bare` }),
      params: { labels: { suspicious: "true" } },
    });

    expect(result).toHaveProperty("undo", `kubectl label pod bare -n ${namespace} suspicious-`);
  });

  it("does not overwrite what has changed since it was read: that is a conflict", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", labels: { tier: "web" } });
    const { real } = cluster.kubernetes;
    const overtaken: typeof real = {
      ...real,
      async getPod(target, signal) {
        const pod = await real.getPod(target, signal);
        await real.patchPod(target, { labels: { tier: "db" } }, signal);
        return pod;
      },
    };

    const error = await runActionner(label, {
      cluster,
      clients: { kubernetes: overtaken },
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { labels: { tier: "quarantine" } },
    });

    expect(error).toMatchObject({ code: "conflict" });
    const pod = await core.readNamespacedPod({ namespace, name: "cart-1" });
    expect(pod.metadata?.labels).toMatchObject({ tier: "db" });
  });

  it("labels a node that has the label already, and says how to put the former value back", async () => {
    const namespace = await cluster.namespace();
    const node = await cluster.node({ labels: { zone: "green" } });
    await cluster.pod(namespace, { name: "cart-1", nodeName: node, wait: false });

    const result = await runActionner(label, {
      cluster,
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { labels: { zone: "red" }, level: "node" },
    });

    expect(result).toHaveProperty("undo", `kubectl label node ${node} --overwrite zone=green`);
    expect((await core.readNode({ name: node })).metadata?.labels).toMatchObject({ zone: "red" });
  });

  it("labels the pod's node, and not the pod", async () => {
    const namespace = await cluster.namespace();
    const node = await cluster.node({ labels: { zone: "green" } });
    await cluster.pod(namespace, { name: "cart-1", labels: { app: "cart" }, nodeName: node, wait: false });
    const getNode = () => Promise.reject(new Error("nothing is to be read"));

    const result = await runActionner(label, {
      cluster,
      clients: { kubernetes: { ...cluster.kubernetes.real, getNode } },
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { labels: { suspicious: "true" }, level: "node" },
    });

    expect(result).toMatchObject({
      summary: "node labelled",
      objects: { node },
      undo: `kubectl label node ${node} suspicious-`,
    });
    expect((await core.readNode({ name: node })).metadata?.labels).toMatchObject({ suspicious: "true" });
    const pod = await core.readNamespacedPod({ namespace, name: "cart-1" });
    expect(pod.metadata?.labels).not.toHaveProperty("suspicious");
  });

  it("is ignored for the node of a pod that is not on one yet", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", nodeSelector: { nowhere: "true" }, wait: false });

    const result = await runActionner(label, {
      cluster,
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { labels: { suspicious: "true" }, level: "node" },
    });

    expect(result).toEqual({ status: "ignored", reason: "the pod is not on a node yet" });
  });

  it.each(oddLabels)("takes of a rules file what Kubernetes takes, and nothing else: %j: %j", async (key, value) => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1" });
    const target = { kind: "pod", namespace, name: "cart-1", uid: undefined } as const;
    const signal = AbortSignal.timeout(60_000);

    const { problems } = compileFields(label.params).read({ labels: { [key]: value } });
    const patched = cluster.kubernetes.real.patchPod(target, { labels: { [key]: value } }, signal);

    const answer = await patched.then(
      () => "taken",
      ({ code, message }) => `${code}: ${message}`,
    );
    expect(answer).toMatch(problems.length === 0 ? /^taken$/ : /^invalid: .*metadata\.labels: Invalid value/s);
  });

  it("leaves a pod alone that has taken the name of the event's", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", labels: { app: "cart" } });

    const error = await runActionner(label, {
      cluster,
      event: eventOf({ pod: `${namespace}/cart-1`, podUid: crypto.randomUUID() }),
      params: { labels: { suspicious: "true" } },
    });

    expect(error).toBeInstanceOf(TargetGone);
    const pod = await core.readNamespacedPod({ namespace, name: "cart-1" });
    expect(pod.metadata?.labels ?? {}).not.toHaveProperty("suspicious");
  });

  it("labels the pod whose UID the event names", async () => {
    const namespace = await cluster.namespace();
    const { metadata } = await cluster.pod(namespace, { name: "cart-1" });

    const result = await runActionner(label, {
      cluster,
      event: eventOf({ pod: `${namespace}/cart-1`, podUid: metadata?.uid ?? "" }),
      params: { labels: { suspicious: "true" } },
    });

    expect(result).toMatchObject({ status: "success" });
  });

  it("finds the pod gone", async () => {
    const namespace = await cluster.namespace();

    const error = await runActionner(label, {
      cluster,
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { labels: { suspicious: "true" } },
    });

    expect(error).toBeInstanceOf(TargetGone);
    expect(error).toMatchObject({ message: 'pods "cart-1" not found' });
  });

  it("names the permission that is missing", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1" });
    const kubeconfig = await cluster.userWith([{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }]);
    const kubernetes = createKubernetes({ kubeconfig: { from: "text", text: kubeconfig } });

    const error = await runActionner(label, {
      cluster,
      clients: { kubernetes: kubernetes.real },
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { labels: { suspicious: "true" } },
    });

    expect(error).toMatchObject({ code: "forbidden" });
    expect(error).toHaveProperty(
      "message",
      expect.stringContaining(
        `not permitted to patch pods in namespace ${namespace}: pods "cart-1" is forbidden: User`,
      ),
    );
    await kubernetes.close();
  });

  it("changes nothing in a dry run, which fails as the action would", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", labels: { app: "cart" } });
    const run = { cluster, params: { labels: { suspicious: "true" } }, dryRun: true };

    const good = await runActionner(label, { ...run, event: eventOf({ pod: `${namespace}/cart-1` }) });
    const bad = await runActionner(label, { ...run, event: eventOf({ pod: `${namespace}/cart-2` }) });

    expect(good).toMatchObject({ status: "success" });
    expect(bad).toBeInstanceOf(TargetGone);
    const pod = await core.readNamespacedPod({ namespace, name: "cart-1" });
    expect(pod.metadata?.labels ?? {}).not.toHaveProperty("suspicious");
  });

  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(label)).toEqual([]);
  });
});
