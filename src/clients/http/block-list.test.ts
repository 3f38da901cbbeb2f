import { isIPv6 } from "node:net";
import { describe, expect, it } from "vitest";
import { blockListOf } from "./block-list.ts";

function holds(ranges: readonly string[], address: string): boolean {
  return blockListOf(ranges).check(address, isIPv6(address) ? "ipv6" : "ipv4");
}

describe("a list of IP ranges", () => {
  it.each([
    ["the address", "169.254.169.254"],
    ["IPv4-mapped", "::ffff:169.254.169.254"],
    ["IPv4-mapped, in groups", "::ffff:a9fe:a9fe"],
    ["IPv4-compatible", "::169.254.169.254"],
    ["translated", "::ffff:0:169.254.169.254"],
    ["NAT64", "64:ff9b::169.254.169.254"],
    ["local NAT64", "64:ff9b:1::a9fe:a9fe"],
    ["6to4", "2002:a9fe:a9fe::1"],
  ])("holds an IPv4 address in every form: %s", (_form, address) => {
    expect(holds(["169.254.0.0/16"], address)).toBe(true);
  });

  it.each(["169.253.255.255", "169.255.0.0", "::ffff:169.255.0.0", "64:ff9b::169.255.0.0", "2002:a9ff::1", "fe80::1"])(
    "does not hold what is beside a range: %s",
    (address) => {
      expect(holds(["169.254.0.0/16"], address)).toBe(false);
    },
  );

  it("holds ranges of IPv6", () => {
    expect(["fe80::1", "febf::1", "fec0::1"].map((address) => holds(["fe80::/10"], address))).toEqual([
      true,
      true,
      false,
    ]);
  });

  it("may be empty", () => {
    expect(holds([], "127.0.0.1")).toBe(false);
  });
});
