/** The fields of one message on the wire, by number: varints and fixed numbers as bigint, the rest as bytes. */
export type WireMessage = ReadonlyMap<number, readonly (bigint | Buffer)[]>;

export function decodeMessage(bytes: Buffer): WireMessage {
  const fields = new Map<number, (bigint | Buffer)[]>();
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes.readUInt8(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        return value;
      }
    }
  };
  const taken = (length: number) => {
    if (at + length > bytes.length) {
      throw new RangeError("the message ends early");
    }
    at += length;
    return bytes.subarray(at - length, at);
  };
  const value = (wireType: number) => {
    switch (wireType) {
      case 0:
        return varint();
      case 1:
        return taken(8).readBigUInt64LE();
      case 2:
        return taken(Number(varint()));
      case 5:
        return BigInt(taken(4).readUInt32LE());
      default:
        throw new Error(`wire type ${wireType}`);
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const number = tag >> 3;
    fields.set(number, [...(fields.get(number) ?? []), value(tag & 7)]);
  }
  return fields;
}

export function messagesIn(message: WireMessage | undefined, number: number): WireMessage[] {
  return (message?.get(number) ?? []).map((value) => decodeMessage(value as Buffer));
}

export function bytesIn(message: WireMessage | undefined, number: number): Buffer {
  return (message?.get(number)?.at(-1) ?? Buffer.alloc(0)) as Buffer;
}

/** Throws where it is not UTF-8: as a collector does, and refuses the whole batch. */
export function textIn(message: WireMessage | undefined, number: number): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytesIn(message, number));
}

export function numberIn(message: WireMessage | undefined, number: number): bigint {
  return (message?.get(number)?.at(-1) ?? 0n) as bigint;
}
