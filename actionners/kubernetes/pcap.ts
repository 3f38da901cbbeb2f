import { ActionError } from "../../src/catalogue/errors.ts";

const headerBytes = 24;
const packetHeaderBytes = 16;
/** Of the length of what was captured of a packet, in the packet's header. */
const lengthAt = 8;
/** tcpdump's own limit. */
const maxPacketBytes = 262_144;

/** The first four bytes: with microseconds or nanoseconds, in the byte order of the machine that wrote them. */
const bigEndian = [0xa1b2c3d4, 0xa1b23c4d];

export interface PcapReading {
  readonly maxBytes: number;
  packets: number;
  /** There was more than `maxBytes`. */
  cut: boolean;
}

/**
 * A capture as tcpdump writes it, packet by packet, so that it is valid wherever it ends: it ends before a packet that is not there
 * as a whole, and before one that would go beyond the limit. Throws where it is none.
 */
export async function* wholePackets(
  capture: AsyncIterable<Uint8Array>,
  reading: PcapReading,
): AsyncGenerator<Uint8Array, undefined> {
  let pending = Buffer.alloc(0);
  let read: ReadLength | undefined;
  let passed = 0;
  for await (const chunk of capture) {
    pending = Buffer.concat([pending, chunk]);
    if (read === undefined && pending.length < headerBytes) {
      continue;
    }
    const start: number = read === undefined ? headerBytes : 0;
    read ??= lengthReader(pending);
    const end = endOfPackets(pending, { start, read, room: reading.maxBytes - passed }, reading);
    yield pending.subarray(0, end);
    if (reading.cut) {
      return;
    }
    passed += end;
    pending = pending.subarray(end);
  }
  if (read === undefined) {
    throw new ActionError("internal", "tcpdump wrote no capture");
  }
}

type ReadLength = (bytes: Buffer, offset: number) => number;

function lengthReader(bytes: Buffer): ReadLength {
  if (bigEndian.includes(bytes.readUInt32BE(0))) {
    return (packet, offset) => packet.readUInt32BE(offset);
  }
  if (bigEndian.includes(bytes.readUInt32LE(0))) {
    return (packet, offset) => packet.readUInt32LE(offset);
  }
  throw new ActionError("internal", "what tcpdump wrote is no capture in the format pcap");
}

/** Where the last packet ends that is there as a whole and fits. */
function endOfPackets(
  bytes: Buffer,
  { start, read, room }: { readonly start: number; readonly read: ReadLength; readonly room: number },
  reading: PcapReading,
): number {
  let end = start;
  while (end + packetHeaderBytes <= bytes.length) {
    const length = read(bytes, end + lengthAt);
    if (length > maxPacketBytes) {
      throw new ActionError("internal", "what tcpdump wrote is not a valid capture: a packet is longer than can be");
    }
    const next = end + packetHeaderBytes + length;
    reading.cut = next > room;
    if (reading.cut || next > bytes.length) {
      break;
    }
    reading.packets += 1;
    end = next;
  }
  return end;
}
