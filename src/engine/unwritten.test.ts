import { describe, expect, it } from "vitest";
import { eventOf } from "../../test/support/events.ts";
import type { Transition, Work } from "../ledger/ledger.ts";
import type { Journal } from "./journal.ts";
import { createUnwritten } from "./unwritten.ts";

const event = eventOf({ pod: "shop/cart-1" });
const at = "2026-11-21T08:00:00.000Z";
const action = { response: "r-1", action: 0, at } as const;
const planned: Transition = {
  type: "planned",
  at,
  response: "r-1",
  event: event.id,
  rule: "a rule",
  target: { kind: "pod", namespace: "shop", name: "cart-1", uid: undefined },
  actions: [{ name: "act", actionner: "test:act" }],
};
const started: Transition = { type: "started", attempt: 1, ...action };
const retrying: Transition = { type: "retrying", attempt: 1, code: "throttled", message: "later", ...action };
const startedAgain: Transition = { ...started, attempt: 2 };

describe("what could not be recorded of an event that comes again", () => {
  it("follows on what is on record of it, once", () => {
    const unwritten = createUnwritten();
    unwritten.keep(workWith([]), journalWith([planned, started, retrying], 2));

    const history = JSON.parse(JSON.stringify([planned, started]));

    expect(unwritten.take(workWith(history))).toEqual([retrying]);
    expect(unwritten.take(workWith(history))).toEqual([]);
  });

  it("is nothing where it was written though the ledger could not say so", () => {
    const unwritten = createUnwritten();
    unwritten.keep(workWith([planned]), journalWith([started, retrying], 1));

    expect(unwritten.take(workWith([planned, started, retrying]))).toEqual([]);
  });

  it("counts no more where another process went on with it", () => {
    const unwritten = createUnwritten();
    unwritten.keep(workWith([]), journalWith([planned, started, retrying, startedAgain], 2));

    expect(unwritten.take(workWith([planned, started, startedAgain]))).toEqual([]);
  });

  it.each([
    ["no start is on record: it begins anew", [planned, started, retrying], 1],
    ["all is on record", [planned, started, retrying], 3],
  ])("is not kept where %s", (_, steps, onDisk) => {
    const unwritten = createUnwritten();
    unwritten.keep(workWith([]), journalWith(steps, onDisk));

    expect(unwritten.take(workWith([planned]))).toEqual([]);
  });
});

function workWith(history: readonly Transition[]): Work {
  return { event, history } as Work;
}

function journalWith(steps: readonly Transition[], onDisk: number): Journal {
  return { written: () => ({ steps, onDisk }) } as Journal;
}
