import { describe, expect, it } from "vitest";
import { ActionError } from "../catalogue/errors.ts";
import { withRetries } from "./retry.ts";

const patience = { firstMs: 1, longestMs: 1, totalMs: 1_000 };

describe("a signal that fires when an attempt has just ended", () => {
  /** Resolves after so many turns of the microtask queue. */
  async function turns(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn++) {
      await undefined;
    }
  }

  it.each([1, 2, 3, 4, 5, 6])("does not hide that it was successful (%i turns later)", async (count) => {
    const stopping = new AbortController();
    const attempt = async () => {
      void turns(count).then(() => stopping.abort(new ActionError("interrupted", "stopped")));
      return "done";
    };

    await expect(withRetries({ patience, signal: stopping.signal, attempt })).resolves.toBe("done");
  });

  it.each([1, 2, 3, 4, 5, 6])("does not hide why it failed for good (%i turns later)", async (count) => {
    const stopping = new AbortController();
    const attempt = async () => {
      void turns(count).then(() => stopping.abort(new ActionError("interrupted", "stopped")));
      throw new ActionError("forbidden", "never");
    };

    await expect(withRetries({ patience, signal: stopping.signal, attempt })).rejects.toThrow("never");
  });
});
