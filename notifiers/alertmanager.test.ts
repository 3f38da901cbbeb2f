import { describe, expect, it } from "vitest";
import type { Notification } from "../src/catalogue/catalogue.ts";
import { outcomeStatuses } from "../src/catalogue/outcome.ts";
import type { Clients } from "../src/clients/clients.ts";
import { createHttp } from "../src/clients/http/adapter.ts";
import { compileFields } from "../src/schema/read.ts";
import { auditEventOf, eventOf } from "../test/support/events.ts";
import { type HttpPeer, hang, httpPeer } from "../test/support/http-peer.ts";
import { notificationOf } from "../test/support/notifications.ts";
import { failureOf } from "../test/support/notifier-contract.ts";
import { alertmanager } from "./alertmanager.ts";

function answering(status: number, headers: Readonly<Record<string, string>> = {}): Promise<HttpPeer> {
  return httpPeer((_request, response) => response.writeHead(status, headers).end());
}

function valuesOf(settings: Readonly<Record<string, unknown>>) {
  const { values, problems } = compileFields(alertmanager.settings).read(settings);
  if (values === undefined) {
    throw new Error(problems.map(({ message }) => message).join("; "));
  }
  return values;
}

interface Traits {
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
}

async function alert(peers: readonly Pick<HttpPeer, "url">[], notification: Notification, traits: Traits = {}) {
  const settings = valuesOf({ urls: peers.map(({ url }) => url), ...traits.settings });
  const clients = { http: createHttp().real } as Clients;
  await alertmanager.notify({ notification, settings, clients, signal: traits.signal ?? AbortSignal.timeout(20_000) });
}

async function alertOf(notification: Notification, settings: Readonly<Record<string, unknown>> = {}) {
  await using peer = await answering(200);
  await alert([peer], notification, { settings });
  const alerts = JSON.parse(peer.requests[0]?.body ?? "[]");
  expect(alerts).toHaveLength(1);
  return alerts[0];
}

const failed = notificationOf({
  event: eventOf({ pod: "shop/cart-1", priority: "Critical" }),
  outcome: { status: "failure", code: "forbidden", message: "no right", undo: "kubectl x" },
});

describe("an alert", () => {
  it("says what failed, where, why, and fires for an hour", async () => {
    const sent = await alertOf(failed);

    expect(sent).toEqual({
      labels: {
        alertname: "HalluxResponse",
        rule: "Label shells",
        action: "label",
        actionner: "kubernetes:label",
        status: "failure",
        severity: "critical",
        priority: "critical",
        namespace: "shop",
        pod: "cart-1",
      },
      annotations: {
        summary: "Failed: kubernetes:label on pod shop/cart-1",
        description: expect.stringContaining("no right"),
        undo: "kubectl x",
        response: failed.response,
      },
      startsAt: "2026-11-21T08:15:00.000Z",
      endsAt: "2026-11-21T09:15:00.000Z",
    });
  });

  it("has the labels of an object that is no pod", async () => {
    const target = { kind: "resource", resource: "configmaps", namespace: "shop", name: "settings" } as const;
    const notification = notificationOf({
      event: auditEventOf("configmaps", "shop/settings"),
      outcome: { status: "refused", target },
    });

    const { labels } = await alertOf(notification);

    expect(labels).toMatchObject({ severity: "warning", namespace: "shop", resource: "configmaps", name: "settings" });
    expect(labels).not.toHaveProperty("pod");
  });

  it("lasts as long and says what the settings want", async () => {
    const { annotations, endsAt } = await alertOf(failed, { active_minutes: 5, template: "{{ outcome.code }}!" });

    expect(endsAt).toBe("2026-11-21T08:20:00.000Z");
    expect(annotations.description).toBe("forbidden!");
  });

  it("is bounded however long the texts are", async () => {
    const long = "é".repeat(500_000);
    const event = eventOf({ pod: "shop/cart-1", rule: long, output: long });
    const outcome = { status: "failure", message: long, text: long, undo: long } as const;

    const sent = await alertOf(notificationOf({ event, outcome, rule: long }));

    expect(Buffer.byteLength(JSON.stringify(sent))).toBeLessThan(32 * 1024);
  });

  it.each(outcomeStatuses)("is raised of an outcome that asks for somebody: %s", async (status) => {
    await using peer = await answering(200);
    const notification = notificationOf({ outcome: { status } });

    await alert([peer], notification);

    expect(peer.requests).toHaveLength(["failure", "refused", "expired"].includes(status) ? 1 : 0);
  });

  it("is raised of those outcomes that the settings name", async () => {
    await using peer = await answering(200);
    const settings = { statuses: ["success"] };

    await alert([peer], notificationOf(), { settings });
    await alert([peer], failed, { settings });

    expect(peer.requests).toHaveLength(1);
    expect(() => valuesOf({ urls: [peer.url], statuses: ["sucess"] })).toThrow("sucess");
  });
});

describe("a cluster of Alertmanagers", () => {
  it("is sent the alert at each of its members", async () => {
    await using one = await answering(200);
    await using other = await answering(200);

    await alert([one, other], failed);

    expect([one.requests.length, other.requests.length]).toEqual([1, 1]);
  });

  it("has taken it where one member has", async () => {
    await using broken = await answering(500);
    await using one = await answering(200);

    await expect(alert([broken, one], failed)).resolves.toBeUndefined();
  });

  it("has it tried again where one may take it later", async () => {
    await using refusing = await answering(400);
    await using throttling = await answering(429, { "retry-after": "7" });

    const error = await failureOf(alert([refusing, throttling], failed));

    expect(error).toMatchObject({ code: "throttled", retryAfterMs: 7000 });
  });

  it("does not wait until the deadline for a member that hangs where another has taken it", async () => {
    await using hanging = await httpPeer(hang);
    await using one = await answering(200);
    const never = new AbortController().signal;

    await expect(alert([hanging, one], failed, { signal: never })).resolves.toBeUndefined();
    expect(hanging.requests).toHaveLength(1);
  });
});

describe("access to Alertmanager", () => {
  it.each([
    [{ user: "u", password: "p" }, `Basic ${Buffer.from("u:p").toString("base64")}`],
    [{ bearer_token: "t" }, "Bearer t"],
    [{}, undefined],
  ])("is by what the settings say: %j", async (settings, authorization) => {
    await using peer = await answering(200);

    await alert([{ url: `${peer.url}/alertmanager/` }], failed, { settings });

    expect(peer.requests[0]?.url).toBe("/alertmanager/api/v2/alerts");
    expect(peer.requests[0]?.headers.authorization).toBe(authorization);
  });

  it("is checked", () => {
    const settings = { urls: ["http://a:9093"], user: "u", bearer_token: "t" };

    expect(alertmanager.check?.(valuesOf(settings))).toEqual([
      { setting: "user", message: '"user" needs "password" beside it' },
      { setting: "bearer_token", message: 'give "bearer_token", or "user" and "password", not both' },
    ]);
  });

  it.each(["http://user:secret@alertmanager:9093", "alertmanager:9093", "ftp://a"])(
    "does not load the URL %j",
    (url) => {
      expect(() => valuesOf({ urls: [url] })).toThrow("urls");
    },
  );
});
