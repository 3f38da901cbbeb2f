import { createHash, randomBytes } from "node:crypto";
import { fromTemporaryCredentials } from "@aws-sdk/credential-providers";
import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { s3 } from "../../outputs/minio/s3.ts";
import type { StoredArtifact } from "../../src/catalogue/outcome.ts";
import type { Credentials } from "../../src/clients/aws/credentials.ts";
import type { Clients } from "../../src/clients/clients.ts";
import { createMinio } from "../../src/clients/minio/adapter.ts";
import { dryRunStore, type ObjectStore } from "../../src/clients/object-store.ts";
import { createS3, type S3 } from "../../src/clients/s3/sdk.ts";
import { createS3Store } from "../../src/clients/s3/store.ts";
import { partBytes, type Upload } from "../../src/clients/store-object.ts";
import { createStore } from "../../src/engine/artifacts.ts";
import type { Target } from "../../src/events/target.ts";
import { compileFields } from "../../src/schema/read.ts";
import { Secret } from "../../src/schema/secret.ts";
import { hasMinio, type MinioServer, startMinio, withoutMinio } from "../peers/minio.ts";

const never = new AbortController().signal;
const pod: Target = { kind: "pod", namespace: "shop", name: "cart-1", uid: undefined };
const key = "2026-11-21T08-15-00Z_shop_cart-1_log";

let minio: MinioServer;
let admin: S3Client;
let buckets = 0;

interface Given {
  readonly bucket: string;
  readonly body: AsyncIterable<Uint8Array>;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly target?: Target;
  readonly signal?: AbortSignal;
  readonly dryRun?: boolean;
  readonly store?: ObjectStore;
}

/** As an action with this output stores its artifact. */
async function stored({ bucket, body, dryRun = false, signal = never, ...given }: Given): Promise<StoredArtifact> {
  const { values } = compileFields(s3.params).read({ bucket, ...given.parameters });
  const clients = { minio: given.store ?? client() } as Clients;
  const clock = () => new Date("2026-11-21T08:15:00.123Z");
  const options = { output: s3, parameters: values ?? {}, target: given.target ?? pod, clients, dryRun, signal, clock };
  return createStore(options)({ name: "log", contentType: "text/plain", body });
}

function client(keys: { readonly user?: string; readonly password?: string } = {}): ObjectStore {
  const { endpoint, user, password } = { ...minio, ...keys };
  return createMinio({
    endpoint,
    accessKey: user,
    secretKey: new Secret(password),
    tls: false,
    region: "us-east-1",
  });
}

async function newBucket(): Promise<string> {
  buckets += 1;
  const bucket = `evidence-${buckets}`;
  await admin.send(new CreateBucketCommand({ Bucket: bucket }));
  return bucket;
}

async function* chunks(...contents: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* contents;
}

async function keysIn(bucket: string): Promise<readonly (string | undefined)[]> {
  const { Contents = [] } = await admin.send(new ListObjectsV2Command({ Bucket: bucket }));
  return Contents.map(({ Key }) => Key);
}

async function openUploadsIn(bucket: string): Promise<readonly object[]> {
  const { Uploads = [] } = await admin.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: key }));
  return Uploads;
}

function headOf(bucket: string, name: string): Promise<HeadObjectCommandOutput> {
  return admin.send(new HeadObjectCommand({ Bucket: bucket, Key: name }));
}

async function contentOf(bucket: string, name: string): Promise<Buffer> {
  const { Body } = await admin.send(new GetObjectCommand({ Bucket: bucket, Key: name }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** Nothing of it repeats from part to part. */
const large = randomBytes(2 * partBytes + 1000);

describe.skipIf(!hasMinio)(`minio:s3${hasMinio ? "" : ` (${withoutMinio})`}`, () => {
  beforeAll(async () => {
    minio = await startMinio();
    const credentials = { accessKeyId: minio.user, secretAccessKey: minio.password };
    admin = new S3Client({ endpoint: minio.url, region: "us-east-1", forcePathStyle: true, credentials });
  });

  afterAll(async () => {
    admin.destroy();
    await minio.dispose();
  });

  it("stores an artifact under its key, with its type and its digest", async () => {
    const bucket = await newBucket();
    const content = randomBytes(3000);

    const artifact = await stored({ bucket, body: chunks(content), parameters: { prefix: "/captures/" } });

    const head = await admin.send(new HeadObjectCommand({ Bucket: bucket, Key: `captures/${key}` }));
    expect(artifact).toEqual({
      output: "minio:s3",
      location: `${minio.url}/${bucket}/captures/${key}`,
      bytes: 3000,
      sha256: sha256(content),
    });
    expect(head).toMatchObject({ ContentType: "text/plain", Metadata: { sha256: sha256(content) } });
    expect((await contentOf(bucket, `captures/${key}`)).equals(content)).toBe(true);
  });

  it("stores an artifact with nothing in it", async () => {
    const bucket = await newBucket();

    const artifact = await stored({ bucket, body: chunks() });

    expect(artifact).toMatchObject({ bytes: 0, sha256: sha256(Buffer.of()) });
    expect(await contentOf(bucket, key)).toHaveLength(0);
  });

  it.each([
    { what: "of exactly one part in one piece", bytes: partBytes, pieces: undefined },
    { what: "of one byte more in two", bytes: partBytes + 1, pieces: 2 },
    { what: "of exactly two parts in two", bytes: 2 * partBytes, pieces: 2 },
  ])("stores an artifact $what", async ({ bytes, pieces }) => {
    const bucket = await newBucket();
    const content = large.subarray(0, bytes);
    const body = chunks(content.subarray(0, 10), content.subarray(10));

    await stored({ bucket, body, parameters: { sha256_in_metadata: false } });

    const head = await admin.send(new HeadObjectCommand({ Bucket: bucket, Key: key, PartNumber: 1 }));
    expect(head.PartsCount).toBe(pieces);
    expect((await contentOf(bucket, key)).equals(content)).toBe(true);
  });

  it("puts the digest of a large artifact into its metadata, and beside it a file that sha256sum checks it by", async () => {
    const bucket = await newBucket();
    const prefix = "captures/a+b!(c)'*=@,:d";

    const artifact = await stored({ bucket, body: chunks(large), parameters: { prefix } });

    const metadata = { "sha256-in": `${key}.sha256`, sha256: sha256(large) };
    expect(await headOf(bucket, `${prefix}/${key}`)).toMatchObject({ ContentType: "text/plain", Metadata: metadata });
    expect((await contentOf(bucket, `${prefix}/${key}`)).equals(large)).toBe(true);
    expect((await contentOf(bucket, `${prefix}/${key}.sha256`)).toString()).toBe(`${sha256(large)}  ${key}\n`);
    expect(artifact).toMatchObject({ bytes: large.byteLength, sha256: sha256(large) });
  });

  it("leaves the metadata of a large artifact as it was sent where the rule says so", async () => {
    const bucket = await newBucket();

    await stored({ bucket, body: chunks(large), parameters: { sha256_in_metadata: false } });

    expect((await headOf(bucket, key)).Metadata).toEqual({ "sha256-in": `${key}.sha256` });
  });

  it.each([
    { Status: "Enabled", metadata: { "sha256-in": `${key}.sha256` } },
    { Status: "Suspended", metadata: { "sha256-in": `${key}.sha256`, sha256: sha256(large) } },
  ] as const)("writes one version into a bucket whose versioning is $Status", async ({ Status, metadata }) => {
    const bucket = await newBucket();
    await admin.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status } }));

    await stored({ bucket, body: chunks(large) });

    const { Versions = [] } = await admin.send(new ListObjectVersionsCommand({ Bucket: bucket }));
    expect(Versions.map(({ Key }) => Key)).toEqual([key, `${key}.sha256`]);
    expect((await headOf(bucket, key)).Metadata).toEqual(metadata);
    expect((await contentOf(bucket, `${key}.sha256`)).toString()).toBe(`${sha256(large)}  ${key}\n`);
  });

  it("touches nothing of what somebody stores under the key as soon as it is there", async () => {
    const bucket = await newBucket();
    const theirs = { Bucket: bucket, Key: key, Body: "somebody else's", Metadata: { owner: "they" } };
    const replacing = async () => void (await admin.send(new PutObjectCommand(theirs)));

    await stored({ bucket, body: chunks(large), store: watched({ afterFinish: replacing }) });

    expect((await headOf(bucket, key)).Metadata).toEqual({ owner: "they" });
    expect((await contentOf(bucket, key)).toString()).toBe("somebody else's");
  });

  it("has stored a large artifact whole where the action ends before its metadata is written", async () => {
    const bucket = await newBucket();
    const ending = new AbortController();
    const store = watched({ afterFinish: async () => ending.abort() });

    const artifact = await stored({ bucket, body: chunks(large), signal: ending.signal, store });

    expect(artifact.location).toBe(`${minio.url}/${bucket}/${key}`);
    expect((await contentOf(bucket, key)).equals(large)).toBe(true);
    expect((await contentOf(bucket, `${key}.sha256`)).toString()).toBe(`${sha256(large)}  ${key}\n`);
  });

  it("overwrites nothing: artifacts of the same key get numbers", async () => {
    const bucket = await newBucket();
    const contents = ["a", "b", "c"].map((text) => Buffer.from(text));

    const artifacts = await Promise.all(contents.map((content) => stored({ bucket, body: chunks(content) })));

    expect(await keysIn(bucket)).toEqual([key, `${key}-2`, `${key}-3`]);
    const kept = await Promise.all(
      artifacts.map(({ location }) => contentOf(bucket, location.slice(`${minio.url}/${bucket}/`.length))),
    );
    expect(kept).toEqual(contents);
  });

  it("overwrites nothing by a large artifact", async () => {
    const bucket = await newBucket();
    await stored({ bucket, body: chunks(Buffer.from("first")) });

    const artifact = await stored({ bucket, body: chunks(large) });

    expect(artifact.location).toBe(`${minio.url}/${bucket}/${key}-2`);
    expect((await contentOf(bucket, key)).toString()).toBe("first");
    expect((await contentOf(bucket, `${key}-2.sha256`)).toString()).toBe(`${sha256(large)}  ${key}-2\n`);
  });

  it("gives way where somebody takes the key during a large upload", async () => {
    const bucket = await newBucket();
    async function* overtaken() {
      yield large;
      await admin.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: "somebody else's" }));
    }

    const artifact = stored({ bucket, body: overtaken() });

    await expect(artifact).rejects.toMatchObject({ code: "conflict" });
    expect((await contentOf(bucket, key)).toString()).toBe("somebody else's");
    expect(await openUploadsIn(bucket)).toEqual([]);
  });

  it("leaves nothing behind when the body fails midway, and says what the body said", async () => {
    const bucket = await newBucket();
    let openMeanwhile: readonly object[] = [];
    async function* failing() {
      yield large;
      openMeanwhile = await openUploadsIn(bucket);
      throw new Error("the pod is gone");
    }

    const artifact = stored({ bucket, body: failing() });

    await expect(artifact).rejects.toThrow("the pod is gone");
    expect(openMeanwhile).toHaveLength(1);
    expect(await openUploadsIn(bucket)).toEqual([]);
    expect(await keysIn(bucket)).toEqual([]);
  });

  it("leaves nothing behind when the action ends while the body hangs", async () => {
    const bucket = await newBucket();
    const ending = new AbortController();
    async function* hanging() {
      yield large;
      ending.abort();
      await new Promise(() => {});
    }

    const artifact = stored({ bucket, body: hanging(), signal: ending.signal });

    await expect(artifact).rejects.toMatchObject({ code: "cancelled" });
    expect(await openUploadsIn(bucket)).toEqual([]);
    expect(await keysIn(bucket)).toEqual([]);
  });

  it.each([
    { what: "small", content: Buffer.from("x") },
    { what: "large", content: large },
  ])("says that the bucket of a $what artifact does not exist", async ({ content }) => {
    const artifact = stored({ bucket: "nowhere", body: chunks(content) });

    await expect(artifact).rejects.toMatchObject({
      code: "not_found",
      message: `bucket nowhere does not exist (MinIO at ${minio.url})`,
    });
  });

  it.each([
    { what: "access key", keys: { user: "nobody" } },
    { what: "secret key", keys: { password: "a wrong key" } },
  ])("says that the server does not accept the $what, and shows no secret", async ({ keys }) => {
    const bucket = await newBucket();

    const artifact = stored({ bucket, body: chunks(Buffer.from("x")), store: client(keys) });

    const error: Error = await artifact.then(
      () => expect.unreachable(),
      (thrown) => thrown,
    );
    expect(error).toMatchObject({ code: "forbidden" });
    expect(error.message).toContain(`MinIO at ${minio.url} does not accept the credentials`);
    expect(error.message).not.toContain("a wrong key");
  });

  it.each([
    { sse: "AES256", expected: { ServerSideEncryption: "AES256" } },
    { sse: "aws:kms", kms_key_id: "evidence", expected: { ServerSideEncryption: "aws:kms" } },
    { storage_class: "REDUCED_REDUNDANCY", expected: { StorageClass: "REDUCED_REDUNDANCY" } },
  ])("asks the server for $sse $storage_class, of small and large artifacts and of digests", async (one) => {
    const { expected, ...parameters } = one;
    const bucket = await newBucket();

    await stored({ bucket, body: chunks(Buffer.from("x")), parameters });
    await stored({ bucket, body: chunks(large), parameters });

    const keys = await keysIn(bucket);
    const heads = await Promise.all(
      keys.map((one) => admin.send(new HeadObjectCommand({ Bucket: bucket, Key: one ?? "" }))),
    );
    expect(keys).toEqual([key, `${key}-2`, `${key}-2.sha256`]);
    for (const head of heads) {
      expect(head).toMatchObject(expected);
    }
  });

  it.each(["../../etc/cron.d/x", "$(id)", "a\u0000b", "?versionId=1#x", "x/../../other-bucket/y", "é".repeat(5000)])(
    "keeps a pod that is named %j within the bucket and the prefix",
    async (name) => {
      const bucket = await newBucket();

      await stored({ bucket, body: chunks(Buffer.from("x")), parameters: { prefix: "p" }, target: { ...pod, name } });

      const [only, ...others] = await keysIn(bucket);
      expect(only).toMatch(/^p\/2026-11-21T08-15-00Z_shop_[A-Za-z0-9._-]+_log$/);
      expect(others).toEqual([]);
    },
  );

  it("needs no more than to put objects and to abort uploads", async () => {
    const bucket = await newBucket();
    const store = writeOnly(bucket);

    await stored({ bucket, body: chunks(Buffer.from("x")), store });
    await stored({ bucket, body: chunks(large), store, target: { ...pod, name: "cart-2" } });
    const large2 = key.replace("cart-1", "cart-2");
    const dry = await stored({ bucket, body: chunks(large), store: dryRunStore(store), dryRun: true });

    expect(await keysIn(bucket)).toEqual([key, large2, `${large2}.sha256`]);
    expect((await headOf(bucket, large2)).Metadata).toEqual({ "sha256-in": `${large2}.sha256` });
    expect(dry).toMatchObject({ location: "", bytes: large.byteLength });
  });

  it("asks a bucket that it may not read for one copy only", async () => {
    const bucket = await newBucket();
    let requests = 0;
    const store = watched({ credentials: writeOnlyCredentials(bucket), onRequest: () => (requests += 1) });

    await stored({ bucket, body: chunks(large), store });
    const first = requests;
    await stored({ bucket, body: chunks(large), store, target: { ...pod, name: "cart-2" } });

    // A HEAD, a beginning, three parts, the digest, the end, and once the copy.
    expect([first, requests - first]).toEqual([8, 7]);
  });

  it("names the permission that is missing", async () => {
    const bucket = await newBucket();

    const artifact = stored({ bucket, body: chunks(Buffer.from("x")), store: writeOnly("another") });

    await expect(artifact).rejects.toMatchObject({
      code: "forbidden",
      message: expect.stringContaining(`missing permission s3:PutObject on ${minio.url}/${bucket}/${key}`),
    });
  });

  it("stores nothing in a dry run, but reads it all", async () => {
    const bucket = await newBucket();
    const store = dryRunStore(client());

    const artifact = await stored({ bucket, body: chunks(large), store, dryRun: true });

    expect(artifact).toMatchObject({ location: "", bytes: large.byteLength, sha256: sha256(large) });
    expect(await keysIn(bucket)).toEqual([]);
  });

  it("finds out in a dry run that the bucket does not exist", async () => {
    const artifact = stored({ bucket: "nowhere", body: chunks(), store: dryRunStore(client()), dryRun: true });

    await expect(artifact).rejects.toMatchObject({ code: "not_found" });
  });

  it("holds no more than a few parts of an artifact of 500 MB", async () => {
    const bucket = await newBucket();
    const chunk = randomBytes(64 * 1024);
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    async function* capture() {
      for (let sent = 0; sent < 500_000_000; sent += chunk.byteLength) {
        most = Math.max(most, process.memoryUsage().arrayBuffers - before);
        yield chunk;
      }
    }

    const artifact = await stored({ bucket, body: capture() });

    expect(artifact.bytes).toBeGreaterThanOrEqual(500_000_000);
    expect(most).toBeLessThan(4 * partBytes);
  });
});

/** May put objects into the bucket and abort uploads, and neither read, list nor delete. */
function writeOnly(bucket: string): ObjectStore {
  return watched({ credentials: writeOnlyCredentials(bucket) });
}

function writeOnlyCredentials(bucket: string): Credentials {
  const allowed = { Effect: "Allow", Resource: `arn:aws:s3:::${bucket}/*` };
  const statement = { ...allowed, Action: ["s3:PutObject", "s3:AbortMultipartUpload"] };
  return fromTemporaryCredentials({
    masterCredentials: { accessKeyId: minio.user, secretAccessKey: minio.password },
    params: {
      RoleArn: "arn:minio:iam:::role/any",
      RoleSessionName: "hallux",
      Policy: JSON.stringify({ Version: "2012-10-17", Statement: [statement] }),
    },
    clientConfig: { endpoint: minio.url, region: "us-east-1" },
  });
}

interface Watching {
  readonly credentials?: Credentials;
  /** When a large object has just been made. */
  readonly afterFinish?: () => Promise<void>;
  readonly onRequest?: () => void;
}

/** Of the same server, by the same code as `createMinio`. */
function watched({ credentials, afterFinish, onRequest }: Watching): ObjectStore {
  const root = { accessKeyId: minio.user, secretAccessKey: minio.password };
  const client = createS3({ credentials: credentials ?? root, region: "us-east-1", endpoint: minio.url });
  const bucketOf: S3["bucketOf"] = (object, ask) => {
    const bucket = client.bucketOf(object, (request, signal) => {
      onRequest?.();
      return ask(request, signal);
    });
    return {
      ...bucket,
      async begin(content, signal) {
        const upload = await bucket.begin(content, signal);
        const finish: Upload["finish"] = async (...call) => {
          const made = await upload?.finish(...call);
          await afterFinish?.();
          return made ?? false;
        };
        return upload && { ...upload, finish };
      },
    };
  };
  return createS3Store({
    open: async () => ({
      client: { ...client, bucketOf },
      name: `MinIO at ${minio.url}`,
      region: "us-east-1",
      root: minio.url,
    }),
    regionSetting: "minio.region",
  });
}
