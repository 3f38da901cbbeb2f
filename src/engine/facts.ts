import type { Context, Facts } from "../catalogue/catalogue.ts";

/** The rules of one event, and a burst of events about one pod, ask for the same. */
const freshMs = 5_000;
const maxKept = 1_000;

type Call = Parameters<Context["fetch"]>[0];

/** What contexts find about a target: fetched when an action asks, and not again for a few seconds. */
export interface FactsCache {
  of(context: Context, call: Call): Promise<Facts>;
}

export function createFactsCache(clock: () => Date): FactsCache {
  /** The oldest first. */
  const kept = new Map<string, { readonly facts: Facts; readonly at: number }>();
  const isFresh = (at: number) => {
    const age = clock().getTime() - at;
    return age >= 0 && age < freshMs;
  };

  return {
    async of(context, call) {
      const key = JSON.stringify([context.id, call.target]);
      const known = kept.get(key);
      if (known !== undefined && isFresh(known.at)) {
        return known.facts;
      }
      const facts = await context.fetch(call);
      kept.delete(key);
      kept.set(key, { facts, at: clock().getTime() });
      for (const [oldest, { at }] of kept) {
        if (kept.size <= maxKept && isFresh(at)) {
          break;
        }
        kept.delete(oldest);
      }
      return facts;
    },
  };
}
