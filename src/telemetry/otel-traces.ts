import { hash, randomBytes } from "node:crypto";
import {
  type Context,
  createTraceState,
  type Link,
  type Span as OtelSpan,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import { ExportResultCode } from "@opentelemetry/core";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AlwaysOnSampler,
  BatchSpanProcessor,
  type IdGenerator,
  SamplingDecision,
  type SpanExporter,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import type { FalcoEvent } from "../events/event.ts";
import { subjectOf } from "../events/target.ts";
import { falcosidekickTraceOf, senderOf } from "./trace-parents.ts";
import {
  type Span,
  type SpanAttributes,
  type SpanEnding,
  type SpanStart,
  type Traces,
  targetAttributes,
} from "./traces.ts";

export interface TracesOptions {
  readonly exporter: SpanExporter;
  /** Who tells: `service.name` and the like. */
  readonly resource: Readonly<Record<string, string>>;
  /** Of the events, those of which everything is told. Each process picks the same. */
  readonly samplePercent: number;
  /** Falcosidekick sends its traces to the same place: they can be linked to. */
  readonly falcosidekickTraces: boolean;
  /** Of one delivery. */
  readonly timeoutMs: number;
  /** Called with how many spans were not delivered. */
  readonly dropped: (count: number) => void;
}

/** Of the texts in a span, each. */
const maxTextLength = 256;
/** Spans that wait for delivery; each takes about a kilobyte. */
const room = 8192;
const batch = 512;
const batchEveryMs = 1000;
/** An event this much older than its receipt has a wrong time, or was kept by somebody: no step that took so long. */
const maxDelayMs = 3_600_000;
/** Of `tracestate`, as the specification wants it carried at least. */
const maxTraceStateLength = 512;
/** Where only the trace is known; OpenTelemetry allows it in a link that has attributes. */
const unknownSpan = "0".repeat(16);

export function createTraces(options: TracesOptions): Traces {
  const ids = steeredIds();
  const queue = createQueue(options);
  const sampler = new TraceIdRatioBasedSampler(options.samplePercent / 100);
  const provider = new TracerProvider({
    resource: resourceFromAttributes(options.resource),
    sampler: new AlwaysOnSampler(),
    idGenerator: ids,
    spanProcessors: [queue],
  });
  const tracer = provider.getTracer("hallux", options.resource["service.version"]);
  const isSampled = (traceId: string) =>
    sampler.shouldSample(ROOT_CONTEXT, traceId).decision === SamplingDecision.RECORD_AND_SAMPLED;
  const start: Start = (name, { attributes, client, id, startedAt }, { parent, kind, links = [] }) => {
    ids.next(id === undefined ? undefined : spanIdOf(id));
    return tracer.startSpan(
      wellFormed(name),
      {
        kind: kind ?? (client ? SpanKind.CLIENT : SpanKind.INTERNAL),
        attributes: clean(attributes),
        links: [...links],
        ...(startedAt === undefined ? {} : { startTime: startedAt }),
      },
      parent,
    );
  };

  return {
    received(event, duplicateOf, headers, requestedAt) {
      const traceId = traceIdOf(duplicateOf ?? event.id);
      if (!isSampled(traceId)) {
        return;
      }
      const parent = contextOf(rootOf(duplicateOf ?? event.id));
      const falcosidekick = falcosidekickTraceOf(event);
      const startedAt = detectedAt(event);
      if (startedAt !== undefined && duplicateOf === undefined) {
        start("falco", { startedAt }, { parent }).end(new Date(event.receivedAt));
      }
      start(
        "receive",
        { attributes: receiptAttributes(event, duplicateOf, falcosidekick), startedAt: requestedAt },
        {
          parent,
          kind: SpanKind.SERVER,
          links: linksOf(headers, options.falcosidekickTraces ? falcosidekick : undefined),
        },
      ).end(performance.now());
    },
    of(event) {
      const root = rootOf(event.id);
      if (!isSampled(root.traceId)) {
        return undefined;
      }
      const startedAt = detectedAt(event) ?? new Date(event.receivedAt);
      ids.nextTrace(root.traceId);
      const span = start(
        "event",
        { id: event.id, startedAt, attributes: eventAttributes(event) },
        { parent: ROOT_CONTEXT },
      );
      return spanOf(span, start);
    },
    idOf(event) {
      const traceId = traceIdOf(event);
      return isSampled(traceId) ? traceId : undefined;
    },
    undelivered: queue.undelivered,
    close: () => provider.shutdown().catch(() => undefined),
  };
}

interface Relation {
  readonly parent: Context;
  readonly kind?: SpanKind;
  readonly links?: readonly Link[];
}

type Start = (name: string, start: SpanStart, relation: Relation) => OtelSpan;

function spanOf(span: OtelSpan, start: Start): Span {
  const within = trace.setSpan(ROOT_CONTEXT, span);
  return {
    begin: (name, options = {}) => spanOf(start(name, options, { parent: within }), start),
    note: (name, attributes) => void span.addEvent(name, clean(attributes)),
    end: (ending) => end(span, ending),
  };
}

function end(span: OtelSpan, { attributes, error }: SpanEnding = {}): void {
  span.setAttributes(clean(attributes));
  if (error !== undefined) {
    const message = error.message === undefined ? {} : { message: wellFormed(error.message) };
    span.setAttribute("error.type", error.code);
    span.setStatus({ code: SpanStatusCode.ERROR, ...message });
  }
  span.end();
}

/** Ids that were asked for, else random ones. */
function steeredIds(): IdGenerator & { next(spanId: string | undefined): void; nextTrace(traceId: string): void } {
  let spanId: string | undefined;
  let traceId = "";
  return {
    next(id) {
      spanId = id;
    },
    nextTrace(id) {
      traceId = id;
    },
    generateSpanId: () => spanId ?? randomBytes(8).toString("hex"),
    generateTraceId: () => traceId,
  };
}

/** An event's id is a UUID: its digits are those of a trace id. */
function traceIdOf(eventId: string): string {
  return eventId.replaceAll("-", "");
}

function spanIdOf(id: string): string {
  const digits = hash("sha256", id).slice(0, 16);
  return digits === unknownSpan ? hash("sha256", digits).slice(0, 16) : digits;
}

function rootOf(eventId: string): SpanContext {
  return { traceId: traceIdOf(eventId), spanId: spanIdOf(eventId), traceFlags: TraceFlags.SAMPLED };
}

function contextOf(span: SpanContext): Context {
  return trace.setSpanContext(ROOT_CONTEXT, span);
}

/** When Falco saw it, where that can be: clocks differ, and some senders give no time. */
function detectedAt({ time, receivedAt }: FalcoEvent): Date | undefined {
  const delayMs = Date.parse(receivedAt) - Date.parse(time);
  return delayMs > 0 && delayMs <= maxDelayMs ? new Date(time) : undefined;
}

function eventAttributes(event: FalcoEvent): SpanAttributes {
  const { id, uuid, rule, priority, source, hostname } = event;
  return {
    "hallux.event.id": id,
    "falco.uuid": uuid,
    "falco.rule": rule,
    "falco.priority": priority,
    "falco.source": source,
    "falco.hostname": hostname,
    ...targetAttributes(subjectOf(event)),
  };
}

function receiptAttributes(
  event: FalcoEvent,
  duplicateOf: string | undefined,
  falcosidekick: string | undefined,
): SpanAttributes {
  return {
    "hallux.event.id": event.id,
    "hallux.event.duplicate": duplicateOf === undefined ? undefined : true,
    "http.response.status_code": duplicateOf === undefined ? 202 : 200,
    "falcosidekick.trace_id": falcosidekick,
  };
}

/** `falcosidekick` is the trace there, where it is to be linked to. */
function linksOf(headers: Parameters<Traces["received"]>[2], falcosidekick: string | undefined): readonly Link[] {
  const sender = senderOf(headers["traceparent"]);
  return [
    ...(sender === undefined ? [] : [linkTo(sender, "sender", headers["tracestate"])]),
    ...(falcosidekick === undefined
      ? []
      : [linkTo({ traceId: falcosidekick, spanId: unknownSpan, sampled: true }, "falcosidekick")]),
  ];
}

function linkTo(
  { traceId, spanId, sampled }: { readonly traceId: string; readonly spanId: string; readonly sampled: boolean },
  to: string,
  state?: unknown,
): Link {
  const traceState =
    typeof state === "string" && state.length <= maxTraceStateLength ? { traceState: createTraceState(state) } : {};
  const traceFlags = sampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  return { context: { traceId, spanId, traceFlags, isRemote: true, ...traceState }, attributes: { "hallux.link": to } };
}

function clean(attributes: SpanAttributes = {}): Record<string, string | number | boolean> {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, typeof value === "string" ? wellFormed(value) : value]],
    ),
  );
}

/** Shortened, without half characters: collectors refuse the whole batch for one. */
function wellFormed(text: string): string {
  return text.slice(0, maxTextLength).toWellFormed();
}

/** What does not fit, and what the collector does not take, is dropped and counted. */
function createQueue({ exporter, timeoutMs, dropped }: TracesOptions): SpanProcessor & Pick<Traces, "undelivered"> {
  let waiting = 0;
  let underWay = 0;
  const processor = new BatchSpanProcessor({
    maxQueueSize: room,
    maxExportBatchSize: batch,
    scheduledDelayMillis: batchEveryMs,
    // The exporter's own deadline comes first.
    exportTimeoutMillis: timeoutMs * 2,
    exporter: {
      export(spans, done) {
        waiting -= spans.length;
        underWay += spans.length;
        exporter.export(spans, (result) => {
          underWay -= spans.length;
          dropped(result.code === ExportResultCode.SUCCESS ? 0 : spans.length);
          done(result);
        });
      },
      shutdown: () => exporter.shutdown(),
    },
  });
  return {
    undelivered: () => waiting + underWay,
    onStart: () => undefined,
    onEnd(span) {
      if (waiting >= room) {
        return dropped(1);
      }
      waiting += 1;
      processor.onEnd(span);
    },
    forceFlush: () => processor.forceFlush(),
    shutdown: () => processor.shutdown(),
  };
}
