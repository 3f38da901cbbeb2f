import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/**
 * Ends a server without losing a request: no new connections, idle ones end at once, the others with their next answer
 * (which says so); what is left after the grace period is cut.
 */
export function createDrain(server: Server): (graceMs: number) => Promise<void> {
  const sockets = new Set<Socket>();
  const inFlight = new Set<ServerResponse>();
  let closing = false;

  function track(_request: IncomingMessage, response: ServerResponse): void {
    response.shouldKeepAlive &&= !closing;
    inFlight.add(response);
    response.once("close", () => inFlight.delete(response));
  }

  server.on("request", track);
  server.on("checkContinue", track);
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });

  return async (graceMs) => {
    closing = true;
    for (const response of inFlight) {
      response.shouldKeepAlive = false;
    }
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    server.close(() => resolve());
    const cut = setTimeout(() => sockets.forEach((socket) => void socket.destroy()), graceMs);
    await closed;
    clearTimeout(cut);
  };
}
