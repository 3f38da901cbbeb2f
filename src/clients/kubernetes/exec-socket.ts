import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { V1Status } from "@kubernetes/client-node";
import WebSocket, { type ClientOptions } from "ws";
import { ActionError } from "../../catalogue/errors.ts";
import { type Asked, lostError, notOpenedError, refusalError } from "./errors.ts";
import { type CommandEnding, CommandNotStarted } from "./port.ts";

/** Only the first can say that standard input ends. API servers before 1.30 do not speak it. */
const protocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"] as const;
/** The first byte of each message says which stream the rest belongs to. */
const channels = { stdin: 0, stdout: 1, stderr: 2, status: 3, close: 255 };
/** Well above what nodes send at once. */
const maxMessageBytes = 4 * 1024 * 1024;
const inputMessageBytes = 32 * 1024;

/** One command in one container. */
export interface Order {
  readonly asked: Asked;
  readonly url: URL;
  /** Undefined where the URL asks for no standard input. */
  readonly stdin: string | undefined;
  readonly maxErrorBytes: number;
}

export interface Ending extends CommandEnding {
  /** Standard error was longer. */
  readonly truncated: boolean;
}

/** The output, which flows no faster than it is read. The socket ends with the reading, at the latest with the signal. */
export async function* converse(
  order: Order,
  options: ClientOptions,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, Ending> {
  if (signal.aborted) {
    throw lostError(order.asked, signal.reason, signal);
  }
  const socket = new WebSocket(order.url, [...protocols], {
    ...options,
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
  });
  const abort = () => socket.terminate();
  signal.addEventListener("abort", abort, { once: true });
  try {
    const listener = new Listener(socket, order);
    yield* listener.stdout;
    return listener.ending;
  } catch (error) {
    throw error instanceof ActionError ? error : lostError(order.asked, error, signal);
  } finally {
    signal.removeEventListener("abort", abort);
    socket.terminate();
  }
}

/** Sorts what comes by its channel. The output ends when the exit code has come, and breaks where the connection ends before. */
class Listener {
  readonly stdout: Readable;
  readonly #socket: WebSocket;
  readonly #asked: Asked;
  readonly #stderr: BoundedText;
  #exitCode: number | undefined;

  constructor(socket: WebSocket, { asked, stdin, maxErrorBytes }: Order) {
    this.#socket = socket;
    this.#asked = asked;
    this.#stderr = new BoundedText(maxErrorBytes);
    this.stdout = new Readable({ read: () => socket.resume() });
    const fail = (error: unknown) => void this.stdout.destroy(error as Error);

    socket.on("open", () => (stdin === undefined ? undefined : sendInput(socket, stdin)));
    socket.on("message", (data: Buffer) => attempt(() => this.#hear(data), fail));
    socket.on("unexpected-response", (_request, response) => refusalIn(response, asked).then(fail, fail));
    socket.on("error", fail);
    socket.on("close", () => {
      if (this.#exitCode === undefined) {
        fail(new Error("the connection ended before the command did"));
      }
    });
  }

  /** Once the output has ended. */
  get ending(): Ending {
    return {
      exitCode: this.#exitCode ?? 0,
      stderr: this.#stderr.toString(),
      truncated: this.#stderr.truncated,
    };
  }

  #hear(data: Buffer): void {
    if (this.#exitCode !== undefined) {
      return;
    }
    const rest = data.subarray(1);
    switch (data[0]) {
      case channels.stdout:
        if (!this.stdout.push(rest)) {
          this.#socket.pause();
        }
        break;
      case channels.stderr:
        this.#stderr.add(rest);
        break;
      case channels.status:
        this.#exitCode = exitCodeIn(rest, this.#asked);
        this.stdout.push(null);
        break;
    }
  }
}

function attempt(act: () => void, onError: (error: unknown) => void): void {
  try {
    act();
  } catch (error) {
    onError(error);
  }
}

function sendInput(socket: WebSocket, stdin: string): void {
  const bytes = Buffer.from(stdin);
  for (let start = 0; start < bytes.length; start += inputMessageBytes) {
    const part = bytes.subarray(start, start + inputMessageBytes);
    socket.send(Buffer.concat([Buffer.of(channels.stdin), part]));
  }
  if (socket.protocol === protocols[0]) {
    socket.send(Buffer.of(channels.close, channels.stdin));
  }
}

/** Throws where the command could not be started at all. */
function exitCodeIn(message: Buffer, asked: Asked): number {
  const status = JSON.parse(message.toString()) as V1Status;
  if (status.status === "Success") {
    return 0;
  }
  const exitCode = status.details?.causes?.find(({ reason }) => reason === "ExitCode")?.message;
  if (exitCode !== undefined) {
    return Number(exitCode);
  }
  const refusal = refusalError(asked, { status: status.code ?? 500, body: message.toString() });
  // Not `unavailable`, as a 500 would be: a program that is not there does not come by asking again.
  throw saysNode(status) ? new CommandNotStarted("internal", refusal.message) : refusal;
}

/**
 * The runtime on the node refused; else the API server did not reach the node. Both are a 500 without a reason of its own: these
 * words, which come from the one library that every runtime uses, are all that tells them apart.
 */
function saysNode({ message = "" }: V1Status): boolean {
  return message.includes("error executing command in container");
}

async function refusalIn(response: IncomingMessage, asked: Asked): Promise<ActionError> {
  const { statusCode: status = 500, headers } = response;
  return notOpenedError(asked, { status, body: await text(response), retryAfter: headers["retry-after"] });
}

/** Keeps a copy of the first bytes and drops the rest: a view of a message would keep all of it, and an endless one everything. */
export class BoundedText {
  readonly #bytes: Buffer;
  #length = 0;
  truncated = false;

  constructor(limit: number) {
    this.#bytes = Buffer.alloc(limit);
  }

  add(part: Uint8Array): void {
    const copied = Math.min(part.length, this.#bytes.length - this.#length);
    this.#bytes.set(part.subarray(0, copied), this.#length);
    this.#length += copied;
    this.truncated ||= copied < part.length;
  }

  /** Without the piece of a character that the limit cut. */
  toString(): string {
    return new TextDecoder().decode(this.#bytes.subarray(0, this.#length), { stream: this.truncated });
  }
}
