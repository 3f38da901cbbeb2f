import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { createSlots } from "./slots.ts";

/**
 * Ends a server without losing a request: no new connections, idle ones end at once, the others with their next answer
 * (which says so); what is left after the grace period is cut.
 */
export function createDrain(server: Server): (graceMs: number) => Promise<void> {
  const sockets = createSlots<Socket>();
  const inFlight = createSlots<ServerResponse>();
  let closing = false;

  function track(_request: IncomingMessage, response: ServerResponse): void {
    response.shouldKeepAlive &&= !closing;
    response.once("close", inFlight.take(response));
  }

  server.on("request", track);
  server.on("checkContinue", track);
  server.on("connection", (socket) => {
    socket.once("close", sockets.take(socket));
  });

  return async (graceMs) => {
    closing = true;
    for (const response of inFlight.items()) {
      response.shouldKeepAlive = false;
    }
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    server.close(() => resolve());
    const cut = setTimeout(() => sockets.items().forEach((socket) => void socket.destroy()), graceMs);
    await closed;
    clearTimeout(cut);
  };
}
