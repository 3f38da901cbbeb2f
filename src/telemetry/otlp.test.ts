import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { pino } from "pino";
import { afterEach, describe, expect, it, vi } from "vitest";
import { blackHole } from "../../test/support/black-hole.ts";
import { eventOf } from "../../test/support/events.ts";
import { certificates } from "../../test/support/notifier-contract.ts";
import { otlpReceiver } from "../../test/support/otlp-receiver.ts";
import { Secret } from "../schema/secret.ts";
import { createTraces } from "./otel-traces.ts";
import { type Collector, createMetricsDelivery, createSpanExporter } from "./otlp.ts";

const transports = [
  { protocol: "grpc", tls: false },
  { protocol: "grpc", tls: true },
  { protocol: "http", tls: false },
  { protocol: "http", tls: true },
] as const;
const authorization = new Secret("Bearer of-the-collector");
const lines: Record<string, unknown>[] = [];
const logger = pino({}, { write: (line) => void lines.push(JSON.parse(line)) });

afterEach(() => {
  vi.useRealTimers();
  lines.length = 0;
});

describe.each(transports)("by $protocol, TLS: $tls", ({ protocol, tls }) => {
  const server = { protocol, ...(tls ? { tls: certificates } : {}) };
  // The library for gRPC takes no address for the name in a certificate.
  const host = tls ? "localhost" : "127.0.0.1";
  const to = (port: number): Collector => ({ ...collector(protocol, port), host, tls, ca: certificates.authority });

  it("sends spans, and what the collector wants as authorization", async () => {
    await using receiver = await otlpReceiver(server);
    const exporter = await createSpanExporter({ ...to(receiver.port), authorization }, logger);
    const traces = tracesBy(exporter);

    traces.of(eventOf({ pod: "shop/cart-1" }))?.end();
    await traces.close();

    expect(receiver.spans).toMatchObject([{ name: "event", resource: { "service.name": "hallux" } }]);
    expect(receiver.requests).toMatchObject([{ authorization: "Bearer of-the-collector" }]);
  });

  it("sends metrics", async () => {
    await using receiver = await otlpReceiver(server);
    const { reader } = await createMetricsDelivery(to(receiver.port), { everyMs: 60_000, logger });
    const provider = new MeterProvider({ readers: [reader] });

    provider.getMeter("test").createCounter("things").add(1);
    await provider.shutdown();

    expect(receiver.metrics.map(({ name }) => name)).toContain("things");
  });
});

it("sends of a gauge what it says now, and no label that it said before", async () => {
  await using receiver = await otlpReceiver({ protocol: "grpc" });
  const { reader } = await createMetricsDelivery(collector("grpc", receiver.port), { everyMs: 60_000, logger });
  const provider = new MeterProvider({ readers: [reader] });
  let hash = "of the old configuration";
  const gauge = provider.getMeter("test").createObservableGauge("config_info");
  gauge.addCallback((result) => result.observe(1, { hash }));

  await reader.collect();
  hash = "of the new one";
  const { resourceMetrics } = await reader.collect();
  await provider.shutdown();

  const metric = resourceMetrics.scopeMetrics[0]?.metrics[0];
  expect(metric?.dataPoints.map(({ attributes }) => attributes)).toEqual([{ hash }]);
});

it("speaks TLS only with a collector that it can trust", async () => {
  await using receiver = await otlpReceiver({ protocol: "grpc", tls: certificates });
  const exporter = await createSpanExporter(
    { ...collector("grpc", receiver.port), host: "localhost", tls: true },
    logger,
  );

  const dropped = await droppedBy(exporter);

  expect({ dropped, spans: receiver.spans }).toEqual({ dropped: 1, spans: [] });
});

describe.each(["grpc", "http"] as const)("a collector that takes nothing, by %s", (protocol) => {
  it("is told of once, as is that it takes deliveries again", async () => {
    await using receiver = await otlpReceiver({ protocol });
    const exporter = await createSpanExporter(collector(protocol, receiver.port), logger);
    const deliver = () => delivery(exporter);
    receiver.behave("refuses");

    const failed = [await deliver(), await deliver(), await deliver()];
    receiver.behave("takes");
    const taken = [await deliver(), await deliver()];

    expect(failed.map(({ code }) => code)).toEqual(Array(3).fill(ExportResultCode.FAILED));
    expect(taken.map(({ code }) => code)).toEqual(Array(2).fill(ExportResultCode.SUCCESS));
    expect(lines.map(({ level, msg }) => `${level} ${msg}`)).toEqual([
      "40 the collector takes no telemetry: it is dropped until it does",
      "30 the collector takes telemetry again",
    ]);
    expect(lines[0]).toMatchObject({ signal: "traces", protocol, collector: `http://127.0.0.1:${receiver.port}` });
  });

  it("is told of once, however long it lasts", async () => {
    await using receiver = await otlpReceiver({ protocol });
    const exporter = await createSpanExporter(collector(protocol, receiver.port), logger);
    receiver.behave("refuses");
    vi.useFakeTimers({ toFake: ["performance"] });

    await delivery(exporter);
    vi.advanceTimersByTime(86_400_000);
    await delivery(exporter);

    expect(lines).toHaveLength(1);
  });

  it("is told of once a minute at most, however often it comes and goes", async () => {
    await using receiver = await otlpReceiver({ protocol });
    const exporter = await createSpanExporter(collector(protocol, receiver.port), logger);

    for (let round = 0; round < 4; round += 1) {
      receiver.behave("refuses");
      await delivery(exporter);
      receiver.behave("takes");
      await delivery(exporter);
    }

    expect(lines).toHaveLength(2);
  });

  it("is waited for as long as a delivery may take", async () => {
    await using receiver = await otlpReceiver({ protocol });
    receiver.behave("hangs");
    const exporter = await createSpanExporter({ ...collector(protocol, receiver.port), timeoutMs: 100 }, logger);

    const { code } = await delivery(exporter);

    expect(code).toBe(ExportResultCode.FAILED);
    expect(lines).toHaveLength(1);
  });

  it("is waited for no longer where no connection comes about", async () => {
    await using nowhere = await blackHole();
    const { port } = new URL(nowhere.url);
    const exporter = await createSpanExporter({ ...collector(protocol, Number(port)), timeoutMs: 100 }, logger);

    const { code } = await delivery(exporter);

    expect(code).toBe(ExportResultCode.FAILED);
  });

  it("shows no authorization in the log", async () => {
    await using receiver = await otlpReceiver({ protocol });
    receiver.behave("refuses");
    const exporter = await createSpanExporter({ ...collector(protocol, receiver.port), authorization }, logger);

    await delivery(exporter);

    expect(JSON.stringify(lines)).not.toContain("of-the-collector");
  });
});

it("asks an IPv6 address as one", async () => {
  const exporter = await createSpanExporter({ ...collector("http", 1), host: "::1", timeoutMs: 100 }, logger);

  await delivery(exporter);

  expect(lines).toMatchObject([{ collector: "http://[::1]:1" }]);
});

function collector(protocol: Collector["protocol"], port: number): Collector {
  return { protocol, host: "127.0.0.1", port, tls: false, timeoutMs: 20_000 };
}

type Exporter = Awaited<ReturnType<typeof createSpanExporter>>;

function tracesBy(exporter: Exporter, dropped: (count: number) => void = () => undefined) {
  const resource = { "service.name": "hallux" };
  return createTraces({
    exporter,
    resource,
    samplePercent: 100,
    falcosidekickTraces: false,
    timeoutMs: 25_000,
    dropped,
  });
}

/** How many were dropped of one span. */
async function droppedBy(exporter: Exporter): Promise<number> {
  let sum = 0;
  const traces = tracesBy(exporter, (count) => {
    sum += count;
  });
  traces.of(eventOf())?.end();
  await traces.close();
  return sum;
}

/** Of nothing but the envelope. */
function delivery(exporter: Exporter): Promise<ExportResult> {
  return new Promise((resolve) => exporter.export([], resolve));
}
