import type { FalcoEvent } from "../events/event.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { PastAction } from "./past.ts";

/** Measures one response from the acceptance of its event. */
export interface Timing {
  /** An action begins: only the first one counts. */
  begins(): void;
  /** No more of its actions will run. */
  ends(): void;
}

/** `past` is what is on record of its actions: one that began before counted then. */
export function timingOf(
  { id, receivedAt }: FalcoEvent,
  past: readonly PastAction[],
  { metrics, clock }: { readonly metrics: Metrics; readonly clock: () => Date },
): Timing {
  const acceptedAt = Date.parse(receivedAt);
  const seconds = () => (clock().getTime() - acceptedAt) / 1000;
  let begun = past.some(({ attempts }) => attempts > 0);

  return {
    begins() {
      if (!begun) {
        begun = true;
        metrics.responseBegun(seconds(), id);
      }
    },
    ends: () => metrics.responseEnded(seconds(), id),
  };
}
