import { type AddressInfo, createConnection, type Socket } from "node:net";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { Worker } from "node:worker_threads";

export interface BlackHole extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
}

/** Listens with room for one that waits, and then never accepts anybody: its thread stands still. */
const listener = `
  const { workerData, parentPort } = require("node:worker_threads");
  const server = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    parentPort.postMessage(server.address());
    Atomics.wait(new Int32Array(workerData), 0, 0);
    process.exit();
  });
`;

/** An address that swallows what is sent to it: no connection to it comes about, and none is refused. */
export async function blackHole(): Promise<BlackHole> {
  const stop = new SharedArrayBuffer(4);
  const worker = new Worker(listener, { eval: true, workerData: stop });
  const address = await new Promise<AddressInfo>((resolve) => worker.once("message", resolve));
  const filling = await fill(address.port);
  return {
    url: `http://127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of filling) {
        socket.destroy();
      }
      const ended = new Promise((resolve) => worker.once("exit", resolve));
      Atomics.store(new Int32Array(stop), 0, 1);
      Atomics.notify(new Int32Array(stop), 0);
      await ended;
    },
  };
}

/** Connects until the kernel has no more room for those that nobody accepts. */
async function fill(port: number): Promise<readonly Socket[]> {
  const sockets: Socket[] = [];
  for (;;) {
    const socket = createConnection({ host: "127.0.0.1", port }).on("error", () => undefined);
    sockets.push(socket);
    const connected = new Promise<boolean>((resolve) => socket.once("connect", () => resolve(true)));
    // After a standstill of this process the time is over before it has looked whether it is connected: hence the turn.
    if (!(await Promise.race([connected, sleep(500).then(() => turn(false))]))) {
      return sockets;
    }
  }
}
