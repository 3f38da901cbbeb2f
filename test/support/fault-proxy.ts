import { randomInt } from "node:crypto";
import { once } from "node:events";
import {
  Agent,
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from "node:http";
import { Agent as TlsAgent, createServer as createTlsServer, request as httpsRequest } from "node:https";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect as tlsConnect } from "node:tls";
import { parse, stringify } from "yaml";

/** What a sender meets instead of the server. */
export type Fault =
  /** Nobody listens, and what was open is cut. */
  | "refuse"
  /** Requests arrive and nothing ever answers them, after the fault neither. */
  | "hang"
  | Strike;

/** What happens to some of the requests. */
export interface Strike {
  /** Of the requests, evenly: 1, all, unless given. */
  readonly share?: number;
  readonly strike: /** The connection is reset before the server sees the request. */
    | "reset"
    /** The server does what it is asked; the connection is reset instead of its answer. */
    | "drop"
    /** The server does what it is asked; of its answer only the first half comes. */
    | "truncate"
    | { readonly status: number; readonly retryAfterSeconds?: number };
}

export interface Identity {
  readonly cert: string;
  readonly key: string;
}

export interface FaultProxy extends AsyncDisposable {
  readonly url: string;
  /** How many requests have come; those of a kept connection each for itself. */
  readonly requests: number;
  /** How many of them met a fault. */
  readonly struck: number;
  fault(fault: Fault): Promise<void>;
  heal(): Promise<void>;
  /** From now on only this bearer token is let in; the server behind is shown its own. */
  admit(token: string): void;
  /** The certificate for new connections; old ones are cut. */
  use(identity: Identity): void;
}

export interface FaultProxyOptions {
  /** The server behind. */
  readonly target: string;
  /** PEM; where the target has HTTPS. */
  readonly ca?: string | undefined;
  /** What the server behind is shown where `admit` is used. */
  readonly token?: string | undefined;
  /** Speaks HTTPS with it; HTTP unless given. */
  readonly identity?: Identity;
}

/** What a kubeconfig says of its one cluster and user. */
export function peerOf(kubeconfig: string): FaultProxyOptions {
  const { clusters, users } = parse(kubeconfig);
  const { server, "certificate-authority-data": authority } = clusters[0].cluster;
  const ca = authority === undefined ? undefined : Buffer.from(authority, "base64").toString();
  return { target: server, ca, token: users[0].user.token };
}

/** The kubeconfig, with the cluster at another address and what else the traits say. */
export function kubeconfigVia(
  kubeconfig: string,
  url: string,
  traits: { cluster?: object; user?: object } = {},
): string {
  const config = parse(kubeconfig);
  config.clusters[0].cluster = { server: url, ...traits.cluster };
  config.users[0].user = traits.user ?? config.users[0].user;
  return stringify(config);
}

/** Stands between Hallux and a server, and does what networks and servers do on a bad day. */
export async function faultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  for (;;) {
    const proxy = new ProxyServer(options);
    const taken = await proxy.heal().catch((error: NodeJS.ErrnoException) => error);
    if (taken === undefined) {
      return proxy;
    }
    if (taken.code !== "EADDRINUSE") {
      throw taken;
    }
  }
}

class ProxyServer implements FaultProxy {
  requests = 0;
  struck = 0;
  readonly #options: FaultProxyOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #agent: Agent;
  #fault: Fault | undefined;
  /** Below those that the system gives to clients: one of them would take it while nobody listens. */
  #port = randomInt(10_000, 32_000);
  #admitted: string | undefined;
  /** Of the requests that were not struck, what is owed to the share. */
  #owed = 0;

  constructor(options: FaultProxyOptions) {
    this.#options = options;
    const { identity, target, ca } = options;
    this.#server = identity === undefined ? createServer() : createTlsServer(identity);
    this.#agent = target.startsWith("https:") ? new TlsAgent({ keepAlive: true, ca }) : new Agent();
    // A kept connection that is ended just when it is used again would be a fault that nobody asked for.
    this.#server.keepAliveTimeout = 600_000;
    this.#server.on("request", (request: IncomingMessage, response: ServerResponse) =>
      this.#request(request, response),
    );
    this.#server.on("upgrade", (request: IncomingMessage, socket: Duplex) => this.#upgrade(request, socket));
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket.on("error", () => undefined).once("close", () => this.#sockets.delete(socket)));
    });
  }

  get url(): string {
    return `${this.#options.identity === undefined ? "http" : "https"}://127.0.0.1:${this.#port}`;
  }

  async fault(fault: Fault): Promise<void> {
    this.#fault = fault;
    if (fault === "refuse") {
      await this.#stopListening();
    }
  }

  async heal(): Promise<void> {
    this.#fault = undefined;
    if (!this.#server.listening) {
      this.#server.listen(this.#port, "127.0.0.1");
      await once(this.#server, "listening");
    }
  }

  admit(token: string): void {
    this.#admitted = token;
  }

  use(identity: Identity): void {
    if ("setSecureContext" in this.#server) {
      (this.#server as ReturnType<typeof createTlsServer>).setSecureContext(identity);
    }
    this.#cut();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stopListening();
    this.#agent.destroy();
  }

  async #stopListening(): Promise<void> {
    if (this.#server.listening) {
      const closed = new Promise((resolve) => this.#server.close(resolve));
      this.#cut();
      await closed;
    }
  }

  #cut(): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  /** What happens to this request; undefined where it is passed on as it is. */
  #strike(): "hang" | Strike["strike"] | undefined {
    this.requests += 1;
    const fault = this.#fault;
    if (fault === undefined || fault === "refuse") {
      return undefined;
    }
    if (typeof fault !== "string") {
      this.#owed += fault.share ?? 1;
      if (this.#owed < 1) {
        return undefined;
      }
      this.#owed -= 1;
    }
    this.struck += 1;
    return fault === "hang" ? fault : fault.strike;
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    const strike = this.#strike();
    if (strike === "hang") {
      request.resume();
    } else if (strike === "reset") {
      request.socket.resetAndDestroy();
    } else if (typeof strike === "object") {
      request.resume();
      answer(response, strike);
    } else if (this.#isStranger(request)) {
      request.resume();
      answer(response, { status: 401 });
    } else {
      this.#pass(request, response, strike);
    }
  }

  #isStranger({ headers }: IncomingMessage): boolean {
    return this.#admitted !== undefined && headers.authorization !== `Bearer ${this.#admitted}`;
  }

  #headersFor({ headers }: IncomingMessage): IncomingMessage["headers"] {
    const { token } = this.#options;
    return { ...headers, ...(this.#admitted === undefined ? {} : { authorization: `Bearer ${token}` }) };
  }

  #pass(request: IncomingMessage, response: ServerResponse, strike: "drop" | "truncate" | undefined): void {
    const send = this.#options.target.startsWith("https:") ? httpsRequest : httpRequest;
    const url = `${this.#options.target}${request.url}`;
    const headers = this.#headersFor(request);
    const onward = send(url, { method: request.method, headers, agent: this.#agent }, async (given) => {
      if (strike === undefined) {
        response.writeHead(given.statusCode ?? 502, given.headers);
        given.pipe(response);
        return;
      }
      const body = Buffer.concat(await given.toArray());
      if (strike === "drop") {
        request.socket.resetAndDestroy();
        return;
      }
      response.writeHead(given.statusCode ?? 502, { ...given.headers, "content-length": body.length });
      response.write(body.subarray(0, body.length / 2), () => request.socket.destroy());
    });
    onward.on("error", () => request.socket.destroy());
    request.pipe(onward);
  }

  /** A WebSocket: its bytes go through as they are, until a fault cuts it. */
  #upgrade(request: IncomingMessage, socket: Duplex): void {
    const strike = this.#strike();
    if (strike === "hang") {
      return;
    }
    if (typeof strike === "object" || this.#isStranger(request)) {
      const status = typeof strike === "object" ? strike.status : 401;
      socket.end(`HTTP/1.1 ${status} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      return;
    }
    if (strike !== undefined) {
      socket.destroy();
      return;
    }
    const { hostname, port, protocol, pathname } = new URL(this.#options.target);
    const place = { host: hostname, port: Number(port) };
    const onward = protocol === "https:" ? tlsConnect({ ...place, ca: this.#options.ca }) : connect(place);
    const headers = Object.entries(this.#headersFor(request)).map(([name, value]) => `${name}: ${value}`);
    onward.write([`GET ${pathname.replace(/\/$/, "")}${request.url} HTTP/1.1`, ...headers, "", ""].join("\r\n"));
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      from.on("error", () => to.destroy()).once("close", () => to.destroy());
      from.pipe(to);
    }
  }
}

function answer(
  response: ServerResponse,
  { status, retryAfterSeconds }: { status: number; retryAfterSeconds?: number },
): void {
  const body = JSON.stringify({
    kind: "Status",
    apiVersion: "v1",
    status: "Failure",
    message: `fault ${status}`,
    code: status,
  });
  response.writeHead(status, {
    "content-type": "application/json",
    ...(retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) }),
  });
  response.end(body);
}
