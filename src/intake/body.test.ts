import { Readable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { deflateSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { readBody } from "./body.ts";
import { anEvent, startIntake } from "./testing.ts";

describe("a gzipped body", () => {
  it.each(["gzip", "GZIP", "x-gzip"])("is inflated: content-encoding %s", async (encoding) => {
    const { url, events } = await startIntake();

    const response = await send(url, gzipSync(anEvent), encoding);

    expect(response.status).toBe(202);
    expect(events[0]?.rule).toBe("Terminal shell in container");
  });

  it("may have several members", async () => {
    const { url, events } = await startIntake();
    const body = Buffer.concat([gzipSync(anEvent.slice(0, 20)), gzipSync(anEvent.slice(20))]);

    const response = await send(url, body, "gzip");

    expect(response.status).toBe(202);
    expect(events[0]?.rule).toBe("Terminal shell in container");
  });

  it("is bad where it is cut off", async () => {
    const { url, counted } = await startIntake();

    const response = await send(url, gzipSync(anEvent).subarray(0, -10), "gzip");

    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { reason: "bad_encoding", field: "content-encoding", message: "the gzip data ends early" },
    });
    expect(counted).toEqual(["eventRefused bad_encoding"]);
  });

  it.each([
    ["plain text", Buffer.from(anEvent)],
    ["deflate", deflateSync(anEvent)],
    ["one with a wrong checksum", withLastByteChanged(gzipSync(anEvent))],
  ])("is bad where it is %s", async (_kind, body) => {
    const { url } = await startIntake();

    const response = await send(url, body, "gzip");

    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { reason: "bad_encoding" } });
  });
});

describe("another encoding", () => {
  it.each(["br", "deflate", "zstd", "gzip, gzip"])("is refused: %s", async (encoding) => {
    const { url, counted } = await startIntake();

    const response = await send(url, Buffer.from(anEvent), encoding);

    expect(response.status).toBe(415);
    expect(response.headers.get("accept-encoding")).toBe("gzip");
    expect(await response.json()).toMatchObject({
      error: { reason: "unsupported_encoding", expected: "gzip, or none" },
    });
    expect(counted).toEqual(["eventRefused unsupported_encoding"]);
  });

  it("is none where it is identity", async () => {
    const { url } = await startIntake();

    expect((await send(url, Buffer.from(anEvent), "identity")).status).toBe(202);
  });
});

describe("the limit", () => {
  it.each([
    ["plain", (body: Buffer) => body, undefined],
    ["gzipped", (body: Buffer) => gzipSync(body), "gzip"],
    ["gzipped without gain", (body: Buffer) => gzipSync(body, { level: 0 }), "gzip"],
  ])("holds to the byte for a %s body", async (_kind, encode, encoding) => {
    const { url, counted } = await startIntake({ settings: { maxBodyBytes: 100_000 } });

    const statuses = [];
    for (const size of [100_000, 100_001]) {
      statuses.push((await send(url, encode(eventOf(size)), encoding)).status);
    }

    expect(statuses).toEqual([202, 413]);
    expect(counted).toEqual(["eventAccepted", "eventTimeReplaced", "eventRefused too_large"]);
  });

  it("is 1 MiB where nothing is said", async () => {
    const { url } = await startIntake();

    const statuses = [];
    for (const size of [1_048_576, 1_048_577]) {
      statuses.push((await send(url, eventOf(size))).status);
    }

    expect(statuses).toEqual([202, 413]);
  });

  it("holds for chunks that do not say their length", async () => {
    const { url } = await startIntake({ settings: { maxBodyBytes: 1000 } });
    const body = Readable.toWeb(Readable.from(Array(100).fill(Buffer.alloc(100, " "))));

    const response = await fetch(url, { method: "POST", body, duplex: "half" });

    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({
      error: { reason: "too_large", expected: "at most 1000 bytes, inflated", message: "the body is too large" },
    });
  });

  it("leaves the connection usable for the next event", async () => {
    const { url } = await startIntake({ settings: { maxBodyBytes: 1000 } });

    const refused = await send(url, eventOf(500_000));
    const next = await send(url, Buffer.from(anEvent));

    expect([refused.status, next.status]).toEqual([413, 202]);
  });

  it("refuses a gzip bomb", async () => {
    const { url, events } = await startIntake();

    const response = await send(url, gzipSync(Buffer.alloc(256 * 1024 * 1024)), "gzip");

    expect(response.status).toBe(413);
    expect(events).toEqual([]);
  });
});

describe("readBody", () => {
  it("stops reading an endless gzip bomb soon after the limit", async () => {
    const { source, read } = endless(gzipSync(Buffer.alloc(1_000_000)));

    const body = await readBody(source, { gzip: true, limit: 1_000_000, wireLimit: 100_000_000 });
    source.destroy();

    expect(body).toMatchObject({ reason: "too_large" });
    expect(read()).toBeLessThan(200_000);
  });

  it("stops at an endless gzip body that inflates to nothing", async () => {
    const { source, read } = endless(gzipSync(""));

    const body = await readBody(source, { gzip: true, limit: 10_000, wireLimit: 11_000 });
    source.destroy();

    expect(body).toMatchObject({ reason: "too_large" });
    expect(read()).toBeLessThan(100_000);
  });

  it("keeps no more of an endless body than the limit", async () => {
    const { source, read } = endless(Buffer.alloc(1000));

    const body = await readBody(source, { gzip: false, limit: 10_000, wireLimit: 10_000 });
    source.destroy();

    expect(body).toMatchObject({ reason: "too_large" });
    expect(read()).toBeLessThan(100_000);
  });

  it.each([true, false])("says that the sender left in the middle (gzip: %s)", async (gzip) => {
    const source = new Readable({ read() {} });

    const body = readBody(source, { gzip, limit: 1000, wireLimit: 1000 });
    source.push(gzipSync(anEvent).subarray(0, 10));
    source.destroy();

    expect(await body).toMatchObject({ reason: "aborted" });
  });
});

function send(url: string, body: Buffer, encoding?: string): Promise<Response> {
  return fetch(url, {
    method: "POST",
    body: new Uint8Array(body),
    headers: encoding === undefined ? {} : { "content-encoding": encoding },
  });
}

function eventOf(bytes: number): Buffer {
  const start = '{"rule":"r","priority":"Debug","output":"';
  return Buffer.from(`${start}${"x".repeat(bytes - start.length - 2)}"}`);
}

function withLastByteChanged(body: Buffer): Buffer {
  return Buffer.from(body.map((byte, index) => (index === body.length - 5 ? byte ^ 1 : byte)));
}

/** A sender that does not stop, and how many bytes of it were taken. */
function endless(chunk: Buffer): { source: Readable; read: () => number } {
  let bytes = 0;
  const source = Readable.from(
    (async function* () {
      for (;;) {
        bytes += chunk.length;
        yield chunk;
        await setImmediate();
      }
    })(),
  );
  return { source, read: () => bytes };
}
