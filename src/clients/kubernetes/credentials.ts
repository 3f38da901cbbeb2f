import { type ExecFileException, execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Cluster } from "@kubernetes/client-node";

export type Environment = Readonly<Record<string, string | undefined>>;

/** What is left out is as the kubeconfig says. */
export interface Credential {
  readonly token?: string | undefined;
  /** PEM. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** Credentials that others renew while Hallux runs. */
export interface CredentialSource {
  /** Asked at each call to the API server. */
  current(): Promise<Credential>;
  /** The API server rejected this token, or the certificate: if it is what is current, the next one is asked for anew. */
  forget(token: string): void;
}

const tokenFileMs = 60_000;

/** Read again each minute, as Kubernetes' own clients do. */
export function tokenFile(path: string, now: () => number = Date.now): CredentialSource {
  return remembered(async () => {
    const token = (await readFile(path, "utf8")).trim();
    return { credential: { token }, expiresAt: now() + tokenFileMs };
  }, now);
}

export interface Plugin {
  readonly command: string;
  readonly args?: readonly string[] | null | undefined;
  readonly env?: readonly { readonly name: string; readonly value: string }[] | null | undefined;
  readonly apiVersion?: string | undefined;
  readonly provideClusterInfo?: boolean | undefined;
}

export interface PluginSetting {
  /** A command with a slash is relative to it. */
  readonly directory: string;
  readonly environment: Environment;
  readonly cluster: () => Cluster | null;
  readonly timeoutMs: number;
}

interface ExecCredential {
  readonly status?: {
    readonly token?: string;
    readonly clientCertificateData?: string;
    readonly clientKeyData?: string;
    readonly expirationTimestamp?: string;
  };
}

const maxAnswerBytes = 1024 * 1024;

/** A kubeconfig's `exec`: a program that prints an ExecCredential. One run serves all who wait; what hangs is killed. */
export function credentialPlugin(plugin: Plugin, setting: PluginSetting): CredentialSource {
  return remembered(async () => {
    const { status = {} } = JSON.parse(await answerOf(plugin, setting)) as ExecCredential;
    const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = status;
    const expiresAt = expirationTimestamp === undefined ? Number.POSITIVE_INFINITY : Date.parse(expirationTimestamp);
    return { credential: { token, cert, key }, expiresAt };
  }, Date.now);
}

function answerOf({ command, args, env, ...plugin }: Plugin, setting: PluginSetting): Promise<string> {
  const { directory, environment, timeoutMs } = setting;
  const { promise, resolve: done, reject } = Promise.withResolvers<string>();
  const child = execFile(
    command.includes("/") ? resolve(directory, command) : command,
    args ?? [],
    {
      timeout: timeoutMs,
      killSignal: "SIGKILL",
      maxBuffer: maxAnswerBytes,
      env: {
        ...environment,
        KUBERNETES_EXEC_INFO: execInfo(plugin, setting),
        ...Object.fromEntries(env?.map(({ name, value }) => [name, value]) ?? []),
      },
    },
    (error, stdout, stderr) => (error === null ? done(stdout) : reject(pluginError(command, error, stderr))),
  );
  // It can ask nobody.
  child.stdin?.end();
  return promise;
}

function pluginError(command: string, error: ExecFileException, stderr: string): Error {
  const why = error.killed ? "it did not end in time, or wrote too much" : stderr.trim() || error.message;
  return new Error(`the credential plugin ${command} failed: ${why}`);
}

/** What client-go tells a plugin. */
function execInfo({ apiVersion, provideClusterInfo }: Omit<Plugin, "command">, setting: PluginSetting): string {
  const cluster = provideClusterInfo ? setting.cluster() : null;
  const known = cluster !== null ? { cluster: clusterInfo(cluster) } : {};
  return JSON.stringify({ apiVersion, kind: "ExecCredential", spec: { interactive: false, ...known } });
}

function clusterInfo({ server, caData, tlsServerName, skipTLSVerify, proxyUrl }: Cluster) {
  return {
    server,
    "certificate-authority-data": caData,
    "tls-server-name": tlsServerName,
    "insecure-skip-tls-verify": skipTLSVerify || undefined,
    "proxy-url": proxyUrl,
  };
}

interface Answer {
  readonly credential: Credential;
  /** Milliseconds. */
  readonly expiresAt: number;
}

function remembered(ask: () => Promise<Answer>, now: () => number): CredentialSource {
  let known: Answer | undefined;
  let asking: Promise<Answer> | undefined;

  async function answer(): Promise<Answer> {
    try {
      known = await ask();
      return known;
    } finally {
      asking = undefined;
    }
  }

  return {
    async current() {
      if (known !== undefined && now() < known.expiresAt) {
        return known.credential;
      }
      asking ??= answer();
      return (await asking).credential;
    },
    forget(token) {
      if ((known?.credential.token ?? token) === token) {
        known = undefined;
      }
    },
  };
}
