import { setTimeout } from "node:timers/promises";
import { eachUntilAborted } from "../catalogue/abort.ts";
import { ActionError, isPassing } from "../catalogue/errors.ts";
import { firstFree } from "../catalogue/first-free.ts";
import type { NewObject } from "./object-store.ts";

/** Of an object that is longer, each part but the last. S3 wants 5 MiB or more, Google a multiple of 256 KiB. */
export const partBytes = 8 * 1024 * 1024;
/** Before each further attempt at the metadata of an object that is there already. */
const describeAgainMs = [200, 1000];
/** For all of these attempts: the rule's next action waits for them, and a store that copies takes longer for what is larger. */
const describeMs = 5000;
const describeBytesPerMs = 10_000;

/** One bucket, as `storeObject` uses it. */
export interface Bucket {
  /** In one request. False where the key is taken. */
  put(content: SmallContent, signal: AbortSignal): Promise<boolean>;
  /** In parts. Undefined where the key is taken, as far as that can be known beforehand. */
  begin(content: Content, signal: AbortSignal): Promise<Upload | undefined>;
}

export interface Content {
  readonly key: string;
  readonly contentType: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface SmallContent extends Content {
  readonly body: Uint8Array;
}

/** Whoever gets a part may use it until the promise settles. */
export interface Upload {
  /** A part that is not the last. */
  send(part: Uint8Array, signal: AbortSignal): Promise<void>;
  /** Makes the object, with the last part, right after `announce` has ended. False where the key was taken meanwhile. */
  finish(part: Uint8Array, announce: () => Promise<void>, signal: AbortSignal): Promise<boolean>;
  /**
   * Gives the object that was made this metadata in place of what it has. Does nothing where somebody has replaced it, where a
   * second version would come of it, and in a bucket that has denied it before. Rejects where it failed; the object is whole then, too.
   */
  describe(metadata: Content["metadata"], signal: AbortSignal): Promise<void>;
  /** Removes what was sent, within a short time; what cannot be removed is left to the bucket's lifecycle rules. Never rejects. */
  abort(): Promise<void>;
}

/** Resolves with the key. See `ObjectStore.putObject`. */
export async function storeObject(object: NewObject, bucket: Bucket, signal: AbortSignal): Promise<string> {
  const parts = partsOf(eachUntilAborted(object.body, signal, "storing the artifact"), partBytes);
  try {
    const first = await parts.next();
    return first.done
      ? await putWhole(object, bucket, { body: first.value, signal })
      : await putInParts(object, bucket, { first: first.value, parts, signal });
  } finally {
    await parts.return(new Uint8Array());
  }
}

type Parts = AsyncGenerator<Uint8Array, Uint8Array, undefined>;

/**
 * Yields the parts but the last, which it returns: all are of the given size, and the last is not empty unless there is nothing else.
 * A part is good until the next one is asked for.
 */
export async function* partsOf(body: AsyncIterable<Uint8Array>, size: number): Parts {
  const part = Buffer.allocUnsafe(size);
  let filled = 0;
  for await (const chunk of body) {
    for (let taken = 0; taken < chunk.byteLength; ) {
      if (filled === size) {
        yield part;
        filled = 0;
      }
      const piece = chunk.subarray(taken, taken + size - filled);
      part.set(piece, filled);
      filled += piece.byteLength;
      taken += piece.byteLength;
    }
  }
  return part.subarray(0, filled);
}

async function putWhole(
  { key: wanted, contentType, digest }: NewObject,
  bucket: Bucket,
  { body, signal }: { readonly body: Uint8Array; readonly signal: AbortSignal },
): Promise<string> {
  const metadata = { sha256: digest().sha256 };
  return firstFree(wanted, async (key) =>
    (await bucket.put({ key, contentType, metadata, body }, signal)) ? key : undefined,
  );
}

async function putInParts(
  object: NewObject,
  bucket: Bucket,
  { first, parts, signal }: { readonly first: Uint8Array; readonly parts: Parts; readonly signal: AbortSignal },
): Promise<string> {
  const { key, upload } = await begin(object, bucket, signal);
  try {
    await upload.send(first, signal);
    let part = await parts.next();
    for (; !part.done; part = await parts.next()) {
      await upload.send(part.value, signal);
    }
    if (!(await upload.finish(part.value, () => putDigest(object, bucket, { key, signal }), signal))) {
      throw taken(key);
    }
  } catch (error) {
    await upload.abort();
    throw error;
  }
  if (object.digestInMetadata) {
    const { sha256, bytes } = object.digest();
    const inTime = AbortSignal.timeout(describeMs + Math.ceil(bytes / describeBytesPerMs));
    await describe(upload, { ...metadataOf(key), sha256 }, AbortSignal.any([signal, inTime]));
  }
  return key;
}

/** Never rejects, and ends with the signal: the object is stored, with its digest beside it. */
async function describe(upload: Upload, metadata: Content["metadata"], signal: AbortSignal): Promise<void> {
  for (const waitMs of [0, ...describeAgainMs]) {
    try {
      await setTimeout(waitMs, undefined, { signal });
      return await upload.describe(metadata, signal);
    } catch (error) {
      if (!isPassing(error)) {
        return;
      }
    }
  }
}

async function begin(
  { key: wanted, contentType }: NewObject,
  bucket: Bucket,
  signal: AbortSignal,
): Promise<{ readonly key: string; readonly upload: Upload }> {
  return firstFree(wanted, async (key) => {
    const upload = await bucket.begin({ key, contentType, metadata: metadataOf(key) }, signal);
    return upload && { key, upload };
  });
}

/** Of an object whose digest is not known yet. */
function metadataOf(key: string): Content["metadata"] {
  return { "sha256-in": nameOf(digestKey(key)) };
}

/** Before the object itself: it must not be there without its digest. */
async function putDigest(
  { digest }: NewObject,
  bucket: Bucket,
  { key, signal }: { readonly key: string; readonly signal: AbortSignal },
): Promise<void> {
  const body = Buffer.from(`${digest().sha256}  ${nameOf(key)}\n`);
  const content = { key: digestKey(key), contentType: "text/plain", metadata: {}, body };
  if (!(await bucket.put(content, signal))) {
    throw taken(content.key);
  }
}

/** It can be tried again under another name, with the whole body: of that, the parts are gone. */
function taken(key: string): ActionError {
  return new ActionError("conflict", `somebody else has stored an object as ${key} meanwhile`);
}

function digestKey(key: string): string {
  return `${key}.sha256`;
}

function nameOf(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1);
}
