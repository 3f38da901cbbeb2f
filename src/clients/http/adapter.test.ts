import { readFileSync } from "node:fs";
import { createServer, type ServerResponse, validateHeaderName, validateHeaderValue } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { nobodysUrl } from "../../../test/support/free-ports.ts";
import { hang, httpPeer, type SeenRequest } from "../../../test/support/http-peer.ts";
import { ActionError } from "../../catalogue/errors.ts";
import { createHttp } from "./adapter.ts";
import { basicCredentials, type HttpRequest, headerFault, refusalOf, secretsIn } from "./port.ts";

const never = new AbortController().signal;

function post(url: string, traits: Partial<HttpRequest> = {}): HttpRequest {
  return { url: new URL(url), method: "POST", headers: {}, body: "{}", ...traits };
}

async function failureOf(promise: Promise<unknown>): Promise<ActionError> {
  const error = await promise.then(
    () => "it succeeded",
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ActionError)) {
    throw new Error(`not an ActionError: ${String(error)}`);
  }
  return error;
}

function passes(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

function answering(status: number, body = "", headers: Record<string, string> = {}) {
  return (_request: SeenRequest, response: ServerResponse) => {
    response.writeHead(status, headers).end(body);
  };
}

const fixtures = new URL("../../intake/fixtures/", import.meta.url);
const [cert, key, ca] = ["server.pem", "server-key.pem", "ca.pem"].map((name) =>
  readFileSync(new URL(name, fixtures), "utf8"),
);

/** A server of its own making, and its URL. */
async function listening(server: ReturnType<typeof createTcpServer>, scheme = "http"): Promise<string> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) {
      socket.destroy();
    }
    server.close();
  });
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("an HTTP request", () => {
  it("arrives as it was given, and its answer comes back whatever the status", async () => {
    await using peer = await httpPeer(answering(418, "short and stout", { "x-kind": "tea" }));

    const answer = await createHttp().real.send(
      post(`${peer.url}/pot?size=1`, { method: "PUT", headers: { "X-Team": "blue" }, body: Buffer.from("é") }),
      never,
    );

    expect(peer.requests[0]).toMatchObject({
      method: "PUT",
      url: "/pot?size=1",
      headers: { "x-team": "blue", "content-length": "2" },
      body: "é",
    });
    expect(answer).toMatchObject({ status: 418, body: "short and stout" });
    expect([answer.header("X-Kind"), answer.header("x-other")]).toEqual(["tea", undefined]);
  });

  it("shows the user and password of its URL, unless its headers have others", async () => {
    await using peer = await httpPeer(answering(200));
    const url = peer.url.replace("http://", "http://me:p%40ss@");
    const { real } = createHttp();

    await real.send(post(url), never);
    await real.send(post(url, { headers: { Authorization: "Bearer t" } }), never);

    expect(peer.requests.map(({ headers }) => headers.authorization)).toEqual([
      basicCredentials("me", "p@ss"),
      "Bearer t",
    ]);
  });

  it("goes over the connection that the one before it has left", async () => {
    let connections = 0;
    const server = createServer((_request, response) => response.end("ok"));
    server.on("connection", () => {
      connections += 1;
    });
    const url = await listening(server);
    const { real } = createHttp();

    await real.send(post(url), never);
    await real.send(post(url), never);

    expect(connections).toBe(1);
  });

  it.each(["X-Bad: 1\r\nX-Evil", "", "é"])("does not go with a header named %j", async (name) => {
    const error = await failureOf(
      createHttp().real.send(post("http://127.0.0.1:9", { headers: { [name]: "x" } }), never),
    );

    expect(error).toMatchObject({ code: "invalid", notBegun: true });
  });

  it.each([
    ["a\r\nX-Evil: 1", "character 2 of its value is a line break"],
    ["a\u0000", "character 2 of its value is U+0000"],
    ["🦅", "character 1 of its value is U+1F985"],
  ])("does not go with a header of the value %j, and does not show it", async (value, fault) => {
    const error = await failureOf(createHttp().real.send(post("http://127.0.0.1:9", { headers: { x: value } }), never));

    expect(error).toMatchObject({
      code: "invalid",
      message: `HTTP does not allow the header "x": ${fault}`,
      notBegun: true,
    });
    expect(error.cause).toBeUndefined();
  });

  it("goes with every header that Node would send, and with no other", () => {
    const all = Array.from({ length: 0x180 }, (_, code) => String.fromCodePoint(code));

    const names = all.filter((one) => headerFault(`x${one}`, "") === undefined);
    const values = all.filter((one) => headerFault("x", `a${one}`) === undefined);

    expect(names).toEqual(all.filter((one) => passes(() => validateHeaderName(`x${one}`))));
    expect(values).toEqual(all.filter((one) => passes(() => validateHeaderValue("x", `a${one}`))));
  });

  it.each(["Content-Length", "transfer-encoding", "Connection", "Trailer"])("keeps %s to itself", async (name) => {
    const error = await failureOf(
      createHttp().real.send(post("http://127.0.0.1:9", { headers: { [name]: "1" } }), never),
    );

    expect(error).toMatchObject({
      code: "invalid",
      message: `the header "${name.toLowerCase()}" cannot be set: leave it to Hallux`,
    });
  });
});

describe("an answer", () => {
  it("is read no further than its first 16 KiB", async () => {
    await using peer = await httpPeer((_request, response) => {
      response.on("drain", () => response.write("é".repeat(65_536)));
      response.write(`x${"é".repeat(65_536)}`);
    });

    const { body } = await createHttp().real.send(post(peer.url), never);

    expect(body).toBe(`x${"é".repeat(8191)}`);
  });

  it.each<[string, (response: ServerResponse) => void]>([
    ["breaks off", (response) => response.write("half", () => response.destroy())],
    ["does not end", (response) => response.write("half")],
  ])("counts where its body %s: the status has come", async (_, answer) => {
    await using peer = await httpPeer((_request, response) => {
      response.writeHead(200);
      answer(response);
    });

    const { status, body } = await createHttp().real.send(post(peer.url), never);

    expect({ status, body }).toEqual({ status: 200, body: "half" });
  });

  it("is not waited for beyond the signal", async () => {
    await using peer = await httpPeer((_request, response) => response.writeHead(200).write("half"));

    const error = await failureOf(createHttp().real.send(post(peer.url), AbortSignal.timeout(300)));

    expect(error.code).toBe("timeout");
  });
});

describe("where there is no answer", () => {
  it("nothing was sent if nobody listens, no such host is known, or TLS fails", async () => {
    const gone = { url: await nobodysUrl() };
    await using plain = await httpPeer(answering(200));
    const urls = [gone.url, "http://nowhere.invalid", plain.url.replace("http:", "https:")];

    const errors = await Promise.all(urls.map((url) => failureOf(createHttp().real.send(post(url), never))));

    expect(errors.map(({ code, notBegun }) => ({ code, notBegun }))).toEqual(
      urls.map(() => ({ code: "unavailable", notBegun: true })),
    );
    expect(errors[0]?.message).toBe(`${gone.url} does not answer: ECONNREFUSED`);
    expect(plain.requests).toEqual([]);
  });

  it("something may have been begun if the connection breaks after the request", async () => {
    await using peer = await httpPeer((_request, response) => response.socket?.resetAndDestroy());

    const error = await failureOf(createHttp().real.send(post(peer.url), never));

    expect(error).toMatchObject({ code: "unavailable", notBegun: false });
  });

  it("something may have been begun if the connection that breaks was kept from the request before", async () => {
    await using peer = await httpPeer(({ url }, response) =>
      url === "/first" ? response.end("ok") : response.socket?.resetAndDestroy(),
    );
    const { real } = createHttp();
    await real.send(post(`${peer.url}/first`), never);

    const error = await failureOf(real.send(post(`${peer.url}/second`), never));

    expect(error).toMatchObject({ code: "unavailable", notBegun: false });
  });

  it("nothing was sent if the request waited for a connection until the signal fired", async () => {
    await using peer = await httpPeer(hang);
    const { real } = createHttp();
    const ending = new AbortController();
    const all = Array.from({ length: 65 }, () => failureOf(real.send(post(peer.url), ending.signal)));
    await vi.waitFor(() => expect(peer.requests).toHaveLength(64), { timeout: 20_000 });

    ending.abort(new ActionError("interrupted", "Hallux is stopping"));
    const errors = await Promise.all(all);

    expect(errors.filter(({ notBegun }) => notBegun)).toHaveLength(1);
    expect(peer.requests).toHaveLength(64);
  });

  it("something may have been begun if the other side takes the connection for another protocol", async () => {
    const url = await listening(
      createTcpServer((socket) =>
        socket.once("data", () =>
          socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        ),
      ),
    );

    const error = await failureOf(createHttp().real.send(post(url), never));

    expect(error).toMatchObject({ code: "unavailable", notBegun: false });
  });

  it("the reason of the signal is told", async () => {
    const stopping = new AbortController();
    const reason = new ActionError("interrupted", "Hallux is stopping");
    await using peer = await httpPeer(() => stopping.abort(reason));

    const error = await failureOf(createHttp().real.send(post(peer.url), stopping.signal));

    expect(error).toBe(reason);
  });
});

describe("TLS", () => {
  it("needs a certificate that somebody known has signed, or the authority given", async () => {
    const url = await listening(
      createTlsServer({ cert, key }, (_request, response) => response.end("ok")),
      "https",
    );
    const { real } = createHttp();

    const trusted = await real.send(post(url, { ca }), never);
    const error = await failureOf(real.send(post(url), never));
    const garbled = await failureOf(real.send(post(url, { ca: "no certificate" }), never));

    expect(trusted.status).toBe(200);
    expect(error).toMatchObject({ code: "unavailable", notBegun: true });
    expect(error.message).toMatch(/UNABLE_TO_VERIFY|SELF_SIGNED|ISSUER/);
    expect(garbled.code).toBe("unavailable");
  });
});

describe("a denied address", () => {
  it.each(["127.0.0.1", "localhost"])(
    "is not connected to as %s, not even where a connection is open",
    async (host) => {
      await using peer = await httpPeer(answering(200));
      const url = peer.url.replace("127.0.0.1", host);
      const denied = ["127.0.0.0/8", "::1/128"];
      const { real } = createHttp();
      await real.send(post(url), never);

      const error = await failureOf(real.send(post(url, { denied }), never));

      expect(error).toMatchObject({ code: "forbidden", notBegun: true });
      expect(peer.requests).toHaveLength(1);
    },
  );
});

describe("a dry run", () => {
  it("connects, and sends nothing", async () => {
    const heard: unknown[] = [];
    let connections = 0;
    const server = createTcpServer((socket) => {
      connections += 1;
      socket.on("data", (part) => heard.push(part)).on("error", hang);
    });
    const url = await listening(server);

    const answer = await createHttp().dryRun.send(post(url), never);

    expect(answer.status).toBe(204);
    expect({ connections, heard }).toEqual({ connections: 1, heard: [] });
  });

  it("makes a connection of its own, though one is open", async () => {
    await using peer = await httpPeer(answering(200));
    const { real, dryRun } = createHttp();
    await real.send(post(peer.url), never);

    const answer = await dryRun.send(post(peer.url), never);

    expect(answer.status).toBe(204);
    expect(peer.requests).toHaveLength(1);
  });

  it("says that it could not", async () => {
    const gone = { url: await nobodysUrl() };

    const error = await failureOf(createHttp().dryRun.send(post(gone.url), never));

    expect(error.code).toBe("unavailable");
  });
});

describe("a refusal", () => {
  it("is told with the start of the answer, on one line and without secrets", () => {
    const url = new URL("https://me:pa55word@example.org/services/T0/s3cr3t?key=an0ther");
    const request = post(url.href, { secrets: secretsIn(url) });
    const body = `no\u001b[2J ${url.href}\n${basicCredentials("me", "pa55word")} pa55word s3cr3t an0ther ${"x".repeat(500)}`;
    const headers = new Map([["retry-after", "3"]]);

    const error = refusalOf(request, { status: 429, body, header: (name) => headers.get(name) });

    expect(error).toMatchObject({ code: "throttled", retryAfterMs: 3000, notBegun: true });
    expect(error.message).toMatch(
      /^https:\/\/example.org answered 429: no \[2J \[secret\] \[secret\] \[secret\] \[secret\] \[secret\] x+$/,
    );
    expect(error.message.length).toBeLessThan(250);
  });
});
