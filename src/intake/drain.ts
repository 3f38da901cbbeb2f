import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { createSlots } from "./slots.ts";

export interface Drain {
  /**
   * Ends a server without losing a request: no new connections, idle ones end at once, the others with their next answer
   * (which says so); what is left after the grace period is cut.
   */
  close(graceMs: number): Promise<void>;
  /** Ends the connections that are open in the same way, those that are ready for requests only within so long, too; takes new ones. */
  renew(handshakeMs: number): void;
}

export function createDrain(server: Server): Drain {
  const sockets = createSlots<Socket>();
  const inFlight = createSlots<ServerResponse>();
  /** When a connection was ready for requests. */
  const readyAt = new WeakMap<Socket, number>();
  /** Those ready before end with their next answer. */
  let keptFrom = 0;
  let closing = false;

  function track({ socket }: IncomingMessage, response: ServerResponse): void {
    response.shouldKeepAlive &&= !closing && (readyAt.get(socket) ?? 0) >= keptFrom;
    response.once("close", inFlight.take(response));
  }

  server.on("request", track);
  server.on("checkContinue", track);
  server.on("connection", (socket) => {
    socket.once("close", sockets.take(socket));
  });
  for (const ready of ["connection", "secureConnection"]) {
    server.on(ready, (socket: Socket) => void readyAt.set(socket, performance.now()));
  }

  function endWithAnswer(): void {
    for (const response of inFlight.items()) {
      response.shouldKeepAlive = false;
    }
  }

  return {
    async close(graceMs) {
      closing = true;
      endWithAnswer();
      const { promise: closed, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      const cut = setTimeout(() => sockets.items().forEach((socket) => void socket.destroy()), graceMs);
      await closed;
      clearTimeout(cut);
    },
    renew(handshakeMs) {
      keptFrom = performance.now() + handshakeMs;
      endWithAnswer();
      server.closeIdleConnections();
    },
  };
}
