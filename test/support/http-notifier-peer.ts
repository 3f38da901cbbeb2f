import { createServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { certificates, type Manner, type NotifierPeer } from "./notifier-contract.ts";

/** A service that takes notifications by HTTP. */
export async function httpNotifierPeer(manner: Manner): Promise<NotifierPeer> {
  const received: string[] = [];
  const listener: RequestListener = async (message, response) => {
    const parts = await message.toArray().catch(() => []);
    const { method, url, rawHeaders } = message;
    const request = [`${method} ${url}`, rawHeaders.join("\n"), Buffer.concat(parts).toString()].join("\n");
    received.push(request);
    answers[manner](response, request);
  };
  const server = manner === "encrypts" ? createTlsServer(certificates, listener) : createServer(listener);
  let connections = 0;
  server.on("connection", (socket) => {
    connections += 1;
    socket.once("close", () => {
      connections -= 1;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    received,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const answers: Readonly<Record<Manner, (response: Parameters<RequestListener>[1], request: string) => void>> = {
  accepts: (response) => response.end("ok"),
  encrypts: (response) => response.end("ok"),
  hangs: () => undefined,
  throttles: (response) => response.writeHead(429, { "retry-after": "7" }).end("slow down"),
  fails: (response, request) => response.writeHead(500).end(request),
};
