import { once } from "node:events";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { describe, expect, it, onTestFinished } from "vitest";
import { Secret } from "../schema/secret.ts";
import { anEvent, dial, exchange, fixture, startIntake, untilClosed } from "./testing.ts";

const soon = { timeout: 20_000 };
const impatient = { timeouts: { headers: 100, request: 200, idle: 100 } };
const startOfBody = `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${anEvent.length}\r\n\r\n${anEvent.slice(0, 20)}`;

describe("a slow sender", () => {
  it("is cut off where it says nothing", async () => {
    const { port, counted } = await startIntake({ settings: impatient });

    const answer = await exchange(port, "");

    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(counted).toEqual(["eventRefused timeout"]);
  });

  it("is cut off where its headers trickle in", async () => {
    const { port, counted } = await startIntake({ settings: impatient });
    const socket = dial(port, "POST / HTTP/1.1\r\n");
    const trickle = setInterval(() => socket.write("x-slow: 1\r\n"), 20);
    onTestFinished(() => clearInterval(trickle));

    const answer = await untilClosed(socket);

    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(answer).toContain('"reason":"timeout"');
    expect(counted).toEqual(["eventRefused timeout"]);
  });

  it.each([
    ["plain", "", Buffer.from(" ")],
    ["gzipped", "Content-Encoding: gzip\r\n", gzipSync("")],
  ])("is cut off where its body trickles in (%s)", async (_kind, header, morsel) => {
    const { port, events, counted } = await startIntake({ settings: impatient });
    const socket = dial(port, `POST / HTTP/1.1\r\nHost: h\r\n${header}Content-Length: 100000\r\n\r\n`);
    const trickle = setInterval(() => socket.write(morsel), 20);
    onTestFinished(() => clearInterval(trickle));

    const answer = await untilClosed(socket);

    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(events).toEqual([]);
    expect(counted).toEqual(["eventRefused timeout"]);
  });

  it("is told so where it says nothing in the middle of its body", async () => {
    const { port, events, counted } = await startIntake({ settings: impatient });

    const answer = await exchange(port, startOfBody);

    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(events).toEqual([]);
    expect(counted).toEqual(["eventRefused timeout"]);
  });

  it("is cut off where it goes on after its refusal", async () => {
    const { port, counted } = await startIntake({ settings: { ...impatient, maxBodyBytes: 10 } });
    const socket = dial(port, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
    const trickle = setInterval(() => socket.write("x"), 20);
    onTestFinished(() => clearInterval(trickle));

    const answer = await untilClosed(socket);

    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(counted[0]).toBe("eventRefused too_large");
  });

  it("is cut off where it idles between requests", async () => {
    const { port } = await startIntake({ settings: impatient });

    const answer = await exchange(port, startOfBody + anEvent.slice(20));

    expect(answer).toMatch(/^HTTP\/1\.1 202 /);
  });

  it("is cut off in the middle of the TLS handshake", async () => {
    const tls = { cert: fixture("server.pem"), key: new Secret(fixture("server-key.pem")) };
    const { port, counted } = await startIntake({ settings: { ...impatient, tls } });

    await exchange(port, "");

    await expect.poll(() => counted, soon).toEqual(["eventRefused timeout"]);
  });

  it("is cut off where the ledger does not answer", async () => {
    const { port } = await startIntake({ settings: impatient, accept: () => new Promise(() => {}) });

    const answer = await exchange(port, startOfBody + anEvent.slice(20));

    expect(answer).toBe("");
  });
});

describe("a sender that leaves", () => {
  it.each(["end", "resetAndDestroy"] as const)("in the middle of its event is counted once (%s)", async (leave) => {
    const { port, url, events, counted, lines } = await startIntake();
    const socket = dial(port, startOfBody);
    await once(socket, "connect");
    // By then the server has read what came before.
    await fetch(`${url}/healthz`);

    socket[leave]();

    await expect.poll(() => counted, soon).toEqual(["eventRefused aborted"]);
    expect(events).toEqual([]);
    expect(lines.at(-1)).toMatchObject({ reason: "aborted", msg: "event refused" });
  });

  it("before the answer leaves the server unharmed, and its event accepted", async () => {
    const accepting = Promise.withResolvers<void>();
    const { port, url, events, counted } = await startIntake({
      accept: async () => {
        await accepting.promise;
        return { status: "accepted" };
      },
    });
    const socket = dial(port, startOfBody + anEvent.slice(20));
    await expect.poll(() => events.length, soon).toBe(1);

    const closed = once(socket, "close");
    socket.resetAndDestroy();
    await closed;
    accepting.resolve();

    await expect.poll(() => counted, soon).toEqual(["eventAccepted"]);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  it("before it said anything is no refusal", async () => {
    const { port, url, counted } = await startIntake();
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");

    socket.end();
    await once(socket, "close");
    await fetch(`${url}/healthz`);

    expect(counted).toEqual([]);
  });
});

describe("what is not HTTP", () => {
  it.each(["hello\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01", `GET / HTTP/1.1\r\nHost: h\r\n${"x"}\r\n\r\n`])(
    "is told so: %j",
    async (text) => {
      const { port, counted } = await startIntake();

      const answer = await exchange(port, text);

      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
      expect(answer).toContain('"message":"the request is not HTTP"');
      expect(counted).toEqual(["eventRefused not_http"]);
    },
  );

  it("is refused where its headers are too large", async () => {
    const { port, counted } = await startIntake();

    const answer = await exchange(port, `POST / HTTP/1.1\r\nHost: h\r\nx-large: ${"x".repeat(20_000)}\r\n\r\n`);

    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(counted).toEqual(["eventRefused too_large"]);
  });

  it("is counted where it is plain HTTP on a TLS port", async () => {
    const tls = { cert: fixture("server.pem"), key: new Secret(fixture("server-key.pem")) };
    const { port, counted } = await startIntake({ settings: { tls } });

    await exchange(port, startOfBody);

    await expect.poll(() => counted, soon).toEqual(["eventRefused not_http"]);
  });

  it("is refused in the middle of a chunked body", async () => {
    const { port, counted, events } = await startIntake();

    await exchange(port, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");

    expect(counted).toEqual(["eventRefused not_http"]);
    expect(events).toEqual([]);
  });
});

describe("too many connections", () => {
  it("are dropped and counted, and the others go on", async () => {
    const { port, counted } = await startIntake({ settings: { maxConnections: 1 } });
    const first = dial(port, startOfBody);
    await once(first, "connect");

    const second = await exchange(port, "");
    first.write(anEvent.slice(20));
    const [answer] = await once(first, "data");

    expect(second).toBe("");
    expect(String(answer)).toMatch(/^HTTP\/1\.1 202 /);
    expect(counted).toContain("eventRefused unavailable");
  });

  it("that are only kept open give way to one that sends an event", async () => {
    const { url, port, counted } = await startIntake({ settings: { maxConnections: 2 } });
    for (const _ of [1, 2]) {
      const idle = dial(port, "GET /healthz HTTP/1.1\r\nHost: hallux\r\n\r\n");
      await once(idle, "data");
    }

    const answer = await fetch(url, { method: "POST", body: anEvent });

    expect(answer.status).toBe(202);
    expect(counted).toEqual(["eventAccepted"]);
  });
});

describe("close", () => {
  it("takes no more connections, and ends idle ones at once", async () => {
    const { intake, port } = await startIntake();
    const agent = new Agent({ keepAlive: true });
    onTestFinished(() => agent.destroy());
    const [response] = await once(request({ port, path: "/healthz", agent }).end(), "response");
    await once(response.resume(), "end");

    await intake.close(60_000);

    await expect(once(connect(port, "127.0.0.1"), "connect")).rejects.toThrow("ECONNREFUSED");
  });

  it("finishes what was begun, and says that the connection ends", async () => {
    const accepting = Promise.withResolvers<void>();
    const { intake, port, events } = await startIntake({
      accept: async () => {
        await accepting.promise;
        return { status: "accepted" };
      },
    });
    const received = exchange(port, startOfBody + anEvent.slice(20));
    await expect.poll(() => events.length, soon).toBe(1);

    const closed = intake.close(60_000);
    accepting.resolve();
    await closed;

    const answer = await received;
    expect(answer).toMatch(/^HTTP\/1\.1 202 /);
    expect(answer).toMatch(/^connection: close\r$/im);
  });

  it("cuts what is left after the grace period", async () => {
    const { intake, port, url } = await startIntake();
    const received = exchange(port, startOfBody);
    await fetch(`${url}/healthz`);

    await intake.close(50);

    expect(await received).toBe("");
  });

  it("may come before listening and more than once", async () => {
    const { intake } = await startIntake();

    await intake.close(0);

    await expect(intake.close(0)).resolves.toBeUndefined();
  });
});

describe("listen", () => {
  it("rejects where the port is taken", async () => {
    const { port } = await startIntake();

    await expect(startIntake({ settings: { port } })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});
