import { setImmediate as turn } from "node:timers/promises";

/** Work in short steps, so that it need not keep all others waiting. */
export type Steps<T> = Generator<undefined, T, undefined>;

const longestMs = 10;

export function atOnce<T>(steps: Steps<T>): T {
  let step = steps.next();
  while (!step.done) {
    step = steps.next();
  }
  return step.value;
}

/** Lets others have their turn every few milliseconds. */
export async function inTurns<T>(steps: Steps<T>): Promise<T> {
  let since = performance.now();
  let step = steps.next();
  while (!step.done) {
    if (performance.now() - since > longestMs) {
      await turn();
      since = performance.now();
    }
    step = steps.next();
  }
  return step.value;
}
