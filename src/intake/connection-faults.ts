import type { Duplex } from "node:stream";
import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { errorBody, type Refusal, type Refusals } from "./refusal.ts";

/**
 * What node:http gives up on before there is a request to answer: timeouts, what is not HTTP, a sender that leaves. Each is
 * counted, told to the sender where it can still be told, and its connection ends.
 */
export function createFaultHandler(refusals: Refusals): (error: NodeJS.ErrnoException, socket: Duplex) => void {
  return (error, socket) => {
    const { bytesWritten, remoteAddress } = socket as Socket;
    const refusal = refusalFor(error.code ?? "");
    if (refusal !== undefined) {
      refusals.broken(socket, refusal, { remote: remoteAddress });
    }
    if (refusal !== undefined && speaksHttp(error) && socket.writable && bytesWritten === 0) {
      socket.write(rawAnswer(refusal));
    }
    socket.destroy();
  };
}

const timedOut: Refusal = {
  status: 408,
  reason: "timeout",
  expected: "the whole request without delay",
  message: "the request took too long",
};

const headersTooLarge: Refusal = {
  status: 431,
  reason: "too_large",
  expected: "at most 16 KiB of headers",
  message: "the request's headers are too large",
};

const cutShort: Refusal = {
  status: 400,
  reason: "aborted",
  expected: "a whole request",
  message: "the connection ended before the request did",
};

const notHttp: Refusal = {
  status: 400,
  reason: "not_http",
  expected: "an HTTP/1.1 request",
  message: "the request is not HTTP",
};

const notTls: Refusal = {
  status: 400,
  reason: "not_http",
  expected: "HTTP over TLS 1.2 or later",
  message: "the connection is not TLS",
};

const known: Readonly<Record<string, Refusal>> = {
  ERR_HTTP_REQUEST_TIMEOUT: timedOut,
  ERR_TLS_HANDSHAKE_TIMEOUT: timedOut,
  HPE_HEADER_OVERFLOW: headersTooLarge,
  HPE_INVALID_EOF_STATE: cutShort,
};

/** Undefined for a connection that only broke (ECONNRESET): whoever was reading from it says so. */
function refusalFor(code: string): Refusal | undefined {
  if (code.startsWith("ERR_SSL_")) {
    return notTls;
  }
  return known[code] ?? (code.startsWith("HPE_") ? notHttp : undefined);
}

function speaksHttp({ code = "" }: NodeJS.ErrnoException): boolean {
  return code.startsWith("HPE_") || code === "ERR_HTTP_REQUEST_TIMEOUT";
}

function rawAnswer(refusal: Refusal): string {
  const body = JSON.stringify(errorBody(refusal));
  const lines = [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
    "Connection: close",
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}
