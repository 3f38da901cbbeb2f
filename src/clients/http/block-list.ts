import { BlockList, isIPv4 } from "node:net";

/**
 * Forms in which an IPv4 address stands in an IPv6 one, by which a router or the system may reach it, as the groups before and after
 * it. `::ffff:a.b.c.d` is none of them: BlockList itself takes it for the IPv4 address.
 */
const embeddings: readonly { readonly before: string; readonly after: string; readonly bits: number }[] = [
  { before: "64:ff9b::", after: "", bits: 96 },
  { before: "64:ff9b:1::", after: "", bits: 96 },
  { before: "::ffff:0:", after: "", bits: 96 },
  { before: "::", after: "", bits: 96 },
  { before: "2002:", after: "::", bits: 16 },
];

/** Of IP ranges. One of IPv4 holds for the addresses of IPv6 that lead there too: NAT64, 6to4, translated and compatible ones. */
export function blockListOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = "", prefix = ""] = range.split("/");
    if (isIPv4(address)) {
      list.addSubnet(address, Number(prefix), "ipv4");
      embed(list, address, Number(prefix));
    } else {
      list.addSubnet(address, Number(prefix), "ipv6");
    }
  }
  return list;
}

function embed(list: BlockList, address: string, prefix: number): void {
  const [a = 0, b = 0, c = 0, d = 0] = address.split(".").map(Number);
  const groups = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  for (const { before, after, bits } of embeddings) {
    list.addSubnet(`${before}${groups}${after}`, bits + prefix, "ipv6");
  }
}
