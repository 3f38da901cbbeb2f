import { randomUUIDv7 } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { createApi } from "./api/api.ts";
import { apiToken } from "./api/token.ts";
import type { Catalogue } from "./catalogue/catalogue.ts";
import { neededPermissions } from "./catalogue/permissions.ts";
import { createAws, dryRunAws } from "./clients/aws/adapter.ts";
import type { ClientSets } from "./clients/clients.ts";
import { createGcp } from "./clients/gcp/adapter.ts";
import { createHttp } from "./clients/http/adapter.ts";
import { createKubernetes, type KubernetesClients } from "./clients/kubernetes/adapter.ts";
import type { KubeconfigSource } from "./clients/kubernetes/connection.ts";
import { createMailers } from "./clients/mail/adapter.ts";
import { createMinio } from "./clients/minio/adapter.ts";
import type { MinioSettings } from "./clients/minio/settings.ts";
import { dryRunStore } from "./clients/object-store.ts";
import type { Config } from "./config/schema.ts";
import { ledgerDirectory } from "./config/state-directory.ts";
import { type Engine, startEngine } from "./engine/engine.ts";
import { protectNamespaces, protectSystemRoles, refuseMirrorPods } from "./engine/guard.ts";
import { createNotifications } from "./engine/notifications.ts";
import { createPermits } from "./engine/permits.ts";
import { createIntake, type Intake, type IntakeSettings } from "./intake/intake.ts";
import type { Ledger } from "./ledger/ledger.ts";
import { openLedger } from "./open-ledger.ts";
import { checkPermissions } from "./permission-check.ts";
import type { RuleSet } from "./rules/rule.ts";
import { Secret } from "./schema/secret.ts";
import { createMetrics } from "./telemetry/otel-metrics.ts";

const loadAgainMs = 5_000;
const notifierLimits = {
  timeoutMs: 10_000,
  patience: { firstMs: 500, longestMs: 15_000, totalMs: 300_000 },
  queue: { notifications: 1000, bytes: 16 * 1024 * 1024 },
  concurrency: 4,
  droppedEveryMs: 10_000,
};
/** Events and their texts in memory; the rest of a backlog waits in the ledger. */
const room = { events: 2048, bytes: 64 * 1024 * 1024 };
const giveBackMs = 5_000;
const patience = { firstMs: 100, longestMs: 1_000, totalMs: 2_000 };

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
  /** Google's, where the configuration gives none (`GOOGLE_APPLICATION_CREDENTIALS`). */
  readonly googleCredentials?: string | undefined;
  /** Where the ledger is, unless `ledger.path` says otherwise. */
  readonly stateDirectory: string;
  readonly pid: number;
}

export interface Hallux {
  readonly address: string;
  readonly port: number;
  /** Takes no more events, lets running actions end within the grace period, interrupts the rest. */
  stop(): Promise<void>;
}

/**
 * Puts the house together and listens. Rejects where the port is taken, a certificate cannot be read, or another process has the
 * ledger.
 */
export async function startHallux(options: HalluxOptions): Promise<Hallux> {
  const { config, logger } = options;
  const kubernetes = createKubernetes({ kubeconfig: options.kubeconfig });
  const ledger = await openLedger(options);
  const metrics = createMetrics({ version: options.version, backlog: () => ledger.backlog() });
  const house: House = {
    options,
    clients: clientSets(kubernetes, options),
    ledger,
    metrics,
    unready: new Map(),
    clock: () => new Date(),
    newId: () => randomUUIDv7(),
  };
  const stopping = new AbortController();

  const intake = await intakeOf(house).catch(async (error: unknown) => {
    // Its threads would keep the process alive, and the directory with it.
    await ledger.close();
    throw error;
  });
  const engine = engineOf(house);
  const { address, port } = await intake.listen().catch(async (error: unknown) => {
    await engine.stop(0);
    await ledger.close();
    throw error;
  });
  if (usesKubernetes(options)) {
    const { signal } = stopping;
    const needed = neededOf(options);
    void loadKubernetes(kubernetes, { unready: house.unready, logger, signal }).then(() =>
      checkPermissions(needed, { kubernetes: kubernetes.real, metrics, logger, againMs: loadAgainMs, signal }),
    );
  }

  return {
    address,
    port,
    async stop() {
      house.unready.set("stopping", "Hallux is stopping");
      stopping.abort();
      await sleep(config.shutdown_delay_seconds * 1000);
      const graceMs = config.shutdown_grace_seconds * 1000;
      // Together: a slow sender must not use up the grace period of the actions. What it sends waits in the ledger.
      await Promise.all([intake.close(graceMs), engine.stop(graceMs)]);
      await ledger.close();
      await kubernetes.close();
    },
  };
}

/** What the rooms have in common. */
interface House {
  readonly options: HalluxOptions;
  readonly clients: ClientSets;
  readonly ledger: Ledger;
  readonly metrics: ReturnType<typeof createMetrics>;
  readonly unready: Unready;
  readonly clock: () => Date;
  readonly newId: () => string;
}

async function intakeOf({ options, ledger, metrics, unready, clock, newId }: House): Promise<Intake> {
  const { config, logger, stateDirectory } = options;
  const directory = ledgerDirectory(config.ledger, stateDirectory);
  const token = await apiToken({ configured: config.api.token, directory, logger });
  return createIntake(intakeSettings(options), {
    ledger,
    metrics,
    renderMetrics: metrics.render,
    logger,
    readiness: () => [...unready.values()],
    api: createApi({ ledger, token, logger, clock }),
    newId,
    clock,
  });
}

function engineOf({ options, clients, ledger, metrics, clock, newId }: House): Engine {
  const { config, logger } = options;
  const dropped = (notifier: string, count: number) =>
    logger.warn({ notifier, count }, "notifications dropped: the notifier's queue is full");
  return startEngine({
    ledger,
    rules: () => options.rules,
    clients,
    guards: [protectNamespaces(protectedNamespaces(config)), protectSystemRoles, refuseMirrorPods],
    notifications: createNotifications({
      ...notifierLimits,
      notifiers: notifiersOf(options),
      clients: clients.real,
      dropped,
    }),
    defaultNotifiers: config.default_notifiers,
    metrics,
    logger,
    newId,
    clock,
    actionTimeoutMs: config.action_timeout_seconds * 1000,
    patience,
    retryMs: config.action_retry_seconds * 1000,
    permits: createPermits({ total: config.concurrency, of: limitOf(options) }),
    room,
    giveBackMs,
    logEveryEvent: config.print_all_events,
  });
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

function neededOf({ rules: { rules }, config, catalogue }: HalluxOptions) {
  return neededPermissions({ rules, defaultNotifiers: config.default_notifiers, catalogue });
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

function clientSets(kubernetes: KubernetesClients, options: HalluxOptions): ClientSets {
  const { config, metadataDisabled, googleCredentials } = options;
  const {
    region,
    access_key: accessKey,
    secret_key: secretKey,
    role_arn: roleArn,
    external_id: externalId,
  } = config.aws;
  const aws = createAws({ region, accessKey, secretKey, roleArn, externalId, metadataDisabled });
  const http = createHttp();
  const mail = createMailers();
  const gcp = createGcp({ credentialsPath: config.gcp.credentials_path ?? googleCredentials }, http.real);
  const minio = createMinio(minioSettings(config));
  return {
    real: { kubernetes: kubernetes.real, aws, gcp: gcp.real, minio, http: http.real, mail: mail.real },
    dryRun: {
      kubernetes: kubernetes.dryRun,
      aws: dryRunAws(aws),
      gcp: gcp.dryRun,
      minio: dryRunStore(minio),
      http: http.dryRun,
      mail: mail.dryRun,
    },
  };
}

function minioSettings({ minio }: Config): MinioSettings {
  const { endpoint, access_key: accessKey, secret_key: secretKey, use_ssl: tls, region } = minio;
  return { endpoint, accessKey, secretKey, tls, region };
}

/** Of the configuration, or what the actionner itself asks for, or a share that leaves room for other actionners. */
function limitOf({ config, catalogue }: HalluxOptions): (actionner: string) => number {
  const share = Math.ceil(config.concurrency / 4);
  return (id) => config.actionner_concurrency[id] ?? catalogue.actionners.get(id)?.concurrency ?? share;
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
