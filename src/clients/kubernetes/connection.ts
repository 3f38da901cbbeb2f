import { readFileSync } from "node:fs";
import type { RequestOptions } from "node:https";
import { dirname, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { KubeConfig, type RequestContext } from "@kubernetes/client-node";
import { Agent } from "undici";
import type { ClientOptions } from "ws";
import { parse } from "yaml";
import { ActionError } from "../../catalogue/errors.ts";

/** Where the address of the API server and the credentials come from. */
export type KubeconfigSource =
  | { readonly from: "file"; readonly path: string }
  | { readonly from: "text"; readonly text: string }
  /** The service account that Kubernetes mounts into the pod. */
  | { readonly from: "cluster" };

/** How audit logs and `managedFields` name us. */
export const userAgent = "hallux";

const maxConnections = 64;
/** Below the 60 s after which load balancers in front of API servers close idle connections. */
const keepAliveMs = 30_000;

interface Tls {
  readonly ca: ClientOptions["ca"];
  readonly cert: ClientOptions["cert"];
  readonly key: ClientOptions["key"];
  readonly servername: string | undefined;
  readonly rejectUnauthorized: boolean | undefined;
}

interface Credentials {
  readonly tls: Tls;
  readonly headers: Record<string, string>;
  /** Through the kubeconfig's proxy, where it names one. */
  readonly agent: ClientOptions["agent"];
}

/**
 * The API server's address and our credentials, with one pool of connections. `KubeConfig` itself opens one connection per call.
 * Credentials are asked for at each call, because tokens and certificates are renewed; the pool lives as long as they give
 * the same TLS identity.
 */
export class Connection extends KubeConfig {
  #pool: { readonly tls: Tls; readonly agent: Agent } | undefined;

  /** Throws `ActionError` where the source cannot be read or names no cluster. */
  static from(source: KubeconfigSource): Connection {
    const connection = new Connection();
    try {
      connection.#load(source);
    } catch (cause) {
      // The first line only, and not as the cause: a YAML error goes on with the lines around it, tokens included.
      const words = (cause instanceof Error ? cause.message : String(cause)).split("\n")[0];
      throw new ActionError("invalid", `cannot load the kubeconfig${placeOf(source)}: ${words}`);
    }
    return connection;
  }

  get server(): string {
    return this.getCurrentCluster()?.server ?? "";
  }

  override async applySecurityAuthentication(context: RequestContext): Promise<void> {
    if (this.#proxied) {
      await authenticated(() => super.applySecurityAuthentication(context));
      return;
    }
    const { tls, headers } = await this.#credentials();
    for (const [name, value] of Object.entries(headers)) {
      context.setHeaderParam(name, value);
    }
    context.setDispatcher(this.#agentFor(tls));
  }

  /** For connections of their own: WebSockets. */
  async webSocketOptions(): Promise<ClientOptions> {
    const { tls, headers, agent } = await this.#credentials();
    return { ...tls, headers: { ...headers, "User-Agent": userAgent }, ...(this.#proxied ? { agent } : {}) };
  }

  /** Ends idle connections at once, and busy ones when their requests have ended. */
  async close(): Promise<void> {
    await this.#pool?.agent.close();
  }

  get #proxied(): boolean {
    return this.getCurrentCluster()?.proxyUrl !== undefined;
  }

  #load(source: KubeconfigSource): void {
    switch (source.from) {
      case "file":
        this.loadFromFile(source.path);
        this.#useTokenFiles(readFileSync(source.path, "utf8"), dirname(source.path));
        break;
      case "text":
        this.loadFromString(source.text);
        this.#useTokenFiles(source.text, ".");
        break;
      case "cluster":
        this.loadFromCluster();
        break;
    }
    this.#mendAddresses();
    if (!URL.canParse(this.server)) {
      throw new Error("its current context names no cluster with an address");
    }
  }

  /**
   * `KubeConfig` appends paths to the address as it stands, and connects to `http://` (`kubectl proxy`, the playground) only
   * where TLS is not to be verified, which it is not there.
   */
  #mendAddresses(): void {
    this.clusters = this.clusters.map((cluster) => ({
      ...cluster,
      server: cluster.server.replace(/\/+$/, ""),
      skipTLSVerify: cluster.skipTLSVerify || cluster.server.startsWith("http:"),
    }));
  }

  /** `KubeConfig` overlooks a user's `tokenFile`. It is read again each minute, as in a pod. */
  #useTokenFiles(kubeconfig: string, directory: string): void {
    const { users }: { users?: { name: string; user?: { tokenFile?: string } }[] | null } = parse(kubeconfig);
    const files = new Map(users?.map(({ name, user }) => [name, user?.tokenFile]));
    this.users = this.users.map((user) => {
      const file = files.get(user.name);
      const config = file && { tokenFile: resolve(directory, file) };
      return config ? { ...user, token: undefined, authProvider: { name: "tokenFile", config } } : user;
    });
  }

  async #credentials(): Promise<Credentials> {
    const options: RequestOptions = { headers: {} };
    await authenticated(() => this.applyToHTTPSOptions(options));
    const { ca, cert, key, servername, rejectUnauthorized, auth } = options;
    const agent = options.agent as ClientOptions["agent"];
    // A token file may end in a newline, which no header may hold.
    const headers = Object.fromEntries(
      Object.entries({ ...options.headers }).map(([name, value]) => [name, String(value).trim()]),
    );
    if (auth) {
      headers["Authorization"] = `Basic ${Buffer.from(auth).toString("base64")}`;
    }
    return { tls: { ca, cert, key, servername, rejectUnauthorized }, headers, agent };
  }

  #agentFor(tls: Tls): Agent {
    if (this.#pool === undefined || !isDeepStrictEqual(this.#pool.tls, tls)) {
      void this.#pool?.agent.close();
      this.#pool = { tls, agent: newAgent(tls) };
    }
    return this.#pool.agent;
  }
}

function newAgent(tls: Tls): Agent {
  const given = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
  return new Agent({
    connections: maxConnections,
    keepAliveTimeout: keepAliveMs,
    allowH2: false,
    connect: { ...given, keepAlive: true, keepAliveInitialDelay: keepAliveMs },
  });
}

/** A token file that is missing, a credential plugin that fails. */
async function authenticated(apply: () => Promise<void>): Promise<void> {
  try {
    await apply();
  } catch (cause) {
    if (cause instanceof SyntaxError) {
      // Not as the cause: it quotes what the plugin wrote, which may be a token.
      throw new ActionError(
        "unavailable",
        "no credentials for the API server: the credential plugin's answer is not JSON",
      );
    }
    const words = cause instanceof Error ? cause.message : String(cause);
    throw new ActionError("unavailable", `no credentials for the API server: ${words}`, { cause });
  }
}

function placeOf(source: KubeconfigSource): string {
  switch (source.from) {
    case "file":
      return ` ${source.path}`;
    case "text":
      return "";
    case "cluster":
      return " of the service account";
  }
}
