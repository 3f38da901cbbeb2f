import { setTimeout as pause } from "node:timers/promises";

/**
 * Asks again until it has happened. Rejects with what was waited for, or with what is seen then, where that takes too long, and as
 * `happened` does.
 */
export async function until(
  what: string | (() => string),
  happened: () => Promise<boolean> | boolean,
  seconds = 60,
): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (!(await happened())) {
    if (performance.now() > deadline) {
      throw new Error(`it did not happen within ${seconds} s: ${typeof what === "string" ? what : what()}`);
    }
    await pause(20);
  }
}
