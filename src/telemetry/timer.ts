import type { Meter } from "@opentelemetry/api";
import type { HistogramDefinition } from "./definitions.ts";
import { createExemplars, type Exemplars } from "./exemplars.ts";

/** A histogram of how long something took, which remembers for which events: the SDK's knows no exemplars. */
export interface Timer {
  /** Of the histogram. */
  readonly name: string;
  /** `label` is the value of its one label, where it has one. */
  record(seconds: number, event: string, label?: string): void;
  readonly exemplars: Exemplars;
}

export function createTimer(meter: Meter, { name, help, labels, buckets }: HistogramDefinition): Timer {
  const [labelName] = labels;
  const exemplars = createExemplars(buckets);
  const histogram = meter.createHistogram(name, {
    description: help,
    advice: { explicitBucketBoundaries: [...buckets] },
  });

  return {
    name,
    exemplars,
    record(seconds, event, label = "") {
      // Clocks go back, and those of two replicas differ.
      const value = Math.max(0, seconds);
      histogram.record(value, labelName === undefined ? undefined : { [labelName]: label });
      exemplars.note(label, value, event);
    },
  };
}
