import { describe, expect, it } from "vitest";
import { eventOf } from "../../test/support/events.ts";
import { createDeduplication, keyOf, rememberedKeys } from "./deduplication.ts";

describe("de-duplication", () => {
  it("forgets the oldest first, and only as many as it must", () => {
    const deduplication = createDeduplication(5);
    for (let n = 0; n < rememberedKeys; n++) {
      deduplication.recall({ key: `uuid ${n}`, id: `event-${n}`, at: n });
    }

    deduplication.repeats(eventOf({ uuid: "new" }), 0);
    deduplication.repeats(eventOf({ uuid: "newer" }), 0);

    expect(deduplication.repeats(eventOf({ uuid: "2" }), 0)).toBe("event-2");
    expect(deduplication.repeats(eventOf({ uuid: "1" }), 0)).toBeUndefined();
    expect(deduplication.repeats(eventOf({ uuid: "newer" }), 0)).toEqual(expect.any(String));
  });

  it("forgets an event that could not be kept, and not the one that came in its place", () => {
    const deduplication = createDeduplication(5);
    const [first, second] = [eventOf({ uuid: "1" }), eventOf({ uuid: "1" })];

    deduplication.repeats(first, 0);
    deduplication.forget({ key: keyOf(first), id: first.id });
    const again = deduplication.repeats(second, 0);
    deduplication.forget({ key: keyOf(first), id: first.id });

    expect(again).toBeUndefined();
    expect(deduplication.repeats(first, 0)).toBe(second.id);
  });

  it("never takes an event without uuid for one with", () => {
    const without = keyOf(eventOf({ uuid: undefined, rule: "a" }));

    expect(keyOf(eventOf({ uuid: without }))).not.toBe(without);
  });
});
