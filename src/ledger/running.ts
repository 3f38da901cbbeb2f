import type { Transition } from "./ledger.ts";

/** Whether an action of the event runs after these transitions; undefined where they say nothing of it. */
export function runsAfter(transitions: readonly Transition[]): boolean | undefined {
  const last = transitions.findLast(({ type }) => type === "started" || type === "retrying" || type === "ended");
  return last && last.type === "started";
}
