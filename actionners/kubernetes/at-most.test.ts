import { describe, expect, it } from "vitest";
import { atMost, oneAtATime } from "./at-most.ts";

/** Jobs that end when they are told to. */
function jobs() {
  const begun: string[] = [];
  const endings = new Map<string, PromiseWithResolvers<void>>();
  return {
    begun,
    job: (name: string) => async () => {
      const ending = Promise.withResolvers<void>();
      endings.set(name, ending);
      begun.push(name);
      await ending.promise;
      return name;
    },
    end: (name: string) => endings.get(name)?.resolve(),
    fail: (name: string) => endings.get(name)?.reject(new Error(name)),
  };
}

describe("atMost", () => {
  it("lets so many run at the same time, and the others in the order in which they came", async () => {
    const { begun, job, end } = jobs();
    const turn = atMost(2);

    const all = ["a", "b", "c", "d"].map((name) => turn(job(name)));
    const atFirst = [...begun];
    end("b");
    await all[1];
    await Promise.resolve();
    const then = [...begun];
    end("a");
    end("c");
    await Promise.all([all[0], all[2]]);
    end("d");
    const results = await Promise.all(all);

    expect(atFirst).toEqual(["a", "b"]);
    expect(then).toEqual(["a", "b", "c"]);
    expect(results).toEqual(["a", "b", "c", "d"]);
  });

  it("gives the turn on after a failure, and tells of it", async () => {
    const { job, end, fail } = jobs();
    const turn = atMost(1);

    const first = turn(job("a"));
    const second = turn(job("b"));
    fail("a");
    await expect(first).rejects.toThrow("a");
    end("b");

    await expect(second).resolves.toBe("b");
  });
});

describe("oneAtATime", () => {
  it("holds up jobs of the same key only", () => {
    const { begun, job } = jobs();
    const turnOf = oneAtATime();

    for (const [key, name] of [
      ["cart", "a"],
      ["cart", "b"],
      ["mail", "c"],
    ] as const) {
      void turnOf(key)(job(name));
    }

    expect(begun).toEqual(["a", "c"]);
  });
});
