import { eachUntilAborted } from "../catalogue/abort.ts";
import type { Digest } from "../catalogue/outcome.ts";

export interface BucketPlace {
  readonly bucket: string;
  /** Of AWS; undefined where the configuration or the environment says. */
  readonly region: string | undefined;
}

export interface NewObject extends BucketPlace {
  /** With its prefix, without a slash at the start. */
  readonly key: string;
  readonly contentType: string;
  readonly body: AsyncIterable<Uint8Array>;
  /** Of what has been read of the body so far: final once it has ended. */
  readonly digest: () => Digest;
  /** Whether to write it into the metadata of what is longer than one part, too: that takes one more request, and more permissions. */
  readonly digestInMetadata: boolean;
  /** As the store names it: `STANDARD_IA`; undefined for the bucket's own. */
  readonly storageClass: string | undefined;
  /** Undefined for the bucket's own. */
  readonly encryption: Encryption | undefined;
}

export interface Encryption {
  /** Of S3: `AES256`, `aws:kms`. */
  readonly algorithm: string | undefined;
  /** Of the store's key management; undefined for its default key. */
  readonly key: string | undefined;
}

/** Buckets of objects. Calls throw `ActionError`. */
export interface ObjectStore {
  /**
   * Stores all of the body, without holding more of it than one part, and resolves with its location, which a person can use.
   * Overwrites nothing: where the key is taken, the object's ends in `-2`, `-3` … Leaves no part of an object behind when it
   * rejects.
   *
   * The object's metadata has its SHA-256 as `sha256`. Of what is longer than one part the store wants the metadata before it gets
   * the content: there `sha256-in` names an object beside it that holds the digest, as `sha256sum` writes it, and `sha256` follows
   * where `digestInMetadata` asks for it and the bucket allows it. That it does not is no failure.
   */
  putObject(object: NewObject, signal: AbortSignal): Promise<{ readonly location: string }>;
  /** Rejects where the bucket is certainly not there, or nobody answers. That it may not be looked at is no fault. */
  findBucket(place: BucketPlace, signal: AbortSignal): Promise<void>;
}

/** The same store for a dry run: it looks for the bucket and reads the body, and stores nothing. */
export function dryRunStore({ findBucket }: ObjectStore): ObjectStore {
  return {
    findBucket,
    async putObject(object, signal) {
      await findBucket(object, signal);
      await readToTheEnd(object.body, signal);
      return { location: "" };
    },
  };
}

/** As a dry run does, to find out whether an artifact can be read and how long it is. */
export async function readToTheEnd(body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  for await (const _ of eachUntilAborted(body, signal, "reading the artifact")) {
    // Nothing is kept.
  }
}
