import { createHash } from "node:crypto";
import { once } from "node:events";
import { describe, expect, it, onTestFinished } from "vitest";
import type { WebSocket } from "ws";
import { ActionError, TargetGone } from "../../src/catalogue/errors.ts";
import { createKubernetes, type KubernetesClients } from "../../src/clients/kubernetes/adapter.ts";
import { CommandNotStarted, type ExecStream, type Pod } from "../../src/clients/kubernetes/port.ts";
import { eventually, useCluster } from "../support/cluster.ts";
import { execServer, olderApiServer } from "../support/exec-server.ts";
import { kubeconfigVia } from "../support/fault-proxy.ts";

const cluster = await useCluster();
const namespace = await cluster.namespace();
const { real, dryRun } = cluster.kubernetes;
const container = "main";
const mebibyte = 1024 * 1024;
const elsewhere = { namespace: "shop", name: "cart-1" } as Pod;

function inTime(ms = 60_000): AbortSignal {
  return AbortSignal.timeout(ms);
}

async function newPod(): Promise<Pod> {
  const { metadata } = await cluster.pod(namespace);
  return real.getPod({ kind: "pod", namespace, name: metadata?.name ?? "", uid: metadata?.uid }, inTime());
}

function clientOf(kubeconfig: string): KubernetesClients {
  const kubernetes = createKubernetes({ kubeconfig: { from: "text", text: kubeconfig } });
  onTestFinished(() => kubernetes.close());
  return kubernetes;
}

/** The stream of a command on an API server that converses so. */
async function streamFrom(converse: (socket: WebSocket) => void, signal = inTime()): Promise<ExecStream> {
  const kubernetes = clientOf(kubeconfigVia(cluster.kubeconfig, await execServer(converse)));
  return kubernetes.real.execStream(elsewhere, { container, command: ["cat"] }, signal);
}

async function readAll({ stdout }: Pick<ExecStream, "stdout">): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(stdout));
}

async function thrownBy(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => new Error("nothing was thrown"),
    (error: unknown) => error,
  );
}

function sendStdout(socket: WebSocket, data: Uint8Array): Promise<void> {
  return new Promise((resolve) => socket.send(Buffer.concat([Buffer.of(1), data]), () => resolve()));
}

function sendSuccess(socket: WebSocket): void {
  socket.send(Buffer.from('\u0003{"status":"Success"}'));
}

describe("a stream of what a command writes", () => {
  it("holds every byte as it is, then the exit code and what was said", async () => {
    const pod = await newPod();
    const octal = Array.from({ length: 256 }, (_, byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
    const command = ["sh", "-c", `printf '${octal}'; echo oops >&2; exit 3`];

    const stream = real.execStream(pod, { container, command }, inTime());
    const bytes = await readAll(stream);

    expect(bytes).toEqual(Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)));
    expect(await stream.ended).toMatchObject({ exitCode: 3, stderr: "oops\n" });
  });

  it("holds 40 MB without a byte lost, though it is read slowly", async () => {
    const pod = await newPod();
    const command = ["sh", "-c", "dd if=/dev/zero bs=65536 count=640 2>/dev/null | tr '\\0' 'x'; sleep 0.2; echo end"];
    const hash = createHash("sha256");
    let bytes = 0;

    for await (const chunk of real.execStream(pod, { container, command }, inTime()).stdout) {
      hash.update(chunk);
      bytes += chunk.byteLength;
      await new Promise((resolve) => setImmediate(resolve));
    }

    const expected = createHash("sha256")
      .update("x".repeat(640 * 65_536))
      .update("end\n")
      .digest("hex");
    expect(bytes).toBe(640 * 65_536 + 4);
    expect(hash.digest("hex")).toBe(expected);
  });

  it("flows no faster than it is read", async () => {
    let sent = 0;
    const connected = Promise.withResolvers<WebSocket>();
    const stream = await streamFrom(async (socket) => {
      connected.resolve(socket);
      while (socket.readyState === socket.OPEN && sent < 256) {
        await sendStdout(socket, Buffer.alloc(mebibyte, 1));
        sent += 1;
      }
    });
    const chunks = stream.stdout[Symbol.asyncIterator]();

    await chunks.next();
    const socket = await connected.promise;
    const stalled = await eventually(async () => {
      const before = sent;
      await new Promise((resolve) => setTimeout(resolve, 300));
      return sent === before && sent > 0 && sent;
    });
    await chunks.return?.();

    // What the kernel's buffers take on both sides, and a few messages on the way.
    expect(stalled).toBeLessThan(64);
    await (socket.readyState === socket.CLOSED || once(socket, "close"));
  });

  it("goes on where it was when it is read again", async () => {
    const stream = await streamFrom(async (socket) => {
      for (let byte = 0; byte < 32; byte++) {
        await sendStdout(socket, Buffer.alloc(mebibyte, byte));
      }
      sendSuccess(socket);
      socket.close(1000);
    });
    const seen: number[] = [];
    let bytes = 0;

    for await (const chunk of stream.stdout) {
      if (seen.at(-1) !== chunk[0]) {
        seen.push(chunk[0] ?? -1);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      bytes += chunk.byteLength;
    }

    expect(bytes).toBe(32 * mebibyte);
    expect(seen).toEqual(Array.from({ length: 32 }, (_, byte) => byte));
    expect(await stream.ended).toMatchObject({ exitCode: 0 });
  });

  it("begins when it is first read", async () => {
    const pod = await newPod();
    const touch = real.execStream(pod, { container, command: ["touch", "begun"] }, inTime());
    const look = { container, command: ["test", "-e", "begun"], maxOutputBytes: 100 };

    const before = await real.exec(pod, look, inTime());
    await readAll(touch);
    const after = await real.exec(pod, look, inTime());

    expect([before.exitCode, after.exitCode]).toEqual([1, 0]);
  });

  it("ends the connection, and with it the command, when it is not read to its end", async () => {
    const closed = Promise.withResolvers<number>();
    const stream = await streamFrom((socket) => {
      socket.once("close", closed.resolve);
      void sendStdout(socket, Buffer.from("some"));
    });

    for await (const _ of stream.stdout) {
      break;
    }

    expect(await closed.promise).toBe(1006);
    expect(await thrownBy(stream.ended)).toMatchObject({ code: "cancelled" });
  });

  it.each([
    ["that it took too long", new DOMException("", "TimeoutError"), { code: "timeout" }],
    [
      "the reason for which it was ended",
      new ActionError("interrupted", "Hallux stops"),
      { code: "interrupted", message: "Hallux stops" },
    ],
  ])("says %s, and closes the socket, also where more is waiting to be read", async (_what, reason, expected) => {
    const closed = Promise.withResolvers<number>();
    const ending = new AbortController();
    const stream = await streamFrom((socket) => {
      socket.once("close", closed.resolve);
      void sendStdout(socket, Buffer.alloc(mebibyte));
    }, ending.signal);
    const chunks = stream.stdout[Symbol.asyncIterator]();
    await chunks.next();

    ending.abort(reason);
    await closed.promise;
    const error = await thrownBy(readAll({ stdout: { [Symbol.asyncIterator]: () => chunks } }));

    expect(error).toMatchObject(expected);
    expect(await thrownBy(stream.ended)).toBe(error);
  });

  it.each([
    ["is cut", (socket: WebSocket) => socket.terminate()],
    ["ends in good order", (socket: WebSocket) => socket.close(1000)],
  ])("breaks where the connection %s before the exit code came", async (_how, end) => {
    const stream = await streamFrom(async (socket) => {
      await sendStdout(socket, Buffer.from("half"));
      end(socket);
    });
    const chunks: string[] = [];

    const error = await thrownBy(
      (async () => {
        for await (const chunk of stream.stdout) {
          chunks.push(Buffer.from(chunk).toString());
        }
      })(),
    );

    expect(error).toMatchObject({ code: "unavailable", message: expect.stringContaining("before the command did") });
    expect(await thrownBy(stream.ended)).toBe(error);
  });

  it("says that the pod is gone", async () => {
    const gone = { ...(await newPod()), name: "gone" };

    const error = await thrownBy(readAll(real.execStream(gone, { container, command: ["true"] }, inTime())));

    expect(error).toBeInstanceOf(TargetGone);
  });

  it("says that the runtime could not start the command, as distinct from an API server in trouble", async () => {
    const answer = (message: string) => (socket: WebSocket) => {
      socket.send(
        Buffer.from(`\u0003${JSON.stringify({ status: "Failure", code: 500, reason: "InternalError", message })}`),
      );
    };
    const told = "Internal error occurred: error executing command in container: no such file or directory";

    const notStarted = await thrownBy(readAll(await streamFrom(answer(told))));
    const unreachable = await thrownBy(
      readAll(await streamFrom(answer("Internal error occurred: error dialing backend: connect: refused"))),
    );

    expect(notStarted).toBeInstanceOf(CommandNotStarted);
    expect(notStarted).toMatchObject({ code: "internal", message: told });
    expect(unreachable).not.toBeInstanceOf(CommandNotStarted);
    expect(unreachable).toMatchObject({ code: "unavailable" });
  });

  it("is empty in a dry run, which asks for the permission", async () => {
    const pod = await newPod();
    const stranger = clientOf(await cluster.userWith([]));
    const options = { container, command: ["touch", "ran"] };

    const stream = dryRun.execStream(pod, options, inTime());
    const bytes = await readAll(stream);
    const error = await thrownBy(readAll(stranger.dryRun.execStream(pod, options, inTime())));

    expect(bytes.length).toBe(0);
    expect(await stream.ended).toMatchObject({ exitCode: 0, stderr: "" });
    expect(error).toMatchObject({ code: "forbidden" });
    const look = { container, command: ["test", "-e", "ran"], maxOutputBytes: 100 };
    expect((await real.exec(pod, look, inTime())).exitCode).toBe(1);
  });
});

describe("standard input", () => {
  const maxOutputBytes = 200;

  it("reaches the command whole, and then ends", async () => {
    const pod = await newPod();
    const stdin = "line é\n".repeat(100_000);

    const result = await real.exec(
      pod,
      { container, command: ["sh", "-c", "wc -c; cat"], stdin, maxOutputBytes },
      inTime(),
    );

    expect(result).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^\s*800000\s*$/) });
  });

  it("may be empty", async () => {
    const pod = await newPod();

    const result = await real.exec(pod, { container, command: ["wc", "-c"], stdin: "", maxOutputBytes }, inTime());

    expect(result.stdout.trim()).toBe("0");
  });

  it("ends at once where none is given", async () => {
    const pod = await newPod();

    const result = await real.exec(pod, { container, command: ["wc", "-c"], maxOutputBytes }, inTime());

    expect(result.stdout.trim()).toBe("0");
  });

  it("that nobody reads keeps no command from ending", async () => {
    const pod = await newPod();
    const stdin = "x".repeat(mebibyte);

    const result = await real.exec(pod, { container, command: ["true"], stdin, maxOutputBytes }, inTime());

    expect(result.exitCode).toBe(0);
  });

  it("reaches a command by way of an older API server whole, and does not end there", async () => {
    const pod = await newPod();
    const older = clientOf(await olderApiServer(cluster.kubeconfig));
    const stdin = `${"line é\n".repeat(100_000)}`;
    const command = ["sh", "-c", "head -c 800000 | wc -c; cat"];

    const result = await older.real.exec(
      pod,
      { container, command: ["sh", "-c", "head -c 800000 | wc -c"], stdin, maxOutputBytes },
      inTime(),
    );
    const endless = await thrownBy(older.real.exec(pod, { container, command, stdin, maxOutputBytes }, inTime(1500)));

    expect(result).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^\s*800000\s*$/) });
    expect(endless).toMatchObject({ code: "timeout" });
  });
});
