import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import {
  type MetricProducer,
  type MetricReader,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
} from "@opentelemetry/sdk-metrics";
import type { SpanExporter } from "@opentelemetry/sdk-trace";
import type { Logger } from "pino";
import type { Secret } from "../schema/secret.ts";
import { maxSeries } from "./definitions.ts";
import type { OtlpProtocol } from "./otlp-protocols.ts";
import { temporalityOf } from "./temporality.ts";

/** Where the collector is. */
export interface Collector {
  readonly protocol: OtlpProtocol;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** Certificates, PEM: trusted instead of the authorities that Node knows. */
  readonly ca?: string | undefined;
  /** The value of the header `Authorization`. */
  readonly authorization?: Secret | undefined;
  /** Of one delivery. */
  readonly timeoutMs: number;
}

/** Both load their protocol here, when they are called. */
export async function createSpanExporter(collector: Collector, logger: Logger): Promise<SpanExporter> {
  const exporter = await spanExporterFor(collector);
  const note = createOutageLog("traces", collector, logger);
  return {
    export: (spans, done) => exporter.export(spans, ending(collector, note, done)),
    shutdown: () => exporter.shutdown(),
  };
}

export interface MetricsDelivery {
  readonly reader: MetricReader;
  /** Sends them once more, however long that takes; whether the collector took them. Never rejects. */
  close(): Promise<boolean>;
}

export interface MetricsDeliveryOptions {
  readonly everyMs: number;
  readonly logger: Logger;
  /** Of more than the meters have. */
  readonly producers?: readonly MetricProducer[];
}

/** Sends the metrics every so often. */
export async function createMetricsDelivery(
  collector: Collector,
  { everyMs, logger, producers = [] }: MetricsDeliveryOptions,
): Promise<MetricsDelivery> {
  const exporter = await metricExporterFor(collector);
  const note = createOutageLog("metrics", collector, logger);
  let taken = false;
  const noted = (error: Error | undefined) => {
    taken = error === undefined;
    note(error);
  };
  const reader = new PeriodicExportingMetricReader({
    exporter: {
      export: (metrics, done) => exporter.export(metrics, ending(collector, noted, done)),
      selectAggregationTemporality: temporalityOf,
      forceFlush: () => exporter.forceFlush(),
      shutdown: () => exporter.shutdown(),
    },
    exportIntervalMillis: everyMs,
    exportTimeoutMillis: everyMs,
    cardinalityLimits: { default: maxSeries },
    metricProducers: [...producers],
  });
  return {
    reader,
    close: () =>
      reader.shutdown().then(
        () => taken,
        () => false,
      ),
  };
}

async function spanExporterFor(collector: Collector): Promise<SpanExporter> {
  if (collector.protocol === "grpc") {
    const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-grpc");
    return new OTLPTraceExporter(await grpcOptions(collector));
  }
  const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-proto");
  return new OTLPTraceExporter(httpOptions(collector, "v1/traces"));
}

async function metricExporterFor(collector: Collector): Promise<PushMetricExporter> {
  if (collector.protocol === "grpc") {
    const { OTLPMetricExporter } = await import("@opentelemetry/exporter-metrics-otlp-grpc");
    return new OTLPMetricExporter(await grpcOptions(collector));
  }
  const { OTLPMetricExporter } = await import("@opentelemetry/exporter-metrics-otlp-proto");
  return new OTLPMetricExporter(httpOptions(collector, "v1/metrics"));
}

async function grpcOptions(collector: Collector) {
  const { createEmptyMetadata, createInsecureCredentials, createSslCredentials } = await import(
    "@opentelemetry/otlp-grpc-exporter-base"
  );
  const { ca, tls, authorization, timeoutMs: timeoutMillis } = collector;
  const metadata = createEmptyMetadata();
  if (authorization !== undefined) {
    metadata.set("authorization", authorization.reveal());
  }
  const authorities = ca === undefined ? undefined : Buffer.from(ca);
  const credentials = tls ? createSslCredentials(authorities) : createInsecureCredentials();
  return { url: originOf(collector), timeoutMillis, metadata, credentials };
}

function httpOptions(collector: Collector, path: string) {
  const { ca, authorization, timeoutMs: timeoutMillis } = collector;
  return {
    url: `${originOf(collector)}/${path}`,
    timeoutMillis,
    ...(authorization === undefined ? {} : { headers: { Authorization: authorization.reveal() } }),
    httpAgentOptions: { keepAlive: true, ...(ca === undefined ? {} : { ca }) },
  };
}

function originOf({ tls, host, port }: Collector): string {
  const isBareIPv6 = host.includes(":") && !host.startsWith("[");
  return `${tls ? "https" : "http"}://${isBareIPv6 ? `[${host}]` : host}:${port}`;
}

/** Between two lines about the same collector that comes and goes. */
const toldEveryMs = 60_000;
const maxReasonLength = 256;
/** For the exporter to say itself what was wrong. */
const graceMs = 100;

/** One line for an outage, whatever is not delivered in it, and one when it is over. */
function createOutageLog(
  signal: "traces" | "metrics",
  collector: Collector,
  logger: Logger,
): (error: Error | undefined) => void {
  const where = { signal, protocol: collector.protocol, collector: originOf(collector) };
  let told = false;
  let toldAt = Number.NEGATIVE_INFINITY;
  return (error) => {
    if (error === undefined) {
      if (told) {
        logger.info(where, "the collector takes telemetry again");
      }
      told = false;
    } else if (!told && performance.now() - toldAt >= toldEveryMs) {
      const reason = error.message.slice(0, maxReasonLength);
      logger.warn({ ...where, reason }, "the collector takes no telemetry: it is dropped until it does");
      told = true;
      toldAt = performance.now();
    }
  };
}

/** Calls back once, and in time: over HTTP the exporter would wait for a connection as long as the kernel does. */
function ending(
  { timeoutMs }: Collector,
  note: (error: Error | undefined) => void,
  done: (result: ExportResult) => void,
): (result: ExportResult) => void {
  let ended = false;
  const end = (result: ExportResult) => {
    clearTimeout(deadline);
    if (!ended) {
      ended = true;
      note(result.code === ExportResultCode.SUCCESS ? undefined : (result.error ?? new Error("no reason given")));
      done(result);
    }
  };
  const late = () => end({ code: ExportResultCode.FAILED, error: new Error(`no answer within ${timeoutMs} ms`) });
  const deadline = setTimeout(late, timeoutMs + graceMs).unref();
  return end;
}
