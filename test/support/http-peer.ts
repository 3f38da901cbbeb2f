import { createServer, type IncomingHttpHeaders, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface HttpPeer extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly requests: readonly SeenRequest[];
}

/** Another service, for real: a server on a port of its own that keeps what it was sent. An answer that never ends hangs. */
export async function httpPeer(answer: (request: SeenRequest, response: ServerResponse) => void): Promise<HttpPeer> {
  const requests: SeenRequest[] = [];
  const listener: RequestListener = async (message, response) => {
    const parts = await message.toArray().catch(() => []);
    const { method = "", url = "", headers } = message;
    const request = { method, url, headers, body: Buffer.concat(parts).toString() };
    requests.push(request);
    answer(request, response);
  };
  const server = createServer(listener).listen(0, "127.0.0.1");
  // A kept connection that is ended just when it is used again would be a fault that nobody asked for.
  server.keepAliveTimeout = 600_000;
  await new Promise((resolve) => server.once("listening", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function hang(): void {}
