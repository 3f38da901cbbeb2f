import {
  type AgentOptions,
  type ClientRequest,
  type IncomingMessage,
  Agent as PlainAgent,
  request as plainRequest,
} from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";
import type { LookupFunction } from "node:net";
import { unescape as percentDecoded } from "node:querystring";
import { abortedError } from "../../catalogue/abort.ts";
import { ActionError, notBegun } from "../../catalogue/errors.ts";
import { neverSent, unsent } from "../../catalogue/http.ts";
import { idleMs, watchConnecting } from "../connecting.ts";
import { blockListOf } from "./block-list.ts";
import { basicCredentials, type Http, type HttpAnswer, type HttpRequest, headerFault, lowerCased } from "./port.ts";

const maxAnswerBytes = 16 * 1024;
/** After the status: a body that does not end must not make a request that was answered look like one that was not. */
const bodyMs = 3000;
/** To one host; more would wait for one another, each within its own deadline. */
const maxSockets = 64;

export interface HttpOptions {
  /** In place of the system's: names to addresses. */
  readonly lookup?: LookupFunction | undefined;
}

/** Connections are kept for the requests that follow. A dry run connects, which says whether it could, and sends nothing. */
export function createHttp(options: HttpOptions = {}): { readonly real: Http; readonly dryRun: Http } {
  const lookup = options.lookup === undefined ? {} : { lookup: options.lookup };
  const kept = agentsWith({ ...lookup, keepAlive: true, maxSockets, timeout: idleMs });
  return {
    real: {
      async send(request, signal) {
        // A kept connection was perhaps made for a request to which its address was not denied.
        const agents = request.denied === undefined ? kept : agentsWith(lookup);
        const response = await exchange(begin(request, agents, signal), request, signal);
        return answerOf(response, await startOf(response, signal));
      },
    },
    dryRun: {
      async send(request, signal) {
        await connect(begin(request, agentsWith(lookup), signal), request, signal);
        return { status: 204, header: () => undefined, body: "" };
      },
    },
  };
}

interface Agents {
  readonly plain: PlainAgent;
  readonly tls: TlsAgent;
}

function agentsWith(options: AgentOptions): Agents {
  return { plain: new PlainAgent(options), tls: new TlsAgent(options) };
}

/** Opens or takes up a connection. The addresses that are denied are checked where the socket connects. */
function begin(request: HttpRequest, agents: Agents, signal: AbortSignal): ClientRequest {
  const { url, credentials } = withoutCredentials(request.url);
  const headers = checked({ ...(credentials && { authorization: credentials }), ...lowerCased(request.headers) });
  const { method, ca, denied } = request;
  const options = { method, headers, signal, ...(ca && { ca }), ...(denied && { blockList: blockListOf(denied) }) };
  const begun =
    url.protocol === "https:"
      ? tlsRequest(url, { ...options, agent: agents.tls })
      : plainRequest(url, { ...options, agent: agents.plain });
  begun.prependOnceListener("error", (error) => {
    // It ended while it waited for a connection.
    if (begun.socket === null) {
      unsent(error);
    }
  });
  return begun.once("socket", (socket) => {
    if (!begun.reusedSocket) {
      watchConnecting(socket);
    }
  });
}

/** A percent sign that escapes nothing stands for itself. */
function withoutCredentials(given: URL): { readonly url: URL; readonly credentials: string | undefined } {
  const { username, password } = given;
  if (username === "" && password === "") {
    return { url: given, credentials: undefined };
  }
  const url = new URL(given);
  url.username = "";
  url.password = "";
  return { url, credentials: basicCredentials(percentDecoded(username), percentDecoded(password)) };
}

function checked(headers: HttpRequest["headers"]): HttpRequest["headers"] {
  for (const [name, value] of Object.entries(headers)) {
    const fault = headerFault(name, value);
    if (fault !== undefined) {
      throw new ActionError("invalid", fault, { notBegun: true });
    }
  }
  return headers;
}

async function exchange(begun: ClientRequest, request: HttpRequest, signal: AbortSignal): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  // Neither comes where the other side changes to another protocol.
  const closed = () => reject(new Error("it closed the connection"));
  begun.once("response", resolve).on("error", reject).once("close", closed).end(request.body);
  return settled(promise, request, signal);
}

async function connect(begun: ClientRequest, request: HttpRequest, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const ready = request.url.protocol === "https:" ? "secureConnect" : "connect";
  begun.on("error", reject).once("socket", (socket) => socket.once(ready, resolve));
  await settled(promise, request, signal).finally(() => begun.destroy());
}

async function settled<T>(promise: Promise<T>, { url }: HttpRequest, signal: AbortSignal): Promise<T> {
  try {
    return await promise;
  } catch (cause) {
    if (signal.aborted) {
      const error = abortedError(signal, `the request to ${url.origin}`);
      throw neverSent(cause) ? notBegun(error) : error;
    }
    const { code } = cause as NodeJS.ErrnoException;
    throw code === "ERR_IP_BLOCKED"
      ? new ActionError("forbidden", `${url.origin} is at an address that is denied`, { cause, notBegun: true })
      : new ActionError("unavailable", `${url.origin} does not answer: ${code ?? (cause as Error).message}`, {
          cause,
          notBegun: neverSent(cause),
        });
  }
}

function answerOf({ statusCode = 0, headers }: IncomingMessage, body: string): HttpAnswer {
  return {
    status: statusCode,
    header: (name) => [headers[name.toLowerCase()] ?? []].flat().join(", ") || undefined,
    body,
  };
}

/** What has come of the body until it ended, was enough, broke off or took too long. */
async function startOf(response: IncomingMessage, signal: AbortSignal): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  const timer = setTimeout(() => response.destroy(), bodyMs);
  try {
    for await (const part of response) {
      parts.push(part);
      size += part.length;
      if (size >= maxAnswerBytes) {
        break;
      }
    }
  } catch {
    if (signal.aborted) {
      throw abortedError(signal, "the answer");
    }
  } finally {
    clearTimeout(timer);
  }
  return new TextDecoder().decode(Buffer.concat(parts).subarray(0, maxAnswerBytes), { stream: true });
}
