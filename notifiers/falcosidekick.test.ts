import { describe, expect, it } from "vitest";
import type { Notification } from "../src/catalogue/catalogue.ts";
import { type OutcomeStatus, outcomeStatuses } from "../src/catalogue/outcome.ts";
import type { Clients } from "../src/clients/clients.ts";
import { createHttp } from "../src/clients/http/adapter.ts";
import { decodeEvent } from "../src/events/decode.ts";
import type { FalcoEvent } from "../src/events/event.ts";
import { podOf } from "../src/events/target.ts";
import { loadRules } from "../src/rules/load.ts";
import { compileFields } from "../src/schema/read.ts";
import { eventOf } from "../test/support/events.ts";
import { httpPeer } from "../test/support/http-peer.ts";
import { notificationOf } from "../test/support/notifications.ts";
import { hostileNotification } from "../test/support/notifier-contract.ts";
import { rulesCatalogue } from "../test/support/rules-catalogue.ts";
import { falcosidekick } from "./falcosidekick.ts";

/** The bodies of what Falcosidekick was sent. */
async function sent(notification: Notification, settings: Readonly<Record<string, unknown>> = {}): Promise<string[]> {
  await using peer = await httpPeer((_request, response) => response.end());
  const { values } = compileFields(falcosidekick.settings).read({ url: peer.url, ...settings });
  if (values === undefined) {
    throw new Error("the settings do not load");
  }
  const clients = { http: createHttp().real } as Clients;
  await falcosidekick.notify({ notification, settings: values, clients, signal: AbortSignal.timeout(20_000) });
  expect(peer.requests.every(({ method, url }) => method === "POST" && url === "/")).toBe(true);
  return peer.requests.map(({ body }) => body);
}

async function eventSent(notification: Notification, settings?: Readonly<Record<string, unknown>>) {
  return JSON.parse((await sent(notification, settings))[0] ?? "");
}

/** As Hallux takes it in when Falcosidekick sends it on, with an id of its own. */
async function returned(notification: Notification): Promise<FalcoEvent> {
  const body = JSON.stringify({ ...(await eventSent(notification)), uuid: crypto.randomUUID() });
  const { event, fault } = decodeEvent(body, { id: "1", receivedAt: "2026-11-21T08:15:01.000Z" });
  if (event === undefined) {
    throw new Error(fault.message);
  }
  return event;
}

describe("an outcome in Falcosidekick", () => {
  it("is an event as Falco sends them", async () => {
    const event = eventOf({ pod: "shop/cart-1" });
    const notification = notificationOf({ event, outcome: { undo: "kubectl label x" } });

    const body = await eventSent(notification);

    expect(body).toEqual({
      uuid: expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
      rule: "Hallux: Label shells",
      priority: "Notice",
      source: "hallux",
      hostname: "node-1",
      time: "2026-11-21T08:15:00.000Z",
      tags: ["hallux", "success"],
      output: expect.stringMatching(/^Done: kubernetes:label on pod shop\/cart-1; rule "Label shells", .*pod labelled/),
      output_fields: {
        "k8s.ns.name": "shop",
        "k8s.pod.name": "cart-1",
        "hallux.rule": "Label shells",
        "hallux.action": "label",
        "hallux.actionner": "kubernetes:label",
        "hallux.status": "success",
        "hallux.message": "pod labelled",
        "hallux.undo": "kubectl label x",
        "hallux.response": notification.response,
        "hallux.event.rule": event.rule,
        "hallux.event.priority": "Notice",
        "hallux.event.uuid": event.uuid,
      },
    });
  });

  const priorities: Readonly<Record<OutcomeStatus, string>> = {
    failure: "Error",
    refused: "Warning",
    expired: "Warning",
    success: "Notice",
    ignored: "Informational",
    dry_run: "Informational",
  };

  it.each(outcomeStatuses)("has a priority by how the action ended: %s", async (status) => {
    expect((await eventSent(notificationOf({ outcome: { status } }))).priority).toBe(priorities[status]);
  });

  it("has only texts for fields, and all is short, whatever an attacker writes", async () => {
    const long = "é".repeat(500_000);
    const event = eventOf({ rule: long, output: long, hostname: long });
    const bodies = [
      await eventSent(hostileNotification()),
      await eventSent(notificationOf({ event, rule: long, outcome: { message: long, undo: long } })),
    ];

    for (const body of bodies) {
      expect(Object.values(body.output_fields).filter((value) => typeof value !== "string")).toEqual([]);
      expect(Buffer.byteLength(JSON.stringify(body))).toBeLessThan(16 * 1024);
    }
  });

  it("says what a template says, and the usual where that says nothing", async () => {
    const outputs = [
      (await eventSent(notificationOf(), { template: "{{ rule.name }}!" })).output,
      (await eventSent(notificationOf(), { template: "{{ outcome.code }}" })).output,
    ];

    expect(outputs).toEqual(["Label shells!", expect.stringContaining("pod labelled")]);
  });
});

describe("an event that comes back from Falcosidekick", () => {
  const rules = [
    "- { rule: Everything, match: {}, actions: [{ action: Mark, actionner: kubernetes:label, parameters: { labels: { a: b } } }] }",
    "- { rule: By tag, match: { tags: [hallux] }, actions: [{ action: Mark, actionner: kubernetes:label, parameters: { labels: { a: b } } }] }",
    "- { rule: Responses, match: { source: hallux }, actions: [{ action: Mark, actionner: kubernetes:label, parameters: { labels: { a: b } } }] }",
  ].join("\n");
  const { rules: ruleSet, problems } = loadRules([{ path: "rules.yaml", text: rules }], rulesCatalogue());

  it("matches no rule that does not ask for it, and says why", async () => {
    const event = await returned(notificationOf());

    expect(problems).toEqual([]);
    expect(podOf(event)).toMatchObject({ namespace: "shop", name: "cart-1" });
    expect(ruleSet?.match(event).map(({ name }) => name)).toEqual(["Responses"]);
    expect(ruleSet?.explain(event).map(({ reasons }) => reasons)).toEqual([
      ['source is "hallux": it tells of a response, and the rule does not ask for that'],
      ['source is "hallux": it tells of a response, and the rule does not ask for that'],
      [],
    ]);
  });

  it("is not answered with another, where a rule asked for it", async () => {
    const event = await returned(notificationOf());

    expect(await sent(notificationOf({ event, rule: "Responses" }))).toEqual([]);
  });
});
