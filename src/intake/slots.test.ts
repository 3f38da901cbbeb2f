import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSlots } from "./slots.ts";

describe("slots", () => {
  it("hold what was taken into them and not let go, as a set would", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3)), (steps) => {
        const slots = createSlots<number>();
        const expected = new Map<number, () => void>();

        for (const [item, step] of steps.entries()) {
          const [first] = expected.keys();
          if (step > 0 || first === undefined) {
            expected.set(item, slots.take(item));
          } else {
            expected.get(first)?.();
            expected.delete(first);
          }
        }

        expect(slots.items().toSorted((a, b) => a - b)).toEqual([...expected.keys()]);
      }),
    );
  });
});
