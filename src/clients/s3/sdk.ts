// Imports the AWS SDK: it is itself imported only when an artifact is first stored.

import { hash } from "node:crypto";
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandOutput,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
  type ServerSideEncryption,
  type StorageClass,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import type { Credentials } from "../aws/credentials.ts";
import { WatchingAgent, WatchingPlainAgent } from "../connecting.ts";
import type { NewObject } from "../object-store.ts";
import type { Bucket, Content, Upload } from "../store-object.ts";
import { statusOf } from "./errors.ts";

/** More would wait for one another, each within its own deadline. */
const maxSockets = 64;
const abortMs = 5000;
/** The version of what a bucket without versioning, or with suspended versioning, holds: the next one replaces it. */
const unversioned = "null";
/** What is larger is not copied by one request. */
const maxCopyBytes = 5 * 1024 ** 3;
/** Their objects cannot be read, so not be copied either. */
const archives: readonly (string | undefined)[] = ["GLACIER", "DEEP_ARCHIVE"];
/** What S3 answers that it will answer the next time, too. */
const denials: readonly string[] = ["AccessDenied", "NotImplemented"];
/** The server refuses what would replace an object. */
const ifNew = { IfNoneMatch: "*" };

export interface S3Settings {
  readonly credentials: Credentials;
  /** Undefined: as the SDK's own chain finds it. */
  readonly region: string | undefined;
  /** Undefined: AWS's own. Where it is given, the bucket stands in the path. */
  readonly endpoint: string | undefined;
}

export interface S3 {
  /** Rejects where none is configured. */
  region(): Promise<string>;
  /** Resolves when there are some; they are kept until shortly before they expire. */
  credentials(): Promise<void>;
  /** That it may not be looked at is no fault. */
  findBucket(bucket: string, signal: AbortSignal): Promise<void>;
  /** `ask` makes each request, and explains what goes wrong. */
  bucketOf(object: NewObject, ask: Ask): Bucket;
}

export type Ask = <T>(request: (signal: AbortSignal) => Promise<T>, signal: AbortSignal) => Promise<T>;

/**
 * The engine retries, so the SDK does not. Each content is sent with its SHA-256, which the server checks, and which buckets with
 * object lock ask for; so the SDK adds no checksum of its own, which older servers do not know.
 */
export function createS3({ credentials, region, endpoint }: S3Settings): S3 {
  const client = new S3Client({
    credentials,
    maxAttempts: 1,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: {
      httpsAgent: new WatchingAgent({ maxSockets }),
      httpAgent: new WatchingPlainAgent({ maxSockets }),
    },
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
  });
  const uncopied = new Set<string>();
  return {
    region: () => client.config.region(),
    credentials: async () => void (await client.config.credentials()),
    async findBucket(bucket, abortSignal) {
      await unless([403], client.send(new HeadBucketCommand({ Bucket: bucket }), { abortSignal }));
    },
    bucketOf: (object, ask) => bucketOf({ client, uncopied, ask }, object),
  };
}

interface Access {
  readonly client: S3Client;
  /** Buckets that have denied a copy. */
  readonly uncopied: Set<string>;
  readonly ask: Ask;
}

function bucketOf(access: Access, object: NewObject): Bucket {
  const { client, ask } = access;
  const { bucket: Bucket } = object;
  return {
    put({ body: Body, ...content }, signal) {
      const input = { ...inputOf(object, content), ...ifNew, Body, ...checksumOf(Body) };
      const put = (abortSignal: AbortSignal) => client.send(new PutObjectCommand(input), { abortSignal });
      return ask((abortSignal) => isDone(unless([412], put(abortSignal))), signal);
    },
    async begin(content, signal) {
      const found = { Bucket, Key: content.key };
      // Whether it may look at all is not sure: that the key is free is checked at the end once more.
      const head = (abortSignal: AbortSignal) => client.send(new HeadObjectCommand(found), { abortSignal });
      if (await ask((abortSignal) => isDone(unless([403, 404], head(abortSignal))), signal)) {
        return undefined;
      }
      const input = { ...inputOf(object, content), ChecksumAlgorithm: "SHA256" } as const;
      const begun = (abortSignal: AbortSignal) => client.send(new CreateMultipartUploadCommand(input), { abortSignal });
      const { UploadId } = await ask(begun, signal);
      return uploadOf(access, input, UploadId);
    },
  };
}

function inputOf({ bucket, storageClass, encryption }: NewObject, { key, contentType, metadata }: Content) {
  return {
    Bucket: bucket,
    Key: key,
    ContentType: contentType,
    Metadata: { ...metadata },
    StorageClass: storageClass as StorageClass | undefined,
    ServerSideEncryption: encryption?.algorithm as ServerSideEncryption | undefined,
    SSEKMSKeyId: encryption?.key,
  };
}

/** An object as it is asked for. */
type Input = ReturnType<typeof inputOf> & { readonly ChecksumAlgorithm: "SHA256" };

function uploadOf(access: Access, input: Input, UploadId: string | undefined): Upload {
  const { client, ask } = access;
  const place = { Bucket: input.Bucket, Key: input.Key, UploadId };
  const parts: CompletedPart[] = [];
  let bytes = 0;
  let made: CompleteMultipartUploadCommandOutput | undefined;

  async function send(Body: Uint8Array, signal: AbortSignal): Promise<void> {
    const PartNumber = parts.length + 1;
    const checksum = checksumOf(Body);
    const command = new UploadPartCommand({ ...place, PartNumber, Body, ...checksum });
    const { ETag } = await ask((abortSignal) => client.send(command, { abortSignal }), signal);
    parts.push({ PartNumber, ETag, ChecksumSHA256: checksum.ChecksumSHA256 });
    bytes += Body.byteLength;
  }

  return {
    send,
    async finish(part, announce, signal) {
      await send(part, signal);
      await announce();
      const command = new CompleteMultipartUploadCommand({ ...place, ...ifNew, MultipartUpload: { Parts: parts } });
      made = await ask((abortSignal) => unless([412], client.send(command, { abortSignal })), signal);
      return made !== undefined;
    },
    async describe(metadata, signal) {
      const { ETag, VersionId = unversioned } = made ?? {};
      if (ETag !== undefined && VersionId === unversioned && bytes <= maxCopyBytes) {
        await copyOntoItself(access, { ...input, Metadata: { ...metadata } }, { ETag, signal });
      }
    },
    async abort() {
      const abortSignal = AbortSignal.timeout(abortMs);
      await client.send(new AbortMultipartUploadCommand(place), { abortSignal }).catch(() => undefined);
    },
  };
}

/** Replaces the object's metadata: only of this very object, so that nobody else's is touched. */
async function copyOntoItself(
  { client, uncopied, ask }: Access,
  input: Input,
  { ETag, signal }: { readonly ETag: string; readonly signal: AbortSignal },
): Promise<void> {
  const { Bucket, Key, StorageClass } = input;
  if (uncopied.has(Bucket) || archives.includes(StorageClass)) {
    return;
  }
  const CopySource = [Bucket, ...Key.split("/")].map(encodeURIComponent).join("/");
  const unchanged = { CopySourceIfMatch: ETag, IfMatch: ETag };
  const command = new CopyObjectCommand({ ...input, ...unchanged, CopySource, MetadataDirective: "REPLACE" });
  await ask(async (abortSignal) => {
    await unless([412], client.send(command, { abortSignal })).catch((error: Error) => {
      if (!denials.includes(error.name)) {
        throw error;
      }
      uncopied.add(Bucket);
    });
  }, signal);
}

function checksumOf(content: Uint8Array) {
  return { ChecksumAlgorithm: "SHA256", ChecksumSHA256: hash("sha256", content, "base64") } as const;
}

/** Undefined where the answer has one of the statuses. */
async function unless<T>(statuses: readonly number[], request: Promise<T>): Promise<T | undefined> {
  return request.catch((error: unknown) => {
    if (!statuses.includes(statusOf(error) ?? 0)) {
      throw error;
    }
    return undefined;
  });
}

async function isDone(request: Promise<object | undefined>): Promise<boolean> {
  return (await request) !== undefined;
}
