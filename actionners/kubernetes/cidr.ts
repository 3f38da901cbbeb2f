import { isIPv4 } from "node:net";

/** What the API server has against an address range that is one by its form; undefined where it takes it. */
export function rangeFault(range: string): string | undefined {
  const [address = "", prefix = ""] = range.split("/");
  const bits = isIPv4(address) ? bitsOfIPv4(address) : bitsOfIPv6(address);
  if (!isIPv4(address) && /^0{80}1{16}/.test(bits)) {
    return `${range} is an IPv4 range written as IPv6`;
  }
  return bits.slice(Number(prefix)).includes("1") ? `${range} has bits set beyond its /${prefix}` : undefined;
}

function bitsOfIPv4(address: string): string {
  return address.split(".").map(binary(8)).join("");
}

function bitsOfIPv6(address: string): string {
  // As a URL writes it: hexadecimal throughout.
  const written = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = [], tail = []] = written.split("::").map((half) => half.split(":").filter((group) => group !== ""));
  const zeros = Array<string>(8 - head.length - tail.length).fill("0");
  return [...head, ...zeros, ...tail].map((group) => binary(16)(Number.parseInt(group, 16))).join("");
}

function binary(length: number): (value: number | string) => string {
  return (value) => Number(value).toString(2).padStart(length, "0");
}
