import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createNatsLedger } from "../../src/ledger/nats/ledger.ts";
import { type NatsServer, natsBinaries, startNats, withoutNats } from "../peers/nats.ts";
import { eventOf } from "../support/events.ts";
import { acceptAll, take, taker } from "../support/ledger-contract.ts";
import { openLedger, settingsOf } from "./replicas.ts";

describe.skipIf(natsBinaries.length > 0)("two ledgers on NATS", () => {
  it.skip(withoutNats);
});

describe.each(natsBinaries)("two ledgers on nats-server $version", (binary) => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await startNats({ binary });
  });
  afterAll(() => server.dispose());

  it("store one of an event that is sent to both, and say to the other which it repeats", async () => {
    const settings = settingsOf({ servers: [server.url] });
    const ledgers = [await openLedger(settings), await openLedger(settings)];

    for (const uuid of ["u-1", "u-2", "u-3"]) {
      const acceptances = await Promise.all(ledgers.map((ledger) => ledger.accept(eventOf({ uuid }))));
      expect(acceptances.map(({ status }) => status).sort()).toEqual(["accepted", "duplicate"]);
    }
    const events = await take(ledgers[0] as (typeof ledgers)[0], 3);

    expect(events).toHaveLength(3);
  });

  it("hold a key one at a time, and a closed one leaves it to the other", async () => {
    const settings = settingsOf({ servers: [server.url] });
    const [one, other] = [await openLedger(settings), await openLedger(settings)];
    const { signal } = new AbortController();
    const course: string[] = [];

    await one.hold("workload", signal);
    const waiting = other.hold("workload", signal).then(() => course.push("held"));
    await other.accept(eventOf());
    course.push("closed");
    await one.close();
    await waiting;

    expect(course).toEqual(["closed", "held"]);
  });

  it("hand over at once what a closed one was given, with what it recorded", async () => {
    const settings = settingsOf({ servers: [server.url] });
    const [one, other] = [await openLedger(settings), await openLedger(settings)];
    const [event] = await acceptAll(one, [{ pod: "shop/cart-1" }]);
    const [work] = await take(one, 1);
    const closed = { type: "closed", at: "2026-11-21T08:00:00.000Z", response: "r-1" } as const;
    await work?.record([closed]);

    const next = taker(other)();
    await one.close();
    const again = await next;

    expect(again.event.id).toBe(event?.id);
    expect(again.history).toEqual([closed]);
  });

  it("keep both of two same events whose window has passed, in whatever order they are finished", async () => {
    let now = 1_000_000;
    const settings = { ...settingsOf({ servers: [server.url] }), clock: () => now, remark: () => {} };
    const ledger = await createNatsLedger(settings);
    const traits = { uuid: undefined };
    const first = eventOf(traits);
    await ledger.accept(first);
    now += 6_000;
    const second = eventOf(traits);
    await ledger.accept(second);

    const works = await take(ledger, 2);
    await works.find(({ event }) => event.id === second.id)?.finish();
    await ledger.close();
    const again = await createNatsLedger(settings);
    const [left] = await take(again, 1);
    await left?.finish();
    const backlog = again.backlog().events;
    await again.close();

    expect(left?.event.id).toBe(first.id);
    expect(backlog).toBe(0);
  });
});
