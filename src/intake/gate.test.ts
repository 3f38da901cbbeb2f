import { once } from "node:events";
import { request } from "node:https";
import { connect, type TLSSocket } from "node:tls";
import { describe, expect, it, onTestFinished } from "vitest";
import { Secret } from "../schema/secret.ts";
import { isOpenToAll, type IntakeSettings } from "./intake.ts";
import { anEvent, exchange, fixture, startIntake } from "./testing.ts";

const token = "t0ken-of-falco";
const password = "pass:word";
const pathSecret = "s3cret/päth";

const bearer = { bearerToken: new Secret(token) };
const basic = { basic: { user: "falco", password: new Secret(password) } };
const byPath = { pathSecret: new Secret(pathSecret) };

describe("without authentication", () => {
  it("takes events from everyone, whatever they present", async () => {
    const { url } = await startIntake();

    expect(await statusOf(url)).toBe(202);
    expect(await statusOf(url, { authorization: "Bearer whatever" })).toBe(202);
  });
});

describe("a bearer token", () => {
  it.each([`Bearer ${token}`, `bearer ${token}`, `BEARER  ${token}`])("lets an event in: %s", async (authorization) => {
    const { url } = await startIntake({ settings: { auth: bearer } });

    expect(await statusOf(url, { authorization })).toBe(202);
  });

  it.each([
    undefined,
    "",
    "Bearer",
    "Bearer ",
    `Bearer ${token}x`,
    `Bearer ${token.slice(1)}`,
    token,
    `Basic ${token}`,
  ])("keeps an event out: %s", async (authorization) => {
    const { url, events, counted, lines } = await startIntake({ settings: { auth: bearer } });

    const response = await post(url, authorization === undefined ? {} : { authorization });

    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toBe('Bearer realm="hallux"');
    expect(await response.json()).toEqual({
      error: {
        reason: "unauthorized",
        expected: "a bearer token",
        message: "the request does not prove that it may send events",
      },
    });
    expect(events).toEqual([]);
    expect(counted).toEqual(["eventRefused unauthorized"]);
    expect(lines.at(-1)).toMatchObject({ reason: "unauthorized", status: 401, remote: "127.0.0.1" });
  });
});

describe("a refused event", () => {
  it("leaves the connection to the next one", async () => {
    const { port } = await startIntake({ settings: { auth: bearer } });
    const rest = `Content-Length: ${anEvent.length}\r\n\r\n${anEvent}`;
    const authorized = `Authorization: Bearer ${token}\r\nConnection: close\r\n`;

    const answer = await exchange(
      port,
      `POST / HTTP/1.1\r\nHost: h\r\n${rest}POST / HTTP/1.1\r\nHost: h\r\n${authorized}${rest}`,
    );

    expect([...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(["401", "202"]);
  });
});

describe("user and password", () => {
  it("let an event in", async () => {
    const { url } = await startIntake({ settings: { auth: basic } });

    expect(await statusOf(url, { authorization: basicOf(`falco:${password}`) })).toBe(202);
  });

  it.each(["falco:wrong", `other:${password}`, "falco:", "falco", ":", ""])("keep an event out: %j", async (pair) => {
    const { url } = await startIntake({ settings: { auth: basic } });

    const response = await post(url, { authorization: basicOf(pair) });

    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toBe('Basic realm="hallux"');
  });
});

describe("the secret path", () => {
  it.each([encodeURI(pathSecret), encodeURIComponent(pathSecret), `${encodeURI(pathSecret)}?a=b`])(
    "lets an event in: /%s",
    async (path) => {
      const { url } = await startIntake({ settings: { auth: byPath } });

      expect(await statusOf(`${url}/${path}`)).toBe(202);
    },
  );

  it.each(["", "wrong", "s3cret", "s3cret/p%E4th", "%zz", `${encodeURI(pathSecret)}/`])(
    "keeps an event out: /%s",
    async (path) => {
      const { url, counted } = await startIntake({ settings: { auth: byPath } });

      const response = await post(`${url}/${path}`);

      expect(response.status).toBe(401);
      expect(response.headers.get("www-authenticate")).toBe('PathSecret realm="hallux"');
      expect(counted).toEqual(["eventRefused unauthorized"]);
    },
  );

  it("is not told from any other path where no event is sent", async () => {
    const { url } = await startIntake({ settings: { auth: byPath } });

    const right = await fetch(`${url}/${encodeURI(pathSecret)}`);
    const wrong = await fetch(`${url}/wrong`);

    expect([right.status, wrong.status]).toEqual([404, 404]);
    expect(await right.text()).toBe(await wrong.text());
  });

  it("is needed for no path where there is none", async () => {
    const { url } = await startIntake({ settings: { auth: bearer } });

    expect(await statusOf(`${url}/anything`, { authorization: `Bearer ${token}` })).toBe(404);
  });
});

describe("an empty secret", () => {
  it.each([{ bearerToken: new Secret("") }, { pathSecret: new Secret("") }])("lets nobody in: %j", async (auth) => {
    const { url } = await startIntake({ settings: { auth } });

    const statuses = [await statusOf(url), await statusOf(url, { authorization: "Bearer " })];

    expect(statuses).toEqual([401, 401]);
  });
});

describe("several ways", () => {
  const auth = { ...bearer, ...basic, ...byPath };

  it("each suffice", async () => {
    const { url } = await startIntake({ settings: { auth } });

    const statuses = [
      await statusOf(url, { authorization: `Bearer ${token}` }),
      await statusOf(url, { authorization: basicOf(`falco:${password}`) }),
      await statusOf(`${url}/${encodeURI(pathSecret)}`),
      await statusOf(url),
    ];

    expect(statuses).toEqual([202, 202, 202, 401]);
  });

  it("are all told to a sender that has none", async () => {
    const { url } = await startIntake({ settings: { auth } });

    const response = await post(url);

    expect(response.headers.get("www-authenticate")).toBe(
      'Bearer realm="hallux", Basic realm="hallux", PathSecret realm="hallux"',
    );
    expect(await response.json()).toMatchObject({
      error: { expected: "a bearer token, or user and password, or the secret path" },
    });
  });

  it("leave no secret in a log, a metric or an answer", async () => {
    const { url, lines, counted } = await startIntake({ settings: { auth } });

    const answers = [];
    for (const body of [anEvent, "no event"]) {
      for (const [path, authorization] of [
        [`/${encodeURI(pathSecret)}`, ""],
        [`/${encodeURI(pathSecret)}x`, ""],
        ["/", `Bearer ${token}`],
        ["/", `Bearer ${token}x`],
        ["/", basicOf(`falco:${password}`)],
      ] as const) {
        const response = await fetch(url + path, { method: "POST", body, headers: { authorization } });
        answers.push([...response.headers].join(), await response.text());
      }
    }
    answers.push(await (await fetch(`${url}/${encodeURI(pathSecret)}`)).text());

    const said = JSON.stringify([lines, counted, answers]);
    expect(lines.length).toBeGreaterThan(5);
    for (const secret of [token, password, pathSecret, "s3cret", encodeURI(pathSecret), basicOf(`falco:${password}`)]) {
      expect(said).not.toContain(secret);
    }
  });
});

describe("the pages", () => {
  it.each(["/healthz", "/readyz", "/metrics"])("are open to everyone: %s", async (page) => {
    const { url } = await startIntake({ settings: { auth: { ...bearer, ...byPath } } });

    expect((await fetch(url + page)).status).toBe(200);
  });
});

describe("a client certificate", () => {
  const tls = { cert: fixture("server.pem"), key: new Secret(fixture("server-key.pem")), clientCa: fixture("ca.pem") };
  const client = { cert: fixture("client.pem"), key: fixture("client-key.pem") };
  const stranger = { cert: fixture("stranger.pem"), key: fixture("stranger-key.pem") };

  it("lets an event in where our CA signed it", async () => {
    const { port } = await startIntake({ settings: { tls } });

    expect(await tlsPost(port, client)).toMatchObject({ status: 202 });
  });

  it.each([
    ["there is none", {}],
    ["another CA signed it", stranger],
  ])("keeps an event out where %s", async (_case, credentials) => {
    const { port, events } = await startIntake({ settings: { tls } });

    const { status, challenge } = await tlsPost(port, credentials);

    expect({ status, challenge }).toEqual({ status: 401, challenge: 'ClientCertificate realm="hallux"' });
    expect(events).toEqual([]);
  });

  it.each(["TLSv1.2", "TLSv1.3"] as const)("cannot be had by resuming a session (%s)", async (maxVersion) => {
    const { port } = await startIntake({ settings: { tls } });

    const statuses = [];
    for (const credentials of [{}, stranger]) {
      const first = await tlsExchange(port, { ...credentials, maxVersion });
      const second = await tlsExchange(port, { maxVersion, session: first.session });
      statuses.push(first.status, second.status);
      expect(second.resumed).toBe(true);
    }

    expect(statuses).toEqual([401, 401, 401, 401]);
  });

  it("goes on with a resumed session of its own", async () => {
    const { port } = await startIntake({ settings: { tls } });

    const first = await tlsExchange(port, client);
    const second = await tlsExchange(port, { ...client, session: first.session });

    expect([first.status, second.status, second.resumed]).toEqual([202, 202, true]);
  });

  it("is one way among others", async () => {
    const { port } = await startIntake({ settings: { tls, auth: bearer } });

    const withToken = await tlsPost(port, {}, { authorization: `Bearer ${token}` });
    const withCertificate = await tlsPost(port, client);
    const withNeither = await tlsPost(port, {});

    expect([withToken.status, withCertificate.status, withNeither.status]).toEqual([202, 202, 401]);
  });

  it("is not asked for on the pages", async () => {
    const { port } = await startIntake({ settings: { tls } });

    expect(await tlsPost(port, {}, {}, { method: "GET", path: "/healthz" })).toMatchObject({ status: 200 });
  });

  it("is not asked for where no client CA is configured", async () => {
    const { clientCa: _, ...plainTls } = tls;
    const { port } = await startIntake({ settings: { tls: plainTls } });

    expect(await tlsPost(port, {})).toMatchObject({ status: 202 });
  });
});

type Credentials = { cert?: string; key?: string };

function post(url: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, { method: "POST", body: anEvent, headers });
}

async function statusOf(url: string, headers: Record<string, string> = {}): Promise<number> {
  return (await post(url, headers)).status;
}

function basicOf(pair: string): string {
  return `Basic ${Buffer.from(pair).toString("base64")}`;
}

async function tlsPost(
  port: number,
  credentials: Credentials,
  headers: Record<string, string> = {},
  { method = "POST", path = "/" } = {},
): Promise<{ status: number | undefined; challenge: string | undefined }> {
  const options = { port, path, method, headers, ca: fixture("ca.pem"), agent: false, ...credentials };
  const sent = request("https://localhost", options).end(anEvent);
  const [response] = await once(sent, "response");
  response.resume();
  return { status: response.statusCode, challenge: response.headers["www-authenticate"] };
}

/** One event on a connection of its own, and the session it leaves for resumption. */
async function tlsExchange(
  port: number,
  options: Credentials & { maxVersion?: "TLSv1.2" | "TLSv1.3"; session?: Buffer | undefined },
): Promise<{ status: number; session: Buffer | undefined; resumed: boolean }> {
  const socket: TLSSocket = connect({ port, host: "localhost", ca: fixture("ca.pem"), ...options });
  onTestFinished(() => void socket.destroy());
  let session: Buffer | undefined;
  socket.on("session", (ticket) => {
    session = ticket;
  });
  socket.write(
    `POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: ${anEvent.length}\r\n\r\n${anEvent}`,
  );
  const [answer] = await once(socket, "data");
  const resumed = socket.isSessionReused();
  await once(socket, "close");
  return { status: Number(String(answer).slice(9, 12)), session, resumed };
}

describe("settings without any way", () => {
  type Case = [Partial<IntakeSettings>, boolean];
  const key = new Secret("key");

  it.each<Case>([
    [{ address: "0.0.0.0" }, true],
    [{ address: "::" }, true],
    [{ address: "" }, true],
    [{ address: "10.0.0.1", tls: { cert: "c", key } }, true],
    [{ address: "0.0.0.0", auth: {} }, true],
    [{ address: "127.0.0.1" }, false],
    [{ address: "127.1.2.3" }, false],
    [{ address: "::1" }, false],
    [{ address: "localhost" }, false],
    [{ address: "127.evil.example" }, true],
    [{ address: "0.0.0.0", auth: bearer }, false],
    [{ address: "0.0.0.0", auth: basic }, false],
    [{ address: "0.0.0.0", auth: byPath }, false],
    [{ address: "0.0.0.0", tls: { cert: "c", key, clientCa: "ca" } }, false],
  ])("are open to all, or not: %j %s", (settings, open) => {
    expect(isOpenToAll({ address: "", port: 0, ...settings })).toBe(open);
  });

  it("are one loud warning", async () => {
    const { lines } = await startIntake({ settings: { address: "0.0.0.0" } });

    expect(lines.filter(({ level }) => level === 40)).toMatchObject([
      { msg: "no authentication is configured: whoever reaches this port can cause responses" },
    ]);
  });

  it("are none where only this machine reaches the port", async () => {
    const { lines } = await startIntake();

    expect(lines.filter(({ level }) => level === 40)).toEqual([]);
  });
});
