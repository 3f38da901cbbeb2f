import type { IncomingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import type { Refusal } from "./refusal.ts";

/** How the body comes, as its headers say. */
export interface BodyForm {
  readonly gzip: boolean;
  /** Bytes, inflated. */
  readonly limit: number;
  /** Bytes as they come: no honest gzip of a body within the limit is longer. */
  readonly wireLimit: number;
}

const gzipNames: readonly string[] = ["gzip", "x-gzip"];
const plainNames: readonly string[] = ["", "identity"];

const interrupted: Refusal = {
  status: 400,
  reason: "aborted",
  expected: "a whole body",
  message: "the connection ended before the body did",
};

/** The form of the body, or why it need not be read at all. */
export function bodyForm(headers: IncomingHttpHeaders, limit: number): BodyForm | Refusal {
  const encoding = (headers["content-encoding"] ?? "").trim().toLowerCase();
  const gzip = gzipNames.includes(encoding);
  if (!gzip && !plainNames.includes(encoding)) {
    return unsupportedEncoding;
  }
  const wireLimit = gzip ? limit + Math.ceil(limit / 1000) + 1024 : limit;
  return Number(headers["content-length"] ?? 0) > wireLimit ? tooLarge(limit) : { gzip, limit, wireLimit };
}

/**
 * The inflated body, or why it cannot be had. Holds no more of it than the limit, and stops inflating there. What is left
 * of a refused body flows on and is dropped, so that the sender gets to read the answer.
 */
export function readBody(request: Readable, form: BodyForm): Promise<Buffer | Refusal> {
  return form.gzip ? inflated(request, form) : plain(request, form);
}

function plain(request: Readable, { limit }: BodyForm): Promise<Buffer | Refusal> {
  return new Promise((resolve) => {
    onceLeft(request, () => resolve(interrupted));
    collect(request, limit, resolve);
  });
}

async function inflated(request: Readable, { limit, wireLimit }: BodyForm): Promise<Buffer | Refusal> {
  const inflater = createGunzip();
  const body = await new Promise<Buffer | Refusal>((resolve) => {
    onceLeft(request, () => resolve(interrupted));
    inflater.on("error", ({ code }: NodeJS.ErrnoException) => resolve(badGzip(code)));
    collect(inflater, limit, resolve);
    onceBeyond(request, wireLimit, () => resolve(tooLarge(limit)));
    request.pipe(inflater);
  });
  request.unpipe(inflater);
  inflater.destroy();
  request.resume();
  return body;
}

function collect(source: Readable, limit: number, resolve: (body: Buffer | Refusal) => void): void {
  const chunks: Buffer[] = [];
  let size = 0;
  source.on("data", function keep(chunk: Buffer) {
    size += chunk.length;
    if (size > limit) {
      source.off("data", keep);
      resolve(tooLarge(limit));
    } else {
      chunks.push(chunk);
    }
  });
  source.on("end", () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)));
}

/** A stream closes after its end, too. */
function onceLeft(source: Readable, act: () => void): void {
  source.once("close", () => {
    if (!source.readableEnded) {
      act();
    }
  });
}

function onceBeyond(source: Readable, limit: number, act: () => void): void {
  let size = 0;
  source.on("data", function count(chunk: Buffer) {
    size += chunk.length;
    if (size > limit) {
      source.off("data", count);
      act();
    }
  });
}

const unsupportedEncoding: Refusal = {
  status: 415,
  reason: "unsupported_encoding",
  field: "content-encoding",
  expected: "gzip, or none",
  message: "the body's encoding is not supported",
  headers: { "accept-encoding": "gzip" },
};

function badGzip(code: string | undefined): Refusal {
  const message =
    code === "Z_BUF_ERROR" ? "the gzip data ends early" : "the body is not gzip, though content-encoding says so";
  return { status: 400, reason: "bad_encoding", field: "content-encoding", expected: "a whole gzip body", message };
}

function tooLarge(limit: number): Refusal {
  return {
    status: 413,
    reason: "too_large",
    expected: `at most ${limit} bytes, inflated`,
    message: "the body is too large",
  };
}
