import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import type { V1Status } from "@kubernetes/client-node";
import WebSocket, { type ClientOptions } from "ws";
import { ActionError } from "../../catalogue/errors.ts";
import type { Api } from "./api.ts";
import { type Asked, lostError, notOpenedError, refusalError, Unauthenticated } from "./errors.ts";
import type { ExecOptions, ExecResult, Kubernetes, Pod } from "./port.ts";

const protocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
/** The first byte of each message says which stream the rest belongs to. */
const channels = { stdout: 1, stderr: 2, status: 3 };
const verbs = ["create", "get"];

export function execCalls(api: Api): Pick<Kubernetes, "exec"> {
  return { exec: api.dryRun === undefined ? execIn(api) : reviewExec(api) };
}

/** Over a WebSocket of our own: client-node's Exec can be neither cancelled nor asked why it was refused. */
function execIn({ connection }: Api): Kubernetes["exec"] {
  return async (pod, options, signal) => {
    const asked = askedOf(pod);
    const url = urlOf(connection.server, pod, options);
    const run = (socketOptions: ClientOptions) => {
      if (signal.aborted) {
        throw lostError(asked, signal.reason, signal);
      }
      const socket = new WebSocket(url, protocols, { ...socketOptions, perMessageDeflate: false });
      return within(signal, socket, asked, conversation(socket, asked, options.maxOutputBytes));
    };
    const socketOptions = await connection.webSocketOptions();
    try {
      return await run(socketOptions);
    } catch (error) {
      const renewed = error instanceof Unauthenticated ? await connection.renewOptions(socketOptions) : undefined;
      if (renewed === undefined) {
        throw error;
      }
      return run(renewed);
    }
  };
}

/** The socket ends with the conversation, at the latest with the signal. */
async function within<T>(signal: AbortSignal, socket: WebSocket, asked: Asked, conversation: Promise<T>): Promise<T> {
  const abort = () => socket.terminate();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await conversation;
  } catch (error) {
    throw error instanceof ActionError ? error : lostError(asked, error, signal);
  } finally {
    signal.removeEventListener("abort", abort);
    socket.terminate();
  }
}

/** Asks whether it would be permitted. */
function reviewExec(api: Api): Kubernetes["exec"] {
  return async (pod, _options, signal) => {
    for (const verb of verbs) {
      await review(api, { ...askedOf(pod), verb }, signal);
    }
    return { exitCode: 0, stdout: "", stderr: "", truncated: false };
  };
}

async function review({ authorization, via }: Api, asked: Asked, signal: AbortSignal): Promise<void> {
  const { verb, namespace, name } = asked;
  const resourceAttributes = { verb, namespace, name, resource: "pods", subresource: "exec" };
  const body = { spec: { resourceAttributes } };
  const { status } = await authorization.createSelfSubjectAccessReview({ body }, via(signal));
  if (status?.allowed !== true) {
    throw refusalError(asked, { status: 403, body: status?.reason || "no role allows it" });
  }
}

/** Reads what the command writes until its exit code comes. Rejects where the connection ends before. */
function conversation(socket: WebSocket, asked: Asked, maxOutputBytes: number): Promise<ExecResult> {
  const { promise, resolve, reject } = Promise.withResolvers<ExecResult>();
  const stdout = new BoundedText(maxOutputBytes);
  const stderr = new BoundedText(maxOutputBytes);
  const hear = (data: Buffer) => {
    const rest = data.subarray(1);
    switch (data[0]) {
      case channels.stdout:
        return stdout.add(rest);
      case channels.stderr:
        return stderr.add(rest);
      case channels.status:
        return resolve({
          exitCode: exitCodeIn(rest, asked),
          stdout: stdout.toString(),
          stderr: stderr.toString(),
          truncated: stdout.truncated || stderr.truncated,
        });
    }
  };

  socket.on("message", (data: Buffer) => attempt(() => hear(data), reject));
  socket.on("unexpected-response", (_request, response) => refusalIn(response, asked).then(reject, reject));
  socket.on("error", reject);
  socket.on("close", () => reject(new Error("the connection ended before the command did")));
  return promise;
}

function attempt(act: () => void, onError: (error: unknown) => void): void {
  try {
    act();
  } catch (error) {
    onError(error);
  }
}

/** Throws where the command could not be started at all. */
function exitCodeIn(message: Buffer, asked: Asked): number {
  const status = JSON.parse(message.toString()) as V1Status;
  if (status.status === "Success") {
    return 0;
  }
  const exitCode = status.details?.causes?.find(({ reason }) => reason === "ExitCode")?.message;
  if (exitCode === undefined) {
    throw refusalError(asked, { status: status.code ?? 500, body: message.toString() });
  }
  return Number(exitCode);
}

async function refusalIn(response: IncomingMessage, asked: Asked): Promise<ActionError> {
  const { statusCode: status = 500, headers } = response;
  return notOpenedError(asked, { status, body: await text(response), retryAfter: headers["retry-after"] });
}

/** The API server checks `create` and, for a WebSocket, `get`; where `create` is missing it does not say so. */
function askedOf({ namespace, name }: Pod): Asked {
  return { verb: "create", apiGroup: "", resource: "pods/exec", namespace, name, aboutTarget: true };
}

/** Each argument travels as a parameter of its own: no shell comes near it. */
function urlOf(server: string, { namespace, name }: Pod, { container, command }: ExecOptions): URL {
  const url = new URL(`${server.replace(/^http/, "ws")}/api/v1/namespaces/${namespace}/pods/${name}/exec`);
  url.search = new URLSearchParams([
    ["container", container],
    ["stdout", "true"],
    ["stderr", "true"],
    ...command.map((argument) => ["command", argument]),
  ]).toString();
  return url;
}

/** Keeps a copy of the first bytes and drops the rest: a view of a message would keep all of it, and an endless one everything. */
class BoundedText {
  readonly #bytes: Buffer;
  #length = 0;
  truncated = false;

  constructor(limit: number) {
    this.#bytes = Buffer.alloc(limit);
  }

  add(part: Buffer): void {
    const copied = part.copy(this.#bytes, this.#length);
    this.#length += copied;
    this.truncated ||= copied < part.length;
  }

  /** Without the piece of a character that the limit cut. */
  toString(): string {
    return new TextDecoder().decode(this.#bytes.subarray(0, this.#length), { stream: this.truncated });
  }
}
