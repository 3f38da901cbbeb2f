import type { ServerResponse } from "node:http";
import { describe, expect, it } from "vitest";
import type { Notification } from "../src/catalogue/catalogue.ts";
import { ActionError } from "../src/catalogue/errors.ts";
import type { Clients } from "../src/clients/clients.ts";
import { createHttp } from "../src/clients/http/adapter.ts";
import { parseJson } from "../src/events/json.ts";
import { compileFields } from "../src/schema/read.ts";
import { eventOf } from "../test/support/events.ts";
import { nobodysUrl } from "../test/support/free-ports.ts";
import { hang, httpPeer, type SeenRequest } from "../test/support/http-peer.ts";
import { notificationOf } from "../test/support/notifications.ts";
import { webhook } from "./webhook.ts";

interface Traits {
  readonly notification?: Notification;
  readonly signal?: AbortSignal;
}

async function notify(settings: Readonly<Record<string, unknown>>, traits: Traits = {}): Promise<void> {
  const { values, problems } = compileFields(webhook.settings).read(settings);
  if (values === undefined) {
    throw new Error(problems.map(({ message }) => message).join());
  }
  await webhook.notify({
    notification: traits.notification ?? notificationOf(),
    settings: values,
    clients: { http: createHttp().real } as Clients,
    signal: traits.signal ?? new AbortController().signal,
  });
}

async function failureOf(promise: Promise<unknown>): Promise<ActionError> {
  const error = await promise.catch((thrown: unknown) => thrown);
  if (!(error instanceof ActionError)) {
    throw new Error(`not an ActionError: ${String(error)}`);
  }
  return error;
}

function answering(status: number, body = "", headers: Record<string, string> = {}) {
  return (_request: SeenRequest, response: ServerResponse) => {
    response.writeHead(status, headers).end(body);
  };
}

describe("webhook", () => {
  it("posts the event as it was sent, what was done and how it ended", async () => {
    await using peer = await httpPeer(answering(204));
    const event = eventOf({ fields: { "evt.time": parseJson("1763689041886038257") } });
    const notification = notificationOf({ event });

    await notify({ url: `${peer.url}/hook?token=t` }, { notification });

    const [request] = peer.requests;
    expect(request).toMatchObject({
      method: "POST",
      url: "/hook?token=t",
      headers: { "content-type": "application/json", "user-agent": "hallux" },
    });
    expect(request?.body).toContain('"evt.time":1763689041886038257');
    expect(JSON.parse(request?.body ?? "")).toMatchObject({
      event: { rule: event.rule, uuid: event.uuid },
      rule: { name: notification.rule.name },
      action: { name: notification.action.name, actionner: "kubernetes:label" },
      response: notification.response,
      outcome: { status: "success", message: "pod labelled" },
      at: notification.at,
    });
  });

  it("names everything as the read API does", async () => {
    await using peer = await httpPeer(answering(200));
    const notification = notificationOf({});

    await notify({ url: peer.url }, { notification });

    const { event: _, ...told } = JSON.parse(peer.requests[0]?.body ?? "");
    expect(told.outcome.duration_ms).toBe(notification.outcome.durationMs);
    expect(JSON.stringify(told)).not.toMatch(/"\w*[A-Z]\w*":/);
  });

  it("sends what the settings say", async () => {
    await using peer = await httpPeer(answering(200));

    await notify({
      url: peer.url,
      http_method: "PUT",
      user_agent: "falco-talon",
      content_type: "application/vnd.x+json",
      custom_headers: { Authorization: "Bearer t", "X-Team": "blue" },
    });

    expect(peer.requests[0]).toMatchObject({
      method: "PUT",
      headers: {
        "content-type": "application/vnd.x+json",
        "user-agent": "falco-talon",
        authorization: "Bearer t",
        "x-team": "blue",
      },
    });
  });

  it("takes a URL with its scheme in capitals", async () => {
    await using peer = await httpPeer(answering(200));

    await notify({ url: `${peer.url.replace("http", "HTTP")}/hook` });

    expect(peer.requests[0]?.url).toBe("/hook");
  });

  it("sends the user and password of the URL as basic authentication", async () => {
    await using peer = await httpPeer(answering(200));

    await notify({ url: peer.url.replace("http://", "http://me:p%40ss@") });

    expect(peer.requests[0]?.headers.authorization).toBe(`Basic ${Buffer.from("me:p@ss").toString("base64")}`);
  });

  it("takes a percent sign in the URL's password for itself where it escapes nothing", async () => {
    await using peer = await httpPeer(answering(200));

    await notify({ url: peer.url.replace("http://", "http://me:100%20%!%ff@") });

    expect(peer.requests[0]?.headers.authorization).toBe(`Basic ${Buffer.from("me:100 %!\ufffd").toString("base64")}`);
  });

  it("carries hostile text as data", async () => {
    await using peer = await httpPeer(answering(200));
    const cmdline = '"},\r\nX-Evil: 1\r\n\r\n\u0000\u001b[2J\u202e`$(id)`';

    await notify(
      { url: peer.url },
      { notification: notificationOf({ event: eventOf({ fields: { "proc.cmdline": cmdline } }) }) },
    );

    const body = JSON.parse(peer.requests[0]?.body ?? "");
    expect(body.event.output_fields["proc.cmdline"]).toBe(cmdline);
    expect(peer.requests[0]?.headers).not.toHaveProperty("x-evil");
  });

  it("sends what a template says, values escaped to stand between its quotes", async () => {
    await using peer = await httpPeer(answering(200));
    const event = eventOf({ fields: { "proc.cmdline": '"},\n{"x":"' } });
    const template = '{"text": "{{ rule.name }}: {{ event.fields["proc.cmdline"] }}", "tags": {{ event.tags | json }}}';

    await notify({ url: peer.url, template }, { notification: notificationOf({ event }) });

    expect(JSON.parse(peer.requests[0]?.body ?? "")).toEqual({
      text: 'Label shells: "},\n{"x":"',
      tags: ["container", "shell"],
    });
  });

  it("sends a template's plain text where the content type is not JSON", async () => {
    await using peer = await httpPeer(answering(200));

    await notify({ url: peer.url, content_type: "text/plain", template: "{{ headline }}" });

    expect(peer.requests[0]?.body).toBe("Done: kubernetes:label on pod shop/cart-1");
  });

  it("sends its own body with a note where the template gives no JSON", async () => {
    await using peer = await httpPeer(answering(200));

    await notify({ url: peer.url, template: "{{ headline }}" });

    expect(JSON.parse(peer.requests[0]?.body ?? "")).toMatchObject({
      outcome: { status: "success" },
      note: expect.stringMatching(/^the template failed, this is the default text: /),
    });
  });

  it.each([
    [400, "invalid"],
    [401, "forbidden"],
    [404, "not_found"],
    [500, "unavailable"],
  ])("fails where the answer is %i", async (status, code) => {
    await using peer = await httpPeer(answering(status, "the\nreason"));

    const error = await failureOf(notify({ url: `${peer.url}/secret-path` }));

    expect(error.code).toBe(code);
    expect(error.message).toBe(`${peer.url} answered ${status}: the reason`);
  });

  it("says how long to wait where it is throttled", async () => {
    await using peer = await httpPeer(answering(429, "", { "retry-after": "7" }));

    const error = await failureOf(notify({ url: peer.url }));

    expect(error).toMatchObject({ code: "throttled", retryAfterMs: 7000, message: `${peer.url} answered 429` });
  });

  it("does not follow a redirect", async () => {
    await using elsewhere = await httpPeer(answering(200));
    await using peer = await httpPeer(answering(307, "", { location: elsewhere.url }));

    const error = await failureOf(notify({ url: peer.url }));

    expect(error.message).toBe(`${peer.url} answered 307: redirects are not followed, give the final URL`);
    expect(elsewhere.requests).toEqual([]);
  });

  it("never repeats a secret that the other side repeats", async () => {
    await using peer = await httpPeer((request, response) =>
      response
        .writeHead(400)
        .end(`got ${request.headers.authorization} at http://${request.headers.host}${request.url}`),
    );

    const error = await failureOf(
      notify({ url: `${peer.url}/hook/s3cr3t`, custom_headers: { authorization: "Bearer t0k3n" } }),
    );

    expect(error.message).toBe(`${peer.url} answered 400: got [secret] at [secret]`);
  });

  it.each([
    ["Cannot POST /services/T0/s3cr3t%20token?key=an0ther", "Cannot POST [secret]"],
    ["no hook s3cr3t%20token", "no hook [secret]"],
    ["no hook s3cr3t token", "no hook [secret]"],
    ["no key an0ther", "no key [secret]"],
  ])("never repeats the secret in a URL of which the other side says %j", async (answer, words) => {
    await using peer = await httpPeer(answering(404, answer));

    const error = await failureOf(notify({ url: `${peer.url}/services/T0/s3cr3t%20token?key=an0ther` }));

    expect(error.message).toBe(`${peer.url} answered 404: ${words}`);
  });

  it("never repeats the rest of a secret that begins like another", async () => {
    await using peer = await httpPeer(answering(404, "no hook team-blue-t0k3n"));

    const error = await failureOf(notify({ url: `${peer.url}/team-blue/team-blue-t0k3n` }));

    expect(error.message).toBe(`${peer.url} answered 404: no hook [secret]`);
  });

  it("never repeats a word of a secret header", async () => {
    await using peer = await httpPeer(answering(401, "t0k3n123 has expired"));

    const error = await failureOf(notify({ url: peer.url, custom_headers: { authorization: "Bearer t0k3n123" } }));

    expect(error.message).toBe(`${peer.url} answered 401: [secret] has expired`);
  });

  it("names a header that HTTP does not allow, and not its value", async () => {
    const error = await failureOf(
      notify({ url: "http://127.0.0.1:9", custom_headers: { "X-Broken": "s3cr3t\r\nX-Evil: 1" } }),
    );

    const message = 'HTTP does not allow the header "x-broken": character 7 of its value is a line break';
    expect(error).toMatchObject({ code: "invalid", message });
    expect(error.cause).toBeUndefined();
  });

  it("reads only the start of an endless answer", async () => {
    await using peer = await httpPeer((_request, response) => {
      response.writeHead(503);
      response.on("drain", () => response.write("x".repeat(65_536)));
      response.write("x".repeat(65_536));
    });

    const error = await failureOf(notify({ url: peer.url }));

    expect(error.message).toBe(`${peer.url} answered 503: ${"x".repeat(200)}`);
  });

  it("ends where the other side hangs", async () => {
    await using peer = await httpPeer(hang);

    const error = await failureOf(notify({ url: peer.url }, { signal: AbortSignal.timeout(100) }));

    expect(error.code).toBe("timeout");
  });

  it("is unavailable where nobody listens", async () => {
    const gone = { url: await nobodysUrl() };

    const error = await failureOf(notify({ url: gone.url }));

    expect(error).toMatchObject({ code: "unavailable", message: `${gone.url} does not answer: ECONNREFUSED` });
  });

  it.each(["", "example.org/hook", "ftp://example.org", "http://"])("does not load the URL %j", async (url) => {
    await expect(notify({ url })).rejects.toThrow('"url" must be');
  });
});
