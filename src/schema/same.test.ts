import { describe, expect, it } from "vitest";
import { isSame } from "./same.ts";
import { Secret } from "./secret.ts";

describe("settings are the same", () => {
  it("where every value is, in whatever order the keys stand", () => {
    expect(isSame({ url: "u", tags: ["a"], headers: { x: 1 } }, { headers: { x: 1 }, tags: ["a"], url: "u" })).toBe(
      true,
    );
  });

  it("where the secrets hold the same", () => {
    expect(isSame({ headers: { token: new Secret("t") } }, { headers: { token: new Secret("t") } })).toBe(true);
  });

  it.each([
    [{ token: new Secret("t") }, { token: new Secret("u") }],
    [{ token: new Secret("t") }, { token: "t" }],
    [{ tags: ["a", "b"] }, { tags: ["b", "a"] }],
    [{}, { url: "u" }],
    [undefined, {}],
  ])("but not in %j and %j", (one, other) => {
    expect(isSame(one, other)).toBe(false);
  });
});
