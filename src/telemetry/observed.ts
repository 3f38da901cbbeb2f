import { setTimeout as sleep } from "node:timers/promises";
import type { Meter, ObservableResult } from "@opentelemetry/api";
import { type MetricDefinition, metricDefinitions } from "./definitions.ts";
import type { Backlog } from "./metrics.ts";

/** What is asked at each scrape, and costs nothing between two of them. None of it throws. */
export interface Observed {
  readonly backlog: () => Backlog;
  readonly backlogLimitBytes: () => number;
  /** Undefined where it is not to be had now; the last one that was known is shown. */
  readonly ledgerBytes: () => Promise<number | undefined>;
  readonly ledgerAvailable: () => boolean;
  readonly ready: () => boolean;
  /** By actionner. */
  readonly actionsRunning: () => ReadonlyMap<string, number>;
  readonly actionsLimit: () => number;
  /** By notifier. */
  readonly notificationsWaiting: () => ReadonlyMap<string, number>;
  readonly connections: () => number;
  readonly connectionsLimit: () => number;
  readonly configuration: () => ConfigurationState;
  readonly usage: () => ProcessUsage;
}

/** What is in force, and whether the last attempt to change it worked. */
export interface ConfigurationState {
  readonly hash: string;
  readonly loadedAt: Date;
  readonly problems: readonly unknown[];
}

/** Of this process. */
export interface ProcessUsage {
  /** In user and system mode, of all threads, since its start. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
}

/** A scrape waits no longer for what has to be asked for. */
const patienceMs = 100;

/** Shows what there is somebody to ask for. */
export function observe(meter: Meter, observed: Partial<Observed>): void {
  const { actionsRunning, notificationsWaiting, usage, ledgerBytes, configuration, ...single } = observed;
  observeSingle(meter, single);
  observeMap(meter, metricDefinitions.actionsRunning, actionsRunning);
  observeMap(meter, metricDefinitions.notificationsWaiting, notificationsWaiting);
  observeValue(meter, metricDefinitions.ledgerSize, ledgerBytes && lastKnown(ledgerBytes));
  observeValue(meter, metricDefinitions.residentMemory, usage && (() => usage().residentBytes));
  observeConfiguration(meter, configuration);
  if (usage !== undefined) {
    const { name, help } = metricDefinitions.cpuSeconds;
    const cpu = meter.createObservableCounter(name, { description: help });
    cpu.addCallback((result) => result.observe(usage().cpuSeconds));
  }
}

function observeConfiguration(meter: Meter, ask: Observed["configuration"] | undefined): void {
  const { configSuccessful, configTime, configInfo } = metricDefinitions;
  observeValue(meter, configSuccessful, ask && (() => Number(ask().problems.length === 0)));
  observeValue(meter, configTime, ask && (() => ask().loadedAt.getTime() / 1000));
  observeMap(meter, configInfo, ask && (() => new Map([[ask().hash, 1]])));
}

type Single = Omit<Observed, "actionsRunning" | "notificationsWaiting" | "usage" | "ledgerBytes" | "configuration">;

function observeSingle(meter: Meter, observed: Partial<Single>): void {
  const { backlog, backlogLimitBytes, ledgerAvailable, ready, actionsLimit, connections, connectionsLimit } = observed;
  observeValue(meter, metricDefinitions.backlogEvents, backlog && (() => backlog().events));
  observeValue(meter, metricDefinitions.backlogBytes, backlog && (() => backlog().bytes));
  observeValue(meter, metricDefinitions.backlogAge, backlog && (() => ageOf(backlog().oldestAt)));
  observeValue(meter, metricDefinitions.backlogWaiting, backlog && (() => ageOf(backlog().oldestWaitingAt)));
  observeValue(meter, metricDefinitions.backlogLimit, backlogLimitBytes);
  observeValue(meter, metricDefinitions.ledgerAvailable, ledgerAvailable && (() => Number(ledgerAvailable())));
  observeValue(meter, metricDefinitions.ready, ready && (() => Number(ready())));
  observeValue(meter, metricDefinitions.actionsLimit, actionsLimit);
  observeValue(meter, metricDefinitions.connections, connections);
  observeValue(meter, metricDefinitions.connectionsLimit, connectionsLimit);
}

function ageOf(acceptedAt: number | undefined): number {
  return acceptedAt === undefined ? 0 : Math.max(0, Date.now() - acceptedAt) / 1000;
}

function observeValue(
  meter: Meter,
  definition: MetricDefinition,
  ask: (() => number | undefined | Promise<number | undefined>) | undefined,
): void {
  gauge(meter, definition, ask, async (result) => {
    const value = await ask?.();
    if (value !== undefined) {
      result.observe(value);
    }
  });
}

function observeMap(
  meter: Meter,
  definition: MetricDefinition,
  ask: (() => ReadonlyMap<string, number>) | undefined,
): void {
  const [label = ""] = definition.labels;
  gauge(meter, definition, ask, (result) => {
    for (const [value, count] of ask?.() ?? []) {
      result.observe(count, { [label]: value });
    }
  });
}

function gauge(
  meter: Meter,
  { name, help }: MetricDefinition,
  ask: unknown,
  callback: (result: ObservableResult) => void | Promise<void>,
): void {
  if (ask !== undefined) {
    meter.createObservableGauge(name, { description: help }).addCallback(callback);
  }
}

/** Whatever hangs is waited for only so long, and not asked again meanwhile. */
function lastKnown(ask: () => Promise<number | undefined>): () => Promise<number | undefined> {
  let known: number | undefined;
  let asking: Promise<void> | undefined;
  return async () => {
    asking ??= ask().then((found) => {
      known = found ?? known;
      asking = undefined;
    });
    await Promise.race([asking, sleep(patienceMs, undefined, { ref: false })]);
    return known;
  };
}
