import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { kubectl } from "./kubectl.ts";

describe("kubectl", () => {
  it("leaves plain arguments bare", () => {
    expect(kubectl("label", "pod", "cart-1", "-n", "shop", "example.com/by-")).toBe(
      "kubectl label pod cart-1 -n shop example.com/by-",
    );
  });

  it.each(["", "two words", "$(touch pwned)", "it's", "a\nb", ";x", "*", "`x`", "\\"])(
    "hands %j to the program as it is",
    (argument) => {
      const line = kubectl(argument).replace(/^kubectl /, "printf %s ");

      expect(execFileSync("/bin/sh", ["-c", line], { encoding: "utf8" })).toBe(argument);
    },
  );
});
