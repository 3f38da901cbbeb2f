import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { createQueues } from "./queues.ts";

/** A job that runs until it is let go. */
function heldJob() {
  const { promise, resolve } = Promise.withResolvers<void>();
  const state = { started: false };
  const run = () => {
    state.started = true;
    return promise;
  };
  return { state, run, release: resolve };
}

describe("queues", () => {
  it("run jobs of one key one after another, in order", async () => {
    const queues = createQueues(8);
    const [first, second] = [heldJob(), heldJob()];

    const done = [queues.run("pod/shop/cart", first.run), queues.run("pod/shop/cart", second.run)];
    await turn();
    const startedBefore = second.state.started;
    first.release();
    await done[0];
    await turn();

    expect(startedBefore).toBe(false);
    expect(second.state.started).toBe(true);
    second.release();
    await Promise.all(done);
    expect(queues.size()).toBe(0);
  });

  it("run jobs of different keys side by side", async () => {
    const queues = createQueues(8);
    const [slow, other] = [heldJob(), heldJob()];

    const held = queues.run("a", slow.run);
    other.release();
    await queues.run("b", other.run);

    expect(other.state.started).toBe(true);
    slow.release();
    await held;
  });

  it("start no more than the limit, and give keys turns", async () => {
    const queues = createQueues(1);
    const order: string[] = [];
    const job = (name: string) => async () => {
      order.push(name);
    };

    await Promise.all([
      queues.run("flood", job("flood 1")),
      queues.run("flood", job("flood 2")),
      queues.run("flood", job("flood 3")),
      queues.run("other", job("other 1")),
    ]);

    expect(order).toEqual(["flood 1", "other 1", "flood 2", "flood 3"]);
  });

  it("go on after a job that rejects, and tell its caller", async () => {
    const queues = createQueues(1);

    const failing = queues.run("a", () => Promise.reject(new Error("no disk")));
    const next = queues.run("a", async () => {});

    await expect(failing).rejects.toThrow("no disk");
    await expect(next).resolves.toBeUndefined();
  });
});
