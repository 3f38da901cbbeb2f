import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LinkedSet } from "./linked-set.ts";

describe("LinkedSet", () => {
  it("holds what a Set holds, in the same order", () => {
    const steps = fc.array(fc.record({ add: fc.boolean(), value: fc.nat(8) }), { maxLength: 60 });

    fc.assert(
      fc.property(steps, (course) => {
        const linked = new LinkedSet<number>();
        const set = new Set<number>();
        for (const { add, value } of course) {
          if (add) {
            linked.add(value);
            set.add(value);
          } else {
            expect(linked.delete(value)).toBe(set.delete(value));
          }
        }

        expect([...linked]).toEqual([...set]);
        expect(linked.first).toBe([...set][0]);
        expect(linked.size).toBe(set.size);
      }),
    );
  });
});
