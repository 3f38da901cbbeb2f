import { describe, expect, it } from "vitest";
import { isAnnotationKey, isLabelKey, isLabelValue } from "./kubernetes-names.ts";

const longest = "a".repeat(63);
const longestPrefix = `${`${"a".repeat(49)}.`.repeat(5)}com`;

describe("the key of a label", () => {
  it.each(["a", "A_b.c-9", "analysis/status", "hallux.dev/x", `${longestPrefix}/${longest}`])("may be %s", (key) => {
    expect(isLabelKey(key)).toBe(true);
  });

  it.each([
    "",
    "/",
    "a/",
    "/a",
    "a/b/c",
    "a b",
    "-a",
    "a-",
    "ä",
    "$a",
    "a\n",
    "Example.com/a",
    "a_b/c",
    "a..b/c",
    `${longest}a`,
  ])("may not be %j", (key) => {
    expect(isLabelKey(key)).toBe(false);
  });

  it("may have a DNS name of 253 characters before it, and no more", () => {
    expect(isLabelKey(`${longestPrefix}/a`)).toBe(true);
    expect(isLabelKey(`a${longestPrefix}/a`)).toBe(false);
    expect(longestPrefix).toHaveLength(253);
  });
});

describe("the key of an annotation", () => {
  it("is a label's, but that its DNS name may have capitals", () => {
    expect(isAnnotationKey("Example.COM/Note")).toBe(true);
    expect(isAnnotationKey("example.com/my note")).toBe(false);
    expect(isAnnotationKey("\u212Aubernetes.io/note")).toBe(false);
  });
});

describe("the value of a label", () => {
  it.each(["", "true", "2026-11-21T08.15_00Z", longest])("may be %j", (value) => {
    expect(isLabelValue(value)).toBe(true);
  });

  it.each(["yes please", "a/b", "a:b", "-", "a.", "true\n", "$(id)", `${longest}a`])("may not be %j", (value) => {
    expect(isLabelValue(value)).toBe(false);
  });
});
