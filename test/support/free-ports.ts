import { randomInt } from "node:crypto";
import { createServer, type Server } from "node:net";

/**
 * On which nobody listens, for programs that can't say which port they were given. Below those that the system gives to clients: one of
 * them would take it before the program does. Chosen at random, for other tests look for some at the same time.
 */
export async function freePorts(count: number): Promise<number[]> {
  const held: Server[] = [];
  while (held.length < count) {
    held.push(...(await listening(randomInt(10_000, 32_000))));
  }
  const ports = held.map((server) => (server.address() as { readonly port: number }).port);
  await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

/** None where the port is taken. */
async function listening(port: number): Promise<readonly Server[]> {
  const server = createServer();
  const isFree = await new Promise((resolve) => {
    server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
  });
  return isFree ? [server] : [];
}

/** Where no connection comes about: each is refused. */
export async function nobodysUrl(): Promise<string> {
  return `http://127.0.0.1:${await freePort()}`;
}
