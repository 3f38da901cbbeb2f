import { describe, expect, it } from "vitest";
import type { Outcome } from "../catalogue/outcome.ts";
import { eventOf } from "../../test/support/events.ts";
import { ledgerContract } from "../../test/support/ledger-contract.ts";
import { LedgerUnavailable } from "./ledger.ts";
import { createMemoryLedger } from "./memory.ts";

const read: Outcome = {
  status: "success",
  message: "log read",
  code: undefined,
  would: undefined,
  target: undefined,
  objects: {},
  text: undefined,
  artifact: undefined,
  undo: undefined,
  durationMs: 1,
};

const roomy = { backlogBytes: 1e6, historyBytes: 1e6 };

ledgerContract("memory ledger", { open: async (options) => createMemoryLedger({ ...roomy, ...options }) });

describe("memory ledger: limits", () => {
  it("accepts no more where the backlog is full, and again when work is finished", async () => {
    const ledger = createMemoryLedger({ ...roomy, backlogBytes: 1, windowSeconds: 0, clock: Date.now });
    await ledger.accept(eventOf({ pod: "shop/a" }));

    const refused = ledger.accept(eventOf({ pod: "shop/b" }));
    await expect(refused).rejects.toBeInstanceOf(LedgerUnavailable);
    expect(ledger.faults()).toEqual([expect.stringContaining("backlog is full")]);

    for await (const work of ledger.work(AbortSignal.timeout(10_000))) {
      await work.finish();
      break;
    }
    expect(ledger.faults()).toEqual([]);
    expect(await ledger.accept(eventOf({ pod: "shop/b" }))).toEqual({ status: "accepted" });
  });

  it("counts what is on record of a response, too: an outcome may be longer than its event", async () => {
    const ledger = createMemoryLedger({ ...roomy, historyBytes: 40_000, windowSeconds: 0, clock: Date.now });
    const event = eventOf({ pod: "shop/a" });
    await ledger.accept(event);

    for (const response of ["1", "2", "3", "4"]) {
      const target = { kind: "none" } as const;
      await ledger.record({ type: "planned", at: "", response, event: event.id, rule: "r", target, actions: [] });
      const outcome: Outcome = { ...read, text: "x".repeat(16_384) };
      await ledger.record({ type: "ended", at: "", response, action: 0, outcome });
    }

    expect((await ledger.responses({ limit: 10 })).map(({ response }) => response)).toEqual(["4", "3"]);
  });

  it("keeps the newest responses, by the size of their events", async () => {
    const ledger = createMemoryLedger({ ...roomy, historyBytes: 1, windowSeconds: 0, clock: Date.now });
    const event = eventOf({ pod: "shop/a" });
    await ledger.accept(event);

    for (const response of ["old", "new"]) {
      const target = { kind: "none" } as const;
      await ledger.record({ type: "planned", at: "", response, event: event.id, rule: "r", target, actions: [] });
    }

    expect((await ledger.responses({ limit: 10 })).map(({ response }) => response)).toEqual(["new"]);
  });
});
