import { describe, expect, it } from "vitest";
import { annotation } from "../../actionners/kubernetes/annotation.ts";
import { TargetGone } from "../../src/catalogue/errors.ts";
import { compileFields } from "../../src/schema/read.ts";
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

  it("fails with the server's words where the annotations are too large together", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1" });

    const error = await runActionner(annotation, {
      cluster,
      event: eventOf({ pod: `${namespace}/cart-1` }),
      params: { annotations: { note: "x".repeat(256 * 1024) } },
    });

    expect(error).toMatchObject({ code: "invalid", message: expect.stringContaining("metadata.annotations") });
  });

  it.each(["note", "Example.COM/Note", "not a key", "a/b/c", "/a", "ä"])(
    "takes of a rules file the keys that Kubernetes takes, and no others: %j",
    async (key) => {
      const namespace = await cluster.namespace();
      await cluster.pod(namespace, { name: "cart-1" });
      const target = { kind: "pod", namespace, name: "cart-1", uid: undefined } as const;
      const signal = AbortSignal.timeout(60_000);

      const { problems } = compileFields(annotation.params).read({ annotations: { [key]: "seen" } });
      const patched = cluster.kubernetes.real.patchPod(target, { annotations: { [key]: "seen" } }, signal);

      const answer = await patched.then(
        () => "taken",
        ({ code, message }) => `${code}: ${message}`,
      );
      expect(answer).toMatch(problems.length === 0 ? /^taken$/ : /^invalid: .*metadata\.annotations/s);
    },
  );

  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(annotation)).toEqual([]);
  });
});
