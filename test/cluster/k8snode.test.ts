import { describe, expect, it } from "vitest";
import { k8snode } from "../../contexts/k8snode.ts";
import { useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { fetchContext } from "../support/run-actionner.ts";

const cluster = await useCluster();

describe("the context k8snode", () => {
  it("gives what the node of the pod says about itself", async () => {
    const namespace = await cluster.namespace();
    const node = await cluster.node({
      providerId: "aws:///eu-west-1a/i-0123",
      labels: {
        "kubernetes.io/hostname": "ip-10-0-0-1",
        "node.kubernetes.io/instance-type": "m7g.large",
        "node-role.kubernetes.io/worker": "",
        "node-role.kubernetes.io/spot": "",
        "topology.kubernetes.io/region": "eu-west-1",
        "topology.kubernetes.io/zone": "eu-west-1a",
      },
    });
    await cluster.pod(namespace, { name: "cart-1", nodeName: node, wait: false });

    const facts = await fetchContext(k8snode, { cluster, event: eventOf({ pod: `${namespace}/cart-1` }) });

    expect(facts).toEqual({
      "node.hostname": "ip-10-0-0-1",
      "node.instancetype": "m7g.large",
      "node.role": "spot,worker",
      "node.topology.region": "eu-west-1",
      "node.topology.zone": "eu-west-1a",
      "node.spec.providerid": "aws:///eu-west-1a/i-0123",
    });
    expect(Object.keys(facts)).toEqual(k8snode.elements);
  });

  it("leaves out what the node does not say", async () => {
    const namespace = await cluster.namespace();
    const node = await cluster.node({ labels: { "topology.kubernetes.io/zone": "eu-west-1a" } });
    await cluster.pod(namespace, { name: "cart-1", nodeName: node, wait: false });

    const facts = await fetchContext(k8snode, { cluster, event: eventOf({ pod: `${namespace}/cart-1` }) });

    expect(facts).toEqual({ "node.topology.zone": "eu-west-1a" });
  });

  it("gives nothing for a pod that is not on a node yet", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", nodeSelector: { nowhere: "true" }, wait: false });

    const facts = await fetchContext(k8snode, { cluster, event: eventOf({ pod: `${namespace}/cart-1` }) });

    expect(facts).toEqual({});
  });

  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(k8snode)).toEqual([]);
  });
});
