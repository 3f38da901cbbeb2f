import { randomUUID } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const granule = 256 * 1024;

export interface GcsObject {
  readonly content: Buffer;
  readonly contentType: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly storageClass: string | undefined;
  readonly kmsKey: string | undefined;
  /** Another one each time the content is written. */
  readonly generation: number;
  /** One more each time the metadata is. */
  readonly metageneration: number;
}

/** Before a request is handled as usual: true where it has been answered. */
export type Meddle = (request: { readonly method: string; readonly url: URL }, response: ServerResponse) => boolean;

export interface Gcs extends AsyncDisposable {
  readonly url: string;
  /** By bucket and name. */
  readonly buckets: Map<string, Map<string, GcsObject>>;
  /** Uploads that have begun and neither ended nor been cancelled. */
  readonly sessions: ReadonlyMap<string, object>;
  /** `POST multipart`, `PUT bytes 0-8388607/*`. */
  readonly requests: readonly string[];
  meddle: Meddle;
  /** How many of a part's bytes it keeps; all unless set. */
  keeps: (bytes: number) => number;
}

/**
 * The part of Google Cloud Storage's JSON API that stores objects, held to its rules: what a client gets wrong is a 4xx. It takes
 * the access token `access`.
 */
export async function startGcs(): Promise<Gcs> {
  const state: State = { url: "", buckets: new Map(), sessions: new Map(), generation: 0, keeps: (bytes) => bytes };
  const requests: string[] = [];
  const server = createServer(async (message, response) => {
    const body = Buffer.concat(await message.toArray().catch(() => []));
    const { method = "", headers } = message;
    const url = new URL(message.url ?? "", state.url);
    requests.push(`${method} ${headers["content-range"] ?? url.searchParams.get("uploadType") ?? url.pathname}`);
    if (!gcs.meddle({ method, url }, response)) {
      const answer = answerTo({ method, url, headers, body }, state);
      const text = textOf(answer, url.searchParams.get("fields") ?? "");
      response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers }).end(text);
    }
  });
  const gcs: Gcs = Object.assign(state, {
    requests,
    meddle: () => false,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });

  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return gcs;
}

type Objects = Map<string, GcsObject>;

interface State {
  url: string;
  readonly buckets: Map<string, Objects>;
  readonly sessions: Map<string, Session>;
  /** Of the object that was written last. */
  generation: number;
  keeps: Gcs["keeps"];
}

interface Session {
  readonly objects: Objects;
  readonly name: string;
  readonly described: Omit<GcsObject, "content" | "generation" | "metageneration">;
  readonly received: Buffer[];
  size: number;
}

interface Request {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

interface Answer {
  readonly status: number;
  readonly message?: string;
  readonly object?: GcsObject;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Of an object the fields that were asked for; numbers are text, as Google has them. */
function textOf({ status, message = "", object }: Answer, fields: string): string {
  if (status >= 400) {
    return JSON.stringify({ error: { code: status, message } });
  }
  const resource = object && { generation: `${object.generation}`, metageneration: `${object.metageneration}` };
  return JSON.stringify(resource ?? {}, fields.split(","));
}

function answerTo(request: Request, state: State): Answer {
  const { method, url, headers } = request;
  if (method === "DELETE") {
    return { status: state.sessions.delete(sessionId(url)) ? 499 : 404 };
  }
  if (headers.authorization !== "Bearer access") {
    return { status: 401, message: "Invalid Credentials" };
  }
  const objects = state.buckets.get(/\/b\/([^/]+)/.exec(url.pathname)?.[1] ?? "");
  if (objects === undefined) {
    return { status: 404, message: "The specified bucket does not exist." };
  }
  switch (method) {
    case "GET":
      return { status: 200 };
    case "PATCH":
      return patch(request, objects);
    default:
      return store(request, objects, state);
  }
}

const unmet = { status: 412, message: "At least one of the pre-conditions you specified did not hold." };

function patch({ url, body }: Request, objects: Objects): Answer {
  const name = decodeURIComponent(/\/o\/([^/]+)$/.exec(url.pathname)?.[1] ?? "");
  const object = objects.get(name);
  if (object === undefined) {
    return { status: 404, message: `No such object: ${name}` };
  }
  const isMet = (condition: string, value: number) => (url.searchParams.get(condition) ?? `${value}`) === `${value}`;
  if (!isMet("ifGenerationMatch", object.generation) || !isMet("ifMetagenerationMatch", object.metageneration)) {
    return unmet;
  }
  const { metadata = {} } = JSON.parse(body.toString()) as Partial<Resource>;
  const metageneration = object.metageneration + 1;
  const patched = { ...object, metadata: { ...object.metadata, ...metadata }, metageneration };
  objects.set(name, patched);
  return { status: 200, object: patched };
}

function written(
  { objects, name, described }: Pick<Session, "objects" | "name" | "described">,
  content: Buffer,
  state: State,
): Answer {
  state.generation += 1;
  const object = { ...described, content, generation: state.generation, metageneration: 1 };
  objects.set(name, object);
  return { status: 200, object };
}

function store(request: Request, objects: Objects, state: State): Answer {
  if (request.method === "POST") {
    return create(request, objects, state);
  }
  const session = state.sessions.get(sessionId(request.url));
  return session === undefined ? { status: 410 } : receive(request, session, state);
}

function sessionId({ searchParams }: URL): string {
  return searchParams.get("upload_id") ?? "";
}

/** Of an object, as a client describes it. */
interface Resource {
  readonly name: string;
  readonly contentType: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly storageClass?: string;
}

function create(request: Request, objects: Objects, state: State): Answer {
  const { url, body } = request;
  const isWhole = url.searchParams.get("uploadType") === "multipart";
  const [resource, content] = isWhole ? related(request) : [JSON.parse(body.toString()) as Resource, undefined];
  const { name, contentType, metadata = {}, storageClass } = resource;
  const described = { contentType, metadata, storageClass, kmsKey: url.searchParams.get("kmsKeyName") ?? undefined };
  if (url.searchParams.get("ifGenerationMatch") === "0" && objects.has(name)) {
    return unmet;
  }
  if (content !== undefined) {
    return written({ objects, name, described }, content, state);
  }
  const id = randomUUID();
  state.sessions.set(id, { objects, name, described, received: [], size: 0 });
  const session = new URL(url);
  session.searchParams.set("upload_id", id);
  return { status: 200, headers: { location: session.href } };
}

function receive({ url, headers, body }: Request, session: Session, state: State): Answer {
  const total = totalOf(headers["content-range"] ?? "", body.byteLength, session.size);
  if (total === undefined) {
    return { status: 400, message: `Invalid request: ${headers["content-range"]} with ${body.byteLength} bytes.` };
  }
  const kept = body.subarray(0, state.keeps(body.byteLength));
  session.received.push(kept);
  session.size += kept.byteLength;
  if (session.size !== total) {
    return { status: 308, headers: session.size === 0 ? {} : { range: `bytes=0-${session.size - 1}` } };
  }
  state.sessions.delete(sessionId(url));
  if (session.objects.has(session.name)) {
    return { status: 412 };
  }
  return written(session, Buffer.concat(session.received), state);
}

/** The size of the object that a part says, `*` where it is not the last; undefined where the part does not keep the rules. */
function totalOf(range: string, bytes: number, received: number): number | "*" | undefined {
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(range) ?? [];
  const fits = Number(first) === received && Number(last) - Number(first) + 1 === bytes;
  if (!fits || (total === "*" && bytes % granule !== 0)) {
    return undefined;
  }
  return total === "*" ? total : [Number(total)].find((size) => size === Number(last) + 1);
}

/** The two parts of a `multipart/related` body. */
function related({ headers, body }: Request): readonly [Resource, Buffer] {
  const boundary = /^multipart\/related; boundary=(\S+)$/.exec(headers["content-type"] ?? "")?.[1];
  const separator = body.indexOf(`\r\n--${boundary}\r\n`);
  const start = body.indexOf("\r\n\r\n", separator + 2) + 4;
  const end = body.lastIndexOf(`\r\n--${boundary}--`);
  const resource = body.subarray(body.indexOf("\r\n\r\n") + 4, separator).toString();
  return [JSON.parse(resource) as Resource, body.subarray(start, end)];
}
