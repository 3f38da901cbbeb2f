import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type PcapReading, wholePackets } from "./pcap.ts";

/** The headers of a file and of a packet, as a machine of this byte order writes them. */
function fileHeader(magic: number, order: "LE" | "BE"): Buffer {
  const header = Buffer.alloc(24);
  header[`writeUInt32${order}`](magic, 0);
  return header;
}

function packet(length: number, order: "LE" | "BE"): Buffer {
  const header = Buffer.alloc(16);
  header[`writeUInt32${order}`](length, 8);
  return Buffer.concat([header, Buffer.alloc(length, "x")]);
}

/** What is passed on of a capture that comes in these pieces. */
async function read(pieces: readonly Uint8Array[], maxBytes = 1_000_000) {
  const reading: PcapReading = { maxBytes, packets: 0, cut: false };
  const bytes = Buffer.concat(await Array.fromAsync(wholePackets(oneByOne(pieces), reading)));
  return { bytes, packets: reading.packets, cut: reading.cut };
}

async function* oneByOne(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

function inPieces(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) => bytes.subarray(n * size, (n + 1) * size));
}

const header = fileHeader(0xa1b2c3d4, "LE");

describe("a capture, packet by packet", () => {
  it("is the same however it comes", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(300), { maxLength: 20 }),
        fc.integer({ min: 1, max: 500 }),
        fc.constantFrom("LE" as const, "BE" as const),
        async (lengths, size, order) => {
          const whole = Buffer.concat([fileHeader(0xa1b2c3d4, order), ...lengths.map((one) => packet(one, order))]);

          const { bytes, packets, cut } = await read(inPieces(whole, size));

          expect({ same: bytes.equals(whole), packets, cut }).toEqual({
            same: true,
            packets: lengths.length,
            cut: false,
          });
        },
      ),
    ));

  it("ends before a packet that is not there as a whole", () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 115 }), fc.integer({ min: 1, max: 200 }), async (missing, size) => {
        const start = Buffer.concat([header, packet(7, "LE")]);
        const torn = Buffer.concat([start, packet(100, "LE").subarray(0, 116 - missing)]);

        const { bytes, packets } = await read(inPieces(torn, size));

        expect({ same: bytes.equals(start), packets }).toEqual({ same: true, packets: 1 });
      }),
    ));

  it("ends before the packet that goes beyond the limit", async () => {
    const packets = [packet(100, "LE"), packet(100, "LE"), packet(100, "LE")];

    const within = await read([header, ...packets], 24 + 3 * 116);
    const beyond = await read([header, ...packets], 24 + 3 * 116 - 1);

    expect(within).toMatchObject({ packets: 3, cut: false });
    expect(beyond).toMatchObject({ packets: 2, cut: true, bytes: Buffer.concat([header, ...packets.slice(0, 2)]) });
  });

  it.each([
    ["microseconds, little-endian", 0xa1b2c3d4, "LE" as const],
    ["microseconds, big-endian", 0xa1b2c3d4, "BE" as const],
    ["nanoseconds, little-endian", 0xa1b23c4d, "LE" as const],
    ["nanoseconds, big-endian", 0xa1b23c4d, "BE" as const],
  ])("is read with %s", async (_name, magic, order) => {
    const { packets } = await read([fileHeader(magic, order), packet(9, order)]);

    expect(packets).toBe(1);
  });

  it.each([
    ["nothing comes", []],
    ["less than its header comes", [header.subarray(0, 23)]],
    ["it is text", [Buffer.from("12:00:00 IP 10.0.0.1 > 10.0.0.2")]],
    ["a packet is longer than can be", [header, packet(0, "LE").fill(0xff, 8, 12)]],
  ])("is none where %s", async (_when, pieces) => {
    await expect(read(pieces)).rejects.toMatchObject({ name: "ActionError", code: "internal" });
  });
});
