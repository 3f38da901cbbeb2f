import { describe, expect, it } from "vitest";
import { cordon } from "../../actionners/kubernetes/cordon.ts";
import { TargetGone } from "../../src/catalogue/errors.ts";
import { useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { runActionner } from "../support/run-actionner.ts";

const cluster = await useCluster();
const { core } = cluster.api;

async function podOnNode() {
  const namespace = await cluster.namespace();
  const node = await cluster.node();
  await cluster.pod(namespace, { name: "cart-1", nodeName: node, wait: false });
  return { node, event: eventOf({ pod: `${namespace}/cart-1` }) };
}

describe("kubernetes:cordon", () => {
  it("keeps new pods off the pod's node", async () => {
    const { node, event } = await podOnNode();

    const result = await runActionner(cordon, { cluster, event });

    expect(result).toMatchObject({
      status: "success",
      summary: "node cordoned",
      objects: { node, pod: "cart-1" },
      undo: `kubectl uncordon ${node}`,
    });
    expect((await core.readNode({ name: node })).spec?.unschedulable).toBe(true);
  });

  it("is ignored where the node is cordoned already", async () => {
    const { node, event } = await podOnNode();

    await runActionner(cordon, { cluster, event });
    const second = await runActionner(cordon, { cluster, event });

    expect(second).toEqual({ status: "ignored", reason: `node ${node} is already cordoned` });
  });

  it("is ignored for a pod that is not on a node yet", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", nodeSelector: { nowhere: "true" }, wait: false });

    const result = await runActionner(cordon, { cluster, event: eventOf({ pod: `${namespace}/cart-1` }) });

    expect(result).toEqual({ status: "ignored", reason: "the pod is not on a node yet" });
  });

  it("finds the pod gone", async () => {
    const namespace = await cluster.namespace();

    const error = await runActionner(cordon, { cluster, event: eventOf({ pod: `${namespace}/cart-1` }) });

    expect(error).toBeInstanceOf(TargetGone);
  });

  it("leaves the node as it is in a dry run", async () => {
    const { node, event } = await podOnNode();

    const result = await runActionner(cordon, { cluster, event, dryRun: true });

    expect(result).toMatchObject({ status: "success" });
    expect((await core.readNode({ name: node })).spec?.unschedulable ?? false).toBe(false);
  });

  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(cordon)).toEqual([]);
  });
});
