import type { ServerResponse } from "node:http";

export type Headers = Readonly<Record<string, string>>;

export function answer(response: ServerResponse, status: number, body: object, headers: Headers = {}): void {
  const text = `${JSON.stringify(body)}\n`;
  const length = Buffer.byteLength(text);
  response.writeHead(status, { "content-type": "application/json", "content-length": length, ...headers });
  response.end(text);
}
