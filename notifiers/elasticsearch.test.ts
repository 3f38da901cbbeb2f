import { describe, expect, it } from "vitest";
import type { Notification } from "../src/catalogue/catalogue.ts";
import type { Clients } from "../src/clients/clients.ts";
import { createHttp } from "../src/clients/http/adapter.ts";
import { createNotifications, type Delivery } from "../src/engine/notifications.ts";
import { compileFields } from "../src/schema/read.ts";
import { noNotifiers } from "../test/support/engine.ts";
import { eventOf } from "../test/support/events.ts";
import { httpPeer } from "../test/support/http-peer.ts";
import { notificationOf } from "../test/support/notifications.ts";
import { hostileNotification } from "../test/support/notifier-contract.ts";
import { searchEngine } from "../test/support/search-engine.ts";
import { elasticsearch } from "./elasticsearch.ts";

function valuesOf(settings: Readonly<Record<string, unknown>>) {
  const { values, problems } = compileFields(elasticsearch.settings).read(settings);
  if (values === undefined) {
    throw new Error(JSON.stringify(problems));
  }
  return values;
}

/** One Hallux that tells of outcomes as the engine does. */
function hallux(url: string, settings: Readonly<Record<string, unknown>> = {}) {
  const notifications = createNotifications({
    ...noNotifiers,
    timeoutMs: 20_000,
    notifiers: [{ notifier: elasticsearch, settings: valuesOf({ url, ...settings }) }],
    clients: { http: createHttp().real } as Clients,
  });
  return { tell: (notification: Notification): Promise<Delivery> => notifications.send("elasticsearch", notification) };
}

const told: Delivery = { status: "success" };

/** Talon's own, of the fields that are of the same name. */
const talonsTemplate = {
  index_patterns: ["falco-talon*"],
  template: {
    mappings: {
      properties: Object.fromEntries(
        ["action", "actionner", "event", "message", "output", "result", "rule", "status", "trace_id"].map((name) => [
          name,
          { type: "text" },
        ]),
      ),
    },
  },
};

describe("an outcome in Elasticsearch", () => {
  it("is a document in the index of its day, with what happened", async () => {
    await using engine = await searchEngine();
    const event = eventOf({ pod: "shop/cart-1", output: "A shell", fields: { "proc.name": "nc", "evt.num": 7 } });
    const artifact = { output: "aws:s3", location: "s3://evidence/x_log", bytes: 12, sha256: "ab12" };

    const delivery = await hallux(engine.url).tell(
      notificationOf({ event, outcome: { artifact, objects: { pod: "cart-1", namespace: "shop" } } }),
    );

    const [document] = engine.documents.get("falco-talon-2026.11.21")?.values() ?? [];
    expect(delivery).toEqual(told);
    expect(document).toMatchObject({
      "@timestamp": "2026-11-21T08:15:00.000Z",
      rule: "Label shells",
      actionner: "kubernetes:label",
      status: "success",
      message: "pod labelled",
      event: "A shell",
      target: "pod shop/cart-1",
      objects: { pod: "cart-1", namespace: "shop" },
      artifact,
      falco: { rule: event.rule, hostname: "node-1", fields: expect.arrayContaining(["proc.name=nc", "evt.num=7"]) },
    });
    expect(document).not.toHaveProperty("note");
  });

  it.each([
    ["daily", "falco-talon-2026.11.21"],
    ["monthly", "falco-talon-2026.11"],
    ["annually", "falco-talon-2026"],
    ["none", "falco-talon"],
  ])("is in the index that the suffix says: %s", async (suffix, index) => {
    await using engine = await searchEngine();

    const delivery = await hallux(engine.url, { suffix }).tell(notificationOf());

    expect(delivery).toEqual(told);
    expect([...engine.documents.keys()]).toEqual([index]);
    expect(engine.addedFields).toEqual([]);
  });

  it("is there once, however often it is sent", async () => {
    await using engine = await searchEngine();
    const { tell } = hallux(engine.url, { suffix: "none" });
    const notification = notificationOf();

    const deliveries = [await tell(notification), await tell(notification), await tell(notificationOf())];

    expect(deliveries).toEqual([told, told, told]);
    expect(engine.documents.get("falco-talon")?.size).toBe(2);
  });

  it("goes to a data stream with a template of its own", async () => {
    await using engine = await searchEngine();

    const delivery = await hallux(engine.url, { data_stream: true, index: "logs.hallux-prod" }).tell(notificationOf());

    expect(delivery).toEqual(told);
    expect([...engine.dataStreams]).toEqual(["logs.hallux-prod"]);
    expect(engine.documents.get("logs.hallux-prod")?.size).toBe(1);
  });

  it("adds no fields to an index and is taken, whatever an attacker writes", async () => {
    await using engine = await searchEngine();
    const fields = Object.fromEntries(Array.from({ length: 2_000 }, (_, n) => [`a..${n}.b`, "x".repeat(40_000)]));
    const event = { ...eventOf({ fields, hostname: "h".repeat(40_000) }), time: "2026-11-21T08:15:00.1234567890123Z" };
    const { tell } = hallux(engine.url);

    const deliveries = [await tell(hostileNotification()), await tell(notificationOf({ event }))];

    expect(deliveries).toEqual([told, told]);
    expect(engine.addedFields).toEqual([]);
    expect(Math.max(...engine.requests.map(({ body }) => body.length))).toBeLessThan(192 * 1024);
  });

  it("is taken without a template, too, and adds only our own fields", async () => {
    await using engine = await searchEngine();
    const { tell } = hallux(engine.url, { create_index_template: false });

    const deliveries = [await tell(hostileNotification()), await tell(notificationOf())];

    expect(deliveries).toEqual([told, told]);
    expect(engine.templates.size).toBe(0);
    expect(new Set(engine.addedFields).size).toBeLessThan(30);
  });

  it("says what a template says", async () => {
    await using engine = await searchEngine();

    await hallux(engine.url, { suffix: "none", template: "{{ rule.name }}!" }).tell(notificationOf());

    expect([...(engine.documents.get("falco-talon")?.values() ?? [])]).toMatchObject([{ message: "Label shells!" }]);
  });
});

describe("the index template", () => {
  it("is created once, before the first document, with shards and replicas as configured", async () => {
    await using engine = await searchEngine();
    const { tell } = hallux(engine.url, { number_of_shards: 1, number_of_replicas: 0 });

    await Promise.all([tell(notificationOf()), tell(notificationOf()), tell(notificationOf())]);

    expect(engine.requests.map(({ method, url }) => `${method} ${url.replace(/_create\/.*/, "_create")}`)).toEqual([
      "HEAD /_index_template/falco-talon",
      "PUT /_index_template/falco-talon?create=true",
      ...Array.from({ length: 3 }, () => "PUT /falco-talon-2026.11.21/_create"),
    ]);
    expect(engine.templates.get("falco-talon")).toMatchObject({
      index_patterns: ["falco-talon-*"],
      template: { settings: { number_of_shards: 1, number_of_replicas: 0 }, mappings: { dynamic: false } },
    });
  });

  it("stays as it is where Talon made it, and takes our documents", async () => {
    await using engine = await searchEngine({ templates: { "falco-talon": talonsTemplate } });

    const deliveries = [
      await hallux(engine.url).tell(notificationOf()),
      await hallux(engine.url).tell(hostileNotification()),
    ];

    expect(deliveries).toEqual([told, told]);
    expect(engine.templates.get("falco-talon")).toBe(talonsTemplate);
  });

  it.each([
    ["may not be created", { templatesForbidden: true }, "answered 403"],
    ["overlaps with one of the user's own", { templates: { ours: talonsTemplate } }, "overlaps with [ours]"],
  ])("that %s does not stop a document, which says so", async (_name, traits, reason) => {
    await using engine = await searchEngine(traits);

    const delivery = await hallux(engine.url, { suffix: "none" }).tell(notificationOf());

    const [document] = engine.documents.get("falco-talon")?.values() ?? [];
    expect(delivery).toEqual(told);
    expect(document?.["note"]).toContain("the index template falco-talon could not be created: http://127.0.0.1");
    expect(document?.["note"]).toContain(reason);
  });

  it("that may not be created stops a data stream, which would become an index without it", async () => {
    await using engine = await searchEngine({ templatesForbidden: true });

    const delivery = await hallux(engine.url, { data_stream: true }).tell(notificationOf());

    expect(delivery).toMatchObject({ status: "failure", error: { code: "forbidden" } });
    expect(engine.documents.size).toBe(0);
  });

  it("is asked for again where the service did not answer", async () => {
    await using engine = await httpPeer(({ method }, response) => {
      const fails = engine.requests.length === 1;
      response.writeHead(fails ? 503 : method === "HEAD" ? 200 : 201).end();
    });
    const { tell } = hallux(engine.url);

    const deliveries = [await tell(notificationOf()), await tell(notificationOf()), await tell(notificationOf())];

    expect(deliveries).toMatchObject([{ status: "failure" }, told, told]);
    expect(engine.requests.map(({ method }) => method)).toEqual(["HEAD", "HEAD", "PUT", "PUT"]);
  });

  it("is there, too, where another Hallux was first", async () => {
    const statuses = [404, 400, 200, 201];
    await using engine = await httpPeer((_request, response) => response.writeHead(statuses.shift() ?? 500).end());

    const delivery = await hallux(engine.url).tell(notificationOf());

    expect(delivery).toEqual(told);
    expect(engine.requests.map(({ method }) => method)).toEqual(["HEAD", "PUT", "HEAD", "PUT"]);
    expect(engine.requests.at(-1)?.body).not.toContain('"note"');
  });
});

describe("access to Elasticsearch", () => {
  it.each([
    [{ user: "u", password: "p" }, `Basic ${Buffer.from("u:p").toString("base64")}`],
    [{ api_key: "a2V5" }, "ApiKey a2V5"],
    [{ custom_headers: { Authorization: "Bearer t" } }, "Bearer t"],
  ])("is by what the settings say: %j", async (settings, authorization) => {
    await using engine = await searchEngine({ authorization });

    const [delivery, denied] = [
      await hallux(engine.url, settings).tell(notificationOf()),
      await hallux(engine.url).tell(notificationOf()),
    ];

    expect(delivery).toEqual(told);
    expect(denied).toMatchObject({ status: "failure", error: { code: "forbidden" } });
  });

  it("keeps the path of the address", async () => {
    await using engine = await httpPeer((_request, response) => response.end());

    await hallux(`${engine.url}/search/`, { create_index_template: false }).tell(notificationOf());

    expect(engine.requests[0]?.url).toMatch(/^\/search\/falco-talon-2026\.11\.21\/_create\/[0-9a-f]{32}$/);
  });

  it.each([
    [{ user: "u" }, [{ setting: "user", message: '"user" needs "password" beside it' }]],
    [
      { user: "u", password: "p", api_key: "k" },
      [{ setting: "api_key", message: 'give "api_key", or "user" and "password", not both' }],
    ],
    [{ api_key: "k" }, []],
  ])("is checked: %j", (settings, faults) => {
    expect(elasticsearch.check?.(valuesOf({ url: "http://es:9200", ...settings }))).toEqual(faults);
  });

  it.each(["Upper", "-x", "a b", "_x", "a*", ""])("does not load the index %j", (index) => {
    expect(() => valuesOf({ url: "http://es:9200", index })).toThrow("index");
  });
});
