/** What is open now, each in a slot that is used again when it is free. */
export interface Slots<T> {
  /** Gives what empties the slot again, for one call. */
  take(item: T): () => void;
  /** Those that are in a slot, in no order. */
  items(): readonly T[];
}

/**
 * Instead of a Set, for what comes and goes with every request. V8 builds a Set anew after so many deletions, and each former table
 * refers to the next one and to all that was in it: once one of them is old, all after it live on until the next major collection.
 * Under load that made the collector three times as busy.
 */
export function createSlots<T>(): Slots<T> {
  const slots: (T | undefined)[] = [];
  const free: number[] = [];

  return {
    take(item) {
      const slot = free.pop() ?? slots.length;
      slots[slot] = item;
      return () => {
        slots[slot] = undefined;
        free.push(slot);
      };
    },
    items: () => slots.filter((item) => item !== undefined),
  };
}
