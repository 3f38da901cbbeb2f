import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Catalogue } from "./catalogue/catalogue.ts";
import { createAws, dryRunAws } from "./clients/aws/adapter.ts";
import type { ClientSets } from "./clients/clients.ts";
import { createKubernetes, type KubernetesClients } from "./clients/kubernetes/adapter.ts";
import type { KubeconfigSource } from "./clients/kubernetes/connection.ts";
import type { Config } from "./config/schema.ts";
import { startEngine } from "./engine/engine.ts";
import { protectNamespaces, protectSystemRoles, refuseMirrorPods } from "./engine/guard.ts";
import { createNotifications } from "./engine/notifications.ts";
import { createIntake, type IntakeSettings } from "./intake/intake.ts";
import { createMemoryLedger } from "./ledger/memory.ts";
import type { RuleSet } from "./rules/rule.ts";
import { Secret } from "./schema/secret.ts";
import { createMetrics } from "./telemetry/otel-metrics.ts";

const loadAgainMs = 5_000;
const notifierLimits = { timeoutMs: 10_000, queueLimit: 1000, concurrency: 4 };

export interface HalluxOptions {
  readonly config: Config;
  readonly rules: RuleSet;
  readonly catalogue: Catalogue;
  readonly logger: Logger;
  readonly version: string;
  readonly kubeconfig: KubeconfigSource;
  /** UTF-8; throws where it cannot. For the certificates. */
  readonly readFile: (path: string) => string;
  /** Nothing asks the AWS instance metadata service. */
  readonly metadataDisabled: boolean;
}

export interface Hallux {
  readonly address: string;
  readonly port: number;
  /** Takes no more events, lets running actions end within the grace period, interrupts the rest. */
  stop(): Promise<void>;
}

/** Puts the house together and listens. Rejects where the port is taken or a certificate cannot be read. */
export async function startHallux(options: HalluxOptions): Promise<Hallux> {
  const { config, logger } = options;
  const clock = () => new Date();
  const newId = () => crypto.randomUUID();
  const metrics = createMetrics(options.version);
  const kubernetes = createKubernetes({ kubeconfig: options.kubeconfig });
  const clients = clientSets(kubernetes, options);
  const { backlog_bytes: backlogBytes, history_bytes: historyBytes } = config.ledger;
  const windowSeconds = config.deduplication.time_window_seconds;
  const ledger = createMemoryLedger({ windowSeconds, backlogBytes, historyBytes, clock: Date.now });
  const unready: Unready = new Map();
  const stopping = new AbortController();

  const intake = createIntake(intakeSettings(options), {
    ledger,
    metrics,
    renderMetrics: metrics.render,
    logger,
    readiness: () => [...unready.values()],
    newId,
    clock,
  });
  const engine = startEngine({
    ledger,
    rules: () => options.rules,
    clients,
    guards: [protectNamespaces(protectedNamespaces(config)), protectSystemRoles, refuseMirrorPods],
    notifications: createNotifications({ ...notifierLimits, notifiers: notifiersOf(options), clients: clients.real }),
    defaultNotifiers: config.default_notifiers,
    outputSettings: new Map(),
    metrics,
    logger,
    newId,
    clock,
    actionTimeoutMs: config.action_timeout_seconds * 1000,
    concurrency: config.concurrency,
    logEveryEvent: config.print_all_events,
  });
  const { address, port } = await intake.listen().catch(async (error: unknown) => {
    await engine.stop(0);
    throw error;
  });
  if (usesKubernetes(options)) {
    void loadKubernetes(kubernetes, { unready, logger, signal: stopping.signal });
  }

  return {
    address,
    port,
    async stop() {
      unready.set("stopping", "Hallux is stopping");
      stopping.abort();
      await sleep(config.shutdown_delay_seconds * 1000);
      const graceMs = config.shutdown_grace_seconds * 1000;
      const until = performance.now() + graceMs;
      await intake.close(graceMs);
      await engine.stop(Math.max(0, until - performance.now()));
      await ledger.close();
      await kubernetes.close();
    },
  };
}

/** Why events cannot be handled, by what is at fault. */
type Unready = Map<string, string>;

/**
 * The client is slow to load: it is done before an event needs it, and after the port is open. Where the kubeconfig cannot be
 * read it is tried again: it may be mounted later.
 */
async function loadKubernetes(client: KubernetesClients, peers: LoadingPeers): Promise<void> {
  const { unready, logger, signal } = peers;
  unready.set("kubernetes", "the Kubernetes client is loading");
  for (let told = ""; !signal.aborted; ) {
    const reason = await client.load().then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    if (reason === undefined) {
      unready.delete("kubernetes");
      return;
    }
    unready.set("kubernetes", reason);
    if (reason !== told) {
      logger.error({ reason }, "no access to kubernetes: set kubeconfig (or KUBECONFIG) to a file that gives it");
      told = reason;
    }
    await sleep(loadAgainMs, undefined, { signal }).catch(() => undefined);
  }
}

interface LoadingPeers {
  readonly unready: Unready;
  readonly logger: Logger;
  /** Ends the trying. */
  readonly signal: AbortSignal;
}

/** Whether anything that the rules or the configuration ask for works on the cluster. */
function usesKubernetes({ rules, catalogue, config }: HalluxOptions): boolean {
  const entries = rules.rules.flatMap(({ actions, notifiers }) => [
    ...actions.flatMap(({ actionner, contexts }) => [actionner, ...contexts]),
    ...notifiers.map((id) => catalogue.notifiers.get(id)),
  ]);
  const told = config.default_notifiers.map((id) => catalogue.notifiers.get(id));
  return [...entries, ...told].some((entry) => entry?.uses.includes("kubernetes"));
}

function clientSets(kubernetes: KubernetesClients, { config, metadataDisabled }: HalluxOptions): ClientSets {
  const {
    region,
    access_key: accessKey,
    secret_key: secretKey,
    role_arn: roleArn,
    external_id: externalId,
  } = config.aws;
  const aws = createAws({ region, accessKey, secretKey, roleArn, externalId, metadataDisabled });
  return {
    real: { kubernetes: kubernetes.real, aws },
    dryRun: { kubernetes: kubernetes.dryRun, aws: dryRunAws(aws) },
  };
}

function protectedNamespaces(config: Config): readonly string[] {
  return [...config.protected_namespaces, ...(config.self.namespace === undefined ? [] : [config.self.namespace])];
}

function notifiersOf({ catalogue, config }: HalluxOptions) {
  return [...catalogue.notifiers.values()].flatMap((notifier) => {
    const settings = config.notifiers[notifier.id];
    return settings === undefined ? [] : [{ notifier, settings }];
  });
}

function intakeSettings({ config, readFile }: HalluxOptions): IntakeSettings {
  const { auth, tls, timeouts } = config;
  const { basic_user: user, basic_password: password } = auth;
  return {
    address: config.listen_address,
    port: config.listen_port,
    maxBodyBytes: config.max_body_bytes,
    maxConnections: config.max_connections,
    tls: tlsOf(tls, readFile),
    auth: {
      bearerToken: auth.bearer_token,
      basic: user === undefined || password === undefined ? undefined : { user, password },
      pathSecret: auth.path_secret,
    },
    timeouts: {
      headers: timeouts.headers_seconds * 1000,
      request: timeouts.request_seconds * 1000,
      idle: timeouts.idle_seconds * 1000,
    },
  };
}

/** Without a certificate in it every sender would be refused, and Falco would not notice. */
function authorities(path: string, readFile: HalluxOptions["readFile"]): string {
  const pem = readFile(path);
  if (!/-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----/.test(pem)) {
    throw new Error(`tls.client_ca_file: ${path} holds no certificate (PEM)`);
  }
  return pem;
}

function tlsOf(tls: Config["tls"], readFile: HalluxOptions["readFile"]): IntakeSettings["tls"] {
  const { cert_file: cert, key_file: key, client_ca_file: clientCa } = tls;
  return cert === undefined || key === undefined
    ? undefined
    : {
        cert: readFile(cert),
        key: new Secret(readFile(key)),
        clientCa: clientCa === undefined ? undefined : authorities(clientCa, readFile),
      };
}
