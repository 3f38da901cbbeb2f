import { hash } from "node:crypto";
import type { FalcoEvent } from "../events/event.ts";
import { describeTarget, targetOf } from "../events/target.ts";

/** Enough for an hour of 25 events a second; beyond it the oldest are forgotten first. */
const remembered = 100_000;
const maxKeyLength = 512;

/** Knows which of the recent events a new one repeats. */
export interface Deduplication {
  /** The id of the event that this one repeats, or undefined: then this one is remembered. */
  repeats(event: FalcoEvent, now: number): string | undefined;
}

/**
 * Two events are the same where their uuid is (Falcosidekick gives one: a redelivery, however late), or else where rule,
 * source, host and target are and both came within the window. A window of 0 seconds switches all of it off.
 */
export function createDeduplication(windowSeconds: number): Deduplication {
  const seen = new Map<string, { readonly id: string; readonly at: number }>();

  return {
    repeats(event, now) {
      if (windowSeconds === 0) {
        return undefined;
      }
      const key = shortened(keyOf(event));
      const earlier = seen.get(key);
      if (earlier !== undefined && (event.uuid !== undefined || now - earlier.at < windowSeconds * 1000)) {
        return earlier.id;
      }
      remember(seen, key, { id: event.id, at: now });
      return undefined;
    },
  };
}

function remember<V>(seen: Map<string, V>, key: string, entry: V): void {
  seen.delete(key);
  seen.set(key, entry);
  const [oldest] = seen.keys();
  if (seen.size > remembered && oldest !== undefined) {
    seen.delete(oldest);
  }
}

function keyOf(event: FalcoEvent): string {
  return event.uuid === undefined
    ? JSON.stringify(["event", event.rule, event.source, event.hostname ?? "", subjectOf(event)])
    : JSON.stringify(["uuid", event.uuid]);
}

/** Whatever a sender writes, what is remembered of it stays small. */
function shortened(key: string): string {
  return key.length > maxKeyLength ? hash("sha256", key) : key;
}

function subjectOf(event: FalcoEvent): string {
  const [subject] = [targetOf("pod", event), targetOf("resource", event)].filter((found) => found.kind !== "missing");
  return subject === undefined ? "" : describeTarget(subject);
}
