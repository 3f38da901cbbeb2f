/** How many there are of each. */
export interface Counts<K> {
  get(key: K): number;
  add(key: K, by: 1 | -1): void;
}

export function createCounts<K>(): Counts<K> {
  const counts = new Map<K, number>();
  return {
    get: (key) => counts.get(key) ?? 0,
    add(key, by) {
      const count = (counts.get(key) ?? 0) + by;
      if (count === 0) {
        counts.delete(key);
      } else {
        counts.set(key, count);
      }
    },
  };
}
