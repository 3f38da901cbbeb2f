import type { V1NetworkPolicy } from "@kubernetes/client-node";
import { describe, expect, it } from "vitest";
import { networkpolicy } from "../../actionners/kubernetes/networkpolicy.ts";
import { ActionError, TargetGone } from "../../src/catalogue/errors.ts";
import type { Result } from "../../src/catalogue/outcome.ts";
import { createKubernetes } from "../../src/clients/kubernetes/adapter.ts";
import type { Kubernetes } from "../../src/clients/kubernetes/port.ts";
import { compileFields } from "../../src/schema/read.ts";
import { eventually, podTemplate, useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { runActionner } from "../support/run-actionner.ts";

const cluster = await useCluster();
const { core, apps, batch, networking } = cluster.api;
const selector = { matchLabels: { app: "cart" } };
const template = podTemplate("cart");

async function policiesIn(namespace: string): Promise<V1NetworkPolicy[]> {
  return (await networking.listNamespacedNetworkPolicy({ namespace })).items;
}

async function labelsOf(namespace: string, name: string): Promise<Record<string, string>> {
  return (await core.readNamespacedPod({ namespace, name })).metadata?.labels ?? {};
}

/** Two pods of one app, and an event about the first. */
async function twins() {
  const namespace = await cluster.namespace();
  const labels = { app: "cart" };
  const pod = await cluster.pod(namespace, { name: "cart-1", labels });
  await cluster.pod(namespace, { name: "cart-2", labels });
  return { namespace, pod, event: eventOf({ pod: `${namespace}/cart-1` }) };
}

/** So many callers at once find the same policy, or none: each has looked before the first of them changes anything. */
function inStep(real: Kubernetes, callers: number): Kubernetes {
  const all = Promise.withResolvers<void>();
  let looked = 0;
  return {
    ...real,
    async getNetworkPolicy(...call) {
      const policy = await real.getNetworkPolicy(...call);
      looked += 1;
      if (looked === callers) {
        all.resolve();
      }
      await all.promise;
      return policy;
    },
  };
}

function statusesOf(results: readonly (Result | ActionError)[]): string[] {
  return results.map((result) => (result instanceof ActionError ? result.code : result.status)).sort();
}

/** One of the app's pods that stays: a DaemonSet's for another test's node, where none runs, goes with that. */
async function podOfApp(namespace: string): Promise<string> {
  const pod = await eventually(async () => {
    const { items } = await core.listNamespacedPod({ namespace, labelSelector: "app=cart" });
    return items.find(({ spec }) => spec?.nodeName !== undefined);
  });
  return pod.metadata?.name ?? "";
}

describe("kubernetes:networkpolicy", () => {
  it("isolates just the pod", async () => {
    const { namespace, pod, event } = await twins();
    const { uid } = pod.metadata ?? {};

    const result = await runActionner(networkpolicy, { cluster, event, rule: "Isolate shells" });

    const name = `hallux-cart-1-${uid?.slice(0, 8)}`;
    expect(result).toMatchObject({
      status: "success",
      summary: "pod isolated",
      objects: { namespace, pod: "cart-1", networkpolicy: name },
      undo: `kubectl delete networkpolicy ${name} -n ${namespace} && kubectl label pod cart-1 -n ${namespace} hallux.dev/isolated-`,
    });
    const [policy, ...others] = await policiesIn(namespace);
    expect(others).toEqual([]);
    expect(policy?.spec).toEqual({
      podSelector: { matchLabels: { "hallux.dev/isolated": name } },
      policyTypes: ["Egress"],
    });
    expect(await labelsOf(namespace, "cart-1")).toMatchObject({ app: "cart", "hallux.dev/isolated": name });
    expect(await labelsOf(namespace, "cart-2")).not.toHaveProperty(["hallux.dev/isolated"]);
  });

  it("names and labels the policy as Hallux's, and ties it to the pod", async () => {
    const { namespace, pod, event } = await twins();

    await runActionner(networkpolicy, { cluster, event, rule: "Isolate shells" });

    const [policy] = await policiesIn(namespace);
    expect(policy?.metadata).toMatchObject({
      labels: { "app.kubernetes.io/managed-by": "hallux" },
      annotations: { "hallux.dev/rule": "Isolate shells", "hallux.dev/pod": "cart-1" },
      ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "cart-1", uid: pod.metadata?.uid }],
    });
  });

  it("goes with the pod", async () => {
    const { namespace, event } = await twins();
    await runActionner(networkpolicy, { cluster, event });

    await core.deleteNamespacedPod({ namespace, name: "cart-1", gracePeriodSeconds: 0 });

    await eventually(async () => (await policiesIn(namespace)).length === 0);
  });

  it("lets the pod reach what the rule allows", async () => {
    const { namespace, event } = await twins();

    await runActionner(networkpolicy, {
      cluster,
      event,
      params: { allow: ["10.0.0.0/8", "2001:db8::/32"], allow_namespaces: ["kube-system"] },
    });

    const [policy] = await policiesIn(namespace);
    expect(policy?.spec?.egress).toEqual([
      {
        to: [
          { ipBlock: { cidr: "10.0.0.0/8" } },
          { ipBlock: { cidr: "2001:db8::/32" } },
          { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } } },
        ],
      },
    ]);
  });

  it.each([{}, { allow_cidr: ["10.0.0.0/8"], allow_namespaces: ["kube-system"] }])(
    "changes nothing at a second event (%o)",
    async (params) => {
      const { namespace, event } = await twins();
      await runActionner(networkpolicy, { cluster, event, params });
      const before = await policiesIn(namespace);
      const podBefore = await core.readNamespacedPod({ namespace, name: "cart-1" });

      const second = await runActionner(networkpolicy, { cluster, event, params });

      const name = before[0]?.metadata?.name;
      expect(second).toEqual({ status: "ignored", reason: `already isolated by NetworkPolicy ${name}` });
      expect(await policiesIn(namespace)).toEqual(before);
      const podAfter = await core.readNamespacedPod({ namespace, name: "cart-1" });
      expect(podAfter.metadata?.resourceVersion).toBe(podBefore.metadata?.resourceVersion);
    },
  );

  it("labels the pod again where somebody took the label away", async () => {
    const { namespace, event } = await twins();
    await runActionner(networkpolicy, { cluster, event });
    await core.patchNamespacedPod({
      namespace,
      name: "cart-1",
      body: [{ op: "remove", path: "/metadata/labels/hallux.dev~1isolated" }],
    });

    const second = await runActionner(networkpolicy, { cluster, event });

    expect(second).toMatchObject({ status: "success", summary: "pod isolated" });
    expect(await labelsOf(namespace, "cart-1")).toHaveProperty(["hallux.dev/isolated"]);
  });

  it("labels a copy of an isolated pod for itself: the label that it came with is another policy's", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", labels: { "hallux.dev/isolated": "hallux-cart-0-12345678" } });

    const result = await runActionner(networkpolicy, { cluster, event: eventOf({ pod: `${namespace}/cart-1` }) });

    expect(result).toMatchObject({ status: "success" });
    const [policy] = await policiesIn(namespace);
    expect(await labelsOf(namespace, "cart-1")).toMatchObject(
      policy?.spec?.podSelector?.matchLabels ?? { no: "policy" },
    );
  });

  it("replaces what is allowed where the rule has come to allow something else, and says so", async () => {
    const { namespace, event } = await twins();
    await runActionner(networkpolicy, { cluster, event, params: { allow_cidr: ["10.0.0.0/8"] } });

    const second = await runActionner(networkpolicy, { cluster, event, params: { allow_cidr: ["192.0.2.0/24"] } });

    expect(second).toMatchObject({
      status: "success",
      summary: "pod isolated already; what is allowed was replaced",
    });
    const [policy] = await policiesIn(namespace);
    expect(policy?.spec?.egress).toEqual([{ to: [{ ipBlock: { cidr: "192.0.2.0/24" } }] }]);
  });

  it("does not let the event of another rule widen what is allowed", async () => {
    const { namespace, event } = await twins();
    await runActionner(networkpolicy, { cluster, event, rule: "strict" });

    const lenient = { cluster, event, rule: "lenient", params: { allow_cidr: ["0.0.0.0/0"] } };
    const second = await runActionner(networkpolicy, lenient);

    const [policy] = await policiesIn(namespace);
    expect(second).toEqual({
      status: "ignored",
      reason: `already isolated by NetworkPolicy ${policy?.metadata?.name} of rule "strict": what that allows stays`,
    });
    expect(policy?.spec?.egress).toBeUndefined();
  });

  it("leaves an isolation as it is where nothing tells any more which rule made it", async () => {
    const { namespace, event } = await twins();
    await runActionner(networkpolicy, { cluster, event });
    const [isolating] = await policiesIn(namespace);
    const name = isolating?.metadata?.name ?? "";
    const body = [{ op: "remove", path: "/metadata/annotations/hallux.dev~1rule" }];
    await networking.patchNamespacedNetworkPolicy({ namespace, name, body });

    const second = await runActionner(networkpolicy, { cluster, event, params: { allow_cidr: ["0.0.0.0/0"] } });

    expect(second).toMatchObject({ status: "ignored", reason: expect.stringContaining("of an unknown rule") });
    const [policy] = await policiesIn(namespace);
    expect(policy?.spec?.egress).toBeUndefined();
  });

  it("labels the pod again for another rule, and leaves what is allowed", async () => {
    const { namespace, event } = await twins();
    await runActionner(networkpolicy, { cluster, event, rule: "strict" });
    const body = [{ op: "remove", path: "/metadata/labels/hallux.dev~1isolated" }];
    await core.patchNamespacedPod({ namespace, name: "cart-1", body });

    const lenient = { cluster, event, rule: "lenient", params: { allow_cidr: ["0.0.0.0/0"] } };
    const second = await runActionner(networkpolicy, lenient);

    expect(second).toMatchObject({ status: "success", summary: 'pod isolated again as rule "strict" has it' });
    const [policy] = await policiesIn(namespace);
    expect(policy?.spec?.egress).toBeUndefined();
    expect(await labelsOf(namespace, "cart-1")).toHaveProperty(["hallux.dev/isolated"]);
  });

  it("names the policy that is left behind where the pod cannot be labelled", async () => {
    const { namespace, pod, event } = await twins();
    const name = `hallux-cart-1-${pod.metadata?.uid?.slice(0, 8)}`;
    const rbac = networkpolicy.rbac.map((one) => ({ ...one, verbs: one.verbs.filter((verb) => verb !== "patch") }));
    const text = await cluster.userWith(rbac);
    const limited = createKubernetes({ kubeconfig: { from: "text", text } });

    const error = await runActionner(networkpolicy, { cluster, event, clients: { kubernetes: limited.real } });

    expect(error).toMatchObject({
      code: "forbidden",
      message: expect.stringMatching(/^the pod is not isolated: .*patch.*pods/),
    });
    expect(error).toHaveProperty(
      "message",
      expect.stringMatching(new RegExp(`to remove it: kubectl delete networkpolicy ${name} -n ${namespace}$`)),
    );
    expect(await policiesIn(namespace)).toMatchObject([{ metadata: { name } }]);
    await limited.close();
  });

  it("never touches a policy that is not its own", async () => {
    const { namespace, pod, event } = await twins();
    const name = `hallux-cart-1-${pod.metadata?.uid?.slice(0, 8)}`;
    const theirs = { podSelector: {}, policyTypes: ["Ingress"] };
    await networking.createNamespacedNetworkPolicy({ namespace, body: { metadata: { name }, spec: theirs } });

    const error = await runActionner(networkpolicy, { cluster, event });

    expect(error).toMatchObject({
      code: "conflict",
      message: `NetworkPolicy ${namespace}/${name} is not Hallux's own and was left as it is`,
    });
    const [policy] = await policiesIn(namespace);
    expect(policy?.spec).toEqual(theirs);
    expect(await labelsOf(namespace, "cart-1")).not.toHaveProperty(["hallux.dev/isolated"]);
  });

  it("makes the policy anew where somebody has deleted the one that it has read", async () => {
    const { namespace, event } = await twins();
    await runActionner(networkpolicy, { cluster, event });
    const { real } = cluster.kubernetes;
    let looks = 0;
    const late: Kubernetes = {
      ...real,
      async getNetworkPolicy(...call) {
        const policy = await real.getNetworkPolicy(...call);
        looks += 1;
        if (looks === 1) {
          await networking.deleteNamespacedNetworkPolicy({ namespace, name: policy?.metadata?.name ?? "" });
        }
        return policy;
      },
    };

    const result = await runActionner(networkpolicy, {
      cluster,
      clients: { kubernetes: late },
      event,
      params: { allow_cidr: ["192.0.2.0/24"] },
    });

    expect(result).toMatchObject({ status: "success" });
    expect(await policiesIn(namespace)).toHaveLength(1);
  });

  it("replaces only the policy that it has read", async () => {
    const { namespace, event } = await twins();
    await runActionner(networkpolicy, { cluster, event });
    const { real } = cluster.kubernetes;
    let looks = 0;
    const late: Kubernetes = {
      ...real,
      async getNetworkPolicy(...call) {
        const policy = await real.getNetworkPolicy(...call);
        looks += 1;
        if (looks === 1) {
          const name = policy?.metadata?.name ?? "";
          const body = [{ op: "remove", path: "/metadata/labels" }];
          await networking.patchNamespacedNetworkPolicy({ namespace, name, body });
        }
        return policy;
      },
    };

    const error = await runActionner(networkpolicy, {
      cluster,
      clients: { kubernetes: late },
      event,
      params: { allow_cidr: ["192.0.2.0/24"] },
    });

    expect(error).toMatchObject({ code: "conflict", message: expect.stringContaining("is not Hallux's own") });
    expect(looks).toBe(2);
    const [policy] = await policiesIn(namespace);
    expect(policy?.spec).not.toHaveProperty("egress", expect.anything());
  });

  it("finds out at loading what the API server would refuse, not at the attack", () => {
    const reader = compileFields(networkpolicy.params);

    const { problems } = reader.read({ allow_namespaces: ["kube-system", "Kube_System!", ""] });

    expect(problems.map(({ path }) => path)).toEqual([
      ["allow_namespaces", 1],
      ["allow_namespaces", 2],
    ]);
  });

  it.each([
    ["10.0.0.5/8", "10.0.0.5/8 has bits set beyond its /8"],
    ["2001:db8::1/32", "2001:db8::1/32 has bits set beyond its /32"],
    ["::ffff:10.0.0.0/104", "::ffff:10.0.0.0/104 is an IPv4 range written as IPv6"],
  ])("finds out at loading that %s is no range to the API server", (range, reason) => {
    const params = {
      allow_cidr: ["0.0.0.0/0", "::/0", "10.1.2.3/32", range],
      allow_namespaces: [],
      scope: "pod",
    } as const;

    const fault = networkpolicy.check?.(params);

    expect(fault).toBe(`allow_cidr: ${reason}`);
  });

  it.each([
    "0.0.0.0/0",
    "::/0",
    "10.1.2.3/32",
    "172.16.0.0/12",
    "2001:DB8::/29",
    "fe80::1/128",
    "64:ff9b::192.0.2.0/120",
  ])("loads %s, and the API server takes it", async (range) => {
    const { namespace, event } = await twins();

    const fault = networkpolicy.check?.({ allow_cidr: [range], allow_namespaces: [], scope: "pod" });
    const result = await runActionner(networkpolicy, { cluster, event, params: { allow_cidr: [range] } });

    expect(fault).toBeUndefined();
    expect(result).toMatchObject({ status: "success" });
    expect(await policiesIn(namespace)).toHaveLength(1);
  });

  it("fails for a pod of the node's network, which no policy reaches", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "agent-1", hostNetwork: true, wait: false });

    const error = await runActionner(networkpolicy, { cluster, event: eventOf({ pod: `${namespace}/agent-1` }) });

    expect(error).toMatchObject({
      code: "invalid",
      message: "the pod uses its node's network: NetworkPolicies do not apply to it",
    });
    expect(await policiesIn(namespace)).toEqual([]);
  });

  it("finds the pod gone, and leaves no policy behind", async () => {
    const namespace = await cluster.namespace();

    const error = await runActionner(networkpolicy, { cluster, event: eventOf({ pod: `${namespace}/cart-1` }) });

    expect(error).toBeInstanceOf(TargetGone);
    expect(await policiesIn(namespace)).toEqual([]);
  });

  it("makes a name that is short enough and valid from any pod's", async () => {
    const namespace = await cluster.namespace();
    const pod = `cart.${"x".repeat(40)}.${"y".repeat(100)}`;
    await cluster.pod(namespace, { name: pod, wait: false });

    const result = await runActionner(networkpolicy, { cluster, event: eventOf({ pod: `${namespace}/${pod}` }) });

    expect(result).toMatchObject({ status: "success" });
    const [policy] = await policiesIn(namespace);
    expect(policy?.metadata?.name).toHaveLength(63);
  });

  it("changes nothing in a dry run", async () => {
    const { namespace, event } = await twins();

    const result = await runActionner(networkpolicy, { cluster, event, dryRun: true });

    expect(result).toMatchObject({ status: "success" });
    expect(await policiesIn(namespace)).toEqual([]);
    expect(await labelsOf(namespace, "cart-1")).not.toHaveProperty(["hallux.dev/isolated"]);
  });
});

describe("kubernetes:networkpolicy with scope workload", () => {
  it("isolates all pods of the Deployment, those to come too", async () => {
    const namespace = await cluster.namespace();
    const { metadata } = await apps.createNamespacedDeployment({
      namespace,
      body: { metadata: { name: "cart" }, spec: { replicas: 2, selector, template } },
    });
    const pod = await podOfApp(namespace);
    const run = { cluster, event: eventOf({ pod: `${namespace}/${pod}` }), params: { scope: "workload" } };

    const result = await runActionner(networkpolicy, run);
    const second = await runActionner(networkpolicy, run);

    const name = `hallux-cart-${metadata?.uid?.slice(0, 8)}`;
    expect(result).toMatchObject({
      status: "success",
      summary: "all pods of Deployment cart isolated",
      objects: { networkpolicy: name },
      undo: `kubectl delete networkpolicy ${name} -n ${namespace}`,
    });
    expect(second).toEqual({ status: "ignored", reason: `already isolated by NetworkPolicy ${name}` });
    const [policy] = await policiesIn(namespace);
    expect(policy?.spec?.podSelector).toEqual(selector);
    expect(policy?.metadata?.ownerReferences).toEqual([
      { apiVersion: "apps/v1", kind: "Deployment", name: "cart", uid: metadata?.uid },
    ]);
    expect(await labelsOf(namespace, pod)).not.toHaveProperty(["hallux.dev/isolated"]);
  });

  it("isolates the Deployment once where several of its pods raise events at the same moment", async () => {
    const namespace = await cluster.namespace();
    await apps.createNamespacedDeployment({
      namespace,
      body: { metadata: { name: "cart" }, spec: { replicas: 1, selector, template } },
    });
    const event = eventOf({ pod: `${namespace}/${await podOfApp(namespace)}` });
    const { real } = cluster.kubernetes;
    const isolateTogether = async (allow_cidr: readonly string[]) => {
      const clients = { kubernetes: inStep(real, 3) };
      const run = { cluster, event, clients, params: { scope: "workload", allow_cidr } };
      return Promise.all([0, 1, 2].map(() => runActionner(networkpolicy, run)));
    };

    const created = await isolateTogether([]);
    const replaced = await isolateTogether(["10.0.0.0/8"]);

    expect(statusesOf(created)).toEqual(["ignored", "ignored", "success"]);
    expect(statusesOf(replaced)).toEqual(["ignored", "ignored", "success"]);
    expect(await policiesIn(namespace)).toHaveLength(1);
  });

  it("isolates a workload whose owners own each other", async () => {
    const namespace = await cluster.namespace();
    await apps.createNamespacedReplicaSet({
      namespace,
      body: { metadata: { name: "cart" }, spec: { replicas: 1, selector, template } },
    });
    const event = eventOf({ pod: `${namespace}/${await podOfApp(namespace)}` });
    const { real } = cluster.kubernetes;
    const circle: Kubernetes = {
      ...real,
      async getWorkload(...call) {
        const workload = await real.getWorkload(...call);
        return workload && { ...workload, owner: call[1] };
      },
    };

    const result = await runActionner(networkpolicy, {
      cluster,
      event,
      clients: { kubernetes: circle },
      params: { scope: "workload" },
    });

    expect(result).toMatchObject({ status: "success", summary: "all pods of ReplicaSet cart isolated" });
  });

  it.each([
    [
      "StatefulSet",
      (namespace: string) =>
        apps.createNamespacedStatefulSet({
          namespace,
          body: { metadata: { name: "cart" }, spec: { replicas: 1, selector, template, serviceName: "cart" } },
        }),
    ],
    [
      "DaemonSet",
      (namespace: string) =>
        apps.createNamespacedDaemonSet({
          namespace,
          body: { metadata: { name: "cart" }, spec: { selector, template } },
        }),
    ],
    [
      "ReplicationController",
      (namespace: string) =>
        core.createNamespacedReplicationController({
          namespace,
          body: { metadata: { name: "cart" }, spec: { replicas: 1, selector: selector.matchLabels, template } },
        }),
    ],
    [
      "Job",
      (namespace: string) =>
        batch.createNamespacedJob({
          namespace,
          body: {
            metadata: { name: "cart" },
            spec: {
              selector,
              manualSelector: true,
              template: { ...template, spec: { ...template.spec, restartPolicy: "Never" } },
            },
          },
        }),
    ],
  ])("isolates the pods of a %s", async (kind, create) => {
    const namespace = await cluster.namespace();
    await create(namespace);
    const pod = await podOfApp(namespace);

    const result = await runActionner(networkpolicy, {
      cluster,
      event: eventOf({ pod: `${namespace}/${pod}` }),
      params: { scope: "workload" },
    });

    expect(result).toMatchObject({ status: "success", summary: `all pods of ${kind} cart isolated` });
    const [policy] = await policiesIn(namespace);
    expect(policy?.spec?.podSelector).toEqual(selector);
  });

  it("never makes a policy that selects every pod of the namespace", async () => {
    const namespace = await cluster.namespace();
    await apps.createNamespacedReplicaSet({
      namespace,
      body: { metadata: { name: "cart" }, spec: { replicas: 1, selector, template } },
    });
    const pod = await podOfApp(namespace);
    const { real } = cluster.kubernetes;
    const withoutSelector: Kubernetes = {
      ...real,
      async getWorkload(...call) {
        const workload = await real.getWorkload(...call);
        return workload && { ...workload, selector: {} };
      },
    };

    const error = await runActionner(networkpolicy, {
      cluster,
      clients: { kubernetes: withoutSelector },
      event: eventOf({ pod: `${namespace}/${pod}` }),
      params: { scope: "workload" },
    });

    expect(error).toMatchObject({
      code: "invalid",
      message: "ReplicaSet cart has no selector that tells its pods from others",
    });
    expect(await policiesIn(namespace)).toEqual([]);
  });

  it("isolates a pod without an owner alone", async () => {
    const { namespace, event } = await twins();

    const result = await runActionner(networkpolicy, { cluster, event, params: { scope: "workload" } });

    expect(result).toMatchObject({ status: "success", summary: "pod isolated" });
    expect(await labelsOf(namespace, "cart-1")).toHaveProperty(["hallux.dev/isolated"]);
    expect(await labelsOf(namespace, "cart-2")).not.toHaveProperty(["hallux.dev/isolated"]);
  });

  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(networkpolicy)).toEqual([]);
  });
});
