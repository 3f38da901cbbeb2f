import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Catalogue } from "./catalogue/catalogue.ts";
import { neededPermissions } from "./catalogue/permissions.ts";
import type { KubernetesClients } from "./clients/kubernetes/adapter.ts";
import { checkPermissions } from "./permission-check.ts";
import type { Settings } from "./settings/load.ts";
import type { Metrics } from "./telemetry/metrics.ts";

export interface KubernetesAccessOptions {
  readonly client: Pick<KubernetesClients, "load" | "real">;
  readonly catalogue: Catalogue;
  /** Why events cannot be handled, by what is at fault. */
  readonly unready: Map<string, string>;
  readonly metrics: Pick<Metrics, "permissionsMissing">;
  readonly logger: Logger;
  /** Until what did not work is tried again. */
  readonly againMs: number;
}

/** Sees to it that what the rules in force need of the cluster is there, and says what is not. */
export interface KubernetesAccess {
  /** These settings are in force now; what was under way for earlier ones ends. */
  follow(settings: Settings): void;
  stop(): void;
}

export function createKubernetesAccess(options: KubernetesAccessOptions): KubernetesAccess {
  const { client, catalogue, unready, metrics, logger, againMs } = options;
  let pursuit = new AbortController();
  let isLoaded = false;
  let isStopped = false;

  async function pursue(settings: Settings, signal: AbortSignal): Promise<void> {
    if (!isLoaded && (await load(options, signal))) {
      isLoaded = true;
    }
    await checkPermissions(neededOf(settings, catalogue), {
      kubernetes: client.real,
      metrics,
      logger,
      againMs,
      signal,
    });
  }

  return {
    follow(settings) {
      pursuit.abort();
      if (isStopped) {
        return;
      }
      pursuit = new AbortController();
      if (usesKubernetes(settings, catalogue)) {
        void pursue(settings, pursuit.signal);
        return;
      }
      unready.delete("kubernetes");
      if (isLoaded) {
        metrics.permissionsMissing(0);
      }
    },
    stop() {
      isStopped = true;
      pursuit.abort();
    },
  };
}

/**
 * The client is slow to load: it is done before an event needs it, and after the port is open. Where the kubeconfig cannot be
 * read it is tried again: it may be mounted later. False where it was ended before.
 */
async function load(
  { client, unready, logger, againMs }: KubernetesAccessOptions,
  signal: AbortSignal,
): Promise<boolean> {
  unready.set("kubernetes", "the Kubernetes client is loading");
  for (let told = ""; !signal.aborted; ) {
    const reason = await client.load().then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    if (signal.aborted) {
      break;
    }
    if (reason === undefined) {
      unready.delete("kubernetes");
      return true;
    }
    unready.set("kubernetes", reason);
    if (reason !== told) {
      logger.error({ reason }, "no access to kubernetes: set kubeconfig (or KUBECONFIG) to a file that gives it");
      told = reason;
    }
    await sleep(againMs, undefined, { signal }).catch(() => undefined);
  }
  return false;
}

function neededOf({ rules: { rules }, config }: Settings, catalogue: Catalogue) {
  return neededPermissions({ rules, defaultNotifiers: config.default_notifiers, catalogue });
}

/** Whether anything that the rules or the configuration ask for works on the cluster. */
function usesKubernetes({ rules, config }: Settings, { notifiers }: Catalogue): boolean {
  const entries = rules.rules.flatMap(({ actions, notifiers: named }) => [
    ...actions.flatMap(({ actionner, contexts }) => [actionner, ...contexts]),
    ...named.map((id) => notifiers.get(id)),
  ]);
  const told = config.default_notifiers.map((id) => notifiers.get(id));
  return [...entries, ...told].some((entry) => entry?.uses.includes("kubernetes"));
}
