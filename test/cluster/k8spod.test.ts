import { describe, expect, it } from "vitest";
import { k8spod } from "../../contexts/k8spod.ts";
import { TargetGone } from "../../src/catalogue/errors.ts";
import { eventually, podTemplate, useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { fetchContext } from "../support/run-actionner.ts";

const cluster = await useCluster();
const { core, apps, batch } = cluster.api;
const selector = { matchLabels: { app: "cart" } };
const template = podTemplate("cart");

function factsOf(pod: string, uid?: string) {
  return fetchContext(k8spod, { cluster, event: eventOf({ pod, ...(uid === undefined ? {} : { podUid: uid }) }) });
}

/** Of the app; made by its owner's controller. A DaemonSet's for another test's node, where none runs, goes with that. */
async function podIn(namespace: string): Promise<string> {
  const pod = await eventually(async () => {
    const { items } = await core.listNamespacedPod({ namespace, labelSelector: "app=cart" });
    return items.find(({ spec }) => spec?.nodeName !== undefined);
  });
  return `${namespace}/${pod.metadata?.name}`;
}

describe("the context k8spod", () => {
  it("gives labels and annotations as JSON, the images, and the service account", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, {
      name: "cart-1",
      labels: { app: "cart", tier: "front" },
      annotations: { team: 'the "shop"', "example.com/on-call": "sam" },
      containers: [{}, { name: "proxy", image: "envoy:1" }, { name: "again", image: "envoy:1" }],
      wait: false,
    });

    const facts = await factsOf(`${namespace}/cart-1`);

    expect(facts).toEqual({
      // Kubernetes may add some of its own.
      "pod.labels": expect.stringMatching(/^\{"app":"cart","tier":"front"/),
      "pod.annotations": '{"example.com/on-call":"sam","team":"the \\"shop\\""}',
      "pod.images": "busybox,envoy:1",
      "pod.service_account": "default",
    });
    expect(k8spod.elements).toEqual(expect.arrayContaining(Object.keys(facts)));
  });

  it("names the owners up to the uppermost", async () => {
    const namespace = await cluster.namespace();
    await apps.createNamespacedDeployment({
      namespace,
      body: { metadata: { name: "cart" }, spec: { replicas: 1, selector, template } },
    });
    const pod = await podIn(namespace);

    const facts = await factsOf(pod);

    expect(facts).toMatchObject({
      "pod.owners": expect.stringMatching(/^ReplicaSet\/cart-\w+,Deployment\/cart$/),
      "pod.owner.kind": "Deployment",
      "pod.owner.name": "cart",
    });
    expect(Object.keys(facts).sort()).toEqual([...k8spod.elements].sort());
  });

  it.each([
    [
      "StatefulSet",
      (namespace: string) =>
        apps.createNamespacedStatefulSet({
          namespace,
          body: { metadata: { name: "cart" }, spec: { serviceName: "cart", replicas: 1, selector, template } },
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
            spec: { template: { ...template, spec: { ...template.spec, restartPolicy: "Never" } } },
          },
        }),
    ],
  ])("names the owner of a pod of a %s", async (kind, create) => {
    const namespace = await cluster.namespace();
    await create(namespace);
    const pod = await podIn(namespace);

    const facts = await factsOf(pod);

    expect(facts["pod.owners"]).toBe(`${kind}/cart`);
  });

  it("ends the owners with one that is gone or of a kind that Hallux does not know", async () => {
    const namespace = await cluster.namespace();
    const owned = (name: string, apiVersion: string, kind: string) =>
      core.createNamespacedPod({
        namespace,
        body: {
          metadata: {
            name,
            // Kubernetes collects pods whose owner is gone.
            finalizers: ["example.com/keep"],
            ownerReferences: [{ apiVersion, kind, name: "cart", uid: crypto.randomUUID(), controller: true }],
          },
          spec: template.spec,
        },
      });
    await owned("shop-1", "example.com/v1", "Shop");
    await owned("orphan-1", "apps/v1", "ReplicaSet");

    const facts = await Promise.all([factsOf(`${namespace}/shop-1`), factsOf(`${namespace}/orphan-1`)]);

    expect(facts.map((one) => one["pod.owners"])).toEqual(["Shop/cart", "ReplicaSet/cart"]);
  });

  it("leaves out what is long, what does not fit, and kubectl's copy of the manifest", async () => {
    const namespace = await cluster.namespace();
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`n${10 + n}`, "é".repeat(1024)]));
    await cluster.pod(namespace, {
      name: "cart-1",
      annotations: {
        ...many,
        "kubectl.kubernetes.io/last-applied-configuration": '{"env":"s3cr3t"}',
        a: "short",
        b: "x".repeat(1025),
        z: "short",
      },
      wait: false,
    });

    const text = (await factsOf(`${namespace}/cart-1`))["pod.annotations"] ?? "";

    expect(text.length).toBeLessThanOrEqual(8 * 1024);
    expect(Object.keys(JSON.parse(text))).toEqual(["a", "n10", "n11", "n12", "n13", "n14", "n15", "n16", "z"]);
  });

  it("says that the pod is gone where another has its name", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", wait: false });

    await expect(factsOf(`${namespace}/cart-1`, crypto.randomUUID())).rejects.toThrow(TargetGone);
  });

  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(k8spod)).toEqual([]);
  });
});
