import { existsSync, readFileSync } from "node:fs";
import type { RequestOptions } from "node:https";
import { delimiter, dirname, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { KubeConfig, type RequestContext, type User } from "@kubernetes/client-node";
import { Agent, buildConnector } from "undici";
import type { ClientOptions } from "ws";
import { parse } from "yaml";
import { ActionError } from "../../catalogue/errors.ts";
import { unsent } from "../../catalogue/http.ts";
import { connectMs, endWatched } from "../connecting.ts";
import { type CredentialSource, credentialPlugin, type Environment, type Plugin, tokenFile } from "./credentials.ts";

/** Where the address of the API server and the credentials come from. */
export type KubeconfigSource =
  | {
      readonly from: "file";
      /** Or several, as `KUBECONFIG` lists them: what an earlier one defines, later ones do not. */
      readonly path: string;
      /** Of this process, for credential plugins. */
      readonly environment?: Environment;
    }
  | { readonly from: "text"; readonly text: string }
  /** The service account that Kubernetes mounts into the pod. */
  | { readonly from: "cluster" };

/** How audit logs and `managedFields` name us. */
export const userAgent = "hallux";

const maxConnections = 64;
/** Below the 60 s after which load balancers in front of API servers close idle connections. */
const keepAliveMs = 30_000;
/** Some ask an identity provider far away; none may hold up an action for ever. */
const pluginMs = 20_000;

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
  /** By user: those that others renew. */
  readonly #sources = new Map<string, CredentialSource>();

  /** Throws `unavailable` where the source cannot be read or names no cluster. */
  static from(source: KubeconfigSource): Connection {
    const connection = new Connection();
    try {
      connection.#load(source);
    } catch (cause) {
      // The first line only, and not as the cause: a YAML error goes on with the lines around it, tokens included.
      const words = (cause instanceof Error ? cause.message : String(cause)).split("\n")[0];
      // It may be mounted later, or was read while somebody wrote it.
      const message = `cannot load the kubeconfig${placeOf(source)}: ${words}`;
      throw new ActionError("unavailable", message, { notBegun: true });
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
    const options = { ...tls, headers: { ...headers, "User-Agent": userAgent } };
    return this.#proxied ? { ...options, agent } : { ...options, finishRequest: endWatched };
  }

  /**
   * After a 401: whether there are now other credentials than those that were rejected. Then it is worth asking again at once.
   * Who was not let in has begun nothing.
   */
  async renew(context: RequestContext): Promise<boolean> {
    const dispatcher = context.getDispatcher();
    const { Authorization } = context.getHeaders();
    this.#forget(Authorization);
    await this.applySecurityAuthentication(context);
    return context.getDispatcher() !== dispatcher || context.getHeaders()["Authorization"] !== Authorization;
  }

  /** The same for a WebSocket; undefined where there are no others. */
  async renewOptions(rejected: ClientOptions): Promise<ClientOptions | undefined> {
    this.#forget(rejected.headers?.["Authorization"]);
    const options = await this.webSocketOptions();
    return isDeepStrictEqual(options, rejected) ? undefined : options;
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
        this.#loadFiles(source.path.split(delimiter).filter(Boolean), source.environment ?? {});
        break;
      case "text":
        this.loadFromString(source.text);
        this.#readTokenFiles(source.text, ".");
        this.#renewUsers(".", {});
        break;
      case "cluster":
        this.loadFromCluster();
        this.#renewUsers(".", {});
        break;
    }
    this.#mendAddresses();
    if (!URL.canParse(this.server)) {
      throw new Error("its current context names no cluster with an address");
    }
    this.addAuthenticator({
      isAuthProvider: ({ name }) => this.#sources.has(name),
      applyAuthentication: async ({ name }, options) => {
        const { token, cert, key } = (await this.#sources.get(name)?.current()) ?? {};
        Object.assign(options, cert && { cert }, key && { key });
        Object.assign(options.headers ?? {}, token && { Authorization: `Bearer ${token}` });
      },
    });
  }

  /** As kubectl merges them; of several, those that are missing are passed over. */
  #loadFiles(paths: readonly string[], environment: Environment): void {
    const found = paths.filter((path) => existsSync(path));
    for (const path of found.length > 0 ? found : paths.slice(0, 1)) {
      const { clusters, users, contexts, currentContext } = this;
      this.loadFromFile(path);
      this.users = withoutNamesakes(this.users, users);
      this.#readTokenFiles(readFileSync(path, "utf8"), dirname(path));
      this.#renewUsers(dirname(path), environment);
      this.users = [...users, ...this.users];
      this.clusters = [...clusters, ...withoutNamesakes(this.clusters, clusters)];
      this.contexts = [...contexts, ...withoutNamesakes(this.contexts, contexts)];
      this.currentContext = currentContext || this.currentContext;
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

  /** `KubeConfig` overlooks a user's `tokenFile`. */
  #readTokenFiles(kubeconfig: string, directory: string): void {
    const { users }: { users?: { name: string; user?: { tokenFile?: string } }[] | null } = parse(kubeconfig);
    const files = new Map(users?.map(({ name, user }) => [name, user?.tokenFile]));
    this.users = this.users.map((user) => {
      const file = files.get(user.name);
      const config = file && { tokenFile: resolve(directory, file) };
      return config ? { ...user, token: undefined, authProvider: { name: "tokenFile", config } } : user;
    });
  }

  /**
   * `KubeConfig` waits for a credential plugin for ever and starts one for each call, and gives a token file's old content
   * for a minute whatever the API server says to it.
   */
  #renewUsers(directory: string, environment: Environment): void {
    this.users = this.users.map((user) => {
      const source = this.#sourceOf(user, directory, environment);
      if (source === undefined) {
        return user;
      }
      this.#sources.set(user.name, source);
      return { ...user, exec: undefined, authProvider: undefined };
    });
  }

  #sourceOf({ exec, authProvider }: User, directory: string, environment: Environment): CredentialSource | undefined {
    const path: string | undefined = authProvider?.config?.tokenFile;
    if (path !== undefined) {
      return tokenFile(path);
    }
    const plugin: Plugin | undefined = exec;
    const cluster = () => this.getCurrentCluster();
    return plugin && credentialPlugin(plugin, { directory, environment, cluster, timeoutMs: pluginMs });
  }

  #forget(authorization: unknown): void {
    this.#sources.get(this.getCurrentUser()?.name ?? "")?.forget(String(authorization).replace(/^Bearer /, ""));
  }

  async #credentials(): Promise<Credentials> {
    const options: RequestOptions = { headers: {} };
    await authenticated(() => this.applyToHTTPSOptions(options));
    const { ca, cert, key, servername, rejectUnauthorized, auth } = options;
    const agent = options.agent as ClientOptions["agent"];
    const headers = Object.fromEntries(
      Object.entries({ ...options.headers }).map(([name, value]) => [name, String(value)]),
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

function withoutNamesakes<T extends { readonly name: string }>(entries: readonly T[], known: readonly T[]): T[] {
  return entries.filter(({ name }) => !known.some((entry) => entry.name === name));
}

function newAgent(tls: Tls): Agent {
  const given = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
  const connect = buildConnector({
    ...given,
    allowH2: false,
    timeout: connectMs,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveMs,
  });
  return new Agent({
    connections: maxConnections,
    keepAliveTimeout: keepAliveMs,
    allowH2: false,
    connect(options, callback) {
      try {
        connect(options, (...[error, socket]) =>
          error === null ? callback(null, socket) : callback(unsent(error), null),
        );
      } catch (error) {
        // A key that is not its certificate's: one of the files has been renewed, the other not yet.
        callback(unsent(error as Error), null);
      }
    },
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
        { notBegun: true },
      );
    }
    const words = cause instanceof Error ? cause.message : String(cause);
    throw new ActionError("unavailable", `no credentials for the API server: ${words}`, { cause, notBegun: true });
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
