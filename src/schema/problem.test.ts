import { describe, expect, it } from "vitest";
import { didYouMean } from "./problem.ts";

describe("didYouMean", () => {
  it.each([
    ["dryrun", ["dry_run", "rule"], "dry_run"],
    ["kubernetes:labl", ["kubernetes:label", "kubernetes:log"], "kubernetes:label"],
    ["ab", ["ac"], "ac"],
  ])("names what is near: %s", (written, known, near) => {
    expect(didYouMean(written, known)).toBe(`did you mean "${near}"?`);
  });

  it.each([
    ["C", ["A", "B"]],
    ["kubernetes:drain", ["kubernetes:log"]],
    ["", ["a"]],
  ])("names nothing that is not: %j", (written, known) => {
    expect(didYouMean(written, known)).toBeUndefined();
  });
});
