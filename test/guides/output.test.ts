import { describe, expect, it } from "vitest";
import { agrees } from "./output.ts";

describe("what a page shows", () => {
  it.each([
    ["identities", "event 4809f12b-4210-460f-9d6b-deb0a6cc1981", "event 01a1ff49-afda-7f4b-8e8d-e786428004db"],
    ["times", "at 2026-11-21T11:44:01.226Z", "at 2027-01-02T03:04:05Z"],
    ["durations", "Label: success, 46 ms (3m ago)", "Label: success, 8 ms (12s ago)"],
    ["the width of columns", "NAME   AGE\ncart   6s", "NAME          AGE\ncart          14m\n"],
    ["a digest cut short", '"hash":"2b1d…"', `"hash":"${"0123456789abcdef".repeat(4)}"`],
    ["a part left out", "undo: kubectl … -n shop", "undo: kubectl label pod cart -n shop"],
    ["lines left out", "a\n…\nz", "a\nb\nc\nz"],
    ["no lines left out", "a\n…\nz", "a\nz"],
  ])("agrees with what came, but for %s", (_, shown, output) => {
    expect(agrees(shown, output)).toBe(true);
  });

  it.each([
    ["another word", "pod labelled", "pod deleted"],
    ["a line too many", "a", "a\nb"],
    ["a line missing", "a\nb", "a"],
    ["the start alone", "a…", "b"],
    ["a dot for any letter", "a.b", "axb"],
  ])("does not agree with %s", (_, shown, output) => {
    expect(agrees(shown, output)).toBe(false);
  });
});
