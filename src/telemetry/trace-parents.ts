import type { FalcoEvent } from "../events/event.ts";

/** A span of another trace. */
export interface SpanPlace {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
}

/** Of what is hashed: pods, containers and hosts have shorter names. */
const maxHashed = 1024;

/** Later versions may append fields; `ff` is none. */
const traceparent = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-|$)/;

/** The sender's span, where the header (W3C Trace Context) names one as it should. */
export function senderOf(header: unknown): SpanPlace | undefined {
  const [, traceId, spanId, flags, more] = (typeof header === "string" && traceparent.exec(header.trim())) || [];
  if (traceId === undefined || spanId === undefined || flags === undefined) {
    return undefined;
  }
  const ofThisVersion = String(header).trim().startsWith("00-");
  return ofThisVersion && more !== ""
    ? undefined
    : { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/**
 * The trace to which Falcosidekick's output for OTLP traces adds the event: it makes the id of the pod, else of the container,
 * else of the host. Undefined where there is none, and for events that did not come through Falcosidekick: Falco gives no uuid.
 */
export function falcosidekickTraceOf({ uuid, fields }: FalcoEvent): string | undefined {
  const textIn = (name: string) => {
    const value = fields[name];
    return typeof value === "string" ? value : "";
  };
  const [namespace, pod] = [textIn("k8s.ns.name"), textIn("k8s.pod.name")];
  const container = textIn("container.id");
  const place =
    namespace !== "" && pod !== ""
      ? `${namespace}:${pod}`
      : container !== "" && container !== "host"
        ? container
        : textIn("evt.hostname");
  return uuid === undefined || place === "" || place.length > maxHashed ? undefined : fnv1a128(place);
}

const fnvPrime = 0x0000000001000000000000000000013bn;
const fnvBasis = 0x6c62272e07bb014262b821756295c58dn;

/** FNV-1a of 128 bits, in hexadecimal digits. */
function fnv1a128(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return bytes
    .reduce((hash, byte) => BigInt.asUintN(128, (hash ^ BigInt(byte)) * fnvPrime), fnvBasis)
    .toString(16)
    .padStart(32, "0");
}
