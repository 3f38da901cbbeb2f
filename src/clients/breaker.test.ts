import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ActionError } from "../catalogue/errors.ts";
import { createBreaker, type Verdict } from "./breaker.ts";

const down = (): Verdict => "down";

/** Calls that the endpoint answers, fails or leaves hanging, and how many reached it. */
function endpoint() {
  const state = { calls: 0 };
  return {
    state,
    answers: async () => {
      state.calls += 1;
      return "answer";
    },
    fails: async () => {
      state.calls += 1;
      throw new Error("no answer");
    },
  };
}

async function failTimes(times: number, call: () => Promise<unknown>): Promise<void> {
  for (let made = 0; made < times; made++) {
    await call().catch(() => undefined);
  }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a breaker", () => {
  it("gives what the call gives, and throws what it throws", async () => {
    const breaker = createBreaker({ endpoint: "AWS Lambda in eu-west-1" });
    const { answers, fails } = endpoint();

    await expect(breaker(answers, down)).resolves.toBe("answer");
    await expect(breaker(fails, down)).rejects.toThrow("no answer");
    await expect(breaker(fails, () => "up")).rejects.toThrow("no answer");
  });

  it("asks no more after so many failures in a row, and says until when", async () => {
    const breaker = createBreaker({ endpoint: "AWS Lambda in eu-west-1", failures: 3, openMs: 60_000 });
    const { state, answers, fails } = endpoint();
    await failTimes(3, () => breaker(fails, down));

    const error = await breaker(answers, down).catch((thrown: unknown) => thrown);

    expect(error).toBeInstanceOf(ActionError);
    expect(error).toMatchObject({
      code: "unavailable",
      notBegun: true,
      retryAfterMs: 60_000,
      message: expect.stringMatching(/^AWS Lambda in eu-west-1 is not asked before 2.*Z: it failed 3 times in a row$/),
    });
    expect(state.calls).toBe(3);
  });

  it("counts anew after any answer, an error's too, but not after what tells nothing", async () => {
    const breaker = createBreaker({ endpoint: "x", failures: 3, openMs: 60_000 });
    const { state, fails, answers } = endpoint();

    await failTimes(2, () => breaker(fails, down));
    await failTimes(1, () => breaker(fails, () => "up"));
    await failTimes(2, () => breaker(fails, down));
    await failTimes(1, () => breaker(fails, () => "unknown"));
    await expect(breaker(answers, down)).resolves.toBe("answer");
    await failTimes(2, () => breaker(fails, down));
    await failTimes(1, () => breaker(fails, () => "unknown"));
    await failTimes(1, () => breaker(fails, down));

    await expect(breaker(answers, down)).rejects.toMatchObject({ code: "unavailable" });
    expect(state.calls).toBe(11);
  });

  it("lets one call through after a while, and it decides", async () => {
    const breaker = createBreaker({ endpoint: "x", failures: 1, openMs: 10_000 });
    const { state, answers, fails } = endpoint();
    await failTimes(1, () => breaker(fails, down));
    vi.advanceTimersByTime(10_000);
    const probe = Promise.withResolvers<string>();

    const probing = breaker(() => probe.promise, down);
    const meanwhile = await breaker(answers, down).catch((thrown: unknown) => thrown);
    probe.resolve("works again");

    expect(meanwhile).toMatchObject({ code: "unavailable", notBegun: true, retryAfterMs: 1000 });
    await expect(probing).resolves.toBe("works again");
    await expect(breaker(answers, down)).resolves.toBe("answer");
    expect(state.calls).toBe(2);
  });

  it.each<Verdict>(["down", "unknown"])("goes on refusing where that call's end is %s", async (verdict) => {
    const breaker = createBreaker({ endpoint: "x", failures: 1, openMs: 10_000 });
    const { answers, fails } = endpoint();
    await failTimes(1, () => breaker(fails, down));
    vi.advanceTimersByTime(10_000);

    await failTimes(1, () => breaker(fails, () => verdict));

    await expect(breaker(answers, down)).rejects.toMatchObject({ code: "unavailable" });
  });
});
