import { createServer as createHttpServer, type IncomingHttpHeaders } from "node:http";
import { createSecureServer, createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Server, Socket } from "node:net";
import { bytesIn, decodeMessage, messagesIn, numberIn, textIn, type WireMessage } from "./protobuf.ts";

type Attributes = Readonly<Record<string, string | boolean | number>>;

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentId: string;
  readonly name: string;
  readonly kind: "internal" | "server" | "client" | "other";
  /** Milliseconds. */
  readonly start: number;
  readonly end: number;
  readonly attributes: Attributes;
  readonly events: readonly { readonly name: string; readonly attributes: Attributes }[];
  readonly links: readonly {
    readonly traceId: string;
    readonly spanId: string;
    readonly state: string;
    readonly attributes: Attributes;
  }[];
  readonly failed: boolean;
  readonly message: string;
  readonly resource: Attributes;
}

export interface OtlpReceiver extends AsyncDisposable {
  readonly port: number;
  readonly spans: readonly ReceivedSpan[];
  /** Names of metrics, and who told them. */
  readonly metrics: readonly { readonly name: string; readonly resource: Attributes }[];
  readonly requests: readonly { readonly path: string; readonly authorization: string | undefined }[];
  /** What it does with deliveries from now on. */
  behave(manner: Manner): void;
}

export type Manner = "takes" | "hangs" | "refuses";

export interface ReceiverOptions {
  readonly protocol: "grpc" | "http";
  /** 0 for a free one. */
  readonly port?: number;
  /** PEM. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** A collector: OTLP over gRPC or over HTTP, in protobuf. */
export async function otlpReceiver({ protocol, tls, port = 0 }: ReceiverOptions): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const metrics: { name: string; resource: Attributes }[] = [];
  const requests: { path: string; authorization: string | undefined }[] = [];
  let manner: Manner = "takes";
  const take: Take = (path, headers, body) => {
    requests.push({ path, authorization: headers.authorization });
    if (manner === "takes") {
      spans.push(...(/trace/i.test(path) ? spansIn(decodeMessage(body)) : []));
      metrics.push(...(/metrics/i.test(path) ? metricsIn(decodeMessage(body)) : []));
    }
    return manner;
  };
  const server = protocol === "grpc" ? grpcServer(take, tls) : httpServer(take, tls);
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    spans,
    metrics,
    requests,
    behave(next) {
      manner = next;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) {
        socket.destroy();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type Take = (path: string, headers: IncomingHttpHeaders, body: Buffer) => Manner;

function httpServer(take: Take, tls: ReceiverOptions["tls"]): Server {
  const server = tls === undefined ? createHttpServer() : createHttpsServer(tls);
  return server.on("request", async (request, response) => {
    const body = Buffer.concat(await request.toArray().catch(() => []));
    switch (take(request.url ?? "", request.headers, body)) {
      case "takes":
        return void response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
      case "refuses":
        return void response.writeHead(400).end("no");
      case "hangs":
    }
  });
}

/** A message comes behind a flag and its length; the status goes in the trailers. */
function grpcServer(take: Take, tls: ReceiverOptions["tls"]): Server {
  const server = tls === undefined ? createHttp2Server() : createSecureServer({ ...tls, allowHTTP1: false });
  return server.on("stream", async (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => undefined);
    const framed = Buffer.concat(await stream.toArray().catch(() => []));
    const manner = take(headers[":path"] ?? "", headers, framed.subarray(5));
    if (manner === "hangs" || stream.destroyed) {
      return;
    }
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": manner === "takes" ? "0" : "3" }));
    stream.end(manner === "takes" ? Buffer.alloc(5) : undefined);
  }) as unknown as Server;
}

const kinds: Readonly<Record<string, ReceivedSpan["kind"]>> = { 1: "internal", 2: "server", 3: "client" };

function spansIn(request: WireMessage): ReceivedSpan[] {
  return messagesIn(request, 1).flatMap((resourceSpans) => {
    const resource = attributesIn(messagesIn(resourceSpans, 1)[0], 1);
    const found = messagesIn(resourceSpans, 2).flatMap((scope) => messagesIn(scope, 2));
    return found.map((span) => spanIn(span, resource));
  });
}

function spanIn(span: WireMessage, resource: Attributes): ReceivedSpan {
  const status = messagesIn(span, 15)[0];
  return {
    traceId: bytesIn(span, 1).toString("hex"),
    spanId: bytesIn(span, 2).toString("hex"),
    parentId: bytesIn(span, 4).toString("hex"),
    name: textIn(span, 5),
    kind: kinds[String(numberIn(span, 6))] ?? "other",
    start: Number(numberIn(span, 7)) / 1e6,
    end: Number(numberIn(span, 8)) / 1e6,
    attributes: attributesIn(span, 9),
    events: messagesIn(span, 11).map((event) => ({ name: textIn(event, 2), attributes: attributesIn(event, 3) })),
    links: messagesIn(span, 13).map((link) => ({
      traceId: bytesIn(link, 1).toString("hex"),
      spanId: bytesIn(link, 2).toString("hex"),
      state: textIn(link, 3),
      attributes: attributesIn(link, 4),
    })),
    failed: numberIn(status, 3) === 2n,
    message: textIn(status, 2),
    resource,
  };
}

function metricsIn(request: WireMessage): { name: string; resource: Attributes }[] {
  return messagesIn(request, 1).flatMap((resourceMetrics) => {
    const resource = attributesIn(messagesIn(resourceMetrics, 1)[0], 1);
    const found = messagesIn(resourceMetrics, 2).flatMap((scope) => messagesIn(scope, 2));
    return found.map((metric) => ({ name: textIn(metric, 1), resource }));
  });
}

function attributesIn(message: WireMessage | undefined, number: number): Attributes {
  return Object.fromEntries(
    messagesIn(message, number).map((pair) => [textIn(pair, 1), valueIn(messagesIn(pair, 2)[0])] as const),
  );
}

function valueIn(value: WireMessage | undefined): string | boolean | number {
  if (value?.has(2)) {
    return numberIn(value, 2) === 1n;
  }
  return value?.has(3) ? Number(numberIn(value, 3)) : textIn(value, 1);
}
