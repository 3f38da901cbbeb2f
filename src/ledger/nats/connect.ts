import { readFileSync } from "node:fs";
import {
  type Authenticator,
  connect,
  credsAuthenticator,
  type NatsConnection,
  type NodeConnectionOptions,
} from "@nats-io/transport-node";
import type { Secret } from "../../schema/secret.ts";

/** Where NATS is, and who we are there. What is absent is not sent. */
export interface NatsServerOptions {
  /** `nats://host:4222`, `tls://host:4222` or `host:4222`; of a NATS cluster any of them. */
  readonly servers: readonly string[];
  /** A `.creds` file: JWT and seed. */
  readonly credentialsFile?: string | undefined;
  readonly user?: string | undefined;
  readonly password?: Secret | undefined;
  readonly token?: Secret | undefined;
  /** PEM files. With one of them, a server without TLS is refused. */
  readonly tlsCaFile?: string | undefined;
  readonly tlsCertFile?: string | undefined;
  readonly tlsKeyFile?: string | undefined;
}

const connectTimeoutMs = 3_000;
/** A connection that hangs is noticed after two of them. */
const pingIntervalMs = 5_000;

export function connectTo(options: NatsServerOptions): Promise<NatsConnection> {
  const { user, password, token, credentialsFile } = options;
  return connect({
    servers: [...options.servers],
    name: "hallux",
    maxReconnectAttempts: -1,
    reconnectTimeWait: 500,
    ignoreAuthErrorAbort: true,
    timeout: connectTimeoutMs,
    pingInterval: pingIntervalMs,
    maxPingOut: 2,
    noAsyncTraces: true,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { pass: password.reveal() }),
    ...(token === undefined ? {} : { token: token.reveal() }),
    ...(credentialsFile === undefined ? {} : { authenticator: fromFile(credentialsFile) }),
    ...tlsOf(options),
  });
}

/** Read for each connection: credentials are replaced while we run. */
function fromFile(path: string): Authenticator {
  return (nonce) => credsAuthenticator(readFileSync(path))(nonce);
}

function tlsOf({ tlsCaFile, tlsCertFile, tlsKeyFile }: NatsServerOptions): Pick<NodeConnectionOptions, "tls"> {
  const files = {
    ...(tlsCaFile === undefined ? {} : { caFile: tlsCaFile }),
    ...(tlsCertFile === undefined ? {} : { certFile: tlsCertFile }),
    ...(tlsKeyFile === undefined ? {} : { keyFile: tlsKeyFile }),
  };
  return Object.keys(files).length === 0 ? {} : { tls: files };
}

/** For messages: without the credentials that a URL may hold. */
export function describeServers(servers: readonly string[]): string {
  return servers.map((server) => server.replace(/^([a-z]+:\/\/)?[^@/]*@/, "$1")).join(", ");
}
