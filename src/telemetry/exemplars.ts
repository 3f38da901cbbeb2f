/** An event that took so long. */
export interface Exemplar {
  readonly event: string;
  readonly value: number;
  /** When it was noted, in milliseconds. */
  readonly at: number;
}

/** Of each bucket of each series of a histogram the last event, and no more. */
export interface Exemplars {
  note(series: string, value: number, event: string): void;
  /** In the order of the buckets; the last one is above all boundaries. */
  of(series: string): readonly (Exemplar | undefined)[];
}

/** `boundaries` are the upper bounds of the buckets, in order; a value on one of them is below it. */
export function createExemplars(boundaries: readonly number[]): Exemplars {
  const noted = new Map<string, (Exemplar | undefined)[]>();

  const bucketOf = (value: number): number => {
    let bucket = 0;
    while (value > (boundaries[bucket] ?? Number.POSITIVE_INFINITY)) {
      bucket += 1;
    }
    return bucket;
  };

  return {
    note(series, value, event) {
      let buckets = noted.get(series);
      if (buckets === undefined) {
        buckets = new Array<Exemplar | undefined>(boundaries.length + 1).fill(undefined);
        noted.set(series, buckets);
      }
      buckets[bucketOf(value)] = { event, value, at: Date.now() };
    },
    of: (series) => noted.get(series) ?? [],
  };
}
