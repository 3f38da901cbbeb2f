import { pino } from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { eventOf } from "../test/support/events.ts";
import { loadedFrom } from "../test/support/loaded.ts";
import { type Manner, type OtlpReceiver, otlpReceiver } from "../test/support/otlp-receiver.ts";
import { openTelemetry } from "./open-telemetry.ts";

/** Longer than a test may take: whoever waits for it to its end is not done in time. */
const graceMs = 60_000;

describe.each(["grpc", "http"] as const)("at the end, by %s", (protocol) => {
  it("is told how much a collector that hangs was not waited for", async () => {
    const collector = await receiver(protocol, "hangs");
    const { telemetry, lines } = await open(protocol, collector.port);

    telemetry.traces.of(eventOf())?.end();
    await telemetry.close(graceMs);

    expect(lines.filter(isGivenUp)).toMatchObject([{ level: 40, spans: 1, metrics: 1 }]);
  });

  it("is told how much a collector that is down did not take", async () => {
    const collector = await receiver(protocol, "takes");
    await collector[Symbol.asyncDispose]();
    const { telemetry, lines } = await open(protocol, collector.port);

    telemetry.traces.of(eventOf())?.end();
    await telemetry.close(graceMs);

    expect(lines.filter(isGivenUp)).toMatchObject([{ spans: 1, metrics: 1 }]);
  });

  it("is nothing told where all was taken", async () => {
    const collector = await receiver(protocol, "takes");
    const { telemetry, lines } = await open(protocol, collector.port);

    telemetry.traces.of(eventOf())?.end();
    await telemetry.close(graceMs);

    expect(collector.spans).toHaveLength(1);
    expect(collector.metrics.length).toBeGreaterThan(0);
    expect(lines).toEqual([]);
  });
});

it("sends what rules have counted", async () => {
  const collector = await receiver("http", "takes");
  const { telemetry } = await open("http", collector.port);

  telemetry.metrics.ruleMatched("a rule");
  await telemetry.close(graceMs);

  expect(collector.metrics.map(({ name }) => name)).toContain("hallux_rule_matches_total");
});

it("ends at once where no time is left", async () => {
  const collector = await receiver("grpc", "hangs");
  const { telemetry, lines } = await open("grpc", collector.port);

  telemetry.traces.of(eventOf())?.end();
  await telemetry.close(0);

  expect(lines.filter(isGivenUp)).toMatchObject([{ spans: 1, metrics: 1 }]);
});

function isGivenUp({ msg }: Record<string, unknown>): boolean {
  return String(msg).startsWith("telemetry given up");
}

async function receiver(protocol: "grpc" | "http", manner: Manner): Promise<OtlpReceiver> {
  const collector = await otlpReceiver({ protocol });
  onTestFinished(async () => collector[Symbol.asyncDispose]());
  collector.behave(manner);
  return collector;
}

async function open(protocol: "grpc" | "http", port: number) {
  const lines: Record<string, unknown>[] = [];
  const env = {
    OTEL_TRACES_ENABLED: "true",
    OTEL_METRICS_ENABLED: "true",
    OTEL_PROTOCOL: protocol,
    OTEL_COLLECTOR_ENDPOINT: "127.0.0.1",
    OTEL_COLLECTOR_PORT: String(port),
    OTEL_COLLECTOR_USE_INSECURE_GRPC: "true",
    OTEL_TIMEOUT: "60",
  };
  const { loaded } = await loadedFrom({ env, rules: "[]" });
  const telemetry = await openTelemetry({
    config: loaded.settings.config,
    version: "0",
    logger: pino({}, { write: (line) => void lines.push(JSON.parse(line)) }),
    readFile: () => "",
  });
  return { telemetry, lines };
}
