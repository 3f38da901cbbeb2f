import { type IncomingMessage, type Server, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { badRequest, unknownPath } from "./errors.ts";
import { type Executor, executionOf } from "./exec.ts";
import { addressOf } from "./request.ts";
import { apiErrorOf, type Context, route, struck, urlOf, userOf } from "./server.ts";

/** From the newest: what kubectl and client-node offer. */
const protocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

/** What a WebSocket exec needs: `get` for its method and, since Kubernetes 1.35, `create` for what it does. */
const permissions = ["get", "create"];

/** Answers upgrades to WebSocket: exec. */
export class Upgrades {
  readonly #context: Context;
  readonly #executor: Executor;
  readonly #sockets = new Set<Duplex>();
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => protocols.find((protocol) => offered.has(protocol)) ?? false,
  });

  constructor(server: Server, context: Context, executor: Executor) {
    this.#context = context;
    this.#executor = executor;
    server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      socket.on("error", () => socket.destroy());
      this.#upgrade(request, socket, head).catch((error: unknown) => refuse(socket, error));
    });
  }

  close(): void {
    this.#webSockets.close();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const url = urlOf(request);
    const user = userOf(this.#context, request);
    const address = addressOf(url.pathname);
    if (address?.subresource !== "exec") {
      throw unknownPath();
    }
    const routed = route(request, { url, address, user, body: Buffer.alloc(0) });
    for (const verb of permissions) {
      const asked = { ...routed.request, verb };
      this.#context.record(asked);
      if (await struck(this.#context, asked, socket)) {
        return;
      }
    }
    const execution = executionOf(this.#context.store, routed);
    if (!protocolsOf(request).some((offered) => protocols.includes(offered))) {
      throw badRequest(`unable to upgrade: the playground speaks ${protocols.join(" and ")}`);
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket: WebSocket) =>
      this.#executor.run(execution, webSocket),
    );
  }
}

function protocolsOf(request: IncomingMessage): readonly string[] {
  return (request.headers["sec-websocket-protocol"] ?? "").split(",").map((protocol) => protocol.trim());
}

function refuse(socket: Duplex, error: unknown): void {
  const { code, status } = apiErrorOf(error);
  const body = JSON.stringify(status);
  const head = [
    `HTTP/1.1 ${code} ${STATUS_CODES[code] ?? ""}`,
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}
