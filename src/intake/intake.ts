import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from "node:http";
import { createServer as createTlsServer, Server as TlsServer } from "node:https";
import { type AddressInfo, isIPv4 } from "node:net";
import type { TlsOptions } from "node:tls";
import type { Logger } from "pino";
import type { Ledger } from "../ledger/ledger.ts";
import type { Secret } from "../schema/secret.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { MetricsPage } from "../telemetry/open-metrics.ts";
import type { Traces } from "../telemetry/traces.ts";
import { createFaultHandler } from "./connection-faults.ts";
import { createDrain } from "./drain.ts";
import { type Auth, createGate } from "./gate.ts";
import { createPages } from "./pages.ts";
import { apiPrefix, pagePaths, pathOf, reloadPath } from "./paths.ts";
import { createReceiver } from "./receive.ts";
import { createRefusals, type Refusal, type Refusals } from "./refusal.ts";

export interface IntakeSettings {
  readonly address: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Bytes of one event, inflated. */
  readonly maxBodyBytes?: number | undefined;
  readonly maxConnections?: number | undefined;
  readonly timeouts?: Partial<Timeouts> | undefined;
  /** PEM. With `clientCa` a client certificate that it signed proves the sender. */
  readonly tls?: { readonly cert: string; readonly key: Secret; readonly clientCa?: string | undefined } | undefined;
  readonly auth?: Omit<Auth, "clientCertificate"> | undefined;
}

/** Milliseconds. */
export interface Timeouts {
  /** For the TLS handshake and the headers each, from the start of the connection. */
  readonly headers: number;
  /** For the whole request; and for a connection on which nothing moves, while it is handled or answered. */
  readonly request: number;
  /** Between requests. Longer than the 90 s of Go's client, or a sender's event can meet a connection that just closed. */
  readonly idle: number;
}

export interface IntakePeers {
  readonly ledger: Pick<Ledger, "accept" | "faults">;
  readonly metrics: Metrics;
  readonly traces: Pick<Traces, "received">;
  /** In the format that the `Accept` of the request asks for. */
  readonly renderMetrics: (accept: string | undefined) => Promise<MetricsPage>;
  /** Why events cannot be handled now; empty when they can. */
  readonly readiness: () => readonly string[];
  /** What `GET /readyz?verbose` says besides. */
  readonly details?: (() => object) | undefined;
  /** Answers what is asked below `/api/` and at `/-/reload`, and never throws; without it there is nothing. */
  readonly api?: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  readonly logger: Logger;
  readonly newId: () => string;
  readonly clock: () => Date;
}

/** The HTTP receiver. */
export interface Intake {
  /** Rejects where the address cannot be had: `EADDRINUSE`, `EACCES`. */
  listen(): Promise<{ readonly address: string; readonly port: number }>;
  /** Takes no more connections, finishes what was begun; after the grace period cuts what is left. */
  close(graceMs: number): Promise<void>;
  /** Those that are open. */
  connections(): number;
  /**
   * From the next request on. The address, and whether it speaks TLS and asks for certificates, stay as they are. Throws where the
   * certificates cannot be served with: then nothing has changed.
   */
  configure(settings: IntakeSettings): void;
}

const defaults = {
  maxBodyBytes: 1_048_576,
  maxConnections: 1024,
  timeouts: { headers: 10_000, request: 30_000, idle: 120_000 },
} as const;

const maxHeaderBytes = 16_384;
/** Connections, for what is late. */
const checkingEveryMs = 1_000;

export function createIntake(settings: IntakeSettings, peers: IntakePeers): Intake {
  const server = createHttpServer(settings);
  const connections = keepRoom(server);
  const drain = createDrain(server);
  const refusals = createRefusals(peers);
  const rooms = { pages: createPages({ ...peers, refusals }), refusals };
  const handshakeMs = settings.timeouts?.headers ?? defaults.timeouts.headers;
  let inForce = settings;
  let handle = createHandler(settings, peers, rooms);

  server.on("request", (request, response) => handle(request, response, false));
  server.on("checkContinue", (request, response) => handle(request, response, true));
  server.on("clientError", createFaultHandler(refusals));
  server.on("drop", (connection) => refusals.note(tooManyConnections, { remote: connection?.remoteAddress }));

  return {
    listen: () => listen(server, settings, peers.logger),
    close: drain.close,
    connections,
    configure(next) {
      if (server instanceof TlsServer && next.tls !== undefined) {
        server.setSecureContext(tlsOptions(next.tls));
      }
      setLimits(server, next);
      handle = createHandler(next, peers, rooms);
      if (inForce.tls?.clientCa !== next.tls?.clientCa) {
        // What they proved when they connected they may not be able to prove any more; a handshake that has begun proves the same.
        drain.renew(handshakeMs);
      }
      if (isOpenToAll(next) && !isOpenToAll(inForce)) {
        peers.logger.warn(openToAll);
      }
      inForce = next;
    },
  };
}

const openToAll = "no authentication is configured: whoever reaches this port can cause responses";

/** Whether anyone who reaches the port can make Hallux act: no authentication, and not only this machine can. */
export function isOpenToAll({ address, auth, tls }: IntakeSettings): boolean {
  const methods = [auth?.bearerToken, auth?.basic, auth?.pathSecret, tls?.clientCa];
  const loopback = address === "localhost" || address === "::1" || (isIPv4(address) && address.startsWith("127."));
  return !loopback && methods.every((method) => method === undefined);
}

const tooManyConnections: Refusal = {
  status: 503,
  reason: "unavailable",
  message: "there are too many connections",
};

interface Rooms {
  readonly pages: ReturnType<typeof createPages>;
  readonly refusals: Refusals;
}

function createHandler(
  { maxBodyBytes = defaults.maxBodyBytes, auth, tls }: IntakeSettings,
  peers: IntakePeers,
  { pages, refusals }: Rooms,
): (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => void {
  const gate = createGate({ ...auth, clientCertificate: tls?.clientCa !== undefined });
  const receive = createReceiver({ ...peers, gate, maxBodyBytes, refusals });

  // Express costs half of the throughput: events do not pass through it.
  return (request, response, expectsContinue) => {
    const path = pathOf(request);
    if ((path.startsWith(apiPrefix) || path === reloadPath) && peers.api !== undefined) {
      peers.api(request, response);
    } else if (sendsEvent(request, path)) {
      void receive({
        request,
        response,
        path,
        expectsContinue,
        remote: senderOf(request),
        requestedAt: performance.now(),
      });
    } else {
      pages(request, response);
    }
  };
}

/**
 * To ask for the address is a call of the kernel, so it is asked for only where there will be something to say of the sender: in a
 * refusal, or where the event did not come at once and the connection may break.
 */
function senderOf(request: IncomingMessage): () => string | undefined {
  let remote: string | undefined;
  // Microtasks run while node:http still parses the request, before it knows that all of it is there.
  setImmediate(() => {
    remote = request.complete ? undefined : request.socket.remoteAddress;
  });
  return () => remote ?? request.socket.remoteAddress;
}

function sendsEvent({ method }: IncomingMessage, path: string): boolean {
  return (method === "POST" || method === "PUT") && !pagePaths.some((page) => page === path);
}

function createHttpServer(settings: IntakeSettings): Server {
  const { tls, timeouts } = settings;
  const { headers, request } = { ...defaults.timeouts, ...timeouts };
  const options: ServerOptions = {
    connectionsCheckingInterval: Math.min(headers, request, checkingEveryMs),
    maxHeaderSize: maxHeaderBytes,
  };
  const server =
    tls === undefined
      ? createServer(options)
      : createTlsServer({ ...options, ...tlsOptions(tls), handshakeTimeout: headers });
  setLimits(server, settings);
  return server;
}

/** For the connections that come from now on; those that are open keep the time that has begun. */
function setLimits(server: Server, { timeouts, maxConnections = defaults.maxConnections }: IntakeSettings): void {
  const { headers, request, idle } = { ...defaults.timeouts, ...timeouts };
  server.headersTimeout = Math.min(headers, request);
  server.requestTimeout = request;
  server.keepAliveTimeout = idle;
  // The request's own deadline comes first, which is answered: node:http looks for it only so often.
  server.timeout = request + 2 * checkingEveryMs;
  server.maxConnections = maxConnections;
}

/**
 * The last connection that is taken ends the idle ones: whoever only keeps them open keeps nobody out. Gives what says how many are
 * open.
 */
function keepRoom(server: Server): () => number {
  let open = 0;
  // Before node:http takes it on: until its first byte a connection counts as idle, too.
  server.prependListener("connection", (socket) => {
    open += 1;
    socket.once("close", () => {
      open -= 1;
    });
    if (open >= server.maxConnections) {
      server.closeIdleConnections();
    }
  });
  return () => open;
}

/** A certificate is asked for, not demanded: probes have none, and the gate tells a sender without one what is missing. */
function tlsOptions({ cert, key, clientCa }: NonNullable<IntakeSettings["tls"]>): TlsOptions {
  const client = clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: false };
  return { cert, key: key.reveal(), ...client };
}

async function listen(server: Server, settings: IntakeSettings, logger: Logger): Promise<AddressInfo> {
  server.listen(settings.port, settings.address);
  await once(server, "listening");
  server.on("error", (err) => logger.error({ err }, "receiver failed to take a connection"));

  const bound = server.address() as AddressInfo;
  const { address, port } = bound;
  if (isOpenToAll(settings)) {
    logger.warn({ address, port }, openToAll);
  }
  return bound;
}
