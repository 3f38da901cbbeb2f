import { createHmac } from "node:crypto";
import type { LookupAddress } from "node:dns";
import { readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type LookupFunction, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { call } from "../../actionners/http/call.ts";
import { createHttp } from "../../src/clients/http/adapter.ts";
import type { Http, HttpRequest } from "../../src/clients/http/port.ts";
import { parseJson } from "../../src/events/json.ts";
import { compileFields } from "../../src/schema/read.ts";
import { auditEventOf, eventOf } from "../support/events.ts";
import { nobodysUrl } from "../support/free-ports.ts";
import { type HttpPeer, httpPeer, type SeenRequest } from "../support/http-peer.ts";
import { failureOf, type RunAlone, runAlone } from "../support/run-alone.ts";
import { until } from "../support/until.ts";
import { type Workplace, workplace } from "../support/workplace.ts";

const fixtures = new URL("../../src/intake/fixtures/", import.meta.url);
const event = eventOf({ pod: "shop/cart-1", fields: { "evt.time": parseJson("1763689041886038257") } });
/** The peers of the tests are on the loopback, which is denied by default. */
const reachable = { deny_cidr: ["169.254.0.0/16"] };

let files: Workplace;

beforeEach(() => {
  files = workplace({ token: "Bearer t0ken-of-the-file\n", key: "the key\n", empty: "\n", long: "x".repeat(65_537) });
});
afterEach(() => files[Symbol.dispose]());

interface Traits extends Partial<Omit<RunAlone, "params" | "clients">> {
  readonly lookup?: LookupFunction;
}

function run(params: Readonly<Record<string, unknown>>, { lookup, ...traits }: Traits = {}) {
  const http = createHttp({ lookup })[traits.dryRun ? "dryRun" : "real"];
  return runAlone(call, { event, ...traits, params: { ...reachable, ...params }, clients: { http } });
}

function answering(status: number, body = "", headers: Record<string, string> = {}) {
  return (_request: SeenRequest, response: ServerResponse) => void response.writeHead(status, headers).end(body);
}

/** A server on an address of its own, which counts its connections. */
async function listening(
  server: Server,
  host: string,
  port = 0,
): Promise<{ readonly port: number; connections: number }> {
  const state = { port: 0, connections: 0 };
  server.on("connection", (socket) => {
    state.connections += 1;
    onTestFinished(() => void socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  onTestFinished(() => void server.close());
  state.port = (server.address() as AddressInfo).port;
  return state;
}

/** A DNS that gives each answer once, and the last one for ever; and how often it was asked. */
function dns(...answers: readonly (readonly string[])[]) {
  const state = { asked: 0 };
  const lookup: LookupFunction = (_name, { all }, done) => {
    const addresses: LookupAddress[] = (answers[Math.min(state.asked, answers.length - 1)] ?? []).map((address) => ({
      address,
      family: address.includes(":") ? 6 : 4,
    }));
    state.asked += 1;
    const [first] = addresses;
    done(null, all ? addresses : (first?.address ?? ""), first?.family);
  };
  return { state, lookup };
}

describe("http:call", () => {
  it("posts the event as it came, with the facts as its context", async () => {
    await using peer = await httpPeer(answering(200, "isolated"));

    const outcome = await run({ url: `${peer.url}/fn/isolate?mode=hard` }, { facts: { "node.hostname": "n1" } });

    expect(outcome).toEqual({
      status: "success",
      summary: `${peer.url} called`,
      objects: { service: peer.url, status: "200" },
      text: "isolated",
    });
    const [request] = peer.requests;
    expect(request).toMatchObject({ method: "POST", url: "/fn/isolate?mode=hard" });
    expect(request?.headers).toMatchObject({ "content-type": "application/json", "user-agent": "hallux" });
    expect(request?.body).toBe(JSON.stringify({ ...event.sent, context: { "node.hostname": "n1" } }));
    expect(request?.body).toContain('"evt.time":1763689041886038257');
  });

  it("sends headers as given, and secret ones from files", async () => {
    await using peer = await httpPeer(answering(204));

    await run({
      url: peer.url,
      method: "PUT",
      headers: { "Content-Type": "application/vnd.shop+json", "X-Team": "blue" },
      header_files: { Authorization: files.path("token") },
    });

    expect(peer.requests[0]).toMatchObject({
      method: "PUT",
      headers: {
        "content-type": "application/vnd.shop+json",
        "x-team": "blue",
        authorization: "Bearer t0ken-of-the-file",
      },
    });
  });

  it.each([
    ["X-Hub-Signature-256", {}],
    ["X-Signature", { hmac_header: "X-Signature" }],
  ])("signs the body as GitHub does, in %s", async (header, parameters) => {
    await using peer = await httpPeer(answering(202));

    await run({ url: peer.url, hmac_key_file: files.path("key"), ...parameters });

    const [request] = peer.requests;
    const expected = createHmac("sha256", "the key")
      .update(request?.body ?? "")
      .digest("hex");
    expect(request?.headers[header.toLowerCase()]).toBe(`sha256=${expected}`);
  });

  it("sends an event of 1 MB", async () => {
    await using peer = await httpPeer(answering(200));
    const large = eventOf({ fields: { "proc.cmdline": "é".repeat(500_000) } });

    await run({ url: peer.url }, { event: large });

    expect(JSON.parse(peer.requests[0]?.body ?? "")).toMatchObject({
      output_fields: { "proc.cmdline": "é".repeat(500_000) },
    });
  });

  it("trusts the authority in ca_file, and without it no unknown one", async () => {
    const [cert, key] = ["server.pem", "server-key.pem"].map((name) => readFileSync(new URL(name, fixtures)));
    const { port } = await listening(
      createTlsServer({ cert, key }, (_request, response) => void response.end("ok")),
      "127.0.0.1",
    );
    const url = `https://localhost:${port}`;

    const outcome = await run({ url, ca_file: new URL("ca.pem", fixtures).pathname });
    const error = await failureOf(run({ url }));

    expect(outcome).toMatchObject({ status: "success", text: "ok" });
    expect(error).toMatchObject({ code: "unavailable", notBegun: true });
  });
});

describe("a CloudEvent", () => {
  const attributes = {
    specversion: "1.0",
    id: event.id,
    source: "https://falco.org",
    type: "falco.rule.output.v1",
    subject: "namespaces/shop/pods/cart-1",
    time: event.time,
  };

  it("is one JSON text in structured mode", async () => {
    await using peer = await httpPeer(answering(202));

    await run({ url: peer.url, format: "cloudevents-structured" });

    const [request] = peer.requests;
    expect(request?.headers["content-type"]).toBe("application/cloudevents+json; charset=utf-8");
    expect(request?.body).toBe(
      JSON.stringify({ ...attributes, datacontenttype: "application/json", data: { ...event.sent, context: {} } }),
    );
  });

  it("has its attributes in headers in binary mode, and no ce-datacontenttype", async () => {
    await using peer = await httpPeer(answering(202));

    await run({ url: peer.url, format: "cloudevents-binary" });

    const [request] = peer.requests;
    const headers = Object.entries(request?.headers ?? {}).filter(([name]) => name.startsWith("ce-"));
    expect(Object.fromEntries(headers)).toEqual(
      Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`ce-${name}`, value])),
    );
    expect(request?.headers["content-type"]).toBe("application/json");
    expect(request?.body).toBe(JSON.stringify({ ...event.sent, context: {} }));
  });

  it.each([
    [
      "the object of an audit event",
      auditEventOf("configmaps", "shop/settings"),
      "namespaces/shop/configmaps/settings",
    ],
    ["one of the whole cluster", auditEventOf("clusterroles", "system:admin"), "clusterroles/system:admin"],
    [
      "one whose name is not ASCII",
      auditEventOf("clusterroles", 'Euro"€😀'),
      "clusterroles/Euro%22%E2%82%AC%F0%9F%98%80",
    ],
    ["nothing", eventOf(), undefined],
    ["a pod that there cannot be", eventOf({ pod: "shop/x\r\nce-type: forged" }), undefined],
  ])("is about %s", async (_what, about, subject) => {
    await using peer = await httpPeer(answering(202));

    await run({ url: peer.url, format: "cloudevents-binary" }, { event: about });

    expect(peer.requests[0]?.headers["ce-subject"]).toBe(subject);
    expect(peer.requests[0]?.headers["ce-type"]).toBe("falco.rule.output.v1");
  });
});

describe("the time of a CloudEvent", () => {
  it.each(["cloudevents-binary", "cloudevents-structured"])(
    "is no longer than nanoseconds make it (%s)",
    async (format) => {
      await using peer = await httpPeer(answering(202));
      const about = { ...eventOf(), time: `2026-11-21T10:00:00.${"1".repeat(100_000)}Z` };

      await run({ url: peer.url, format }, { event: about });

      const [request] = peer.requests;
      const time = request?.headers["ce-time"] ?? JSON.parse(request?.body ?? "").time;
      expect(time).toBe("2026-11-21T10:00:00.111111111Z");
    },
  );
});

describe("an answer", () => {
  it.each([
    [["2xx"], 204, true],
    [["202"], 202, true],
    [["202"], 200, false],
    [["200", "3xx"], 302, true],
    [["2xx", "409"], 409, true],
    [["2xx"], 500, false],
  ])("is judged by expected_statuses: %j and %i", async (expected_statuses, status, good) => {
    await using peer = await httpPeer(answering(status));

    const outcome = await run({ url: peer.url, expected_statuses }).catch(() => undefined);

    expect(outcome?.status).toBe(good ? "success" : undefined);
  });

  it.each([
    [400, "invalid", true],
    [401, "forbidden", true],
    [404, "not_found", true],
    [409, "conflict", true],
    [429, "throttled", true],
    [500, "unavailable", false],
    [503, "unavailable", false],
  ])("of status %i is a failure with the start of what it says: %s", async (status, code, notBegun) => {
    await using peer = await httpPeer(answering(status, `no\n${"x".repeat(9_000)}`, { "retry-after": "4" }));

    const error = await failureOf(run({ url: peer.url }));

    expect(error).toMatchObject({ code, notBegun, retryAfterMs: 4000 });
    expect(error.message).toMatch(new RegExp(`^${peer.url} answered ${status}: no x{100,200}$`));
    expect(peer.requests).toHaveLength(1);
  });

  it("that redirects is not followed", async () => {
    await using elsewhere = await httpPeer(answering(200));
    await using peer = await httpPeer(answering(307, "", { location: elsewhere.url }));

    const error = await failureOf(run({ url: peer.url }));

    expect(error.message).toContain("redirects are not followed");
    expect(elsewhere.requests).toEqual([]);
  });

  it.each([200, 400])("of status %i that repeats the secrets of the request shows none", async (status) => {
    await using peer = await httpPeer(({ url, headers }, response) => {
      response.writeHead(status).end(`got ${headers.authorization} at ${url}, t0ken-of-the-file`);
    });

    const told = await run({
      url: `${peer.url}/fn/isolate?code=an0ther`,
      header_files: { authorization: files.path("token") },
    }).then(
      (result) => JSON.stringify(result),
      (error: Error) => error.message,
    );

    expect(told).toContain("got [secret] at /fn/isolate?code=[secret], [secret]");
    expect(told).not.toMatch(/t0ken|an0ther/);
  });

  it("that does not come in time is a timeout, and the connection is closed", async () => {
    const closed = Promise.withResolvers<string>();
    await using peer = await httpPeer((_request, response) => {
      response.on("close", () => closed.resolve("closed"));
    });

    const error = await failureOf(run({ url: peer.url, timeout_seconds: 3 }));

    expect(error).toMatchObject({ code: "timeout", notBegun: false });
    await expect(closed.promise).resolves.toBe("closed");
  });

  it("that never can come, for there is no connection, is a call not begun", async () => {
    const { port } = await listening(createTcpServer(), "127.0.0.1");
    const gone = { url: await nobodysUrl() };

    const silent = await failureOf(run({ url: `https://127.0.0.1:${port}` }, { signal: AbortSignal.timeout(300) }));
    const refused = await failureOf(run({ url: gone.url }));

    expect(silent).toMatchObject({ code: "timeout", notBegun: true });
    expect(refused).toMatchObject({ code: "unavailable", notBegun: true });
  });
});

describe("a denied address", () => {
  let peer: HttpPeer;
  let port: string;

  beforeEach(async () => {
    peer = await httpPeer(answering(200));
    ({ port } = new URL(peer.url));
  });
  afterEach(() => peer[Symbol.asyncDispose]());

  it.each([
    "127.0.0.1",
    "127.1",
    "localhost",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "0.0.0.0",
    "0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    "169.254.169.254",
    "[fe80::a9fe:a9fe]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "168.63.129.16",
    "①②⑦.0.0.1",
  ])("is not connected to by default, written as %s", async (host) => {
    const error = await failureOf(
      runAlone(call, { params: { url: `http://${host}:${port}` }, clients: { http: createHttp().real } }),
    );

    expect(error).toMatchObject({ code: "forbidden", notBegun: true });
    expect(error.message).toMatch(/^http:\/\/.* is at an address that is denied/);
    expect(peer.requests).toEqual([]);
  });

  it.each([
    ["alone", ["127.0.0.1"]],
    ["mapped", ["::ffff:127.0.0.1"]],
    ["among others that are denied", ["169.254.169.254", "127.0.0.1", "::1"]],
  ])("is not connected to by a name that leads there: %s", async (_how, addresses) => {
    const { lookup } = dns(addresses);

    const error = await failureOf(
      runAlone(call, {
        params: { url: `http://function.example:${port}` },
        clients: { http: createHttp({ lookup }).real },
      }),
    );

    expect(error).toMatchObject({ code: "forbidden", notBegun: true });
    expect(peer.requests).toEqual([]);
  });

  it("is not connected to in place of one that refuses, and the call is not begun", async () => {
    const { lookup } = dns(["127.0.0.3", "127.0.0.1"]);
    const params = { url: `http://function.example:${port}`, deny_cidr: ["127.0.0.1/32"] };

    const error = await failureOf(runAlone(call, { params, clients: { http: createHttp({ lookup }).real } }));

    expect(error).toMatchObject({ code: "unavailable", notBegun: true });
    expect(peer.requests).toEqual([]);
  });

  it("is not connected to by a name that led elsewhere before", async () => {
    const serving = () => createServer((_request, response) => void response.end());
    const trap = await listening(serving(), "127.0.0.1");
    const bait = await listening(serving(), "127.0.0.2", trap.port);
    const { lookup, state } = dns(["127.0.0.2"], ["127.0.0.1"]);
    const http = createHttp({ lookup }).real;
    const params = { url: `http://function.example:${bait.port}`, deny_cidr: ["127.0.0.1/32"] };

    const first = await runAlone(call, { params, clients: { http } });
    const second = await failureOf(runAlone(call, { params, clients: { http } }));

    expect(first).toMatchObject({ status: "success" });
    expect(second).toMatchObject({ code: "forbidden", notBegun: true });
    const connections = { baited: bait.connections, trapped: trap.connections };
    expect({ asked: state.asked, ...connections }).toEqual({ asked: 2, baited: 1, trapped: 0 });
  });

  it("is not reached over a connection that another call left open", async () => {
    const http = createHttp().real;
    await runAlone(call, { params: { url: peer.url, deny_cidr: [] }, clients: { http } });

    const error = await failureOf(runAlone(call, { params: { url: peer.url }, clients: { http } }));

    expect(error.code).toBe("forbidden");
    expect(peer.requests).toHaveLength(1);
  });

  it("is not connected to in a dry run either", async () => {
    const error = await failureOf(
      runAlone(call, { params: { url: peer.url }, clients: { http: createHttp().dryRun }, dryRun: true }),
    );

    expect(error.code).toBe("forbidden");
  });

  it("is one's own to choose", async () => {
    const outcome = await run({ url: peer.url, deny_cidr: ["10.0.0.0/8"] });

    expect(outcome).toMatchObject({ status: "success" });
  });
});

describe("a dry run", () => {
  it("connects and sends nothing", async () => {
    const heard: unknown[] = [];
    const server = createTcpServer((socket) => void socket.on("data", (part) => heard.push(part)));
    const state = await listening(server, "127.0.0.1");

    const params = { url: `http://127.0.0.1:${state.port}`, expected_statuses: ["202"] };
    const outcome = await run(params, { dryRun: true });

    expect(outcome).toMatchObject({ status: "success" });
    await until("the connection has arrived", () => state.connections > 0);
    expect({ connections: state.connections, heard }).toEqual({ connections: 1, heard: [] });
  });

  it("finds out that a file is missing or that nobody listens", async () => {
    const gone = { url: await nobodysUrl() };

    const missing = await failureOf(run({ url: gone.url, hmac_key_file: "/nonexistent" }, { dryRun: true }));
    const refused = await failureOf(run({ url: gone.url }, { dryRun: true }));

    expect(missing.message).toBe(
      "the file /nonexistent cannot be read: there is no such file on the machine that Hallux runs on; mount it there",
    );
    expect(refused.code).toBe("unavailable");
  });
});

describe("parameters", () => {
  it.each([
    ["a user in the URL", { url: "https://me@example.org" }, "url holds a user or a password"],
    ["a password in the URL", { url: "https://me:pa55word@example.org" }, "url holds a user or a password"],
    ["a relative path", { header_files: { a: "token" } }, "header_files: token is not an absolute path"],
    ["a header twice", { headers: { A: "1" }, header_files: { a: "/t" } }, "the header a is given twice"],
    ["a header that HTTP has no name for", { headers: { "x a": "1" } }, 'HTTP does not allow the header "x…": a blank'],
    ["a header of two lines", { headers: { a: "1\r\nb: 2" } }, 'HTTP does not allow the header "a"'],
    ["a header of the client's own", { header_files: { Connection: "/t" } }, 'the header "Connection" cannot be set'],
    [
      "the signature's header twice",
      { headers: { Signature: "1" }, hmac_key_file: "/k", hmac_header: "signature" },
      "the header signature is given twice",
    ],
  ])("that hold %s do not load, and the fault shows no secret", (_what, given, fault) => {
    const { values } = compileFields(call.params).read({ url: "http://example.org", ...given });

    const told = values && call.check?.(values);

    expect(told).toContain(fault);
    expect(told).not.toContain("pa55word");
  });

  it.each([
    { url: "ftp://example.org" },
    { url: "example.org" },
    { method: "GET" },
    { format: "xml" },
    { expected_statuses: [] },
    { expected_statuses: ["20"] },
    { timeout_seconds: 0 },
    { deny_cidr: ["localhost"] },
    { hmac_key_file: "key" },
  ])("that make no sense do not load: %j", (given) => {
    const { values } = compileFields(call.params).read({ url: "http://example.org", ...given });

    expect(values).toBeUndefined();
  });

  it.each([
    ["is empty", "empty"],
    ["is longer than 64 KiB", "long"],
    ["it is not a regular file", "."],
  ])("that name a file which cannot be used fail the call before it begins: %s", async (fault, file) => {
    await using peer = await httpPeer(answering(200));

    const error = await failureOf(run({ url: peer.url, header_files: { a: files.path(file) } }));

    expect(error).toMatchObject({ code: "invalid", notBegun: true });
    expect(error.message).toContain(fault);
    expect(peer.requests).toEqual([]);
  });

  it.each([
    ["a line break", { headers: { "x-a": "1\r\nx-evil: 1" } }, 'HTTP does not allow the header "x-a"'],
    ["a name that is none", { headers: { "x a": "1" } }, 'HTTP does not allow the header "x…": a blank'],
    ["what says where the request ends", { headers: { "Transfer-Encoding": "chunked" } }, "cannot be set"],
  ])("with headers that hold %s send nothing", async (_what, given, fault) => {
    await using peer = await httpPeer(answering(200));

    const error = await failureOf(run({ url: peer.url, ...given }));

    expect(error).toMatchObject({ code: "invalid", notBegun: true });
    expect(error.message).toContain(fault);
    expect(peer.requests).toEqual([]);
  });
});

describe("an example", () => {
  /** HTTP, behind our own port: keeps what it was asked to send. */
  function recording(status: number): { readonly http: Http; readonly requests: HttpRequest[] } {
    const requests: HttpRequest[] = [];
    const http: Http = {
      async send(request) {
        requests.push(request);
        return { status, header: () => undefined, body: "" };
      },
    };
    return { http, requests };
  }

  it.each(call.examples.map(({ title, parameters }) => [title, parameters] as const))("works: %s", async (_, given) => {
    const { http, requests } = recording(202);
    const mounted = JSON.parse(
      JSON.stringify(given).replaceAll(/\/etc\/hallux\/secrets\/[a-z-]+/g, files.path("token")),
    );

    const outcome = await runAlone(call, { event, params: mounted, clients: { http } });

    expect(outcome).toMatchObject({ status: "success", objects: { status: "202" } });
    expect(requests).toHaveLength(1);
    expect(requests[0]?.body).toContain("Terminal shell in container");
  });
});
