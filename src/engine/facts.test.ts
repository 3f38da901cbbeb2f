import { describe, expect, it } from "vitest";
import { eventOf } from "../../test/support/events.ts";
import type { Context } from "../catalogue/catalogue.ts";
import type { Clients } from "../clients/clients.ts";
import type { PodTarget } from "../events/target.ts";
import { createFactsCache } from "./facts.ts";

/** A context that numbers its answers, and a cache whose clock the test sets. */
function counting({ failing = 0 } = {}) {
  let now = 1_000_000;
  let asked = 0;
  const context: Context = {
    ...{ id: "count", summary: "", target: "pod", elements: [], uses: [], rbac: [] },
    async fetch() {
      asked += 1;
      if (asked <= failing) {
        throw new Error("not this time");
      }
      return { "count.of": `${asked}` };
    },
  };
  const cache = createFactsCache(() => new Date(now));
  const call = { event: eventOf(), clients: {} as Clients, signal: new AbortController().signal };
  return {
    pass: (ms: number) => {
      now += ms;
    },
    about: async (name: string, traits: Partial<PodTarget & { readonly id: string }> = {}) => {
      const { id = context.id, uid } = traits;
      const target: PodTarget = { kind: "pod", namespace: "shop", name, uid };
      return (await cache.of({ ...context, id }, { ...call, target }))["count.of"];
    },
  };
}

describe("the facts of a context", () => {
  it("are kept for five seconds, and then fetched again", async () => {
    const { about, pass } = counting();

    const first = await about("cart-1");
    pass(4_999);
    const soon = await about("cart-1");
    pass(1);
    const later = await about("cart-1");

    expect([first, soon, later]).toEqual(["1", "1", "2"]);
  });

  it("are those of the one target and the one context", async () => {
    const { about } = counting();

    const facts = [
      await about("cart-1"),
      await about("cart-2"),
      await about("cart-1", { uid: "uid-7" }),
      await about("cart-1", { uid: "uid-8" }),
      await about("cart-1", { id: "other" }),
    ];

    expect(facts).toEqual(["1", "2", "3", "4", "5"]);
  });

  it("are fetched again where that failed", async () => {
    const { about } = counting({ failing: 1 });

    const failed = about("cart-1");

    await expect(failed).rejects.toThrow("not this time");
    expect(await about("cart-1")).toBe("2");
  });

  it("are fetched again where the clock was set back", async () => {
    const { about, pass } = counting();

    await about("cart-1");
    pass(-3_600_000);

    expect(await about("cart-1")).toBe("2");
  });

  it("are kept of the last thousand targets only", async () => {
    const { about } = counting();

    for (let n = 0; n <= 1_000; n++) {
      await about(`cart-${n}`);
    }

    expect(await about("cart-1")).toBe("2");
    expect(await about("cart-0")).toBe("1002");
  });
});
