import { X509Certificate } from "node:crypto";
import { get as getHttp, type IncomingMessage } from "node:http";
import { get as getHttps, type RequestOptions } from "node:https";
import { text } from "node:stream/consumers";
import { checkServerIdentity } from "node:tls";
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from "../events/json.ts";
import { printable } from "../telemetry/logs.ts";
import { CommandFailure } from "./failure.ts";

/** How to reach the read API of a running Hallux. */
export interface HistoryServer {
  /** `http://127.0.0.1:2803` */
  readonly url: URL;
  readonly token: string;
  /** Where the token came from, for whoever has to replace it. */
  readonly tokenSource: string;
  /** PEM: authorities to trust instead of the system's. The server's own certificate does, too, whatever names it holds. */
  readonly trusted: string | undefined;
}

/** Asks for JSON at the path; every number keeps its digits. Rejects with a `CommandFailure`. */
export type HistoryClient = (path: string, parameters?: Parameters) => Promise<JsonObject>;

type Parameters = Readonly<Record<string, string | undefined>>;

/** Without a byte from the server. */
const patienceMs = 30_000;

export function createHistoryClient(server: HistoryServer): HistoryClient {
  const options: RequestOptions = {
    headers: { authorization: `Bearer ${server.token}` },
    timeout: patienceMs,
    ...trust(server.trusted),
  };

  return async (path, parameters = {}) => {
    const url = new URL(path, server.url);
    for (const [name, value] of Object.entries(parameters)) {
      if (value !== undefined) {
        url.searchParams.set(name, value);
      }
    }
    const { status, body } = await exchange(url, options).catch((error: NodeJS.ErrnoException) => {
      throw new CommandFailure(unreachable(error, server));
    });
    const answer = parsed(body);
    if (status === 200 && isJsonObject(answer)) {
      return answer;
    }
    throw new CommandFailure(refused(status, answer, server));
  };
}

/** A certificate that is given itself is the one expected: it is trusted by what it is, not by its names or who signed it. */
function trust(pem: string | undefined): RequestOptions {
  if (pem === undefined) {
    return {};
  }
  const given = certificatesIn(pem);
  return {
    ca: pem,
    allowPartialTrustChain: true,
    checkServerIdentity: (host, certificate) =>
      given.some(({ raw }) => raw.equals(certificate.raw)) ? undefined : checkServerIdentity(host, certificate),
  };
}

/** Throws where one of them cannot be read. */
export function certificatesIn(pem: string): readonly X509Certificate[] {
  const texts = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return texts.map((text) => new X509Certificate(text));
}

async function exchange(
  url: URL,
  options: RequestOptions,
): Promise<{ readonly status: number; readonly body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = (url.protocol === "https:" ? getHttps : getHttp)(url, options, resolve);
  request.on("error", reject);
  request.on("timeout", () =>
    request.destroy(Object.assign(new Error(`no answer within ${patienceMs / 1000} s`), { code: "ETIMEDOUT" })),
  );
  const response = await promise;
  return { status: response.statusCode ?? 0, body: await text(response) };
}

function parsed(body: string): JsonValue | undefined {
  try {
    return parseJson(body);
  } catch {
    return undefined;
  }
}

/** Why there is no answer, and what to do. */
function unreachable({ code = "", message }: NodeJS.ErrnoException, { url: { origin } }: HistoryServer): string {
  if (code.startsWith("ERR_SSL_") || code === "EPROTO") {
    return `${origin} does not speak HTTPS (${code}): is it http://?`;
  }
  if (/CERT|SIGNATURE|ISSUER/.test(code)) {
    return `the certificate of ${origin} is not trusted (${code}): --ca-file names the authority, or the certificate itself`;
  }
  switch (code) {
    case "ECONNREFUSED":
      return `nothing listens at ${origin}: is the server running? (-c names its configuration, --server another address)`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `the host of ${origin} is not known (${code})`;
    case "ECONNRESET":
      return `${origin} ended the connection without an answer: is it ${otherScheme(origin)}, or stopping?`;
    default:
      return `${origin} cannot be asked: ${code || message}`;
  }
}

function otherScheme(origin: string): string {
  return origin.startsWith("https:") ? "http://" : "https://";
}

function refused(status: number, answer: JsonValue | undefined, { url, tokenSource }: HistoryServer): string {
  const error = isJsonObject(answer) ? answer["error"] : undefined;
  const message = isJsonObject(error) && typeof error["message"] === "string" ? printable(error["message"]) : undefined;
  if (status === 401) {
    return `${url.origin} does not take the token from ${tokenSource}: is it the token of another server?`;
  }
  return message === undefined
    ? `${url.origin} answers ${status}, and not as Hallux does: is another server there?`
    : message;
}
