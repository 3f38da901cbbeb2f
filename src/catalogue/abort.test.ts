import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { abortedError, eachUntilAborted, untilAborted } from "./abort.ts";
import { ActionError } from "./errors.ts";

describe("a call that ended early", () => {
  it("is a timeout where a deadline passed", () => {
    const signal = AbortSignal.abort(new DOMException("late", "TimeoutError"));

    const error = abortedError(signal, "the call");

    expect(error).toMatchObject({ code: "timeout", message: "the call took too long" });
  });

  it("is cancelled where somebody stopped it", () => {
    const error = abortedError(AbortSignal.abort(), "the call");

    expect(error).toMatchObject({ code: "cancelled", message: "the call was cancelled" });
  });

  it("is what the one who stopped it said", () => {
    const reason = new ActionError("timeout", "the action took longer than 30 s");

    const error = abortedError(AbortSignal.abort(reason), "the call");

    expect(error).toBe(reason);
  });
});

describe("waiting until aborted", () => {
  it("gives what the promise gives", async () => {
    const value = await untilAborted(Promise.resolve(1), new AbortController().signal, "the call");

    expect(value).toBe(1);
  });

  it("ends with the signal although the promise never settles", async () => {
    const controller = new AbortController();
    const waiting = untilAborted(new Promise(() => {}), controller.signal, "the call");

    controller.abort();

    await expect(waiting).rejects.toMatchObject({ code: "cancelled" });
  });

  it("ends at once where the signal has already fired", async () => {
    const waiting = untilAborted(new Promise(() => {}), AbortSignal.abort(), "the call");

    await expect(waiting).rejects.toMatchObject({ code: "cancelled" });
  });
});

describe("reading until aborted", () => {
  it("gives all items, and closes what gave them where the reader stops", async () => {
    let closed = false;
    async function* items() {
      try {
        yield* [1, 2, 3];
      } finally {
        closed = true;
      }
    }
    const { signal } = new AbortController();

    const all = await Array.fromAsync(eachUntilAborted(items(), signal, "the call"));
    closed = false;
    for await (const _ of eachUntilAborted(items(), signal, "the call")) {
      break;
    }
    await turn();

    expect(all).toEqual([1, 2, 3]);
    expect(closed).toBe(true);
  });

  it("ends with the signal although the next item never comes", async () => {
    const controller = new AbortController();
    async function* hanging() {
      yield 1;
      controller.abort();
      await new Promise(() => {});
    }

    const reading = Array.fromAsync(eachUntilAborted(hanging(), controller.signal, "the call"));

    await expect(reading).rejects.toMatchObject({ code: "cancelled", message: "the call was cancelled" });
  });
});
