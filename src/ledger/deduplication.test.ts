import { describe, expect, it } from "vitest";
import { eventOf } from "../../test/support/events.ts";
import type { FalcoEvent } from "../events/event.ts";
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

  it("takes no event for a repetition of one that came, by a clock that was set back since, in the future", () => {
    const deduplication = createDeduplication(5);
    const [first, second, third] = [1, 2, 3].map(() => eventOf({ uuid: undefined }));

    deduplication.repeats(first as FalcoEvent, 3_600_000);
    const afterwards = deduplication.repeats(second as FalcoEvent, 0);
    const soon = deduplication.repeats(third as FalcoEvent, 1_000);

    expect(afterwards).toBeUndefined();
    expect(soon).toBe(second?.id);
  });

  it("remembers of the same events the newest, whichever ended last", () => {
    const deduplication = createDeduplication(5);
    const event = eventOf({ uuid: undefined });
    const key = keyOf(event);

    deduplication.recall({ key, id: "newer", at: 10_000 });
    deduplication.recall({ key, id: "older", at: 0 });

    expect(deduplication.repeats(event, 12_000)).toBe("newer");
  });

  it("never takes an event without uuid for one with", () => {
    const without = keyOf(eventOf({ uuid: undefined, rule: "a" }));

    expect(keyOf(eventOf({ uuid: without }))).not.toBe(without);
  });
});
