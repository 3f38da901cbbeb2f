import { describe, expect, it } from "vitest";
import { eventOf } from "./events.ts";
import type { Ledger, Work } from "../../src/ledger/ledger.ts";
import { LedgerUnavailable } from "../../src/ledger/ledger.ts";

export interface LedgerFactory {
  /** `clock` in milliseconds. */
  open(options: { readonly windowSeconds: number; readonly clock: () => number }): Promise<Ledger>;
}

const planned = {
  type: "planned" as const,
  at: "2026-11-21T08:00:00.000Z",
  response: "response-1",
  event: "",
  rule: "a rule",
  target: { kind: "none" as const },
  actions: [{ name: "act", actionner: "test:act" }],
};

/** What every driver must do. */
export function ledgerContract(name: string, { open }: LedgerFactory): void {
  const withWindow = (windowSeconds: number, clock: () => number = Date.now) => open({ windowSeconds, clock });

  describe(`${name}: de-duplication`, () => {
    it("knows a redelivery by its uuid, and says which event it repeats", async () => {
      const ledger = await withWindow(5);
      const first = eventOf({ pod: "shop/cart-1", uuid: "7403e430" });

      await ledger.accept(first);
      const again = await ledger.accept(eventOf({ pod: "shop/cart-2", uuid: "7403e430" }));

      expect(again).toEqual({ status: "duplicate", of: first.id });
      await ledger.close();
    });

    it("takes events without uuid for one where rule, source, host and target are the same within the window", async () => {
      let now = 0;
      const ledger = await withWindow(5, () => now);
      const first = eventOf({ pod: "shop/cart-1", uuid: undefined });

      await ledger.accept(first);
      now = 4_999;
      const within = await ledger.accept(eventOf({ pod: "shop/cart-1", uuid: undefined }));
      now = 5_000;
      const after = await ledger.accept(eventOf({ pod: "shop/cart-1", uuid: undefined }));

      expect(within).toEqual({ status: "duplicate", of: first.id });
      expect(after).toEqual({ status: "accepted" });
      await ledger.close();
    });

    it.each([
      ["another pod", { pod: "shop/cart-2" }],
      ["another namespace", { pod: "bank/cart-1" }],
      ["another rule", { pod: "shop/cart-1", rule: "Another rule" }],
      ["another host", { pod: "shop/cart-1", hostname: "node-9" }],
    ])("keeps events apart that differ in %s, even where output is absent", async (_, other) => {
      const ledger = await withWindow(5);

      await ledger.accept(eventOf({ pod: "shop/cart-1", uuid: undefined, output: undefined }));
      const acceptance = await ledger.accept(eventOf({ ...other, uuid: undefined, output: undefined }));

      expect(acceptance).toEqual({ status: "accepted" });
      await ledger.close();
    });

    it("compares texts of any length to their end", async () => {
      const ledger = await withWindow(5);
      const long = "x".repeat(100_000);
      const first = eventOf({ uuid: `${long}1` });

      await ledger.accept(first);
      const another = await ledger.accept(eventOf({ uuid: `${long}2` }));
      const again = await ledger.accept(eventOf({ uuid: `${long}1` }));

      expect(another).toEqual({ status: "accepted" });
      expect(again).toEqual({ status: "duplicate", of: first.id });
      await ledger.close();
    });

    it("is off where the window is 0", async () => {
      const ledger = await withWindow(0);

      await ledger.accept(eventOf({ pod: "shop/cart-1", uuid: "7403e430" }));
      const again = await ledger.accept(eventOf({ pod: "shop/cart-1", uuid: "7403e430" }));

      expect(again).toEqual({ status: "accepted" });
      await ledger.close();
    });
  });

  describe(`${name}: work`, () => {
    it("gives each accepted event once, oldest first", async () => {
      const ledger = await withWindow(0);
      const events = ["a", "b", "c"].map((pod) => eventOf({ pod: `shop/${pod}` }));

      for (const event of events) {
        await ledger.accept(event);
      }
      const taken = await take(ledger, 3);

      expect(taken.map(({ event }) => event.id)).toEqual(events.map(({ id }) => id));
      await ledger.close();
    });

    it("gives an event that comes while the taker waits", async () => {
      const ledger = await withWindow(0);

      const taking = take(ledger, 1);
      const event = eventOf({ pod: "shop/cart-1" });
      await ledger.accept(event);

      expect((await taking).map((work) => work.event.id)).toEqual([event.id]);
      await ledger.close();
    });

    it("ends when the signal fires", async () => {
      const ledger = await withWindow(0);
      const stop = new AbortController();

      const taking = Array.fromAsync(ledger.work(stop.signal));
      stop.abort();

      expect(await taking).toEqual([]);
      await ledger.close();
    });
  });

  describe(`${name}: record`, () => {
    it("shows the transitions of a response, the newest response first", async () => {
      const ledger = await withWindow(0);
      const event = eventOf({ pod: "shop/cart-1" });
      await ledger.accept(event);

      await ledger.record({ ...planned, event: event.id });
      await ledger.record({ ...planned, event: event.id, response: "response-2", rule: "another rule" });
      await ledger.record({ type: "closed", at: planned.at, response: "response-1" });
      const all = await ledger.responses({ limit: 10 });
      const some = await ledger.responses({ limit: 10, rule: "a rule" });

      expect(all.map(({ response }) => response)).toEqual(["response-2", "response-1"]);
      expect(some[0]?.transitions.map(({ type }) => type)).toEqual(["planned", "closed"]);
      expect(some[0]?.event.id).toBe(event.id);
      await ledger.close();
    });
  });

  describe(`${name}: closed`, () => {
    it("accepts no more, and says why", async () => {
      const ledger = await withWindow(0);

      await ledger.close();

      expect(ledger.faults()).toHaveLength(1);
      await expect(ledger.accept(eventOf({ pod: "shop/cart-1" }))).rejects.toBeInstanceOf(LedgerUnavailable);
    });
  });
}

async function take(ledger: Ledger, count: number): Promise<Work[]> {
  const taken: Work[] = [];
  const stop = new AbortController();
  for await (const work of ledger.work(stop.signal)) {
    taken.push(work);
    if (taken.length === count) {
      stop.abort();
    }
  }
  return taken;
}
