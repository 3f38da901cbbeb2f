import { createHash, randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { gcs as output } from "../../outputs/gcp/gcs.ts";
import type { StoredArtifact } from "../../src/catalogue/outcome.ts";
import type { Clients } from "../../src/clients/clients.ts";
import type { Gcp } from "../../src/clients/gcp/port.ts";
import { createStorage } from "../../src/clients/gcp/storage.ts";
import { createHttp } from "../../src/clients/http/adapter.ts";
import { dryRunStore, type ObjectStore } from "../../src/clients/object-store.ts";
import { partBytes } from "../../src/clients/store-object.ts";
import { createStore } from "../../src/engine/artifacts.ts";
import { compileFields } from "../../src/schema/read.ts";
import { type Gcs, type GcsObject, type Meddle, startGcs } from "../peers/gcs.ts";

const never = new AbortController().signal;
const key = "2026-11-21T08-15-00Z_shop_cart-1_log";
const large = randomBytes(2 * partBytes + 1000);

let gcs: Gcs;
let evidence: Gcs["buckets"] extends Map<string, infer B> ? B : never;

beforeEach(async () => {
  gcs = await startGcs();
  evidence = new Map();
  gcs.buckets.set("evidence", evidence);
});
afterEach(async () => {
  await gcs[Symbol.asyncDispose]();
});

interface Given {
  readonly body: AsyncIterable<Uint8Array>;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
  readonly dryRun?: boolean;
  readonly token?: string;
  readonly endpoint?: string;
  readonly storage?: ObjectStore;
}

function storageAt(endpoint: string, token = "access"): ObjectStore {
  return createStorage({ credentials: { accessToken: async () => token }, http: createHttp().real, endpoint });
}

/** As an action with this output stores its artifact. */
async function stored({ body, dryRun = false, signal = never, ...given }: Given): Promise<StoredArtifact> {
  const { values } = compileFields(output.params).read({ bucket: "evidence", ...given.parameters });
  const storage = given.storage ?? storageAt(given.endpoint ?? gcs.url, given.token);
  const clients = { gcp: (dryRun ? dryRunStore(storage) : storage) as Gcp } as Clients;
  const target = { kind: "pod", namespace: "shop", name: "cart-1", uid: undefined } as const;
  const clock = () => new Date("2026-11-21T08:15:00.123Z");
  const store = createStore({ output, parameters: values ?? {}, target, clients, dryRun, signal, clock });
  return store({ name: "log", contentType: "text/plain", body });
}

async function* chunks(...contents: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* contents;
}

function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** The first so many, all unless given. */
function answeringPatches(answer: (response: ServerResponse) => void, times = Number.POSITIVE_INFINITY): Meddle {
  return ({ method }, response) => {
    const meant = method === "PATCH" && patches() <= times;
    if (meant) {
      answer(response);
    }
    return meant;
  };
}

function patches(): number {
  return gcs.requests.filter((request) => request.startsWith("PATCH")).length;
}

describe("gcp:gcs", () => {
  it("stores an artifact under its key, with its type, its digest and what the rule asks for", async () => {
    const content = randomBytes(3000);
    const kmsKey = "projects/p/locations/eu/keyRings/r/cryptoKeys/k";

    const artifact = await stored({
      body: chunks(content),
      parameters: { prefix: "/captures/", kms_key: kmsKey, storage_class: "COLDLINE" },
    });

    expect(artifact).toEqual({
      output: "gcp:gcs",
      location: `gs://evidence/captures/${key}`,
      bytes: 3000,
      sha256: sha256(content),
    });
    expect(evidence.get(`captures/${key}`)).toMatchObject({
      content,
      contentType: "text/plain",
      metadata: { sha256: sha256(content) },
      storageClass: "COLDLINE",
      kmsKey,
    });
    expect(gcs.requests).toEqual(["POST multipart"]);
  });

  it.each([
    { what: "with nothing in it", bytes: 0, requests: 1 },
    { what: "of exactly one part", bytes: partBytes, requests: 1 },
    { what: "of one byte more", bytes: partBytes + 1, requests: 5 },
    { what: "of exactly two parts", bytes: 2 * partBytes, requests: 5 },
    { what: "of more", bytes: large.byteLength, requests: 6 },
  ])("stores an artifact $what", async ({ bytes, requests }) => {
    const content = large.subarray(0, bytes);

    await stored({ body: chunks(content.subarray(0, 10), content.subarray(10)) });

    expect(evidence.get(key)?.content.equals(content)).toBe(true);
    expect(gcs.requests).toHaveLength(requests);
    expect(gcs.sessions.size).toBe(0);
  });

  it("puts the digest of a large artifact into its metadata, and beside it a file that sha256sum checks it by", async () => {
    await stored({ body: chunks(large), parameters: { prefix: "a+b/c@d" } });

    const name = `a+b/c@d/${key}`;
    expect(evidence.get(name)).toMatchObject({
      metadata: { "sha256-in": `${key}.sha256`, sha256: sha256(large) },
      generation: 2,
      metageneration: 2,
    });
    expect(evidence.get(name)?.content.equals(large)).toBe(true);
    expect(evidence.get(`${name}.sha256`)?.content.toString()).toBe(`${sha256(large)}  ${key}\n`);
  });

  it("leaves the metadata of a large artifact as it was sent where the rule says so", async () => {
    await stored({ body: chunks(large), parameters: { sha256_in_metadata: false } });

    expect(evidence.get(key)?.metadata).toEqual({ "sha256-in": `${key}.sha256` });
    expect(patches()).toBe(0);
  });

  it("does without the permission to change metadata, and asks a bucket for it once", async () => {
    const storage = storageAt(gcs.url);
    gcs.meddle = answeringPatches((response) => response.writeHead(403).end("{}"));

    await stored({ body: chunks(large), storage });
    await stored({ body: chunks(large), storage });

    expect(evidence.get(`${key}-2`)?.metadata).toEqual({ "sha256-in": `${key}-2.sha256` });
    expect(patches()).toBe(1);
  });

  it("tries again where the change of metadata fails for a while", async () => {
    gcs.meddle = answeringPatches((response) => response.writeHead(429).end("{}"), 2);

    await stored({ body: chunks(large) });

    expect(evidence.get(key)?.metadata).toMatchObject({ sha256: sha256(large) });
    expect(patches()).toBe(3);
  });

  it("keeps a large artifact whose metadata cannot be changed", async () => {
    gcs.meddle = answeringPatches((response) => response.writeHead(503).end("{}"));

    const artifact = await stored({ body: chunks(large) });

    expect(artifact).toMatchObject({ location: `gs://evidence/${key}`, sha256: sha256(large) });
    expect(evidence.get(key)?.content.equals(large)).toBe(true);
    expect(patches()).toBe(3);
  });

  it("keeps a large artifact where the action ends while its metadata is changed", async () => {
    const ending = new AbortController();
    gcs.meddle = answeringPatches(() => ending.abort());

    const artifact = await stored({ body: chunks(large), signal: ending.signal });

    expect(artifact.location).toBe(`gs://evidence/${key}`);
    expect(evidence.get(key)?.content.equals(large)).toBe(true);
  });

  it.each([
    { what: "replaced", theirs: { generation: 4711, metageneration: 1 } },
    { what: "changed", theirs: { metageneration: 2 } },
  ])("touches nothing of an object that somebody has $what before its metadata is changed", async ({ theirs }) => {
    gcs.meddle = ({ method }) => {
      if (method === "PATCH") {
        evidence.set(key, { ...(evidence.get(key) as GcsObject), ...theirs, metadata: { owner: "they" } });
      }
      return false;
    };

    await stored({ body: chunks(large) });

    expect(evidence.get(key)).toMatchObject(theirs);
    expect(evidence.get(key)?.metadata).toEqual({ owner: "they" });
  });

  it("keeps content that looks like the form it is sent in", async () => {
    const content = Buffer.from(
      '\r\n--hallux-0\r\ncontent-type: application/json\r\n\r\n{"name":"x"}\r\n--hallux-0--\r\n',
    );

    await stored({ body: chunks(content) });

    expect(evidence.get(key)?.content.toString()).toBe(content.toString());
  });

  it("sends again what Google has not kept of a part", async () => {
    gcs.keeps = (bytes) => (bytes > 256 * 1024 ? Math.floor(bytes / 2 / 262_144) * 262_144 : bytes);

    await stored({ body: chunks(large) });

    expect(evidence.get(key)?.content.equals(large)).toBe(true);
  });

  it("gives up where Google keeps nothing", async () => {
    gcs.keeps = () => 0;

    const artifact = stored({ body: chunks(large) });

    await expect(artifact).rejects.toMatchObject({ code: "unavailable" });
    expect(gcs.sessions.size).toBe(0);
  });

  it("overwrites nothing: artifacts of the same key get numbers", async () => {
    await stored({ body: chunks(Buffer.from("a")) });
    await stored({ body: chunks(Buffer.from("b")) });
    const { location } = await stored({ body: chunks(large) });

    expect(location).toBe(`gs://evidence/${key}-3`);
    expect([...evidence.keys()]).toEqual([key, `${key}-2`, `${key}-3.sha256`, `${key}-3`]);
    expect(evidence.get(key)?.content.toString()).toBe("a");
  });

  it("gives way where somebody takes the key during a large upload", async () => {
    const theirs = {
      content: Buffer.from("theirs"),
      contentType: "",
      metadata: {},
      storageClass: undefined,
      kmsKey: undefined,
      generation: 4711,
      metageneration: 1,
    };
    async function* overtaken() {
      yield large;
      evidence.set(key, theirs);
    }

    const artifact = stored({ body: overtaken() });

    await expect(artifact).rejects.toMatchObject({ code: "conflict" });
    expect(evidence.get(key)).toBe(theirs);
    expect(gcs.sessions.size).toBe(0);
  });

  it("cancels the upload where a part fails", async () => {
    gcs.meddle = ({ method }, response) => {
      const isThird = method === "PUT" && gcs.requests.filter((request) => request.startsWith("PUT")).length === 2;
      if (isThird) {
        response.writeHead(500).end("broken");
      }
      return isThird;
    };

    const artifact = stored({ body: chunks(large) });

    await expect(artifact).rejects.toMatchObject({ code: "unavailable" });
    expect(gcs.requests.at(-1)).toMatch(/^DELETE/);
    expect(gcs.sessions.size).toBe(0);
    expect(evidence.size).toBe(0);
  });

  it("cancels the upload where the body fails, and says what the body said", async () => {
    async function* failing() {
      yield large;
      throw new Error("the pod is gone");
    }

    const artifact = stored({ body: failing() });

    await expect(artifact).rejects.toThrow("the pod is gone");
    expect(gcs.sessions.size).toBe(0);
    expect(evidence.size).toBe(0);
  });

  it("cancels the upload where the action ends while a part hangs", async () => {
    const ending = new AbortController();
    gcs.meddle = ({ method }) => {
      if (method === "PUT") {
        ending.abort(new DOMException("", "TimeoutError"));
      }
      return method === "PUT";
    };

    const artifact = stored({ body: chunks(large), signal: ending.signal });

    await expect(artifact).rejects.toMatchObject({ code: "timeout" });
    expect(gcs.sessions.size).toBe(0);
  });

  it.each([
    {
      what: "a bucket that does not exist",
      given: { parameters: { bucket: "nowhere" } },
      error: { code: "not_found", message: expect.stringContaining("bucket nowhere does not exist") },
    },
    {
      what: "a token that it does not take",
      given: { token: "expired-token" },
      error: { code: "forbidden", message: expect.not.stringContaining("expired-token") },
    },
    {
      what: "a connection that is refused",
      given: { endpoint: "http://127.0.0.1:9" },
      error: { code: "unavailable", notBegun: true },
    },
  ])("says so of $what", async ({ given, error }) => {
    const small = expect(stored({ body: chunks(Buffer.from("x")), ...given })).rejects;
    const inParts = expect(stored({ body: chunks(large), ...given })).rejects;

    await Promise.all([small.toMatchObject(error), inParts.toMatchObject(error)]);
  });

  it.each([
    {
      status: 403,
      body: '{"error":{"message":"hallux does not have storage.objects.create access"}}',
      error: {
        code: "forbidden",
        message: expect.stringContaining(`missing permission storage.objects.create on gs://evidence/${key}: `),
      },
    },
    { status: 429, body: "", headers: { "retry-after": "7" }, error: { code: "throttled", retryAfterMs: 7000 } },
    { status: 503, body: "", error: { code: "unavailable" } },
    { status: 400, body: "", error: { code: "invalid", notBegun: true } },
  ])("tells what a $status means", async ({ status, body, headers = {}, error }) => {
    gcs.meddle = (_request, response) => {
      response.writeHead(status, headers).end(body);
      return true;
    };

    const artifact = stored({ body: chunks(Buffer.from("x")) });

    await expect(artifact).rejects.toMatchObject(error);
  });

  it("never sends its token anywhere else", async () => {
    gcs.meddle = ({ method }, response) => {
      if (method === "POST") {
        response.writeHead(200, { location: "http://127.0.0.1:9/upload" }).end();
      }
      return method === "POST";
    };

    const artifact = stored({ body: chunks(large) });

    await expect(artifact).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining("goes on") });
  });

  it("stores nothing in a dry run, and finds out whether the bucket is there", async () => {
    const artifact = await stored({ body: chunks(large), dryRun: true });
    const missing = stored({ body: chunks(), dryRun: true, parameters: { bucket: "nowhere" } });

    expect(artifact).toMatchObject({ location: "", bytes: large.byteLength });
    expect(evidence.size).toBe(0);
    await expect(missing).rejects.toMatchObject({ code: "not_found" });
  });
});
