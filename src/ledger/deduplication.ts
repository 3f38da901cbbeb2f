import { hash } from "node:crypto";
import type { FalcoEvent } from "../events/event.ts";
import { describeTarget, subjectOf } from "../events/target.ts";

/** Enough for an hour of 25 events a second; beyond it the oldest are forgotten first. */
export const rememberedKeys = 100_000;
const maxKeyLength = 512;

export interface Known {
  /** What events that are the same have in common. */
  readonly key: string;
  /** Of the event that came first. */
  readonly id: string;
  /** When it came, in milliseconds. */
  readonly at: number;
}

/** Knows which of the recent events a new one repeats. */
export interface Deduplication {
  /** The id of the event that this one repeats, or undefined: then this one is remembered. */
  repeats(event: FalcoEvent, now: number, key?: string): string | undefined;
  /** The event could not be kept: its sender may try again. */
  forget(known: Omit<Known, "at">): void;
  /** What an earlier process remembered, the oldest first; of the same events the newest counts. */
  recall(known: Known): void;
}

/**
 * Two events are the same where their uuid is (Falcosidekick gives one: a redelivery, however late), or else where rule,
 * source, host and target are and both came within the window. A window of 0 seconds switches all of it off.
 */
export function createDeduplication(windowSeconds: number): Deduplication {
  const seen = new Map<string, Known>();
  // A new iterator would step over all that was deleted at the front before it comes to the oldest: 40 µs for each event.
  const oldest = seen.keys();

  const remember = (known: Known) => {
    seen.delete(known.key);
    seen.set(known.key, known);
    if (seen.size > rememberedKeys) {
      seen.delete(oldest.next().value ?? "");
    }
  };

  return {
    repeats(event, now, key = keyOf(event)) {
      if (windowSeconds === 0) {
        return undefined;
      }
      const earlier = seen.get(key);
      // By a clock that was set back, what came before is not within the window until that time comes again.
      const isNear = earlier !== undefined && Math.abs(now - earlier.at) < windowSeconds * 1000;
      if (earlier !== undefined && (event.uuid !== undefined || isNear)) {
        return earlier.id;
      }
      remember({ key, id: event.id, at: now });
      return undefined;
    },
    forget({ key, id }) {
      if (seen.get(key)?.id === id) {
        seen.delete(key);
      }
    },
    recall(known) {
      const other = seen.get(known.key);
      remember(other !== undefined && other.at > known.at ? other : known);
    },
  };
}

/** Whatever a sender writes, the key is small. */
export function keyOf(event: FalcoEvent): string {
  const key =
    event.uuid === undefined
      ? JSON.stringify(["event", event.rule, event.source, event.hostname ?? "", describeTarget(subjectOf(event))])
      : `uuid ${event.uuid}`;
  return key.length > maxKeyLength ? hash("sha256", key) : key;
}
