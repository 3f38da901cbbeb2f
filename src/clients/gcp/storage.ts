import { randomUUID } from "node:crypto";
import { ActionError } from "../../catalogue/errors.ts";
import { type Breaker, createBreaker, verdictOfCode } from "../breaker.ts";
import { type Http, type HttpAnswer, type HttpRequest, refusalOf } from "../http/port.ts";
import type { NewObject, ObjectStore } from "../object-store.ts";
import { type Bucket, type Content, storeObject, type Upload } from "../store-object.ts";
import type { GcpCredentials } from "./credentials.ts";

const google = "https://storage.googleapis.com";
const abortMs = 5000;
/** What is asked of an object that was made. */
const madeFields = "generation,metageneration";

export interface StorageOptions {
  readonly credentials: Pick<GcpCredentials, "accessToken">;
  readonly http: Http;
  /** Google's own unless given. */
  readonly endpoint: string | undefined;
}

/** Google Cloud Storage, by its JSON API. */
export function createStorage({ credentials, http, endpoint = google }: StorageOptions): ObjectStore {
  const breaker = createBreaker({ endpoint: "Google Cloud Storage" });
  const api = { credentials, http, breaker, endpoint, unpatched: new Set<string>() };
  return {
    async putObject(object, signal) {
      const key = await storeObject(object, bucketOf(object, api), signal);
      return { location: `gs://${object.bucket}/${key}` };
    },
    async findBucket({ bucket }, signal) {
      const url = new URL(`/storage/v1/b/${bucket}?fields=name`, endpoint);
      await ask({ method: "GET", url, wanted: [200, 403] }, { ...api, bucket, location: `gs://${bucket}` }, signal);
    },
  };
}

interface Api {
  readonly credentials: Pick<GcpCredentials, "accessToken">;
  readonly http: Http;
  readonly breaker: Breaker;
  readonly endpoint: string;
  /** Buckets that have denied a change of metadata. */
  readonly unpatched: Set<string>;
}

/** What a request is about. */
interface Place extends Api {
  readonly bucket: string;
  /** `gs://evidence/captures/…` */
  readonly location: string;
}

interface Request {
  readonly method: string;
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  /** Any other status is a failure. */
  readonly wanted: readonly number[];
}

function bucketOf(object: NewObject, api: Api): Bucket {
  const place = { ...api, bucket: object.bucket, location: `gs://${object.bucket}/${object.key}` };
  return {
    async put({ body, ...content }, signal) {
      const boundary = `hallux-${randomUUID()}`;
      const headers = { "content-type": `multipart/related; boundary=${boundary}` };
      const url = uploadUrl("multipart", object, api);
      const parts = Buffer.concat([
        Buffer.from(`--${boundary}\r\ncontent-type: application/json\r\n\r\n${resourceOf(object, content)}\r\n`),
        Buffer.from(`--${boundary}\r\ncontent-type: ${content.contentType}\r\n\r\n`),
        body,
        Buffer.from(`\r\n--${boundary}--\r\n`),
      ]);
      const answer = await ask({ method: "POST", url, headers, body: parts, wanted: [200, 412] }, place, signal);
      return answer.status === 200;
    },
    async begin(content, signal) {
      const headers = { "content-type": "application/json", "x-upload-content-type": content.contentType };
      const body = resourceOf(object, content);
      const url = uploadUrl("resumable", object, api);
      const answer = await ask({ method: "POST", url, headers, body, wanted: [200, 412] }, place, signal);
      return answer.status === 412 ? undefined : uploadTo(sessionOf(answer, place), content.key, place);
    },
  };
}

/** Google refuses what would replace an object: its generation must be 0. */
function uploadUrl(type: "multipart" | "resumable", { bucket, encryption }: NewObject, { endpoint }: Api): URL {
  const url = new URL(`/upload/storage/v1/b/${bucket}/o`, endpoint);
  const query = { uploadType: type, ifGenerationMatch: "0", fields: madeFields, kmsKeyName: encryption?.key };
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) {
      url.searchParams.set(name, value);
    }
  }
  return url;
}

function resourceOf({ storageClass }: NewObject, { key, contentType, metadata }: Content): string {
  return JSON.stringify({ name: key, contentType, metadata, storageClass });
}

function sessionOf(answer: HttpAnswer, { endpoint }: Place): URL {
  const session = URL.parse(answer.header("location") ?? "", endpoint);
  if (session === null || session.origin !== new URL(endpoint).origin) {
    throw new ActionError("unavailable", "Google Cloud Storage began an upload and did not say where it goes on");
  }
  return session;
}

function uploadTo(session: URL, key: string, place: Place): Upload {
  let sent = 0;
  let made: Made | undefined;

  /** Google may keep less of a part than it was sent: the rest is sent again. */
  async function send(part: Uint8Array, total: string, signal: AbortSignal): Promise<HttpAnswer> {
    const headers = { "content-range": `bytes ${sent}-${sent + part.byteLength - 1}/${total}` };
    const put = { method: "PUT", url: session, headers, body: part, wanted: [200, 201, 308, 412] };
    const answer = await ask(put, place, signal);
    if (answer.status !== 308) {
      return answer;
    }
    const kept = keptOf(answer) - sent;
    if (kept <= 0 || kept > part.byteLength) {
      throw lost(place);
    }
    sent += kept;
    return kept === part.byteLength ? answer : send(part.subarray(kept), total, signal);
  }

  return {
    async send(part, signal) {
      await send(part, "*", signal);
    },
    async finish(part, announce, signal) {
      await announce();
      const answer = await send(part, String(sent + part.byteLength), signal);
      if (answer.status === 308) {
        throw lost(place);
      }
      made = madeIn(answer);
      return answer.status !== 412;
    },
    async describe(metadata, signal) {
      if (made !== undefined && !place.unpatched.has(place.bucket)) {
        await patch(place, { key, made, metadata }, signal);
      }
    },
    async abort() {
      const remove = { method: "DELETE", url: session, headers: {} };
      await place.http.send(remove, AbortSignal.timeout(abortMs)).catch(() => undefined);
    },
  };
}

/** One state of one object. */
interface Made {
  readonly generation: string;
  readonly metageneration: string;
}

/** Undefined where the answer, of an object that is stored, does not say: it may have broken off. */
function madeIn({ body }: HttpAnswer): Made | undefined {
  try {
    const { generation, metageneration } = JSON.parse(body) as Partial<Made>;
    return generation === undefined || metageneration === undefined ? undefined : { generation, metageneration };
  } catch {
    return undefined;
  }
}

interface Described {
  readonly key: string;
  readonly made: Made;
  readonly metadata: Content["metadata"];
}

/** Only of this very object, so that nobody else's is touched. Makes no version. */
async function patch(place: Place, { key, made, metadata }: Described, signal: AbortSignal): Promise<void> {
  const url = new URL(`/storage/v1/b/${place.bucket}/o/${encodeURIComponent(key)}`, place.endpoint);
  url.searchParams.set("ifGenerationMatch", made.generation);
  url.searchParams.set("ifMetagenerationMatch", made.metageneration);
  url.searchParams.set("fields", madeFields);
  const headers = { "content-type": "application/json" };
  const request = { method: "PATCH", url, headers, body: JSON.stringify({ metadata }), wanted: [200, 403, 404, 412] };
  const { status } = await ask(request, place, signal);
  if (status === 403) {
    place.unpatched.add(place.bucket);
  }
}

function lost({ location }: Place): ActionError {
  return new ActionError("unavailable", `${location}: Google Cloud Storage has not kept what was sent to it`);
}

/** How many bytes Google has: of `Range: bytes=0-8388607` one more; without it none. */
function keptOf(answer: HttpAnswer): number {
  const last = /^bytes=0-(\d+)$/.exec(answer.header("range") ?? "")?.[1];
  return last === undefined ? 0 : Number(last) + 1;
}

async function ask({ wanted, ...request }: Request, place: Place, signal: AbortSignal): Promise<HttpAnswer> {
  // Another service gives it: that it fails is not the store's fault.
  const token = await place.credentials.accessToken(signal);
  const headers = { ...request.headers, authorization: `Bearer ${token}` };
  const sent: HttpRequest = { ...request, headers, secrets: [token] };
  return place.breaker(async () => {
    const answer = await place.http.send(sent, signal);
    if (!wanted.includes(answer.status)) {
      throw refusal(sent, answer, place);
    }
    return answer;
  }, verdictOfCode);
}

function refusal(request: HttpRequest, answer: HttpAnswer, { bucket, location }: Place): ActionError {
  const error = refusalOf(request, answer);
  const { message, retryAfterMs, notBegun } = error;
  const of = (code: ActionError["code"], words: string) =>
    new ActionError(code, words, { cause: error, retryAfterMs, notBegun });
  if (answer.status === 401) {
    return of("forbidden", `Google Cloud Storage does not accept the credentials: ${message}`);
  }
  if (answer.status === 403) {
    return of("forbidden", `missing permission storage.objects.create on ${location}: ${message}`);
  }
  if (request.method === "PUT" && (answer.status === 404 || answer.status === 410)) {
    return of("unavailable", `${location}: Google Cloud Storage has forgotten the upload: ${message}`);
  }
  if (answer.status === 404) {
    return of("not_found", `bucket ${bucket} does not exist (Google Cloud Storage): ${message}`);
  }
  return of(error.code, `${location}: ${message}`);
}
