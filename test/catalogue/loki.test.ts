import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loki } from "../../notifiers/loki.ts";
import type { Notification } from "../../src/catalogue/catalogue.ts";
import { createHttp } from "../../src/clients/http/adapter.ts";
import type { Clients } from "../../src/clients/clients.ts";
import { compileFields } from "../../src/schema/read.ts";
import { type LokiServer, lokiBinary, startLoki, withoutLoki } from "../peers/loki.ts";
import { eventually, uniqueName } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { httpPeer } from "../support/http-peer.ts";
import { failureOf, hostileNotification } from "../support/notifier-contract.ts";
import { type NotificationTraits, notificationOf } from "../support/notifications.ts";

if (lokiBinary === undefined) {
  process.stderr.write(`${withoutLoki}\n`);
}

describe.skipIf(lokiBinary === undefined)("Loki", () => {
  let server: LokiServer;

  beforeAll(async () => {
    server = await startLoki(lokiBinary ?? "");
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  async function push(notification: Notification, settings: Readonly<Record<string, unknown>>): Promise<void> {
    const { values, problems } = compileFields(loki.settings).read({ url: server.url, ...settings });
    if (values === undefined) {
      throw new Error(JSON.stringify(problems));
    }
    const clients = { http: createHttp().real } as Clients;
    await loki.notify({ notification, settings: values, clients, signal: AbortSignal.timeout(60_000) });
  }

  function found(tenant: string, query = '{app="hallux"}') {
    return eventually(async () => {
      const entries = await server.query(query, tenant);
      return entries.length > 0 && entries;
    });
  }

  it("gives back what happened, by labels and by what stands in the line", async () => {
    const tenant = uniqueName("team");
    const event = eventOf({ pod: "shop/cart-1", fields: { "proc.cmdline": "nc -e /bin/sh" } });
    const notification = justNow({ event, outcome: { undo: "kubectl label pod cart-1 -n shop suspicious-" } });

    await push(notification, { tenant });

    const labels =
      '{app="hallux", status="success", rule="label_shells", actionner="kubernetes:label", priority="notice"}';
    const [entry, ...others] = await found(tenant, `${labels} | json | output_fields_proc_cmdline=~"nc .*"`);
    expect(others).toEqual([]);
    expect(entry?.at).toBe(`${Date.parse(notification.at)}000000`);
    expect(entry?.labels).toMatchObject({ target: "pod shop/cart-1", message: "pod labelled", service_name: "hallux" });
    expect(JSON.parse(entry?.line ?? "")).toMatchObject({ undo: "kubectl label pod cart-1 -n shop suspicious-" });
  });

  it("keeps what one tenant is told from the others", async () => {
    const [one, other] = [uniqueName("team"), uniqueName("team")];
    const notification = justNow();

    await push(notification, { tenant: one });

    expect(await found(one)).toHaveLength(1);
    expect(await server.query('{app="hallux"}', other)).toEqual([]);
  });

  it("has one entry of an outcome that is pushed again", async () => {
    const tenant = uniqueName("team");
    const notification = justNow();

    await push(notification, { tenant });
    await push(notification, { tenant });
    await push(justNow(), { tenant });

    expect(await found(tenant)).toHaveLength(2);
  });

  it("takes hostile and huge events, whole and as text", async () => {
    const tenant = uniqueName("team");
    const fields = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`f${n}`, '"\\'.repeat(5_000)]));
    const huge = eventOf({ fields, output: "é".repeat(500_000) });

    await push({ ...hostileNotification(), at: now() }, { tenant });
    await push(justNow({ event: huge }), { tenant });

    const entries = await found(tenant);
    expect(entries).toHaveLength(2);
    expect(entries.map(({ line }) => JSON.parse(line).status)).toEqual(["success", "success"]);
    expect(entries.filter(({ line }) => line.includes("\u001b") || line.includes("\u202e"))).toEqual([]);
  });

  it("refuses an entry that is too far behind, once and for all", async () => {
    const tenant = uniqueName("team");
    await push(justNow(), { tenant });

    const late = { ...notificationOf(), at: new Date(Date.now() - 4 * 3_600_000).toISOString() };
    const error = await failureOf(push(late, { tenant }));

    expect(error.code).toBe("invalid");
    expect(error.message).toContain("entry too far behind");
  });

  it("refuses who names no tenant", async () => {
    const error = await failureOf(push(justNow(), {}));

    expect(error).toMatchObject({ code: "forbidden", message: `${server.url} answered 401: no org id` });
  });

  it("is reached through a gateway that wants a user, and not without", async () => {
    const tenant = uniqueName("team");
    const authorization = `Basic ${Buffer.from("hallux:k3y").toString("base64")}`;
    await using gateway = await httpPeer(async ({ url, headers, body }, response) => {
      if (headers.authorization !== authorization) {
        response.writeHead(401).end(`bad credentials: ${headers.authorization}`);
        return;
      }
      const passed = { "content-type": "application/json", "x-scope-orgid": String(headers["x-scope-orgid"]) };
      const answer = await fetch(`${server.url}${url}`, { method: "POST", headers: passed, body });
      response.writeHead(answer.status).end(await answer.text());
    });

    await push(justNow(), { url: gateway.url, user: "hallux", api_key: "k3y", tenant });
    const error = await failureOf(push(justNow(), { url: gateway.url, user: "hallux", api_key: "wr0ng-key", tenant }));

    expect(await found(tenant)).toHaveLength(1);
    expect(error).toMatchObject({
      code: "forbidden",
      message: `${gateway.url} answered 401: bad credentials: [secret]`,
    });
  });
});

function now(): string {
  return new Date().toISOString();
}

function justNow(traits: NotificationTraits = {}): Notification {
  return { ...notificationOf(traits), at: now() };
}
