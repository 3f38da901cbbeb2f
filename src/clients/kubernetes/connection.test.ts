import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocketServer } from "ws";
import { ActionError } from "../../catalogue/errors.ts";
import { createKubernetes, type KubeconfigSource } from "./adapter.ts";
import type { Kubernetes, Pod } from "./port.ts";

const cart = { kind: "pod", namespace: "shop", name: "cart-1", uid: undefined } as const;
const pod = cart as unknown as Pod;
const execOptions = { container: "main", command: ["true"], maxOutputBytes: 100 };

function pem(name: string): string {
  const folder = name.startsWith("renewed") ? "./fixtures/" : "../../intake/fixtures/";
  return fileURLToPath(new URL(`${folder}${name}.pem`, import.meta.url));
}

function inTime(): AbortSignal {
  return AbortSignal.timeout(20_000);
}

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "hallux-"));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}

async function listening(server: Server | TlsServer | ReturnType<typeof createTcpServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    if ("closeAllConnections" in server) {
      server.closeAllConnections();
    }
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

function answerPod(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "application/json" }).end('{"metadata":{"name":"cart-1"}}');
}

/** An API server that answers 401 unless `admits` says otherwise, exec too. */
async function apiServer(admits: (request: IncomingMessage) => boolean): Promise<string> {
  const server = createServer((request, response) =>
    admits(request) ? answerPod(response) : response.writeHead(401).end("Unauthorized"),
  );
  const webSockets = new WebSocketServer({ server, verifyClient: ({ req }: { req: IncomingMessage }) => admits(req) });
  webSockets.on("connection", (socket) => socket.send(Buffer.from('\u0003{"status":"Success"}')));
  return `http://127.0.0.1:${await listening(server)}`;
}

interface Renewable {
  readonly url: string;
  /** The certificate for new connections. */
  use(name: string): Promise<void>;
}

/** An API server that admits whom its own authority knows by certificate. */
async function tlsServer(name: string): Promise<Renewable> {
  const identity = async (certificate: string) => ({
    cert: await readFile(pem(certificate)),
    key: await readFile(pem(`${certificate}-key`)),
  });
  const ca = await readFile(pem("ca"));
  const options = { ...(await identity(name)), ca, requestCert: true, rejectUnauthorized: false };
  const server = createTlsServer(options, ({ socket }, response) => {
    const known = socket instanceof TLSSocket && socket.authorized;
    return known ? answerPod(response) : response.writeHead(401).end("Unauthorized");
  });
  return {
    url: `https://127.0.0.1:${await listening(server)}`,
    async use(certificate) {
      server.setSecureContext({ ...(await identity(certificate)), ca });
      server.closeAllConnections();
    },
  };
}

function config(server: string, user: object, cluster: object = {}, name = "x"): string {
  return JSON.stringify({
    clusters: [{ name, cluster: { server, ...cluster } }],
    users: [{ name, user }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    "current-context": name,
  });
}

function clientOf(kubeconfig: KubeconfigSource): Kubernetes {
  const kubernetes = createKubernetes({ kubeconfig });
  onTestFinished(() => kubernetes.close());
  return kubernetes.real;
}

async function thrownBy(promise: Promise<unknown>): Promise<ActionError> {
  const error = await promise.then(
    () => new Error("nothing was thrown"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof ActionError) {
    return error;
  }
  throw error;
}

const calls: [string, (kubernetes: Kubernetes) => Promise<unknown>][] = [
  ["a request", (kubernetes) => kubernetes.patchPod(cart, { labels: { a: "b" } }, inTime())],
  ["exec", (kubernetes) => kubernetes.exec(pod, execOptions, inTime())],
];

describe("a token from a file", () => {
  it.each(calls)("is read again when the API server rejects it, within the minute too: %s", async (_, call) => {
    const path = await directory();
    const seen: (string | undefined)[] = [];
    let valid = "first";
    const server = await apiServer(({ headers }) => {
      seen.push(headers.authorization);
      return headers.authorization === `Bearer ${valid}`;
    });
    await writeFile(join(path, "token"), "first\n");
    await writeFile(join(path, "config"), config(server, { tokenFile: "token" }));
    const kubernetes = clientOf({ from: "file", path: join(path, "config") });
    await call(kubernetes);

    await writeFile(join(path, "token"), "second\n");
    valid = "second";
    await call(kubernetes);
    await call(kubernetes);

    expect(seen).toEqual(["Bearer first", "Bearer first", "Bearer second", "Bearer second"]);
  });

  it.each(calls)("that is still rejected is not sent again at once: %s", async (_, call) => {
    const path = await directory();
    let asked = 0;
    const server = await apiServer(() => {
      asked += 1;
      return false;
    });
    await writeFile(join(path, "token"), "expired");
    await writeFile(join(path, "config"), config(server, { tokenFile: "token" }));
    const kubernetes = clientOf({ from: "file", path: join(path, "config") });

    const error = await thrownBy(call(kubernetes));

    expect(asked).toBe(1);
    expect(error).toMatchObject({
      code: "unavailable",
      notBegun: true,
      message: "the API server does not accept Hallux's credentials: Unauthorized",
    });
  });
});

describe("certificates", () => {
  async function files(): Promise<{
    source: KubeconfigSource;
    put(name: string, content: string): Promise<void>;
    server: Renewable;
  }> {
    const path = await directory();
    const server = await tlsServer("server");
    const put = (name: string, content: string) => copyFile(pem(content), join(path, name));
    await put("ca", "ca");
    await put("cert", "client");
    await put("key", "client-key");
    const user = { "client-certificate": "cert", "client-key": "key" };
    await writeFile(join(path, "config"), config(server.url, user, { "certificate-authority": "ca" }));
    return { source: { from: "file", path: join(path, "config") }, put, server };
  }

  it("of the client's are taken from their files when they are renewed", async () => {
    const { source, put } = await files();
    await put("cert", "stranger");
    await put("key", "stranger-key");
    const kubernetes = clientOf(source);
    const before = await thrownBy(kubernetes.getPod(cart, inTime()));

    await put("cert", "client");
    await put("key", "client-key");
    const after = await kubernetes.getPod(cart, inTime());

    expect(before.message).toBe("the API server does not accept Hallux's credentials: Unauthorized");
    expect(after.name).toBe("cart-1");
  });

  it("of which one file is renewed before the other fail only until then, with nothing sent", async () => {
    const { source, put } = await files();
    const kubernetes = clientOf(source);
    await put("cert", "stranger");

    const between = await thrownBy(kubernetes.patchPod(cart, { labels: { a: "b" } }, inTime()));
    const exec = await thrownBy(kubernetes.exec(pod, execOptions, inTime()));
    await put("cert", "client");
    const after = await kubernetes.getPod(cart, inTime());

    expect(between).toMatchObject({ code: "unavailable", notBegun: true });
    expect(exec).toMatchObject({ code: "unavailable", notBegun: true });
    expect(after.name).toBe("cart-1");
  });

  it("of a renewed authority are trusted as soon as its file says so", async () => {
    const { source, put, server } = await files();
    const kubernetes = clientOf(source);
    await kubernetes.getPod(cart, inTime());

    await server.use("renewed-server");
    await thrownBy(kubernetes.getPod(cart, inTime()));
    const before = await thrownBy(kubernetes.patchPod(cart, { labels: { a: "b" } }, inTime()));
    await put("ca", "renewed-ca");
    const after = await kubernetes.getPod(cart, inTime());

    expect(before).toMatchObject({ code: "unavailable", notBegun: true });
    expect(after.name).toBe("cart-1");
  });
});

describe("a credential plugin", () => {
  const apiVersion = "client.authentication.k8s.io/v1";

  async function plugin(script: string, more: object = {}): Promise<object> {
    const path = join(await directory(), "plugin.cjs");
    await writeFile(path, script);
    return { exec: { apiVersion, command: process.execPath, args: [path], interactiveMode: "Never", ...more } };
  }

  function printing(token: string): string {
    const credential = { apiVersion, kind: "ExecCredential" };
    return `console.log(JSON.stringify({ ...${JSON.stringify(credential)}, status: { token: ${token} } }));`;
  }

  it("runs once for all calls that wait for it, and again when its token is rejected", async () => {
    const runs = join(await directory(), "runs");
    const count = `const { appendFileSync, statSync } = require("fs"); appendFileSync("${runs}", "x");`;
    const user = await plugin(`${count} ${printing(`"token-" + statSync("${runs}").size`)}`);
    let valid = "Bearer token-1";
    const server = await apiServer(({ headers }) => headers.authorization === valid);
    const kubernetes = clientOf({ from: "text", text: config(server, user) });

    await Promise.all(Array.from({ length: 20 }, () => kubernetes.getPod(cart, inTime())));
    const once = await readFile(runs, "utf8");
    valid = "Bearer token-2";
    await Promise.all(Array.from({ length: 20 }, () => kubernetes.getPod(cart, inTime())));

    expect(once).toBe("x");
    expect(await readFile(runs, "utf8")).toBe("xx");
  });

  it("gets the environment, its own variables and what client-go tells", async () => {
    const shown = "[process.env.AWS_PROFILE, process.env.REGION, process.env.KUBERNETES_EXEC_INFO].join('|')";
    const env = [{ name: "REGION", value: "eu-west-1" }];
    const path = await directory();
    const seen: (string | undefined)[] = [];
    const server = await apiServer(({ headers }) => seen.push(headers.authorization) > 0);
    const user = await plugin(printing(shown), { env, provideClusterInfo: true });
    await writeFile(join(path, "config"), config(server, user));

    await clientOf({
      from: "file",
      path: join(path, "config"),
      environment: { AWS_PROFILE: "responder" },
    }).getPod(cart, inTime());

    const [profile, region, info = ""] = seen[0]?.replace("Bearer ", "").split("|") ?? [];
    expect([profile, region]).toEqual(["responder", "eu-west-1"]);
    expect(JSON.parse(info)).toMatchObject({
      apiVersion,
      kind: "ExecCredential",
      spec: { interactive: false, cluster: { server } },
    });
  });

  it("that fails is told in its own words, and nothing has been begun", async () => {
    const user = await plugin(`console.error("session expired: log in again"); process.exit(1);`);
    const kubernetes = clientOf({ from: "text", text: config("https://127.0.0.1:1", user) });

    const error = await thrownBy(kubernetes.patchPod(cart, { labels: { a: "b" } }, inTime()));

    expect(error).toMatchObject({
      code: "unavailable",
      notBegun: true,
      message: expect.stringMatching(/^no credentials for the API server: .* failed: session expired: log in again$/),
    });
  });
});

describe("several kubeconfig files", () => {
  it("are merged as kubectl does it: the first to say something wins, missing ones are passed over", async () => {
    const path = await directory();
    const seen: (string | undefined)[] = [];
    const server = await apiServer(({ headers }) => seen.push(headers.authorization) > 0);
    const context = { contexts: [{ name: "x", context: { cluster: "x", user: "u" } }], "current-context": "x" };
    const users = (token: string) => ({ users: [{ name: "u", user: { token } }] });
    await writeFile(join(path, "contexts"), JSON.stringify(context));
    await writeFile(join(path, "first"), JSON.stringify(users("first")));
    const second = { ...JSON.parse(config(server, { token: "x" })), ...users("second"), "current-context": "y" };
    await writeFile(join(path, "second"), JSON.stringify(second));
    const list = ["contexts", "nowhere", "first", "second"].map((name) => join(path, name)).join(delimiter);

    await clientOf({ from: "file", path: list }).getPod(cart, inTime());

    expect(seen).toEqual(["Bearer first"]);
  });

  it("each find their own token files, and the user of an earlier file keeps to it", async () => {
    const [one, two] = [await directory(), await directory()];
    const seen: (string | undefined)[] = [];
    const server = await apiServer(({ headers }) => seen.push(headers.authorization) > 0);
    await writeFile(join(one, "token"), "of-one");
    await writeFile(join(two, "token"), "of-two");
    await writeFile(join(one, "config"), config(server, { tokenFile: "token" }));
    await writeFile(join(two, "config"), config(server, { exec: { command: "false" }, tokenFile: "token" }));
    const list = [join(one, "config"), join(two, "config")].join(delimiter);

    await clientOf({ from: "file", path: list }).getPod(cart, inTime());

    expect(seen).toEqual(["Bearer of-one"]);
  });

  it("of which none is there are named", async () => {
    const error = await thrownBy(clientOf({ from: "file", path: "/nowhere/a:/nowhere/b" }).getPod(cart, inTime()));

    expect(error.message).toContain("/nowhere/a");
  });
});

describe("a kubeconfig that cannot be loaded", () => {
  it.each([
    ["is missing", undefined],
    ["is half written", '{"clusters": ['],
    ["names no cluster", "{}"],
    ["names a certificate that is missing", config("https://127.0.0.1:1", {}, { "certificate-authority": "ca.pem" })],
  ])("is a fault that may pass, before anything is begun: one that %s", async (_, text) => {
    const file = join(await directory(), "config");
    await (text === undefined ? undefined : writeFile(file, text));

    for (const [, call] of calls) {
      const error = await thrownBy(call(clientOf({ from: "file", path: file })));
      expect(error).toMatchObject({ code: "unavailable", notBegun: true });
    }
  });

  it("is loaded by the next call that finds it", async () => {
    const file = join(await directory(), "config");
    const kubernetes = clientOf({ from: "file", path: file });
    await thrownBy(kubernetes.getPod(cart, inTime()));
    await writeFile(file, config(await apiServer(() => true), {}));

    const found = await kubernetes.getPod(cart, inTime());

    expect(found.name).toBe("cart-1");
  });
});

describe("closing the clients", () => {
  it("is no failure where the kubeconfig just fails to load", async () => {
    const kubernetes = createKubernetes({ kubeconfig: { from: "text", text: "kind: Config" } });
    const loading = kubernetes.load();

    const [closed, loaded] = await Promise.allSettled([kubernetes.close(), loading]);

    expect(closed).toEqual({ status: "fulfilled", value: undefined });
    expect(loaded).toMatchObject({ status: "rejected", reason: { code: "unavailable" } });
  });
});

describe("what has not been begun", () => {
  async function serverThat(listen: (socket: Socket) => void): Promise<number> {
    return listening(createTcpServer(listen));
  }

  it.each(calls)("is certain where nobody listens: %s", async (_, call) => {
    const error = await thrownBy(call(clientOf({ from: "text", text: config("https://127.0.0.1:1", {}) })));

    expect(error).toMatchObject({ code: "unavailable", notBegun: true });
  });

  it.each(calls)("is certain where the host has no address: %s", async (_, call) => {
    const error = await thrownBy(call(clientOf({ from: "text", text: config("https://nowhere.invalid", {}) })));

    expect(error).toMatchObject({ code: "unavailable", notBegun: true });
  });

  it.each(calls)("is certain where the connection breaks before TLS is agreed on: %s", async (_, call) => {
    const port = await serverThat((socket) =>
      socket.once("data", () => socket.resetAndDestroy()).on("error", () => undefined),
    );

    const error = await thrownBy(call(clientOf({ from: "text", text: config(`https://127.0.0.1:${port}`, {}) })));

    expect(error).toMatchObject({ code: "unavailable", notBegun: true });
  });

  it.each(calls)("is not certain where the connection breaks after the request was sent: %s", async (_, call) => {
    const port = await serverThat((socket) =>
      socket.once("data", () => socket.resetAndDestroy()).on("error", () => undefined),
    );

    const error = await thrownBy(call(clientOf({ from: "text", text: config(`http://127.0.0.1:${port}`, {}) })));

    expect(error).toMatchObject({ code: "unavailable", notBegun: false });
  });

  it("does not matter to a request that only reads", async () => {
    const port = await serverThat((socket) =>
      socket.once("data", () => socket.resetAndDestroy()).on("error", () => undefined),
    );
    const kubernetes = clientOf({ from: "text", text: config(`http://127.0.0.1:${port}`, {}) });

    const error = await thrownBy(kubernetes.getPod(cart, inTime()));

    expect(error).toMatchObject({ code: "unavailable", notBegun: true });
  });

  const status = JSON.stringify({ kind: "Status", status: "Failure", message: "the server is starting" });

  it.each([
    ["exec", 503, status, true],
    ["exec", 500, status, true],
    ["exec", 503, "<h1>Service Unavailable</h1>", false],
    ["exec", 429, "", true],
    ["a request", 503, status, false],
    ["a request", 429, status, true],
    ["a request", 409, status, true],
    ["a request", 408, status, false],
  ])("is said by the answer to %s: %i %s", async (what, code, body, notBegun) => {
    const server = createServer((_request, response) => response.writeHead(code).end(body));
    server.on("upgrade", (_request, socket) =>
      socket.end(`HTTP/1.1 ${code} No\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
    );
    const url = `http://127.0.0.1:${await listening(server)}`;
    const call = calls.find(([name]) => name === what)?.[1] ?? (async () => undefined);

    const error = await thrownBy(call(clientOf({ from: "text", text: config(url, {}) })));

    expect(error.notBegun).toBe(notBegun);
  });
});
