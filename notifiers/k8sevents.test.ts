import { describe, expect, it } from "vitest";
import type { Notification } from "../src/catalogue/catalogue.ts";
import { ActionError, TargetGone } from "../src/catalogue/errors.ts";
import type { OutcomeStatus } from "../src/catalogue/outcome.ts";
import type { Clients } from "../src/clients/clients.ts";
import type { KubernetesEvent } from "../src/clients/kubernetes/port.ts";
import { eventOf } from "../test/support/events.ts";
import { notificationOf } from "../test/support/notifications.ts";
import { k8sevents } from "./k8sevents.ts";

/** The events that the notifier creates, with a pod that exists or fails. */
async function eventsFor(
  notification: Notification,
  getPod: () => Promise<unknown> = async () => ({ uid: "uid-1" }),
  signal = new AbortController().signal,
  template?: string,
) {
  const created: KubernetesEvent[] = [];
  const createEvent = async (event: KubernetesEvent) => void created.push(event);
  await k8sevents.notify({
    notification,
    settings: { template },
    clients: { kubernetes: { getPod, createEvent } } as unknown as Clients,
    signal,
  });
  return created;
}

describe("k8sevents", () => {
  it("records the outcome with the pod", async () => {
    const notification = notificationOf({ outcome: { undo: "kubectl label pod cart-1 -n shop suspicious-" } });

    const events = await eventsFor(notification);

    expect(events).toEqual([
      {
        id: expect.stringMatching(/^[0-9a-f]{32}$/),
        namespace: "shop",
        about: { apiVersion: "v1", kind: "Pod", namespace: "shop", name: "cart-1", uid: "uid-1" },
        type: "Normal",
        reason: "HalluxLabelSucceeded",
        action: "KubernetesLabel",
        message:
          'rule "Label shells", action "label" (kubernetes:label); success: pod labelled; ' +
          "undo: kubectl label pod cart-1 -n shop suspicious-; because of: Terminal shell in container",
      },
    ]);
  });

  it.each<[OutcomeStatus, string, string]>([
    ["success", "Normal", "HalluxLabelSucceeded"],
    ["ignored", "Normal", "HalluxLabelIgnored"],
    ["dry_run", "Normal", "HalluxLabelDryRun"],
    ["failure", "Warning", "HalluxLabelFailed"],
    ["refused", "Warning", "HalluxLabelRefused"],
    ["expired", "Warning", "HalluxLabelExpired"],
  ])("an outcome %s is %s, %s", async (status, type, reason) => {
    const [event] = await eventsFor(notificationOf({ outcome: { status } }));

    expect(event).toMatchObject({ type, reason });
  });

  it("says what a dry run found, and where the artifact is", async () => {
    const artifact = { output: "local:file", location: "/evidence/x_log", bytes: 1, sha256: "00" };
    const outcome = { status: "dry_run", would: "failure", message: "no", artifact } as const;

    const [event] = await eventsFor(notificationOf({ outcome }));

    expect(event?.message).toContain("dry run, would be failure: no; stored: /evidence/x_log");
  });

  it.each([
    ["is gone", new TargetGone("gone")],
    ["may not be read", new ActionError("forbidden", "no")],
  ])("records it without the UID of a pod that %s", async (_name, error) => {
    const [event] = await eventsFor(notificationOf(), () => Promise.reject(error));

    expect(event?.about).toEqual({ apiVersion: "v1", kind: "Pod", namespace: "shop", name: "cart-1" });
  });

  it("ends with its deadline instead of recording without the UID", async () => {
    const timeout = new ActionError("timeout", "too slow");

    const events = eventsFor(notificationOf(), () => Promise.reject(timeout), AbortSignal.abort(timeout));

    await expect(events).rejects.toBe(timeout);
  });

  it("says what a template says, on one line", async () => {
    const notification = notificationOf({ rule: "a\nb" });
    const template = "{{ rule.name }}:\n{{ outcome.message }}";

    const [event] = await eventsFor(notification, undefined, undefined, template);

    expect(event?.message).toBe("a b: pod labelled");
  });

  it.each(["{% if artifact %}x{% endif %}", "{% for i in (1..9999999) %}{{ i }}{% endfor %}"])(
    "says its own words where a template has none: %s",
    async (template) => {
      const [event] = await eventsFor(notificationOf(), undefined, undefined, template);

      expect(event?.message).toContain("success: pod labelled");
    },
  );

  it("does not ask for a pod whose UID is known", async () => {
    const notification = notificationOf({ event: eventOf({ pod: "shop/cart-1", podUid: "uid-7" }) });

    const [event] = await eventsFor(notification, () => Promise.reject(new Error("asked")));

    expect(event?.about.uid).toBe("uid-7");
  });

  it("records an action without a target with the pod of the event", async () => {
    const action = { name: "call", actionner: "aws:lambda" };

    const [event] = await eventsFor(notificationOf({ action, outcome: { target: { kind: "none" } } }));

    expect(event).toMatchObject({
      about: { kind: "Pod", name: "cart-1" },
      reason: "HalluxLambdaSucceeded",
      action: "AwsLambda",
    });
  });

  it("records with the default namespace where there is no object at all", async () => {
    const [event] = await eventsFor(notificationOf({ event: eventOf() }));

    expect(event).toMatchObject({
      namespace: "default",
      about: { apiVersion: "v1", kind: "Namespace", name: "default" },
    });
  });

  it("records with the resource of an audit event", async () => {
    const target = { kind: "resource", resource: "deployments", namespace: "shop", name: "cart" } as const;

    const [event] = await eventsFor(notificationOf({ outcome: { target } }));

    expect(event).toMatchObject({
      namespace: "shop",
      about: { apiVersion: "apps/v1", kind: "Deployment", namespace: "shop", name: "cart" },
    });
  });

  it.each([
    ["clusterroles", "admin", undefined, "ClusterRole"],
    // The audit log names a namespace as its own namespace, where no event can be made once it is being deleted.
    ["namespaces", "shop", "shop", "Namespace"],
  ])(
    "records a resource of the whole cluster (%s) in the default namespace",
    async (resource, name, namespace, kind) => {
      const target = { kind: "resource", resource, namespace, name } as const;

      const [event] = await eventsFor(notificationOf({ outcome: { target } }));

      expect(event).toMatchObject({ namespace: "default", about: { kind, name } });
      expect(event?.about).not.toHaveProperty("namespace");
    },
  );

  it("records with a resource of a kind it does not know, whatever its name", async () => {
    const target = { kind: "resource", resource: "constructor", namespace: "shop", name: "cart" } as const;

    const [event] = await eventsFor(notificationOf({ outcome: { target } }));

    expect(event?.about).toEqual({ apiVersion: "v1", kind: "Constructor", namespace: "shop", name: "cart" });
  });

  it("keeps what a terminal obeys out of the message, and cuts it between characters", async () => {
    const hostile = `\u001b[2J\r\nFake: line\u202e\ud800${"é".repeat(9_000)}`;
    const outcome = { message: hostile, undo: hostile };

    const [event] = await eventsFor(notificationOf({ rule: hostile, event: eventOf({ rule: hostile }), outcome }));

    expect(event?.message).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\u2028]/u);
    expect(Buffer.byteLength(event?.message ?? "")).toBeLessThanOrEqual(1024);
    expect(event?.message).toMatch(/é…$/);
  });
});
