import {
  AggregationTemporality,
  type AggregationTemporalitySelector,
  InstrumentType,
} from "@opentelemetry/sdk-metrics";

/** Counts since the start; but what a gauge says no more is not told any more. */
export const temporalityOf: AggregationTemporalitySelector = (type) =>
  type === InstrumentType.OBSERVABLE_GAUGE ? AggregationTemporality.DELTA : AggregationTemporality.CUMULATIVE;
