import { createHash, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { untilAborted } from "../catalogue/abort.ts";
import { ActionError } from "../catalogue/errors.ts";
import type { NewObject } from "./object-store.ts";
import { type Bucket, partBytes, partsOf, type SmallContent, storeObject } from "./store-object.ts";

const never = new AbortController().signal;

async function* chunks(...sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (const size of sizes) {
    yield randomBytes(size);
  }
}

describe("the parts of a body", () => {
  it.each([
    { sizes: [], lengths: [], last: 0 },
    { sizes: [0, 3, 0], lengths: [], last: 3 },
    { sizes: [4], lengths: [], last: 4 },
    { sizes: [4, 0], lengths: [], last: 4 },
    { sizes: [5], lengths: [4], last: 1 },
    { sizes: [8], lengths: [4], last: 4 },
    { sizes: [1, 2, 3, 4, 5], lengths: [4, 4, 4], last: 3 },
    { sizes: [17], lengths: [4, 4, 4, 4], last: 1 },
  ])("that comes in chunks of $sizes are all of the same size but the last", async ({ sizes, lengths, last }) => {
    const content = await Array.fromAsync(chunks(...sizes));
    const seen: Uint8Array[] = [];

    const parts = partsOf(chunksOf(content), 4);
    let part = await parts.next();
    for (; !part.done; part = await parts.next()) {
      seen.push(Buffer.from(part.value));
    }

    expect(seen.map(({ byteLength }) => byteLength)).toEqual(lengths);
    expect(part.value.byteLength).toBe(last);
    expect(Buffer.concat([...seen, part.value])).toEqual(Buffer.concat(content));
  });

  it("hold no more than one part, however long the body is", async () => {
    const memories = new Set<ArrayBufferLike>();
    let taken = 0;

    for await (const part of partsOf(chunks(...new Array(100).fill(75_000)), 100_000)) {
      memories.add(part.buffer);
      taken += 1;
    }

    expect(taken).toBe(74);
    expect(memories.size).toBe(1);
  });
});

async function* chunksOf(content: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* content;
}

interface Faults {
  /** Of the metadata, one after the other. */
  readonly describe?: readonly Error[];
  readonly send?: Error;
  readonly finish?: Error | "taken";
  /** Keys that somebody has taken. */
  readonly taken?: readonly string[];
}

/** A bucket in memory that keeps a record of what it is asked. */
function recordingBucket({ send, finish, describe = [], taken = [] }: Faults = {}) {
  const left = [...describe];
  const calls: string[] = [];
  const small: SmallContent[] = [];
  const bucket: Bucket = {
    async put(content) {
      calls.push(`put ${content.key}`);
      const isFree = !taken.includes(content.key);
      small.push(...(isFree ? [{ ...content, body: Buffer.from(content.body) }] : []));
      return isFree;
    },
    async begin({ key, metadata }) {
      calls.push(`begin ${key} ${JSON.stringify(metadata)}`);
      return taken.includes(key)
        ? undefined
        : {
            async send(part) {
              calls.push(`send ${part.byteLength}`);
              if (send !== undefined) {
                throw send;
              }
            },
            async finish(part, announce) {
              await announce();
              calls.push(`finish ${part.byteLength}`);
              if (finish instanceof Error) {
                throw finish;
              }
              return finish !== "taken";
            },
            async describe(metadata) {
              calls.push(`describe ${Object.keys(metadata)}`);
              const fault = left.shift();
              if (fault !== undefined) {
                throw fault;
              }
            },
            async abort() {
              calls.push("abort");
            },
          };
    },
  };
  return { bucket, calls, small };
}

function objectOf(body: AsyncIterable<Uint8Array>, key = "captures/log"): NewObject {
  const hash = createHash("sha256");
  async function* hashed() {
    for await (const chunk of body) {
      hash.update(chunk);
      yield chunk;
    }
  }
  return {
    bucket: "evidence",
    region: undefined,
    key,
    contentType: "text/plain",
    body: hashed(),
    digest: () => ({ bytes: 0, sha256: hash.copy().digest("hex") }),
    digestInMetadata: true,
    storageClass: undefined,
    encryption: undefined,
  };
}

describe("storing an object", () => {
  it("takes one request for one part, with the digest in the metadata", async () => {
    const { bucket, calls, small } = recordingBucket();

    const key = await storeObject(objectOf(chunks(partBytes)), bucket, never);

    const sha256 = createHash("sha256")
      .update(small[0]?.body ?? "")
      .digest("hex");
    expect(key).toBe("captures/log");
    expect(calls).toEqual(["put captures/log"]);
    expect(small[0]).toMatchObject({ contentType: "text/plain", metadata: { sha256 } });
  });

  it("puts the digest beside a large object before the object is there", async () => {
    const { bucket, calls } = recordingBucket();

    await storeObject(objectOf(chunks(partBytes, partBytes, 1)), bucket, never);

    expect(calls).toEqual([
      'begin captures/log {"sha256-in":"log.sha256"}',
      `send ${partBytes}`,
      `send ${partBytes}`,
      "put captures/log.sha256",
      "finish 1",
      "describe sha256-in,sha256",
    ]);
  });

  it("leaves the metadata alone where it shall not have the digest", async () => {
    const { bucket, calls } = recordingBucket();

    await storeObject({ ...objectOf(chunks(partBytes, 1)), digestInMetadata: false }, bucket, never);

    expect(calls.at(-1)).toBe("finish 1");
  });

  const passing = new ActionError("unavailable", "503");
  it.each([
    { what: "again where it fails for a while", faults: [passing, passing], times: 3 },
    { what: "three times at most", faults: [passing, passing, passing, passing], times: 3 },
    { what: "once where that will not change", faults: [new ActionError("invalid", "400")], times: 1 },
  ])("tries the metadata $what, and has the object in any case", async ({ faults, times }) => {
    const { bucket, calls } = recordingBucket({ describe: faults });

    const key = await storeObject(objectOf(chunks(partBytes, 1)), bucket, never);

    expect(key).toBe("captures/log");
    expect(calls.slice(calls.indexOf("finish 1") + 1)).toEqual(new Array(times).fill("describe sha256-in,sha256"));
  });

  it("has the object where the action ends while its metadata is written, and tries that no more", async () => {
    const ending = new AbortController();
    const { bucket, calls } = recordingBucket();
    const hanging: Bucket = {
      ...bucket,
      async begin(content, signal) {
        const upload = await bucket.begin(content, signal);
        const describe = () => {
          calls.push("describe");
          ending.abort();
          return untilAborted(new Promise<void>(() => {}), ending.signal, "it");
        };
        return upload && { ...upload, describe };
      },
    };

    const key = await storeObject(objectOf(chunks(partBytes, 1)), hanging, ending.signal);

    expect(key).toBe("captures/log");
    expect(calls.slice(calls.indexOf("finish 1") + 1)).toEqual(["describe"]);
  });

  it("tries other names where the key is taken, and gives up after a hundred", async () => {
    const taken = ["log", ...Array.from({ length: 99 }, (_, index) => `log-${index + 2}`)];
    const one = recordingBucket({ taken: taken.slice(0, 2) });
    const all = recordingBucket({ taken });

    const key = await storeObject(objectOf(chunks(1), "log"), one.bucket, never);
    const failing = storeObject(objectOf(chunks(1), "log"), all.bucket, never);

    expect(key).toBe("log-3");
    await expect(failing).rejects.toMatchObject({ code: "conflict" });
    expect(all.calls).toHaveLength(100);
  });

  it.each([
    { what: "a part", faults: { send: new ActionError("unavailable", "500") }, code: "unavailable" },
    { what: "the end", faults: { finish: new ActionError("unavailable", "500") }, code: "unavailable" },
    { what: "the end, because the key is taken by now", faults: { finish: "taken" }, code: "conflict" },
    { what: "the digest, whose key is taken", faults: { taken: ["captures/log.sha256"] }, code: "conflict" },
  ] as const)("aborts the upload where $what fails", async ({ faults, code }) => {
    const { bucket, calls } = recordingBucket(faults);

    const stored = storeObject(objectOf(chunks(partBytes, 1)), bucket, never);

    await expect(stored).rejects.toMatchObject({ code });
    expect(calls.at(-1)).toBe("abort");
  });

  it("closes the body where the store fails", async () => {
    let closed = false;
    async function* body() {
      try {
        yield* chunks(partBytes, partBytes, partBytes);
      } finally {
        closed = true;
      }
    }
    const { bucket } = recordingBucket({ send: new ActionError("unavailable", "500") });

    const stored = storeObject(objectOf(body()), bucket, never);

    await expect(stored).rejects.toMatchObject({ code: "unavailable" });
    expect(closed).toBe(true);
  });

  it("stores nothing of a small body that fails", async () => {
    async function* failing() {
      yield* chunks(1);
      throw new ActionError("unavailable", "the pod is gone");
    }
    const { bucket, calls } = recordingBucket();

    const stored = storeObject(objectOf(failing()), bucket, never);

    await expect(stored).rejects.toMatchObject({ message: "the pod is gone" });
    expect(calls).toEqual([]);
  });

  it("reads no further than one part ahead of what the store has taken", async () => {
    const { bucket } = recordingBucket();
    let read = 0;
    let taken = 0;
    let most = 0;
    async function* counted() {
      for await (const chunk of chunks(...new Array(12).fill(partBytes / 2))) {
        read += chunk.byteLength;
        most = Math.max(most, read - taken);
        yield chunk;
      }
    }
    const slow: Bucket = {
      ...bucket,
      async begin(content, signal) {
        const upload = await bucket.begin(content, signal);
        const send = async (part: Uint8Array) => {
          await new Promise((resolve) => setTimeout(resolve, 20));
          taken += part.byteLength;
        };
        return upload && { ...upload, send };
      },
    };

    await storeObject(objectOf(counted()), slow, never);

    expect(read).toBe(6 * partBytes);
    expect(most).toBeLessThanOrEqual(1.5 * partBytes);
  });
});
