import { hash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { hang, httpPeer, type SeenRequest } from "../../../test/support/http-peer.ts";
import { ActionError } from "../../catalogue/errors.ts";
import { withDeadline } from "../../engine/deadline.ts";
import { Secret } from "../../schema/secret.ts";
import { createAws, dryRunAws } from "../aws/adapter.ts";
import type { Aws } from "../aws/port.ts";
import type { AwsSettings } from "../aws/settings.ts";
import type { NewObject } from "../object-store.ts";
import { partBytes } from "../store-object.ts";

const never = new AbortController().signal;

beforeEach(() => {
  vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
  vi.stubEnv("AWS_CONFIG_FILE", "/nonexistent");
  vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent");
});
afterEach(() => {
  vi.unstubAllEnvs();
});

function awsAt(url: string, more: AwsSettings = {}): Aws {
  return createAws({
    region: "eu-west-1",
    accessKey: "AKIDEXAMPLE",
    secretKey: new Secret("very secret"),
    endpoints: { s3: url, metadata: "http://127.0.0.1:9" },
    ...more,
  });
}

async function* chunks(...sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (const size of sizes) {
    yield Buffer.alloc(size, 7);
  }
}

function objectOf(body: AsyncIterable<Uint8Array>, more: Partial<NewObject> = {}): NewObject {
  return {
    bucket: "evidence",
    region: undefined,
    key: "captures/log",
    contentType: "text/plain",
    body,
    digest: () => ({ bytes: 1, sha256: "5e23" }),
    digestInMetadata: true,
    storageClass: undefined,
    encryption: undefined,
    ...more,
  };
}

const one = () => objectOf(chunks(1));
const large = () => objectOf(chunks(partBytes, 1));

function xml(code: string, more = ""): string {
  return `<?xml version="1.0"?><Error><Code>${code}</Code><Message>the reason</Message>${more}</Error>`;
}

type Answer = (request: SeenRequest, response: ServerResponse) => void;

function answering(status: number, body = "", headers: Record<string, string> = {}): Answer {
  return (_request, response) =>
    response.writeHead(status, { "content-type": "application/xml", ...headers }).end(body);
}

/** What S3 does with an object in parts, but for the requests that the test answers itself. */
function s3(answers: Readonly<Record<string, Answer>> = {}): Answer {
  const usual: Readonly<Record<string, Answer>> = {
    HEAD: answering(404),
    create: answering(200, "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"),
    part: answering(200, "", { etag: '"e1"' }),
    complete: completed,
    copy: answering(200, '<CopyObjectResult><ETag>"e3"</ETag></CopyObjectResult>'),
    abort: answering(204),
    put: answering(200, "", { etag: '"e1"' }),
  };
  return (request, response) => {
    const step = stepOf(request);
    (answers[step] ?? usual[step] ?? answering(500))(request, response);
  };
}

const completion = `<CompleteMultipartUploadResult><Key>k</Key><ETag>"e2-2"</ETag></CompleteMultipartUploadResult>`;
const completed = answering(200, completion);

function stepOf({ method, url, headers }: SeenRequest): string {
  const query = new URL(url, "http://s3").searchParams;
  switch (method) {
    case "POST":
      return query.has("uploads") ? "create" : "complete";
    case "PUT":
      if ("x-amz-copy-source" in headers) {
        return "copy";
      }
      return query.has("partNumber") ? "part" : "put";
    case "DELETE":
      return "abort";
    default:
      return method;
  }
}

describe("storing in S3", () => {
  it("sends the content with its SHA-256, on condition that it replaces nothing", async () => {
    await using peer = await httpPeer(s3());
    const encryption = { algorithm: "aws:kms", key: "alias/evidence" };

    const { location } = await awsAt(peer.url).putObject(
      objectOf(chunks(1), { encryption, storageClass: "STANDARD_IA" }),
      never,
    );

    const [request, ...others] = peer.requests;
    expect(location).toBe("s3://evidence/captures/log");
    expect(request).toMatchObject({ method: "PUT", url: "/evidence/captures/log?x-id=PutObject", body: "\u0007" });
    expect(request?.headers).toMatchObject({
      "if-none-match": "*",
      "content-type": "text/plain",
      "x-amz-checksum-sha256": hash("sha256", Buffer.alloc(1, 7), "base64"),
      "x-amz-meta-sha256": "5e23",
      "x-amz-server-side-encryption": "aws:kms",
      "x-amz-server-side-encryption-aws-kms-key-id": "alias/evidence",
      "x-amz-storage-class": "STANDARD_IA",
    });
    expect(others).toEqual([]);
  });

  it("sends a large content in parts, and completes it on condition that it replaces nothing", async () => {
    await using peer = await httpPeer(s3());

    await awsAt(peer.url).putObject(large(), never);

    const complete = peer.requests.find((request) => stepOf(request) === "complete");
    expect(peer.requests.map(stepOf)).toEqual(["HEAD", "create", "part", "part", "put", "complete", "copy"]);
    expect(complete?.headers["if-none-match"]).toBe("*");
    expect(complete?.body).toMatch(/(<Part>.*<ChecksumSHA256>.*<PartNumber>[12]<.*){2}/);
  });

  it("copies a large object onto itself, with its digest in the metadata and all else as it was", async () => {
    await using peer = await httpPeer(s3());
    const encryption = { algorithm: "aws:kms", key: "alias/evidence" };

    await awsAt(peer.url).putObject(
      { ...large(), key: "a+b/(c)'/log", encryption, storageClass: "STANDARD_IA" },
      never,
    );

    const copy = peer.requests.at(-1);
    expect(copy?.url).toBe("/evidence/a%2Bb/%28c%29%27/log?x-id=CopyObject");
    expect(decodeURIComponent(copy?.headers["x-amz-copy-source"]?.toString() ?? "")).toBe("evidence/a+b/(c)'/log");
    expect(copy?.headers).toMatchObject({
      "x-amz-copy-source-if-match": '"e2-2"',
      "if-match": '"e2-2"',
      "x-amz-metadata-directive": "REPLACE",
      "x-amz-meta-sha256": "5e23",
      "x-amz-meta-sha256-in": "log.sha256",
      "content-type": "text/plain",
      "x-amz-server-side-encryption": "aws:kms",
      "x-amz-server-side-encryption-aws-kms-key-id": "alias/evidence",
      "x-amz-storage-class": "STANDARD_IA",
    });
  });

  it.each([
    { what: "a second version would come of it", complete: answering(200, completion, { "x-amz-version-id": "v1" }) },
    { what: "it is in an archive", more: { storageClass: "DEEP_ARCHIVE" } },
    { what: "the rule does not want it", more: { digestInMetadata: false } },
  ])("copies no large object where $what", async ({ complete = completed, more = {} }) => {
    await using peer = await httpPeer(s3({ complete }));

    await awsAt(peer.url).putObject({ ...large(), ...more }, never);

    expect(stepOf(peer.requests.at(-1) as SeenRequest)).toBe("complete");
  });

  it("copies a large object in a bucket whose versioning is suspended: the copy replaces it", async () => {
    const complete = answering(200, completion, { "x-amz-version-id": "null" });
    await using peer = await httpPeer(s3({ complete }));

    await awsAt(peer.url).putObject(large(), never);

    expect(stepOf(peer.requests.at(-1) as SeenRequest)).toBe("copy");
  });

  it.each([
    { status: 403, code: "AccessDenied", copies: 1, what: "asks a bucket once that denies it" },
    { status: 501, code: "NotImplemented", copies: 1, what: "asks a server once that cannot do it" },
    {
      status: 412,
      code: "PreconditionFailed",
      copies: 2,
      what: "takes an object that was replaced meanwhile for theirs",
    },
    { status: 503, code: "ServiceUnavailable", copies: 6, what: "tries three times where the server fails" },
    { status: 200, code: "InternalError", copies: 6, what: "tries three times where it fails after its 200" },
  ])("$what, and has stored each large object", async ({ status, code, copies }) => {
    await using peer = await httpPeer(s3({ copy: answering(status, xml(code)) }));
    const aws = awsAt(peer.url);

    const first = await aws.putObject(large(), never);
    const second = await aws.putObject(large(), never);

    expect([first, second]).toEqual(new Array(2).fill({ location: "s3://evidence/captures/log" }));
    expect(peer.requests.map(stepOf).filter((step) => step === "copy")).toHaveLength(copies);
    expect(peer.requests.map(stepOf)).not.toContain("abort");
  });

  it("has stored a large object whose copy hangs when the action ends", async () => {
    const ending = new AbortController();
    await using peer = await httpPeer(s3({ copy: () => ending.abort(new ActionError("interrupted", "it stops")) }));

    const stored = await withDeadline({ timeoutMs: 60_000, signal: ending.signal }, (signal) =>
      awsAt(peer.url).putObject(large(), signal),
    );

    expect(stored.location).toBe("s3://evidence/captures/log");
    expect(stepOf(peer.requests.at(-1) as SeenRequest)).toBe("copy");
  });

  it("does not wait for a copy that hangs as long as the action may take", { timeout: 30_000 }, async () => {
    await using peer = await httpPeer(s3({ copy: hang }));

    const stored = await awsAt(peer.url).putObject(large(), never);

    expect(stored.location).toBe("s3://evidence/captures/log");
    expect(peer.requests.map(stepOf).filter((step) => step === "copy")).toHaveLength(1);
  });

  it("signs for the region of the object, else of the configuration, and shares the credentials' chain with Lambda", async () => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
    vi.stubEnv("AWS_REGION", "us-east-2");
    await using peer = await httpPeer(s3());
    const aws = createAws({ endpoints: { s3: peer.url } });

    await aws.putObject(one(), never);
    await aws.putObject({ ...one(), region: "ap-south-1" }, never);

    const signatures = peer.requests.map(({ headers }) => headers.authorization ?? "");
    expect(signatures[0]).toContain("AKIDENVIRONMENT/");
    expect(signatures[0]).toContain("/us-east-2/s3/");
    expect(signatures[1]).toContain("/ap-south-1/s3/");
  });

  it.each([
    { what: "part", step: "part" },
    { what: "digest", step: "put" },
    { what: "completion", step: "complete" },
  ])("aborts the upload where the $what fails", async ({ step }) => {
    await using peer = await httpPeer(s3({ [step]: answering(500, xml("InternalError")) }));

    const stored = awsAt(peer.url).putObject(large(), never);

    await expect(stored).rejects.toMatchObject({ code: "unavailable", notBegun: false });
    expect(stepOf(peer.requests.at(-1) as SeenRequest)).toBe("abort");
  });

  it("takes a completion that failed after its 200 for a failure", async () => {
    await using peer = await httpPeer(s3({ complete: answering(200, xml("InternalError")) }));

    const stored = awsAt(peer.url).putObject(large(), never);

    await expect(stored).rejects.toMatchObject({ code: "unavailable" });
    expect(stepOf(peer.requests.at(-1) as SeenRequest)).toBe("abort");
  });

  it("aborts the upload where a part hangs until the action ends", async () => {
    const ending = new AbortController();
    await using peer = await httpPeer(s3({ part: () => ending.abort(new DOMException("", "TimeoutError")) }));

    const stored = awsAt(peer.url).putObject(large(), ending.signal);

    await expect(stored).rejects.toMatchObject({ code: "timeout" });
    expect(peer.requests.map(stepOf)).toContain("abort");
  });

  it("closes the connection of a request when the action ends", async () => {
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    const ending = new AbortController();
    await using peer = await httpPeer((_request, response) => {
      response.once("close", close);
      ending.abort(new DOMException("", "TimeoutError"));
    });

    const stored = awsAt(peer.url).putObject(one(), ending.signal);

    await expect(stored).rejects.toMatchObject({ code: "timeout" });
    await closed;
  });
});

describe("a refusal of S3", () => {
  it.each([
    {
      what: "a bucket that is elsewhere, by a redirect",
      answer: answering(301, xml("PermanentRedirect"), { "x-amz-bucket-region": "us-west-2" }),
      error: {
        code: "invalid",
        message: "bucket evidence is in region us-west-2: set region in the output's parameters",
      },
    },
    {
      what: "a bucket that is elsewhere, by the signature",
      answer: answering(400, xml("AuthorizationHeaderMalformed", "<Region>us-west-2</Region>")),
      error: {
        code: "invalid",
        message: "bucket evidence is in region us-west-2: set region in the output's parameters",
      },
    },
    {
      what: "credentials that have expired, where the answer names the bucket's region, too",
      answer: answering(400, xml("ExpiredToken"), { "x-amz-bucket-region": "eu-west-1" }),
      error: { code: "forbidden" },
    },
    {
      what: "an unknown bucket",
      answer: answering(404, xml("NoSuchBucket")),
      error: { code: "not_found", message: "bucket evidence does not exist (S3 in eu-west-1)", notBegun: true },
    },
    {
      what: "a missing permission",
      answer: answering(403, xml("AccessDenied")),
      error: {
        code: "forbidden",
        message: "missing permission s3:PutObject on s3://evidence/captures/log: the reason",
      },
    },
    {
      what: "unknown credentials",
      answer: answering(403, xml("InvalidAccessKeyId")),
      error: {
        code: "forbidden",
        message: "S3 in eu-west-1 does not accept the credentials: InvalidAccessKeyId: the reason",
      },
    },
    {
      what: "credentials that have expired",
      answer: answering(400, xml("ExpiredToken")),
      error: { code: "forbidden" },
    },
    {
      what: "a clock that is wrong",
      answer: answering(403, xml("RequestTimeTooSkewed")),
      error: { code: "unavailable", message: expect.stringContaining("the clock of this machine") },
    },
    {
      what: "too many requests",
      answer: answering(503, xml("SlowDown"), { "retry-after": "7" }),
      error: { code: "throttled", retryAfterMs: 7000, notBegun: true },
    },
    {
      what: "a broken service",
      answer: answering(503, xml("ServiceUnavailable")),
      error: { code: "unavailable" },
    },
    {
      what: "a broken proxy",
      answer: answering(502, "<html>Bad Gateway</html>", { "content-type": "text/html" }),
      error: { code: "unavailable" },
    },
    {
      what: "a request that came too slowly",
      answer: answering(400, xml("RequestTimeout")),
      error: { code: "unavailable" },
    },
    {
      what: "a condition that the server does not know",
      answer: answering(501, xml("NotImplemented")),
      error: { code: "invalid", message: expect.stringContaining("cannot store s3://evidence/captures/log") },
    },
    {
      what: "another write at the same time",
      answer: answering(409, xml("ConditionalRequestConflict")),
      error: { code: "conflict" },
    },
  ])("for $what says so", async ({ answer, error }) => {
    await using peer = await httpPeer(s3({ put: answer }));

    const stored = awsAt(peer.url).putObject(one(), never);

    await expect(stored).rejects.toMatchObject(error);
  });

  it("that a connection is refused, and that nothing was begun", async () => {
    const stored = awsAt("http://127.0.0.1:9").putObject(one(), never);

    await expect(stored).rejects.toMatchObject({ code: "unavailable", notBegun: true });
  });

  it("that the connection breaks off", async () => {
    const server = createServer((socket) => void socket.once("data", () => socket.destroy())).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as { readonly port: number };

    const stored = awsAt(`http://127.0.0.1:${port}`).putObject(one(), never);

    await expect(stored).rejects.toMatchObject({ code: "unavailable", notBegun: false });
    server.close();
  });

  it("for a clock that is wrong is followed by requests that are signed by S3's", async () => {
    await using peer = await httpPeer(
      s3({ put: answering(403, xml("RequestTimeTooSkewed"), { date: "Sat, 01 Jan 2050 00:00:00 GMT" }) }),
    );
    const aws = awsAt(peer.url);

    await expect(aws.putObject(one(), never)).rejects.toMatchObject({ code: "unavailable" });
    await expect(aws.putObject(one(), never)).rejects.toMatchObject({ code: "unavailable" });

    expect(peer.requests[1]?.headers["x-amz-date"]).toMatch(/^20500101T0000/);
  });

  it("never shows the secret key", async () => {
    await using peer = await httpPeer(s3({ put: answering(403, xml("SignatureDoesNotMatch")) }));

    const stored = awsAt(peer.url).putObject(one(), never);

    await expect(stored).rejects.toSatisfy((error: Error) => !`${error.stack} ${error.cause}`.includes("very secret"));
  });
});

describe("S3 that fails again and again", () => {
  it("is left alone for a while", async () => {
    await using peer = await httpPeer(answering(500, xml("InternalError")));
    const aws = awsAt(peer.url);

    for (let attempt = 1; attempt <= 5; attempt += 1) {
      await expect(aws.putObject(one(), never)).rejects.toMatchObject({ code: "unavailable" });
    }
    const refused = aws.putObject(one(), never);

    await expect(refused).rejects.toMatchObject({ message: expect.stringContaining("S3 in eu-west-1 is not asked") });
    expect(peer.requests).toHaveLength(5);
  });

  it("is asked on where it only refuses", async () => {
    await using peer = await httpPeer(s3({ put: answering(403, xml("AccessDenied")) }));
    const aws = awsAt(peer.url);

    for (let attempt = 1; attempt <= 7; attempt += 1) {
      await expect(aws.putObject(one(), never)).rejects.toMatchObject({ code: "forbidden" });
    }

    expect(peer.requests).toHaveLength(7);
  });
});

describe("S3 in a dry run", () => {
  it.each([
    { what: "a bucket that is there", status: 200 },
    { what: "a bucket that it may not look at", status: 403 },
  ])("takes $what for good, and stores nothing", async ({ status }) => {
    await using peer = await httpPeer(answering(status));

    const { location } = await dryRunAws(awsAt(peer.url)).putObject(large(), never);

    expect(location).toBe("");
    expect(peer.requests.map(({ method, url }) => `${method} ${url}`)).toEqual(["HEAD /evidence/"]);
  });

  it("finds out that the bucket is not there", async () => {
    await using peer = await httpPeer(answering(404));

    const stored = dryRunAws(awsAt(peer.url)).putObject(one(), never);

    await expect(stored).rejects.toMatchObject({ code: "not_found" });
  });

  it("finds out that the bucket is elsewhere", async () => {
    await using peer = await httpPeer(answering(301, "", { "x-amz-bucket-region": "us-west-2" }));

    const stored = dryRunAws(awsAt(peer.url)).putObject(one(), never);

    await expect(stored).rejects.toMatchObject({ code: "invalid", message: expect.stringContaining("us-west-2") });
  });
});
