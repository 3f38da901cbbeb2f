import { unescape as percentDecoded } from "node:querystring";
import { ActionError } from "../../catalogue/errors.ts";
import { codeOfStatus, refusedBefore, retryAfterMs } from "../../catalogue/http.ts";
import { startOfWords } from "../told.ts";

export interface HttpRequest {
  /** `http:` or `https:`. User and password in it are sent as basic authentication, unless the headers have another. */
  readonly url: URL;
  readonly method: string;
  /** Content-Length is set by the client. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | undefined;
  /** Certificates, PEM: trusted instead of the authorities that Node knows. */
  readonly ca?: string | undefined;
  /** Never shown in an error, whoever repeats them. Of the URL only the origin ever is. */
  readonly secrets?: readonly string[];
  /** IP ranges that it is not sent to, whatever name or notation leads there. */
  readonly denied?: readonly string[] | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  /** Of several with that name the values, joined by comma and blank. */
  header(name: string): string | undefined;
  /** Its first 16 KiB; less where it broke off or did not come: the status says what became of the request. */
  readonly body: string;
}

/** Services that speak HTTP. A dry run checks what it can and sends nothing. */
export interface Http {
  /**
   * Resolves with any status; redirects are not followed. Rejects `unavailable` or `timeout` where there is no answer (`notBegun`
   * where nothing was sent), `invalid` where HTTP does not allow a header, `forbidden` where the address is denied.
   */
  send(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer>;
}

/** Of a part of the URL; what is shorter is a word like `api`. */
const minSecretLength = 6;

/** The error of a status that is not wanted: the status and the start of what the other side says, without the secrets. */
export function refusalOf({ url, secrets = [] }: HttpRequest, answer: HttpAnswer): ActionError {
  const { status } = answer;
  const redirected = status >= 300 && status < 400;
  const words = redirected ? "redirects are not followed, give the final URL" : startOfWords(answer.body, secrets);
  return new ActionError(codeOfStatus(status), `${url.origin} answered ${status}${words === "" ? "" : `: ${words}`}`, {
    retryAfterMs: retryAfterMs(answer.header("retry-after")),
    notBegun: refusedBefore(status),
  });
}

/**
 * What must not be shown of a URL that is itself a secret: tokens stand in paths and queries, and servers repeat those whole
 * (`Cannot POST /hook/TOKEN`) or in part.
 */
export function secretsIn({ href, username, password, pathname, search, searchParams }: URL): readonly string[] {
  const parts = [...pathname.split("/"), ...searchParams.values()].filter((part) => part.length >= minSecretLength);
  const credentials = [password, basicCredentials(percentDecoded(username), percentDecoded(password))];
  const texts = [href, pathname + search, ...parts, ...(password === "" ? [] : credentials)];
  return [...texts, ...texts.map((text) => percentDecoded(text))].filter((text) => text !== "/");
}

/** What must not be shown of headers that are secrets: each whole, and its words (`Bearer TOKEN`). */
export function secretsInHeaders(headers: HttpRequest["headers"]): readonly string[] {
  return Object.values(headers).flatMap((value) => [
    value,
    ...value.split(/\s+/).filter((word) => word.length >= minSecretLength),
  ]);
}

/** Those that say where a request ends are the client's own. */
const framing: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "transfer-encoding",
  "trailer",
  "expect",
  "upgrade",
]);

/**
 * Why a header cannot be sent; undefined where it can. Shows neither its value nor what follows a name: of
 * `Authorization:Bearer …`, which lacks a blank, YAML makes a name.
 */
export function headerFault(name: string, value: string): string | undefined {
  if (framing.has(name.toLowerCase())) {
    return `the header "${name}" cannot be set: leave it to Hallux`;
  }
  const [start = ""] = tokenStart.exec(name) ?? [];
  const shown = start === name ? name : `${start}…`;
  const fault = nameFault(name, start) ?? valueFault(value);
  return fault && `HTTP does not allow the header "${shown}": ${fault}`;
}

const tokenStart = /^[!#$%&'*+.^_`|~0-9A-Za-z-]*/;

function nameFault(name: string, start: string): string | undefined {
  if (name === "") {
    return "it has no name";
  }
  return start === name ? undefined : `${characterAt(name, start.length)} stands in its name`;
}

/** Bytes, and no control character but the tab. */
function valueFault(value: string): string | undefined {
  const index = value.search(/[^\t\x20-\x7e\x80-\xff]/);
  return index === -1 ? undefined : `character ${index + 1} of its value is ${characterAt(value, index)}`;
}

const invisible: Readonly<Record<string, string>> = {
  " ": "a blank",
  "\t": "a tab",
  "\n": "a line break",
  "\r": "a line break",
};

function characterAt(text: string, index: number): string {
  const code = text.codePointAt(index) ?? 0;
  const character = String.fromCodePoint(code);
  const isPrintable = code > 0x20 && code < 0x7f;
  const number = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  return invisible[character] ?? (isPrintable ? `"${character}"` : number);
}

/** By lower-case name, so that one given replaces one of ours. */
export function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

/** The value of an Authorization header. */
export function basicCredentials(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}
