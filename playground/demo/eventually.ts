import { setTimeout as pause } from "node:timers/promises";

const patienceMs = 20_000;

/** Asks again until there is an answer other than undefined. Rejects where that takes too long. */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) {
      return answer;
    }
    if (performance.now() > deadline) {
      throw new Error(`did not happen within ${patienceMs / 1000} s: ${what}`);
    }
    await pause(20);
  }
}
