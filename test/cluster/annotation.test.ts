import { describe, expect, it } from "vitest";
import { annotation } from "../../actionners/kubernetes/annotation.ts";
import { TargetGone } from "../../src/catalogue/errors.ts";
import { useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { runActionner } from "../support/run-actionner.ts";

const cluster = await useCluster();
const { core } = cluster.api;

describe("kubernetes:annotation", () => {
  it("sets any text as a value", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", annotations: { "example.com/team": "shop" } });
    const note = "a shell\nwas \"seen\" in $(here); 'too'";

    const result = await runActionner(annotation, {
      cluster,
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { annotations: { "example.com/note": note } },
    });

    expect(result).toMatchObject({
      status: "success",
      summary: "pod annotated",
      undo: `kubectl annotate pod cart-1 -n ${namespace} example.com/note-`,
    });
    const pod = await core.readNamespacedPod({ namespace, name: "cart-1" });
    expect(pod.metadata?.annotations).toMatchObject({ "example.com/team": "shop", "example.com/note": note });
  });

  it("removes an annotation whose value is empty", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", annotations: { "example.com/team": "shop" } });

    const result = await runActionner(annotation, {
      cluster,
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { annotations: { "example.com/team": "" } },
    });

    expect(result).toMatchObject({ status: "success" });
    const pod = await core.readNamespacedPod({ namespace, name: "cart-1" });
    expect(pod.metadata?.annotations ?? {}).not.toHaveProperty(["example.com/team"]);
  });

  it("annotates the pod's node", async () => {
    const namespace = await cluster.namespace();
    const node = await cluster.node();
    await cluster.pod(namespace, { name: "cart-1", nodeName: node, wait: false });

    const result = await runActionner(annotation, {
      cluster,
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { annotations: { "example.com/note": "seen" }, level: "node" },
    });

    expect(result).toMatchObject({ undo: `kubectl annotate node ${node} example.com/note-` });
    expect((await core.readNode({ name: node })).metadata?.annotations).toMatchObject({ "example.com/note": "seen" });
  });

  it("leaves a pod alone that has taken the name of the event's", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1" });

    const error = await runActionner(annotation, {
      cluster,
      event: eventOf({ pod: `${namespace}/cart-1`, podUid: crypto.randomUUID() }),
      params: { annotations: { "example.com/note": "seen" } },
    });

    expect(error).toBeInstanceOf(TargetGone);
  });

  it("fails with the server's words where a key is none", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1" });

    const error = await runActionner(annotation, {
      cluster,
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { annotations: { "not a key": "seen" } },
    });

    expect(error).toMatchObject({ code: "invalid", message: expect.stringContaining("metadata.annotations") });
  });

  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(annotation)).toEqual([]);
  });
});
