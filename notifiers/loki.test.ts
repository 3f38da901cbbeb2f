import { describe, expect, it } from "vitest";
import type { Notification } from "../src/catalogue/catalogue.ts";
import type { Clients } from "../src/clients/clients.ts";
import { createHttp } from "../src/clients/http/adapter.ts";
import { compileFields } from "../src/schema/read.ts";
import { eventOf } from "../test/support/events.ts";
import { httpPeer, type SeenRequest } from "../test/support/http-peer.ts";
import { notificationOf } from "../test/support/notifications.ts";
import { failureOf, hostileNotification } from "../test/support/notifier-contract.ts";
import { loki } from "./loki.ts";

interface Traits {
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly path?: string;
  readonly answer?: { readonly status: number; readonly body: string };
}

async function push(notification: Notification, { settings, path = "", answer }: Traits = {}): Promise<SeenRequest> {
  const { status, body } = answer ?? { status: 204, body: "" };
  await using peer = await httpPeer((_request, response) => response.writeHead(status).end(body));
  const { values, problems } = compileFields(loki.settings).read({ url: peer.url + path, ...settings });
  if (values === undefined) {
    throw new Error(JSON.stringify(problems));
  }
  const clients = { http: createHttp().real } as Clients;
  await loki.notify({ notification, settings: values, clients, signal: AbortSignal.timeout(20_000) });
  return peer.requests[0] as SeenRequest;
}

function entryIn({ body }: SeenRequest) {
  const { streams } = JSON.parse(body);
  const [stamp, line] = streams[0].values[0];
  return { labels: streams[0].stream, stamp, line, record: line.startsWith("{") ? JSON.parse(line) : undefined };
}

describe("an outcome in Loki", () => {
  it("is a line of JSON in a stream with few labels, at its own time", async () => {
    const event = eventOf({
      pod: "shop/cart-1",
      priority: "Critical",
      output: "A shell",
      fields: { "proc.name": "nc" },
    });
    const notification = notificationOf({ event, rule: "Label Shells", outcome: { undo: "kubectl label x" } });

    const request = await push(notification);

    const { labels, stamp, record } = entryIn(request);
    expect(request).toMatchObject({ method: "POST", url: "/loki/api/v1/push" });
    expect(request.headers["content-type"]).toBe("application/json");
    expect(labels).toEqual({
      app: "hallux",
      status: "success",
      rule: "label_shells",
      action: "label",
      actionner: "kubernetes:label",
      priority: "critical",
    });
    expect(stamp).toBe("1795248900000000000");
    expect(record).toMatchObject({
      time: "2026-11-21T08:15:00.000Z",
      rule: "Label Shells",
      message: "pod labelled",
      target: "pod shop/cart-1",
      undo: "kubectl label x",
      event: "A shell",
      falco: { rule: event.rule, priority: "Critical", hostname: "node-1" },
      output_fields: { "proc.name": "nc" },
    });
  });

  it("has nothing of the event among its labels but the priority", async () => {
    const { labels } = entryIn(await push({ ...hostileNotification(), rule: { name: "r", description: undefined } }));

    expect({ ...labels, action: "" }).toEqual({
      app: "hallux",
      status: "success",
      rule: "r",
      action: "",
      actionner: "kubernetes:label",
      priority: "notice",
    });
    expect(Buffer.byteLength(labels.action)).toBeLessThanOrEqual(128);
  });

  it("stays below Loki's limits however large the event is", async () => {
    const long = '"\\'.repeat(500_000);
    const fields = Object.fromEntries(
      Array.from({ length: 500 }, (_, n) => [`${n}${long.slice(0, 300)}`, long.slice(0, 2_000)]),
    );
    const event = eventOf({
      fields,
      output: long,
      rule: long,
      hostname: long,
      tags: Array.from({ length: 100 }, () => long),
    });
    const outcome = { message: long, text: long, undo: long, objects: { [long]: long } };

    const { line, labels } = entryIn(await push(notificationOf({ event, outcome, rule: long })));

    expect(Buffer.byteLength(line)).toBeLessThan(192 * 1024);
    expect(Object.values<string>(labels).filter((value) => Buffer.byteLength(value) > 128)).toEqual([]);
  });

  it("is a template's line where there is one", async () => {
    const { line } = entryIn(
      await push(notificationOf(), { settings: { template: "{{ outcome.status }} {{ rule.name }}" } }),
    );

    expect(line).toBe("success Label shells");
  });
});

describe("the address of Loki", () => {
  it.each([
    ["", "/loki/api/v1/push"],
    ["/", "/loki/api/v1/push"],
    ["/gateway/", "/gateway/loki/api/v1/push"],
    ["/loki/api/v1/push", "/loki/api/v1/push"],
    ["/gateway/loki/api/v1/push?key=1", "/gateway/loki/api/v1/push?key=1"],
  ])("may be with or without the path: %j", async (path, expected) => {
    expect((await push(notificationOf(), { path })).url).toBe(expected);
  });

  it("gets tenant, credentials and headers", async () => {
    const settings = { user: "u", api_key: "k", tenant: "team-a", custom_headers: { "X-Key": "v" } };

    const { headers } = await push(notificationOf(), { settings });

    expect(headers).toMatchObject({
      "x-scope-orgid": "team-a",
      authorization: `Basic ${Buffer.from("u:k").toString("base64")}`,
      "x-key": "v",
    });
  });
});

describe("Loki's refusal", () => {
  it("of an entry that is too far behind is not tried again, and says so", async () => {
    const answer = { status: 400, body: "entry too far behind, entry timestamp is: 2026-11-21T08:15:00Z" };

    const error = await failureOf(push(notificationOf(), { answer }));

    expect(error.code).toBe("invalid");
    expect(error.message).toMatch(/^http:\/\/127\.0\.0\.1:\d+ answered 400: entry too far behind/);
  });
});

describe("the settings of loki", () => {
  it.each([
    [{ user: "u" }, [{ setting: "user", message: '"user" needs "api_key" beside it' }]],
    [{ api_key: "k" }, [{ setting: "api_key", message: '"api_key" needs "user" beside it' }]],
    [{ user: "u", api_key: "k" }, []],
    [{}, []],
  ])("%j are checked together", (settings, faults) => {
    const { values } = compileFields(loki.settings).read({ url: "http://loki:3100", ...settings });

    expect(values && loki.check?.(values)).toEqual(faults);
  });
});
