import { describe, expect, it } from "vitest";
import { kinds, planRound } from "./plan.ts";

describe("planRound", () => {
  it("plans the same round for the same seed and number", () => {
    const first = planRound(7, 42);

    const again = planRound(7, 42);

    expect(again).toEqual(first);
  });

  it("plans other rounds for other seeds", () => {
    expect(planRound(8, 42)).not.toEqual(planRound(7, 42));
  });

  it("has every kind of round among the first ones", () => {
    const first = kinds.map((_, index) => planRound(7, index + 1).kind);

    expect(new Set(first)).toEqual(new Set(kinds));
  });

  it("gives no two events of a pod the same mark", () => {
    const { lives } = planRound(7, kinds.length);
    const events = new Set(lives.flatMap(({ posts }) => posts.map(({ event }) => event)));

    const marks = [...events].map(({ pod, mark }) => `${pod} ${mark}`);

    expect(new Set(marks).size).toBe(marks.length);
  });
});
