import { type ClientRequest, Agent as PlainAgent } from "node:http";
import { Agent } from "node:https";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { markUntil, unsent } from "../catalogue/http.ts";

/** Longer a connection does not take, whoever waits for it. */
export const connectMs = 10_000;

/** Of a new socket: bounds the time until it is ready to send, and marks what goes wrong before that (`neverSent`). */
export function watchConnecting(socket: Socket): void {
  const ready = socket instanceof TLSSocket ? "secureConnect" : "connect";
  const timer = setTimeout(() => socket.destroy(new Error(`no connection within ${connectMs / 1000} s`)), connectMs);
  for (const event of [ready, "close"]) {
    socket.once(event, () => clearTimeout(timer));
  }
  markUntil(ready, socket);
}

/** Ends a request that has a connection of its own, and not one through a proxy: that would be ready from the start. */
export function endWatched(request: ClientRequest): void {
  request.once("socket", watchConnecting);
  request.prependOnceListener("error", (error) => {
    // A key that is not its certificate's: there is not even a socket.
    if (request.socket === null) {
      unsent(error);
    }
  });
  request.end();
}

/**
 * Shorter than any service keeps an unused connection: of a call that is sent on one just when the service ends it nobody knows
 * whether it was begun.
 */
export const idleMs = 4000;

/** Keeps connections for the calls that follow, and watches each while it is made. */
export class WatchingAgent extends Agent {
  constructor({ maxSockets }: { readonly maxSockets: number }) {
    super({ keepAlive: true, maxSockets, timeout: idleMs });
  }

  override createConnection(...call: Parameters<Agent["createConnection"]>): Duplex | null | undefined {
    const socket = super.createConnection(...call);
    if (socket instanceof TLSSocket) {
      watchConnecting(socket);
    }
    return socket;
  }
}

/** The same for connections without TLS. */
export class WatchingPlainAgent extends PlainAgent {
  constructor({ maxSockets }: { readonly maxSockets: number }) {
    super({ keepAlive: true, maxSockets, timeout: idleMs });
  }

  override createConnection(...call: Parameters<PlainAgent["createConnection"]>): Duplex | null | undefined {
    const socket = super.createConnection(...call);
    if (socket instanceof Socket) {
      watchConnecting(socket);
    }
    return socket;
  }
}
