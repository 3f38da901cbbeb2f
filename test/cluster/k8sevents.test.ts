import { describe, expect, it } from "vitest";
import { k8sevents } from "../../notifiers/k8sevents.ts";
import type { Notification } from "../../src/catalogue/catalogue.ts";
import type { Clients } from "../../src/clients/clients.ts";
import { useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { notificationOf } from "../support/notifications.ts";

const cluster = await useCluster();
const { core } = cluster.api;

function notify(notification: Notification): Promise<void> {
  const clients = { kubernetes: cluster.kubernetes.real } as Clients;
  const signal = AbortSignal.timeout(60_000);
  return cluster.permissions.during(k8sevents, () =>
    k8sevents.notify({ notification, settings: { template: undefined }, clients, signal }),
  );
}

/** As kubectl describe looks for them. */
async function eventsAbout(namespace: string, selector: string) {
  const { items } = await core.listNamespacedEvent({ namespace, fieldSelector: selector });
  return items.filter(({ source }) => source?.component === "hallux");
}

describe("k8sevents", () => {
  it("shows where kubectl describe looks for the pod's events", async () => {
    const namespace = await cluster.namespace();
    const pod = await cluster.pod(namespace, { name: "cart-1" });

    await notify(notificationOf({ event: eventOf({ pod: `${namespace}/cart-1` }) }));

    const events = await eventsAbout(
      namespace,
      `involvedObject.kind=Pod,involvedObject.name=cart-1,involvedObject.namespace=${namespace},involvedObject.uid=${pod.metadata?.uid}`,
    );
    expect(events).toMatchObject([
      {
        type: "Normal",
        reason: "HalluxLabelSucceeded",
        action: "KubernetesLabel",
        message: expect.stringContaining(
          'rule "Label shells", action "label" (kubernetes:label); success: pod labelled',
        ),
        count: 1,
      },
    ]);
  });

  it("shows once what is told twice", async () => {
    const namespace = await cluster.namespace();
    const notification = notificationOf({ event: eventOf({ pod: `${namespace}/cart-1` }) });

    await notify(notification);
    await notify(notification);
    await notify({ ...notification, response: crypto.randomUUID() });

    expect(await eventsAbout(namespace, "involvedObject.name=cart-1")).toHaveLength(2);
  });

  it("records a failure as a warning, for a pod that is gone too", async () => {
    const namespace = await cluster.namespace();
    const event = eventOf({ pod: `${namespace}/gone` });

    await notify(notificationOf({ event, outcome: { status: "failure", message: "no" } }));

    const events = await eventsAbout(namespace, "involvedObject.name=gone");
    expect(events).toMatchObject([{ type: "Warning", reason: "HalluxLabelFailed" }]);
  });

  it("is accepted by the API server however long and hostile the words are", async () => {
    const namespace = await cluster.namespace();
    const words = `\u0000\u001b[2J\ud800\u202e${"é漢🦅".repeat(2_000)}`;
    const event = eventOf({ pod: `${namespace}/cart-1`, rule: words });
    const action = { name: words, actionner: "kubernetes:label" };

    await notify(notificationOf({ event, rule: words, action, outcome: { message: words, undo: words } }));

    const events = await eventsAbout(namespace, "involvedObject.name=cart-1");
    expect(events).toHaveLength(1);
    expect(Buffer.byteLength(events[0]?.message ?? "")).toBeLessThanOrEqual(1024);
  });

  it("records with a resource, of a namespace or of the whole cluster", async () => {
    const namespace = await cluster.namespace();
    const role = `role-of-${namespace}`;

    await notify(
      notificationOf({
        outcome: { target: { kind: "resource", resource: "configmaps", namespace, name: "settings" } },
      }),
    );
    await notify(
      notificationOf({
        outcome: { target: { kind: "resource", resource: "clusterroles", namespace: undefined, name: role } },
      }),
    );

    expect(await eventsAbout(namespace, "involvedObject.kind=ConfigMap")).toHaveLength(1);
    expect(await eventsAbout("default", `involvedObject.kind=ClusterRole,involvedObject.name=${role}`)).toHaveLength(1);
  });

  it("records the deletion of a namespace that is on its way out", async () => {
    const namespace = await cluster.namespace();
    const finalizers = ["example.com/keep"];
    await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "kept", finalizers } } });
    await core.deleteNamespace({ name: namespace });

    await notify(
      notificationOf({ outcome: { target: { kind: "resource", resource: "namespaces", namespace, name: namespace } } }),
    );

    const about = `involvedObject.kind=Namespace,involvedObject.name=${namespace}`;
    expect(await eventsAbout("default", about)).toHaveLength(1);
    const body = [{ op: "remove", path: "/metadata/finalizers" }];
    await core.patchNamespacedConfigMap({ namespace, name: "kept", body });
  });

  it("records with the default namespace where there is no object at all", async () => {
    const rule = `rule ${crypto.randomUUID()}`;

    await notify(notificationOf({ event: eventOf(), rule }));

    const events = await eventsAbout("default", "involvedObject.kind=Namespace,involvedObject.name=default");
    expect(events.filter(({ message }) => message?.includes(rule))).toHaveLength(1);
  });

  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(k8sevents)).toEqual([]);
  });
});
