import { describe, expect, it } from "vitest";
import { createPermits } from "./permits.ts";

const never = new AbortController().signal;

/** Which of the kinds got a permit, in order, as permits come back one after another. */
async function orderOf(kinds: readonly string[], limits: { total: number; of?: (kind: string) => number }) {
  const permits = createPermits({ of: () => limits.total, ...limits });
  const order: string[] = [];
  await Promise.all(
    kinds.map(async (kind) => {
      const done = await permits.acquire(kind, never);
      order.push(kind);
      await Promise.resolve();
      done();
    }),
  );
  return order;
}

describe("permits", () => {
  it("say how many are held of each kind, of those given back too", async () => {
    const permits = createPermits({ total: 4, of: () => 1 });
    const done = await permits.acquire("a", never);
    await permits.acquire("b", never);
    void permits.acquire("b", never);

    const before = new Map(permits.held());
    done();
    const after = new Map(permits.held());

    expect(before).toEqual(
      new Map([
        ["a", 1],
        ["b", 1],
      ]),
    );
    expect(after).toEqual(
      new Map([
        ["a", 0],
        ["b", 1],
      ]),
    );
  });

  it("are no more at the same time than the total", async () => {
    const permits = createPermits({ total: 2, of: () => 10 });
    let running = 0;
    let most = 0;

    await Promise.all(
      ["a", "a", "b", "b", "c"].map(async (kind) => {
        const done = await permits.acquire(kind, never);
        running += 1;
        most = Math.max(most, running);
        await Promise.resolve();
        running -= 1;
        done();
      }),
    );

    expect(most).toBe(2);
  });

  it("of one kind are bounded, and do not hold back another", async () => {
    const permits = createPermits({ total: 10, of: (kind) => (kind === "slow" ? 1 : 10) });
    await permits.acquire("slow", never);
    const waiting = [permits.acquire("slow", never), permits.acquire("slow", never)];

    const quick = await permits.acquire("quick", never);

    expect(quick).toBeTypeOf("function");
    expect(waiting).toHaveLength(2);
  });

  it("go to the kinds in turn", async () => {
    const order = await orderOf(["a", "a", "a", "a", "b", "c"], { total: 1 });

    expect(order).toEqual(["a", "a", "b", "c", "a", "a"]);
  });

  it("are not given to whoever no longer waits", async () => {
    const permits = createPermits({ total: 1, of: () => 1 });
    const done = await permits.acquire("a", never);
    const leaving = new AbortController();
    const left = permits.acquire("a", leaving.signal);
    const next = permits.acquire("a", never);

    leaving.abort(new Error("gone"));
    done();

    await expect(left).rejects.toThrow("gone");
    expect(await next).toBeTypeOf("function");
  });

  it("come back once, however often they are given back", async () => {
    const permits = createPermits({ total: 1, of: () => 1 });
    const done = await permits.acquire("a", never);
    done();
    done();
    await permits.acquire("a", never);
    const late = new AbortController();
    const third = permits.acquire("a", late.signal);

    late.abort(new Error("still taken"));

    await expect(third).rejects.toThrow("still taken");
  });

  it("are granted by the limits of the moment, as soon as these are reviewed", async () => {
    const limits = { total: 1, of: () => 10 };
    const permits = createPermits(limits);
    const granted: number[] = [];
    await permits.acquire("a", never);
    const waiting = [1, 2, 3].map((one) => permits.acquire("a", never).then(() => void granted.push(one)));

    limits.total = 3;
    permits.review();
    await Promise.all(waiting.slice(0, 2));

    expect(granted).toEqual([1, 2]);
  });
});
