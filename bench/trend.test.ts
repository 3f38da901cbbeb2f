import { describe, expect, it } from "vitest";
import { trendOf } from "./trend.ts";

describe("trendOf", () => {
  it("finds the rise of what grows steadily, without error", () => {
    const points = [0, 10, 20, 30].map((x) => ({ x, y: 100 + 2 * x }));

    const trend = trendOf(points);

    expect(trend.mean).toBeCloseTo(130);
    expect(trend.rise).toBeCloseTo(60);
    expect(trend.standardError).toBeCloseTo(0);
  });

  it("finds no rise in what goes up and down, and says how unsure it is", () => {
    const points = [5, 7, 7, 5].map((y, x) => ({ x, y }));

    const trend = trendOf(points);

    expect(trend.rise).toBeCloseTo(0);
    expect(trend.standardError).toBeCloseTo(Math.sqrt(4 / 2 / 5) * 3);
  });
});
