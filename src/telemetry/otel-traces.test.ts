import { randomUUIDv7 } from "node:crypto";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import { describe, expect, it } from "vitest";
import { eventOf } from "../../test/support/events.ts";
import type { FalcoEvent } from "../events/event.ts";
import { createTraces, type TracesOptions } from "./otel-traces.ts";
import { noTraces } from "./traces.ts";

const receivedAt = "2026-03-01T10:00:01.000Z";
const sender = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" };
const traceparent = `00-${sender.traceId}-${sender.spanId}-01`;

describe("the trace of an event", () => {
  it("has the digits of the event's id as its id, whichever process adds to it", async () => {
    const [one, other] = [start(), start()];
    const event = anEvent();

    one.traces.received(event, undefined, {}, performance.now());
    other.traces.of(event)?.end();
    const spans = [...(await one.ended()), ...(await other.ended())];

    expect(new Set(spans.map((span) => span.spanContext().traceId))).toEqual(new Set([digitsOf(event.id)]));
    const root = spans.find(({ name }) => name === "event");
    expect(root?.parentSpanContext).toBeUndefined();
    expect(spans.find(({ name }) => name === "receive")?.parentSpanContext?.spanId).toBe(root?.spanContext().spanId);
  });

  it("begins where Falco saw the event, with the way to Hallux", async () => {
    const { traces, ended } = start();
    const event = anEvent({ time: "2026-03-01T10:00:00.250Z" });

    traces.received(event, undefined, {}, performance.now());
    traces.of(event)?.end();
    const spans = await ended();

    const falco = spans.find(({ name }) => name === "falco");
    expect(falco).toMatchObject({ startTime: [1772359200, 250_000_000], endTime: [1772359201, 0] });
    expect(spans.find(({ name }) => name === "event")).toMatchObject({ startTime: [1772359200, 250_000_000] });
  });

  it.each([
    ["came without a time", receivedAt],
    ["has a time that is yet to come", "2026-03-01T10:00:09Z"],
    ["is older than an hour", "2026-03-01T08:59:59Z"],
    ["is as old as time itself", "0001-01-01T00:00:00Z"],
  ])("begins with the receipt where the event %s", async (_which, time) => {
    const { traces, ended } = start();
    const event = anEvent({ time });

    traces.received(event, undefined, {}, performance.now());
    traces.of(event)?.end();
    const spans = await ended();

    expect(spans.map(({ name }) => name)).toEqual(["receive", "event"]);
    expect(spans[1]).toMatchObject({ startTime: [1772359201, 0] });
  });

  it("has the steps of a later process in those of an earlier one", async () => {
    const [one, other] = [start(), start()];
    const event = anEvent();
    const response = { id: randomUUIDv7(), startedAt: new Date(receivedAt) };

    one.traces.of(event)?.begin("response R", response).begin("action A").end();
    other.traces.of(event)?.begin("response R", response).end();
    const [action] = await one.ended();
    const [ended] = await other.ended();

    expect([action?.name, ended?.name]).toEqual(["action A", "response R"]);
    expect(action?.parentSpanContext?.spanId).toBe(ended?.spanContext().spanId);
    expect(ended).toMatchObject({ startTime: [1772359201, 0] });
  });

  it("tells how a step failed, and what happened in it", async () => {
    const { traces, ended } = start();

    const step = traces.of(anEvent())?.begin("kubernetes.patchPod", { client: true });
    step?.note("attempt failed", { "hallux.attempt": 1 });
    step?.end({ attributes: { given: "value", absent: undefined }, error: { code: "conflict", message: "late" } });
    const [span] = await ended();

    expect(span).toMatchObject({
      kind: SpanKind.CLIENT,
      attributes: { given: "value", "error.type": "conflict" },
      status: { code: SpanStatusCode.ERROR, message: "late" },
      events: [{ name: "attempt failed", attributes: { "hallux.attempt": 1 } }],
    });
    expect(span?.attributes).not.toHaveProperty("absent");
  });

  it("has a repetition of the event in it, and not in one of its own", async () => {
    const { traces, ended } = start();
    const [event, repetition] = [anEvent(), anEvent()];

    traces.received(repetition, event.id, {}, performance.now());
    const spans = await ended();

    expect(spans).toMatchObject([{ name: "receive", attributes: { "hallux.event.duplicate": true } }]);
    expect(spans[0]?.spanContext().traceId).toBe(digitsOf(event.id));
  });
});

describe("the sender's trace", () => {
  it("is linked to where the request names it", async () => {
    const { traces, ended } = start();

    traces.received(anEvent(), undefined, { traceparent, tracestate: "vendor=value" }, performance.now());
    const spans = await ended();

    const [link] = spans.find(({ name }) => name === "receive")?.links ?? [];
    expect(link).toMatchObject({ context: { ...sender, isRemote: true }, attributes: { "hallux.link": "sender" } });
    expect(link?.context.traceState?.serialize()).toBe("vendor=value");
  });

  it.each(["", "00-xyz", `00-${"0".repeat(32)}-${sender.spanId}-01`, "a".repeat(10_000)])(
    "is not where the header is malformed: %.20s",
    async (header) => {
      const { traces, ended } = start();

      traces.received(anEvent(), undefined, { traceparent: header, tracestate: ",,=," }, performance.now());
      const [span] = await ended();

      expect(span).toMatchObject({ name: "receive", links: [] });
    },
  );

  it("is Falcosidekick's, by the id it makes of the pod: as attribute, and as link where that trace is sent, too", async () => {
    const [without, linked] = [start(), start({ falcosidekickTraces: true })];
    const event = { ...anEvent(), uuid: "0f5b0f5b-0000-4000-8000-000000000000" };

    without.traces.received(event, undefined, {}, performance.now());
    linked.traces.received(event, undefined, {}, performance.now());
    const spans = [...(await without.ended()), ...(await linked.ended())];

    const traceId = "04082ef38a6dc40c0d2267a7794d9ec9";
    expect(spans.map(({ attributes }) => attributes["falcosidekick.trace_id"])).toEqual([traceId, traceId]);
    expect(spans.map(({ links }) => links.map(({ context }) => context.traceId))).toEqual([[], [traceId]]);
  });
});

describe("sampling", () => {
  it("chooses the same events in every process, all of an event or nothing", async () => {
    const [one, other] = [start({ samplePercent: 25 }), start({ samplePercent: 25 })];
    const events = Array.from({ length: 400 }, () => anEvent({ time: "2026-03-01T10:00:00.250Z" }));

    for (const event of events) {
      one.traces.received(event, undefined, {}, performance.now());
      other.traces.of(event)?.begin("response R").end();
    }
    const received = (await one.ended()).filter(({ name }) => name === "receive").map(traceOf);
    const told = (await other.ended()).map(traceOf);

    expect(told).toEqual(received);
    expect(events.map(({ id }) => one.traces.idOf(id)).filter((id) => id !== undefined)).toEqual(received);
    expect(received.length).toBeGreaterThan(40);
    expect(received.length).toBeLessThan(200);
  });
});

describe("what an attacker writes", () => {
  it("is shortened, and whole characters only", async () => {
    const { traces, ended } = start();
    const event = anEvent({ rule: `${"x".repeat(255)}😀`, hostname: "\ud800", fields: {} });

    traces.of(event)?.end({ error: { code: "internal", message: "y".repeat(100_000) } });
    const [span] = await ended();

    expect(span?.attributes["falco.rule"]).toBe(`${"x".repeat(255)}\ufffd`);
    expect(span?.attributes["falco.hostname"]).toBe("\ufffd");
    expect(span?.status.message).toHaveLength(256);
    expect(span?.name).toBe("event");
  });
});

describe("spans that wait", () => {
  it("are no more than there is room for: the others are counted", async () => {
    let dropped = 0;
    const { traces } = start({
      exporter: { export: () => undefined, shutdown: async () => undefined },
      dropped: (count) => {
        dropped += count;
      },
    });

    for (let index = 0; index < 10_000; index += 1) {
      traces.of(anEvent())?.end();
    }

    // One batch is under way.
    expect(dropped).toBe(10_000 - 8192 - 512);
  });

  it("are counted where the collector does not take them", async () => {
    const counts: number[] = [];
    const { traces } = start({
      exporter: {
        export: (_, done) => done({ code: ExportResultCode.FAILED, error: new Error("no") }),
        shutdown: async () => undefined,
      },
      dropped: (count) => void counts.push(count),
    });

    traces.of(anEvent())?.end();
    traces.of(anEvent())?.end();
    await traces.close();

    expect(counts).toEqual([2]);
  });

  it("are undelivered until the collector has taken them", async () => {
    const exporting = Promise.withResolvers<(result: ExportResult) => void>();
    const { traces } = start({
      exporter: { export: (_, done) => exporting.resolve(done), shutdown: async () => undefined },
    });
    traces.of(anEvent())?.end();
    const waiting = traces.undelivered();

    const closing = traces.close();
    const taken = await exporting.promise;
    const underWay = traces.undelivered();
    taken({ code: ExportResultCode.SUCCESS });
    await closing;

    expect([waiting, underWay, traces.undelivered()]).toEqual([1, 1, 0]);
  });
});

describe("noTraces", () => {
  it("has no span for anything", async () => {
    noTraces.received(anEvent(), undefined, { traceparent }, 0);

    expect(noTraces.of(anEvent())).toBeUndefined();
    expect(noTraces.idOf(randomUUIDv7())).toBeUndefined();
    await noTraces.close();
  });
});

function start(options: Partial<TracesOptions> = {}) {
  const spans: ReadableSpan[] = [];
  const traces = createTraces({
    exporter: {
      export(batch: ReadableSpan[], done: (result: ExportResult) => void) {
        spans.push(...batch);
        done({ code: ExportResultCode.SUCCESS });
      },
      shutdown: async () => undefined,
    },
    resource: { "service.name": "hallux" },
    samplePercent: 100,
    falcosidekickTraces: false,
    timeoutMs: 1_000,
    dropped: () => undefined,
    ...options,
  });
  const ended = async () => {
    await traces.close();
    return spans;
  };
  return { traces, ended };
}

function anEvent(traits: Partial<FalcoEvent> = {}): FalcoEvent {
  return { ...eventOf({ pod: "shop/cart-1" }), id: randomUUIDv7(), time: receivedAt, receivedAt, ...traits };
}

function digitsOf(id: string): string {
  return id.replaceAll("-", "");
}

function traceOf(span: ReadableSpan): string {
  return span.spanContext().traceId;
}
