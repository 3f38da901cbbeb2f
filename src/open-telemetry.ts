import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Config } from "./config/schema.ts";
import { createMetrics, type MetricsStore } from "./telemetry/otel-metrics.ts";
import type { Collector, MetricsDelivery } from "./telemetry/otlp.ts";
import { createRuleCounters, type RuleCounters } from "./telemetry/rule-counters.ts";
import { noTraces, type Traces } from "./telemetry/traces.ts";

export interface TelemetryOptions {
  readonly config: Pick<Config, "otel" | "self">;
  readonly version: string;
  readonly logger: Logger;
  /** UTF-8; throws where it cannot. */
  readonly readFile: (path: string) => string;
}

export interface Telemetry {
  readonly metrics: MetricsStore;
  readonly traces: Traces;
  /** Sends what waits, in so many milliseconds and `lastDeliveryMs` at most, and logs what it gives up. */
  close(withinMs: number): Promise<void>;
}

const metricsEveryMs = 30_000;
/** Nobody is to wait longer for the end because of a collector that is down or hangs. */
const lastDeliveryMs = 2_000;

/** The metrics of the page, and what the configuration wants sent to a collector: that is loaded only here. */
export async function openTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const { config, version } = options;
  const resource = resourceOf(options);
  const ruleCounters = createRuleCounters();
  const deliveries = config.otel.metrics_enabled ? [await metricsDelivery(options, ruleCounters)] : [];
  let dropped = 0;
  const traces = config.otel.traces_enabled
    ? await openTraces(options, resource, (count) => {
        dropped += count;
        metrics.spansDropped(count);
      })
    : noTraces;
  const readers = deliveries.map(({ reader }) => reader);
  const metrics: MetricsStore = createMetrics({ version, ruleCounters, resource, readers, traceId: traces.idOf });

  return {
    metrics,
    traces,
    async close(withinMs) {
      const droppedBefore = dropped;
      let untaken = deliveries.length;
      const sending = deliveries.map(async (delivery) => {
        untaken -= (await delivery.close()) ? 1 : 0;
      });
      await Promise.race([Promise.all([traces.close(), ...sending]), sleep(Math.min(withinMs, lastDeliveryMs))]);
      const spans = dropped - droppedBefore + traces.undelivered();
      if (spans + untaken > 0) {
        options.logger.warn({ spans, metrics: untaken }, "telemetry given up at stop: it could not be delivered");
      }
    },
  };
}

async function openTraces(
  { config: { otel }, logger, readFile }: TelemetryOptions,
  resource: Readonly<Record<string, string>>,
  dropped: (count: number) => void,
): Promise<Traces> {
  const [{ createTraces }, { createSpanExporter }] = await Promise.all([
    import("./telemetry/otel-traces.ts"),
    import("./telemetry/otlp.ts"),
  ]);
  const collector = collectorOf(otel, readFile);
  return createTraces({
    exporter: await createSpanExporter(collector, logger),
    resource,
    samplePercent: otel.traces_sample_percent,
    falcosidekickTraces: otel.falcosidekick_traces,
    timeoutMs: collector.timeoutMs,
    dropped,
  });
}

async function metricsDelivery(
  { config: { otel }, logger, readFile }: TelemetryOptions,
  { producer }: RuleCounters,
): Promise<MetricsDelivery> {
  const { createMetricsDelivery } = await import("./telemetry/otlp.ts");
  const options = { everyMs: metricsEveryMs, logger, producers: [producer] };
  return createMetricsDelivery(collectorOf(otel, readFile), options);
}

const defaultPorts = { grpc: 4317, http: 4318 };

function collectorOf(otel: Config["otel"], readFile: TelemetryOptions["readFile"]): Collector {
  const { protocol, collector_ca_file: caFile } = otel;
  return {
    protocol,
    host: otel.collector_endpoint,
    port: otel.collector_port ?? defaultPorts[protocol],
    tls: !otel.collector_use_insecure_grpc,
    ca: caFile === undefined ? undefined : readFile(caFile),
    authorization: otel.authorization,
    timeoutMs: otel.timeout * 1000,
  };
}

/** Of the pod it is the name that tells replicas apart; outside a cluster each start is another instance. */
function resourceOf({ config, version }: TelemetryOptions): Readonly<Record<string, string>> {
  const { namespace, pod } = config.self;
  return {
    "service.name": "hallux",
    "service.version": version,
    "service.instance.id": pod ?? randomUUID(),
    ...(pod === undefined ? {} : { "k8s.pod.name": pod }),
    ...(namespace === undefined ? {} : { "k8s.namespace.name": namespace }),
  };
}
