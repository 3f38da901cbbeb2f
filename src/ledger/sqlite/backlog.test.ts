import { describe, expect, it } from "vitest";
import { eventOf } from "../../../test/support/events.ts";
import { waitingOf } from "../lanes.ts";
import { createBacklog, type Entry } from "./backlog.ts";

const room = { events: 1000, bytes: 1e9 };

describe("the backlog", () => {
  it("keeps the oldest events in memory, up to a bound: the others are read back", () => {
    const backlog = createBacklog();
    const entries = Array.from({ length: 20 }, (_, seq) => largeEntry(seq));

    for (const entry of entries) {
      backlog.add(entry);
      backlog.durable(entry);
    }
    const taken = entries.map(() => backlog.take(room));

    expect(taken.map((one) => one?.entry.seq)).toEqual(entries.map(({ seq }) => seq));
    expect(taken.filter((one) => one?.event !== undefined)).toHaveLength(16);
    expect(taken.findIndex((one) => one?.event === undefined)).toBe(16);
  });

  it("has room again for each that is taken", () => {
    const backlog = createBacklog();

    const inMemory = Array.from({ length: 40 }, (_, seq) => {
      const entry = largeEntry(seq);
      backlog.add(entry);
      backlog.durable(entry);
      const taken = backlog.take(room);
      backlog.release(entry);
      backlog.remove(entry);
      return taken?.event !== undefined;
    });

    expect(inMemory).not.toContain(false);
    expect(backlog.figures()).toMatchObject({ events: 0, bytes: 0, oldestAt: undefined });
  });
});

/** Of a megabyte. */
function largeEntry(seq: number): Entry {
  const event = eventOf({ output: "x".repeat(1_000_000) });
  return { ...waitingOf(event), seq, at: seq, event, written: Promise.resolve(), recorded: false, lost: false };
}
