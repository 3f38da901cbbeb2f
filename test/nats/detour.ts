import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";

/** The way to a server, of which the test has the say; closed with it. */
export interface Detour {
  readonly url: string;
  /** Connections end, and new ones are refused. */
  block(): void;
  /** Nothing comes through, nor gets lost. */
  stall(): void;
  /** Everything comes through again, what was stalled first. */
  open(): void;
  /** Resolves when somebody connects next. */
  visited(): Promise<void>;
}

/** `delayMs`: before anything comes through a new connection. */
export async function detourTo(url: string, { delayMs = 0 } = {}): Promise<Detour> {
  const sockets = new Set<Socket>();
  let state: "open" | "blocked" | "stalled" = "open";
  let visit = Promise.withResolvers<void>();

  const track = (socket: Socket) => {
    sockets.add(socket);
    return socket.on("error", () => socket.destroy()).on("close", () => sockets.delete(socket));
  };
  const join = async (near: Socket) => {
    await sleep(delayMs);
    const far = track(connect(Number(new URL(url).port), "127.0.0.1"));
    near.pipe(far).pipe(near);
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
    if (state === "stalled") {
      near.pause();
      far.pause();
    }
  };
  const server = createServer((near) => {
    visit.resolve();
    visit = Promise.withResolvers();
    track(near);
    if (state === "blocked") {
      near.destroy();
    } else {
      void join(near);
    }
  });
  const block = () => {
    state = "blocked";
    for (const socket of sockets) {
      socket.destroy();
    }
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    block();
    server.close();
  });

  return {
    url: `nats://127.0.0.1:${(server.address() as AddressInfo).port}`,
    block,
    stall() {
      state = "stalled";
      for (const socket of sockets) {
        socket.pause();
      }
    },
    open() {
      state = "open";
      for (const socket of sockets) {
        socket.resume();
      }
    },
    visited: () => visit.promise,
  };
}
