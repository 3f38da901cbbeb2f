import { isIP } from "node:net";
import { type FalcoEvent, fieldOf } from "../../src/events/event.ts";
import { textOf } from "../../src/events/json.ts";

const fields = ["fd.rip", "fd.sip"];
/** Of a reason. */
const maxShown = 64;

/** A range of one address, or why there is none to deny. */
export type RemoteAddress =
  | { readonly kind: "found"; readonly range: string }
  | { readonly kind: "missing"; readonly reason: string };

/** The event's remote IP, `fd.rip`, else `fd.sip`, spelt in the one way that API servers take: `192.0.2.7/32`, `2001:db8::7/128`. */
export function remoteAddressOf(event: FalcoEvent): RemoteAddress {
  const name = fields.find((field) => fieldOf(event, field) !== undefined);
  if (name === undefined) {
    return missing("the event has no remote IP (fd.rip, fd.sip)");
  }
  const written = textOf(fieldOf(event, name) ?? "");
  const address = canonical(written);
  if (address === undefined) {
    return missing(`the event's remote IP is no IP address: ${name} is ${written.slice(0, maxShown)}`);
  }
  if (staysInside(address)) {
    return missing(`the event's remote IP ${address} does not lead out of the pod`);
  }
  return { kind: "found", range: `${address}/${isIP(address) === 4 ? 32 : 128}` };
}

function missing(reason: string): RemoteAddress {
  return { kind: "missing", reason };
}

/** Sockets for both families show IPv4 peers as `::ffff:192.0.2.7`. An address with a zone means something on one machine only. */
function canonical(written: string): string | undefined {
  if (isIP(written) === 4) {
    return written;
  }
  if (isIP(written) === 0 || written.includes("%")) {
    return undefined;
  }
  // As a URL writes it: lower case, hexadecimal throughout, the longest run of zeros left out.
  const address = new URL(`http://[${written}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:(?<high>[0-9a-f]{1,4}):(?<low>[0-9a-f]{1,4})$/.exec(address)?.groups;
  return mapped === undefined ? address : [...bytesOf(mapped["high"]), ...bytesOf(mapped["low"])].join(".");
}

function bytesOf(group: string | undefined): readonly number[] {
  const value = Number.parseInt(group ?? "", 16);
  return [value >> 8, value & 0xff];
}

/** Loopback, and what stands for no address. */
function staysInside(address: string): boolean {
  return /^(127\.|0\.0\.0\.0$)/.test(address) || address === "::1" || address === "::";
}
