import { createHash, randomBytes } from "node:crypto";
import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutObjectLockConfigurationCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { s3 } from "../../outputs/aws/s3.ts";
import type { StoredArtifact } from "../../src/catalogue/outcome.ts";
import { createAws } from "../../src/clients/aws/adapter.ts";
import type { AwsSettings } from "../../src/clients/aws/settings.ts";
import type { Clients } from "../../src/clients/clients.ts";
import { partBytes } from "../../src/clients/store-object.ts";
import { createStore } from "../../src/engine/artifacts.ts";
import { compileFields } from "../../src/schema/read.ts";
import { Secret } from "../../src/schema/secret.ts";
import { type Moto, motoPython, startMoto, withoutMoto } from "../peers/moto.ts";

const key = "2026-11-21T08-15-00Z_shop_cart-1_log";
const large = randomBytes(partBytes + 1000);

let moto: Moto;
let admin: S3Client;
let buckets = 0;

beforeAll(async () => {
  if (motoPython === undefined) {
    return;
  }
  moto = await startMoto(motoPython);
  const credentials = { accessKeyId: "setup", secretAccessKey: "setup" };
  admin = new S3Client({ region: "us-east-1", endpoint: moto.url, forcePathStyle: true, credentials });
});
afterAll(async () => {
  admin?.destroy();
  await moto?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
  vi.stubEnv("AWS_CONFIG_FILE", "/nonexistent");
  vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent");
  return () => vi.unstubAllEnvs();
});

interface Given {
  readonly bucket: string;
  readonly content: Uint8Array;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly settings?: AwsSettings;
}

/** As an action with this output stores its artifact. */
async function stored({ bucket, content, parameters, settings }: Given): Promise<StoredArtifact> {
  const { values } = compileFields(s3.params).read({ bucket, ...parameters });
  const aws = createAws({
    region: "us-east-1",
    accessKey: "AKIDEXAMPLE",
    secretKey: new Secret("very secret"),
    endpoints: { s3: moto.url, sts: moto.url },
    ...settings,
  });
  const store = createStore({
    output: s3,
    parameters: values ?? {},
    target: { kind: "pod", namespace: "shop", name: "cart-1", uid: undefined },
    clients: { aws } as Clients,
    dryRun: false,
    signal: AbortSignal.timeout(60_000),
    clock: () => new Date("2026-11-21T08:15:00.123Z"),
  });
  async function* body() {
    yield content;
  }
  return store({ name: "log", contentType: "text/plain", body: body() });
}

async function newBucket(more: { readonly ObjectLockEnabledForBucket?: boolean } = {}): Promise<string> {
  buckets += 1;
  const bucket = `evidence-${buckets}`;
  await admin.send(new CreateBucketCommand({ Bucket: bucket, ...more }));
  return bucket;
}

async function contentOf(bucket: string, name: string): Promise<Buffer> {
  const { Body } = await admin.send(new GetObjectCommand({ Bucket: bucket, Key: name }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

describe.skipIf(motoPython === undefined)(`aws:s3 at AWS${motoPython === undefined ? ` (${withoutMoto})` : ""}`, () => {
  it("stores an artifact under its key, with its type, its digest and what the rule asks for", async () => {
    const bucket = await newBucket();
    const content = randomBytes(3000);
    const parameters = { prefix: "/captures/", sse: "AES256", storage_class: "STANDARD_IA" };

    const artifact = await stored({ bucket, content, parameters });

    const head = await admin.send(new HeadObjectCommand({ Bucket: bucket, Key: `captures/${key}` }));
    expect(artifact).toEqual({
      output: "aws:s3",
      location: `s3://${bucket}/captures/${key}`,
      bytes: 3000,
      sha256: sha256(content),
    });
    expect(head).toMatchObject({
      ContentType: "text/plain",
      Metadata: { sha256: sha256(content) },
      ServerSideEncryption: "AES256",
      StorageClass: "STANDARD_IA",
    });
    expect((await contentOf(bucket, `captures/${key}`)).equals(content)).toBe(true);
  });

  it("stores a large artifact in parts, with its digest in its metadata and beside it", async () => {
    const bucket = await newBucket();
    const parameters = { sse: "AES256", storage_class: "STANDARD_IA" };

    await stored({ bucket, content: large, parameters });

    const { Uploads = [] } = await admin.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    const head = await admin.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
    expect(head).toMatchObject({
      ContentType: "text/plain",
      Metadata: { sha256: sha256(large), "sha256-in": `${key}.sha256` },
      ServerSideEncryption: "AES256",
      StorageClass: "STANDARD_IA",
    });
    expect((await contentOf(bucket, key)).equals(large)).toBe(true);
    expect((await contentOf(bucket, `${key}.sha256`)).toString()).toBe(`${sha256(large)}  ${key}\n`);
    expect(Uploads).toEqual([]);
  });

  it("writes one version of each object into a bucket with object lock", async () => {
    const bucket = await newBucket({ ObjectLockEnabledForBucket: true });
    const rule = { DefaultRetention: { Mode: "COMPLIANCE", Days: 1 } } as const;
    const lock = { ObjectLockEnabled: "Enabled", Rule: rule } as const;
    await admin.send(new PutObjectLockConfigurationCommand({ Bucket: bucket, ObjectLockConfiguration: lock }));

    await stored({ bucket, content: Buffer.from("small") });
    await stored({ bucket, content: large });

    const { Versions = [] } = await admin.send(new ListObjectVersionsCommand({ Bucket: bucket }));
    expect(Versions.map(({ Key }) => Key)).toEqual([key, `${key}-2`, `${key}-2.sha256`]);
  });

  it("says that the bucket does not exist", async () => {
    const artifact = stored({ bucket: "nowhere", content: Buffer.from("x") });

    await expect(artifact).rejects.toMatchObject({
      code: "not_found",
      message: "bucket nowhere does not exist (S3 in us-east-1)",
    });
  });

  it("stores with the credentials of the configured role", async () => {
    const bucket = await newBucket();
    const roleArn = "arn:aws:iam::123456789012:role/evidence";

    const artifact = await stored({ bucket, content: Buffer.from("x"), settings: { roleArn } });

    expect(artifact.location).toBe(`s3://${bucket}/${key}`);
  });
});
