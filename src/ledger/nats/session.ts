import { setTimeout as sleep } from "node:timers/promises";
import { JetStreamApiError, type JetStreamClient, type JetStreamManager, jetstream } from "@nats-io/jetstream";
import { errors, type NatsConnection } from "@nats-io/transport-node";
import { createBell } from "../bell.ts";
import { LedgerUnavailable } from "../ledger.ts";
import { connectTo, describeServers, type NatsServerOptions } from "./connect.ts";
import type { Names } from "./names.ts";
import { prepareStreams, type StreamOptions } from "./streams.ts";

export interface SessionOptions extends NatsServerOptions, StreamOptions {
  readonly names: Names;
  /** JetStream's, where it is not the server's own. */
  readonly domain?: string | undefined;
  /** What an operator should read: a fault, and its end. */
  readonly remark: (message: string) => void;
}

export interface Client {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
}

/** The connection to NATS with the streams in place: made again for ever. */
export interface Session {
  /** Resolves when the first attempt has succeeded or failed. */
  tried(): Promise<void>;
  /** Waits a moment for one; rejects with `LedgerUnavailable`. */
  client(): Promise<Client>;
  /** The client has failed so: whether it is of use is found out before it is handed out again. Gives what is wrong in words. */
  doubt(client: Client, error: unknown): string;
  /** Told of the client now, if there is one, and of each that follows. */
  onUp(listener: (client: Client) => void): void;
  /** Why there is none. */
  fault(): string | undefined;
  close(): Promise<void>;
}

/** An intake answers within a few seconds, whatever happens to NATS. */
const answerMs = 2_000;
const retryMs = 500;

export function openSession(options: SessionOptions): Session {
  const closing = new AbortController();
  const state = createState(`${at(options)} is not connected yet`, options);
  const stir = createBell();
  const beat = setInterval(stir.ring, retryMs);
  let connection: NatsConnection | undefined;

  /** As long as the connection lives: whenever there is no client, makes one. */
  const keep = async (nc: NatsConnection) => {
    let connected = true;
    void watch(nc, (type) => {
      connected = type !== "disconnect";
      if (!connected) {
        state.down(`${at(options)} has gone: check that it runs; Hallux connects again by itself`);
      }
      stir.ring();
    });
    void nc.closed().then(stir.ring);
    while (!nc.isClosed()) {
      const stirred = stir.rung();
      if (state.up() === undefined && connected) {
        await clientOn(nc, options).then(state.set, (error: unknown) => state.down(describeFault(error, options)));
      }
      await stirred;
    }
  };
  const running = (async () => {
    while (!closing.signal.aborted) {
      try {
        connection = await connectTo(options);
        await (closing.signal.aborted ? connection.close() : keep(connection));
      } catch (error) {
        state.down(describeUnreachable(error, options));
      }
      await sleep(retryMs, undefined, { signal: closing.signal }).catch(() => {});
    }
  })();

  return {
    tried: () => state.tried,
    async client() {
      const found = state.up() ?? (await state.next());
      if (found === undefined || closing.signal.aborted) {
        throw new LedgerUnavailable(state.fault() ?? "NATS is not connected");
      }
      return found;
    },
    doubt(client, error) {
      const reason = describeFault(error, options);
      if (isForbidden(error)) {
        state.forbidden(client, reason);
      } else if (state.up() === client) {
        state.down(reason);
        stir.ring();
      }
      return reason;
    },
    onUp: state.onUp,
    fault: state.fault,
    async close() {
      closing.abort();
      await connection?.close();
      await running;
      clearInterval(beat);
    },
  };
}

/** The client, or why there is none. */
function createState(initialFault: string, options: SessionOptions) {
  const listeners: ((client: Client) => void)[] = [];
  const told = new WeakSet<Client>();
  let up: Client | undefined;
  let fault: string | undefined = initialFault;
  const waiting = new Set<(client: Client) => void>();
  const tried = Promise.withResolvers<void>();

  return {
    tried: tried.promise,
    up: () => up,
    fault: () => fault,
    /** Undefined where there is none within a moment. */
    next: () =>
      new Promise<Client | undefined>((resolve) => {
        waiting.add(resolve);
        setTimeout(() => {
          waiting.delete(resolve);
          resolve(undefined);
        }, answerMs).unref();
      }),
    set(client: Client) {
      if (fault !== initialFault) {
        options.remark(`${at(options)} is there again`);
      }
      up = client;
      fault = undefined;
      tried.resolve();
      for (const resolve of waiting) {
        resolve(client);
      }
      waiting.clear();
      for (const listener of listeners) {
        listener(client);
      }
    },
    down(reason: string) {
      up = undefined;
      if (reason !== fault) {
        fault = reason;
        options.remark(reason);
      }
      tried.resolve();
    },
    /** Said once: the subject may be another one each time. */
    forbidden(client: Client, reason: string) {
      if (!told.has(client)) {
        told.add(client);
        options.remark(reason);
      }
    },
    onUp(listener: (client: Client) => void) {
      listeners.push(listener);
      if (up !== undefined) {
        listener(up);
      }
    },
  };
}

async function clientOn(nc: NatsConnection, options: SessionOptions): Promise<Client> {
  const domain = options.domain === undefined ? {} : { domain: options.domain };
  const js = jetstream(nc, { timeout: answerMs, ...domain });
  const jsm = await js.jetstreamManager();
  await prepareStreams(jsm, options.names, options);
  return { nc, js, jsm };
}

async function watch(nc: NatsConnection, changed: (type: "disconnect" | "reconnect") => void): Promise<void> {
  for await (const { type } of nc.status()) {
    if (type === "disconnect" || type === "reconnect") {
      changed(type);
    }
  }
}

function at({ servers }: NatsServerOptions): string {
  return `NATS at ${describeServers(servers)}`;
}

/** What is wrong, and what to do. */
function describeUnreachable(error: unknown, options: NatsServerOptions): string {
  return isRefusal(error)
    ? `${at(options)} refuses the credentials (${reasonOf(error)}): check user, password, token and credentials_file in ledger.nats`
    : `${at(options)} cannot be reached (${reasonOf(error)}): check that it runs, and servers and tls_… in ledger.nats`;
}

function describeFault(error: unknown, options: SessionOptions): string {
  if (isForbidden(error)) {
    return `${at(options)} forbids what the ledger needs (${reasonOf(error)}): allow its user what docs/operations.md lists`;
  }
  if (error instanceof Error && error.name === "JetStreamNotEnabled") {
    const place = options.domain === undefined ? "" : ` in the domain ${options.domain}`;
    return `${at(options)} answers without JetStream${place}: start it with -js, allow it for the account, or wait for its leader`;
  }
  if (error instanceof JetStreamApiError) {
    return `${at(options)} refuses a stream (${error.message}): check ledger.nats.replicas, the account's limits and the disk`;
  }
  return error instanceof errors.TimeoutError
    ? `${at(options)}: JetStream does not answer; check that its servers run, more than half of a NATS cluster's`
    : describeUnreachable(error, options);
}

export function isForbidden(error: unknown): boolean {
  return (
    error instanceof errors.PermissionViolationError ||
    (error instanceof Error && error.cause instanceof errors.PermissionViolationError)
  );
}

function isRefusal(error: unknown): boolean {
  return error instanceof errors.AuthorizationError || error instanceof errors.UserAuthenticationExpiredError;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
