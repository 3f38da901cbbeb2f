import type { IncomingHttpHeaders } from "node:http";
import { ActionError } from "../catalogue/errors.ts";
import type { FalcoEvent } from "../events/event.ts";
import type { Target } from "../events/target.ts";

/** Texts may be the attacker's: they are shortened, and never part of a name. What is undefined is left out. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** What of a step is known when it begins. */
export interface SpanStart {
  readonly attributes?: SpanAttributes;
  /** It asks another service. */
  readonly client?: boolean;
  /**
   * Whoever gives the same id has the same span: a step that one process begins may end in another one. It is told by the one that
   * ends it.
   */
  readonly id?: string;
  /** Now, where nothing is said; a number is one of `performance.now()`. */
  readonly startedAt?: Date | number;
}

export interface SpanEnding {
  readonly attributes?: SpanAttributes;
  /** It failed. The code is one of a closed set; the message is for people. */
  readonly error?: { readonly code: string; readonly message?: string | undefined } | undefined;
}

/** One step of what is done for an event. Told when it has ended: what is left open is not told. */
export interface Span {
  /** A step in it. The name comes from the rules, the configuration or the code. */
  begin(name: string, start?: SpanStart): Span;
  /** Something that happened in it, now. */
  note(name: string, attributes: SpanAttributes): void;
  end(ending?: SpanEnding): void;
}

/** One trace per event. Its ids come from the event's: each process that works on the event adds to the same trace. */
export interface Traces {
  /**
   * The event was made durable, or repeats the one of the id `duplicateOf`, to whose trace that belongs. `requestedAt`: when its
   * request came, as `performance.now()` tells.
   */
  received(event: FalcoEvent, duplicateOf: string | undefined, headers: IncomingHttpHeaders, requestedAt: number): void;
  /** The event's own span, in which all others are; undefined where it is not traced. Ends when the event is finished. */
  of(event: FalcoEvent): Span | undefined;
  /** The trace of the event of this id; undefined where it is not traced. */
  idOf(event: string): string | undefined;
  /** Spans that have ended, and of which it is not known yet whether they are delivered. */
  undelivered(): number;
  /** Sends what waits, however long that takes. What ends afterwards is not told. Never rejects. */
  close(): Promise<void>;
}

/** Nothing is traced. */
export const noTraces: Traces = {
  received: () => undefined,
  of: () => undefined,
  idOf: () => undefined,
  undelivered: () => 0,
  close: async () => undefined,
};

/** What a failed step says of its error. Words that are none of ours may hold anything: they stay in the log. */
export function spanErrorOf(error: unknown): NonNullable<SpanEnding["error"]> {
  return error instanceof ActionError ? { code: error.code, message: error.message } : { code: "internal" };
}

/** As OpenTelemetry names them. */
export function targetAttributes(target: Target): SpanAttributes {
  switch (target.kind) {
    case "pod":
      return {
        "k8s.namespace.name": target.namespace,
        "k8s.pod.name": target.name,
        "k8s.pod.uid": target.uid,
      };
    case "resource":
      return {
        "k8s.namespace.name": target.namespace,
        "hallux.target.resource": target.resource,
        "hallux.target.name": target.name,
      };
    case "none":
      return {};
  }
}
