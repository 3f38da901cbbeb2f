import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Relay extends AsyncDisposable {
  readonly url: string;
  /** How many of its clients' connections are open and wait for the server: they have sent since it last did. */
  waiting(): number;
}

/** Stands between clients and a server on this machine, passes on all bytes as they are and sees who waits. */
export async function relayTo(target: string): Promise<Relay> {
  const { hostname, port } = new URL(target);
  const waiting = new Set<Socket>();
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const onward = connect({ host: hostname, port: Number(port) });
    open.add(client).add(onward);
    client.on("data", () => waiting.add(client)).pipe(onward);
    onward.on("data", () => waiting.delete(client)).pipe(client);
    for (const [one, other] of [
      [client, onward],
      [onward, client],
    ] as const) {
      one.on("error", () => other.destroy()).once("close", () => other.destroy());
    }
    client.once("close", () => waiting.delete(client));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    waiting: () => waiting.size,
    async [Symbol.asyncDispose]() {
      open.forEach((socket) => void socket.destroy());
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
