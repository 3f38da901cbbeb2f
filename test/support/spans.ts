import type { Span, SpanEnding, SpanStart } from "../../src/telemetry/traces.ts";

export interface RecordedSpan {
  readonly name: string;
  readonly start: SpanStart;
  readonly notes: readonly string[];
  readonly inner: readonly RecordedSpan[];
  /** Undefined while it is open. */
  readonly ending: SpanEnding | undefined;
}

/** A span that keeps what is told of it. */
export function recordingSpan(name = "root", start: SpanStart = {}): Span & { readonly recorded: RecordedSpan } {
  const notes: string[] = [];
  const inner: RecordedSpan[] = [];
  const recorded: { -readonly [K in keyof RecordedSpan]: RecordedSpan[K] } = {
    name,
    start,
    notes,
    inner,
    ending: undefined,
  };
  return {
    recorded,
    begin(innerName, innerStart) {
      const span = recordingSpan(innerName, innerStart);
      inner.push(span.recorded);
      return span;
    },
    note: (note) => void notes.push(note),
    end(ending = {}) {
      recorded.ending = ending;
    },
  };
}
