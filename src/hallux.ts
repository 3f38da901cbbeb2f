import { randomUUIDv7 } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { type Api, createApi } from "./api/api.ts";
import { createReloadPage } from "./api/reload.ts";
import { createKeptToken } from "./api/token.ts";
import type { Catalogue } from "./catalogue/catalogue.ts";
import { createClientSets } from "./client-sets.ts";
import { createKubernetes } from "./clients/kubernetes/adapter.ts";
import type { KubeconfigSource } from "./clients/kubernetes/connection.ts";
import type { Config } from "./config/schema.ts";
import { ledgerDirectory } from "./config/state-directory.ts";
import { type Engine, type EngineSettings, startEngine } from "./engine/engine.ts";
import { protectNamespaces, protectSystemRoles, refuseMirrorPods } from "./engine/guard.ts";
import { createNotifications, type Notifications } from "./engine/notifications.ts";
import { createPermits, type Permits } from "./engine/permits.ts";
import { createIntake, type Intake, type IntakeSettings } from "./intake/intake.ts";
import { pathOf, reloadPath } from "./intake/paths.ts";
import { createKubernetesAccess, type KubernetesAccess } from "./kubernetes-access.ts";
import type { Ledger } from "./ledger/ledger.ts";
import { openLedger } from "./open-ledger.ts";
import { openTelemetry, type Telemetry } from "./open-telemetry.ts";
import { describeProblem } from "./schema/problem.ts";
import type { Secret } from "./schema/secret.ts";
import { changeOf } from "./settings/change.ts";
import type { Contents } from "./settings/contents.ts";
import type { LoadedSettings, Settings, SettingsReading } from "./settings/load.ts";
import { createReloader, type ReloadCause, type Reloaded, type Reloader } from "./settings/reload.ts";
import { createWatch, type Watch } from "./settings/watch.ts";
import type { ProcessUsage } from "./telemetry/observed.ts";
import type { Counted } from "./telemetry/otel-metrics.ts";

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
  /** What it starts with. */
  readonly loaded: LoadedSettings;
  /** Loads it again; `known` is what some of the files hold. */
  readonly load: (known: Contents) => Promise<SettingsReading>;
  readonly catalogue: Catalogue;
  readonly logger: Logger;
  readonly version: string;
  readonly kubeconfig: KubeconfigSource;
  /** UTF-8; throws where it cannot. For what is read at start only. */
  readonly readFile: (path: string) => string;
  /** Nothing asks the AWS instance metadata service. */
  readonly metadataDisabled: boolean;
  /** Google's, where the configuration gives none (`GOOGLE_APPLICATION_CREDENTIALS`). */
  readonly googleCredentials?: string | undefined;
  /** Where the ledger is, unless `ledger.path` says otherwise. */
  readonly stateDirectory: string;
  readonly pid: number;
  /** Of this process, for the metrics. */
  readonly usage: () => ProcessUsage;
}

export interface Hallux {
  readonly address: string;
  readonly port: number;
  /** Loads configuration and rules again, and puts them in force where nothing is wrong with them. Rejects where Hallux stops. */
  reload(cause: ReloadCause): Promise<Reloaded>;
  /** Takes no more events, lets running actions end within the grace period, interrupts the rest. */
  stop(): Promise<void>;
}

/** Puts the house together and listens. Rejects where the port is taken, or another process has the ledger. */
export async function startHallux({ loaded, ...options }: HalluxOptions): Promise<Hallux> {
  const { logger } = options;
  const { config } = loaded.settings;
  const kubernetes = createKubernetes({ kubeconfig: options.kubeconfig });
  const { metrics, traces, ...telemetry } = await openTelemetry({ ...options, config });
  metrics.follow(countedOf(loaded.settings, options));
  const ledger = await openLedger({ ...options, config }).catch(async (error: unknown) => {
    await telemetry.close(0);
    throw error;
  });
  const unready: Unready = new Map();
  const common = { options, ledger, metrics, traces, unready, clock: () => new Date(), newId: () => randomUUIDv7() };
  const inForce = await createInForce(loaded.settings, {
    ...common,
    clientsFor: createClientSets({ googleCredentials: undefined, ...options, kubernetes }),
    reload: () => reloader.reload("request"),
  });
  const house: House = { ...common, inForce };
  observeHouse(house);

  const intake = intakeOf(house, () => statusOf(reloader));
  const { engine, permits, notifications } = engineOf(house);
  const access = createKubernetesAccess({ ...house, ...options, client: kubernetes, againMs: loadAgainMs });
  const watch = createWatch({ changed: () => unlessStopping(reloader.reload("files"), unready), logger });
  const reloader = reloaderOf(loaded, house, { intake, permits, notifications, access, watch });
  const { address, port } = await intake.listen().catch(async (error: unknown) => {
    await engine.stop(0);
    // Threads and exports under way would keep the process alive, and the directory with it.
    await Promise.all([ledger.close(), telemetry.close(0)]);
    throw error;
  });
  access.follow(inForce.settings());
  followFiles(watch, loaded.contents.keys(), config);

  return {
    address,
    port,
    reload: reloader.reload,
    async stop() {
      unready.set("stopping", "Hallux is stopping");
      watch.close();
      reloader.stop();
      access.stop();
      const { shutdown_delay_seconds: delay, shutdown_grace_seconds: grace } = inForce.settings().config;
      await sleep(delay * 1000);
      const graceMs = grace * 1000;
      const until = performance.now() + graceMs;
      // Together: a slow sender must not use up the grace period of the actions. What it sends waits in the ledger.
      await Promise.all([intake.close(graceMs), engine.stop(graceMs)]);
      await Promise.all([ledger.close(), telemetry.close(Math.max(0, until - performance.now()))]);
      await kubernetes.close();
    },
  };
}

/** Why events cannot be handled, by what is at fault. */
type Unready = Map<string, string>;

/** Without what it started with: of rules that are in force no longer nothing shall stay in memory. */
type LastingOptions = Omit<HalluxOptions, "loaded">;

/** What the rooms have in common. */
interface House {
  readonly options: LastingOptions;
  readonly inForce: InForce;
  readonly ledger: Ledger;
  readonly metrics: Telemetry["metrics"];
  readonly traces: Telemetry["traces"];
  readonly unready: Unready;
  readonly clock: () => Date;
  readonly newId: () => string;
}

/** The settings that all go by, and what is made of them. */
interface InForce {
  settings(): Settings;
  engine(): EngineSettings;
  /** For what is below `/api/`, and for `/-/reload`. */
  api(): Api;
  /** Makes all that takes their place; the answer puts it there. */
  prepare(settings: Settings): Promise<() => void>;
}

interface InForceOptions extends Omit<House, "inForce"> {
  readonly clientsFor: (settings: Settings) => EngineSettings["clients"];
  readonly reload: () => Promise<Reloaded>;
}

async function createInForce(first: Settings, options: InForceOptions): Promise<InForce> {
  const keptToken = keptTokenOf(first, options.options);
  const make = async (settings: Settings) => ({
    settings,
    engine: engineSettings(settings, options.clientsFor(settings)),
    api: await apiOf(settings, keptToken, options),
  });
  let current = await make(first);

  return {
    settings: () => current.settings,
    engine: () => current.engine,
    api: () => current.api,
    async prepare(settings) {
      const next = await make(settings);
      return () => {
        current = next;
      };
    },
  };
}

type TokenSource = () => Promise<Secret | undefined>;

/** Undefined where there is no directory for it: that comes only with a restart. */
function keptTokenOf({ config }: Settings, { logger, stateDirectory }: LastingOptions): TokenSource | undefined {
  const directory = ledgerDirectory(config.ledger, stateDirectory);
  return directory === undefined ? undefined : createKeptToken({ directory, logger });
}

async function apiOf({ config }: Settings, kept: TokenSource | undefined, options: InForceOptions): Promise<Api> {
  const { token: configured } = config.api;
  if (configured !== undefined || kept === undefined) {
    return pagesFor(configured, options);
  }
  let token = await kept();
  let pages = pagesFor(token, options);
  return async (request, response) => {
    if (token === undefined) {
      const found = await kept();
      // Others may have waited for it, too.
      if (token === undefined && found !== undefined) {
        token = found;
        pages = pagesFor(token, options);
      }
    }
    pages(request, response);
  };
}

/** With the token that they ask for. */
function pagesFor(
  token: Secret | undefined,
  { options: { logger }, ledger, metrics, clock, reload }: InForceOptions,
): Api {
  const readApi = createApi({ ledger, token, metrics, logger, clock });
  const reloadPage = createReloadPage({ reload, token, metrics, logger, clock });
  return (request, response) => (pathOf(request) === reloadPath ? reloadPage : readApi)(request, response);
}

/** What follows the settings where others are put in force. */
interface Followers {
  readonly intake: Intake;
  readonly permits: Permits;
  readonly notifications: Notifications;
  readonly access: KubernetesAccess;
  readonly watch: Watch;
}

function reloaderOf(
  first: LoadedSettings,
  { options, inForce, clock, metrics }: House,
  followers: Followers,
): Reloader {
  const { load, logger } = options;
  const reloader = createReloader({
    first,
    load,
    logger,
    clock,
    apply: async (wanted) => {
      const { settings, restartNeeded } = changeOf(inForce.settings(), wanted);
      const swap = await inForce.prepare(settings);
      // The only one that can refuse them; from here on all of it is one step.
      followers.intake.configure(intakeSettings(settings));
      swap();
      followers.notifications.configure(notifiersOf(settings, options), inForce.engine().clients.real);
      followers.permits.review();
      followers.access.follow(settings);
      metrics.follow(countedOf(settings, options));
      logger.level = settings.config.log_level;
      return restartNeeded;
    },
    follow: (files, settings) => followFiles(followers.watch, files, (settings ?? inForce.settings()).config),
  });
  metrics.observe({ configuration: reloader.state });
  return reloader;
}

function followFiles(watch: Watch, files: Iterable<string>, { watch_rules }: Config): void {
  watch.follow(watch_rules ? files : []);
}

/** A reload that the stopping ended is no fault. */
async function unlessStopping(reloading: Promise<unknown>, unready: Unready): Promise<void> {
  await reloading.catch((error: unknown) => {
    if (!unready.has("stopping")) {
      throw error;
    }
  });
}

const maxShown = 20;

/** For `GET /readyz?verbose`. */
function statusOf(reloader: Reloader): object {
  const { hash, loadedAt, problems, restartNeeded } = reloader.state();
  return {
    configuration: {
      hash,
      loaded_at: loadedAt.toISOString(),
      last_reload: problems.length === 0 ? "successful" : "refused",
      problems: problems.slice(0, maxShown).map(describeProblem),
      restart_needed: restartNeeded,
    },
  };
}

/** What the metrics show of the rest. */
function observeHouse({ options, inForce, ledger, metrics, unready }: House): void {
  const ledgerAvailable = () => ledger.faults().length === 0;
  metrics.observe({
    backlog: ledger.backlog,
    backlogLimitBytes: () => inForce.settings().config.ledger.backlog_bytes,
    ledgerBytes: ledger.size,
    ledgerAvailable,
    ready: () => unready.size === 0 && ledgerAvailable(),
    usage: options.usage,
  });
}

function intakeOf(house: House, details: () => object): Intake {
  const { options, inForce, ledger, metrics, traces, unready, clock, newId } = house;
  const intake = createIntake(intakeSettings(inForce.settings()), {
    ledger,
    metrics,
    traces,
    renderMetrics: metrics.render,
    logger: options.logger,
    readiness: () => [...unready.values()],
    details,
    api: (request, response) => inForce.api()(request, response),
    newId,
    clock,
  });
  const connectionsLimit = () => inForce.settings().config.max_connections;
  metrics.observe({ connections: intake.connections, connectionsLimit });
  return intake;
}

interface Engines {
  readonly engine: Engine;
  readonly permits: Permits;
  readonly notifications: Notifications;
}

function engineOf(house: House): Engines {
  const { options, inForce, ledger, metrics, traces, clock, newId } = house;
  const { logger } = options;
  const dropped = (notifier: string, count: number) =>
    logger.warn({ notifier, count }, "notifications dropped: the notifier's queue is full");
  const permits = createPermits({
    get total() {
      return inForce.settings().config.concurrency;
    },
    of: (actionner) => limitOf(actionner, inForce.settings(), options),
  });
  const notifications = createNotifications({
    ...notifierLimits,
    notifiers: notifiersOf(inForce.settings(), options),
    clients: inForce.engine().clients.real,
    dropped,
  });
  observeEngine(house, permits, notifications);
  const engine = startEngine({
    ledger,
    current: inForce.engine,
    notifications,
    metrics,
    traces,
    logger,
    newId,
    clock,
    patience,
    permits,
    room,
    giveBackMs,
  });
  return { engine, permits, notifications };
}

/** Of actionners that the rules name and that have done nothing yet, too. */
function observeEngine({ inForce, metrics }: House, permits: Permits, notifications: Notifications): void {
  const idle = () =>
    inForce.settings().rules.rules.flatMap(({ actions }) => actions.map(({ actionner }) => [actionner.id, 0] as const));
  metrics.observe({
    actionsRunning: () => new Map([...idle(), ...permits.held()]),
    actionsLimit: () => inForce.settings().config.concurrency,
    notificationsWaiting: notifications.waiting,
  });
}

function engineSettings({ rules, config }: Settings, clients: EngineSettings["clients"]): EngineSettings {
  return {
    rules,
    clients,
    guards: [protectNamespaces(protectedNamespaces(config)), protectSystemRoles, refuseMirrorPods],
    defaultNotifiers: config.default_notifiers,
    actionTimeoutMs: config.action_timeout_seconds * 1000,
    retryMs: config.action_retry_seconds * 1000,
    logEveryEvent: config.print_all_events,
  };
}

/** Of the configuration, or what the actionner itself asks for, or a share that leaves room for other actionners. */
function limitOf(actionner: string, { config }: Settings, { catalogue: { actionners } }: LastingOptions): number {
  const share = Math.ceil(config.concurrency / 4);
  return config.actionner_concurrency[actionner] ?? actionners.get(actionner)?.concurrency ?? share;
}

function protectedNamespaces(config: Config): readonly string[] {
  return [...config.protected_namespaces, ...(config.self.namespace === undefined ? [] : [config.self.namespace])];
}

function notifiersOf({ config }: Settings, { catalogue }: LastingOptions) {
  return [...catalogue.notifiers.values()].flatMap((notifier) => {
    const settings = config.notifiers[notifier.id];
    return settings === undefined ? [] : [{ notifier, settings }];
  });
}

function countedOf(settings: Settings, options: LastingOptions): Counted {
  return {
    rules: settings.rules.rules.map(({ name }) => name),
    notifiers: notifiersOf(settings, options).map(({ notifier }) => notifier.id),
  };
}

function intakeSettings({ config, tls }: Settings): IntakeSettings {
  const { auth, timeouts } = config;
  const { basic_user: user, basic_password: password } = auth;
  return {
    address: config.listen_address,
    port: config.listen_port,
    maxBodyBytes: config.max_body_bytes,
    maxConnections: config.max_connections,
    tls,
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
