import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { recordingMetrics } from "../../test/support/metrics.ts";
import { LedgerUnavailable } from "../ledger/ledger.ts";
import { anEvent, dial, exchange, startIntake, untilClosed } from "./testing.ts";

describe("an event", () => {
  it("is answered 202 once the ledger accepted it", async () => {
    const accepting = Promise.withResolvers<void>();
    const { url, events, counted } = await startIntake({
      accept: async () => {
        await accepting.promise;
        return { status: "accepted" };
      },
    });
    let answered = false;

    const pending = fetch(url, { method: "POST", body: anEvent }).finally(() => {
      answered = true;
    });
    await expect.poll(() => events.length, { timeout: 20_000 }).toBe(1);
    const answeredBefore = answered;
    accepting.resolve();
    const response = await pending;

    expect(answeredBefore).toBe(false);
    expect(response.status).toBe(202);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.json()).toEqual({ status: "accepted", event: "e-1" });
    expect(events[0]).toMatchObject({ id: "e-1", rule: "Terminal shell in container", priority: "Notice" });
    expect(counted).toEqual(["eventAccepted"]);
  });

  it("is answered 200 where it repeats another", async () => {
    const { url, counted } = await startIntake({ accept: async () => ({ status: "duplicate", of: "e-0" }) });

    const response = await fetch(url, { method: "POST", body: anEvent });

    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ status: "duplicate", event: "e-1", of: "e-0" });
    expect(counted).toEqual(["eventDuplicate"]);
  });

  it("is measured as the one that it repeats, which is the one on record", async () => {
    const metrics = recordingMetrics();
    const accept = async () => ({ status: "duplicate", of: "e-0" }) as const;
    const { url } = await startIntake({ accept, peers: { metrics } });

    await fetch(url, { method: "POST", body: anEvent });

    expect(metrics.calls).toContainEqual(["eventDurable", expect.any(Number), "e-0"]);
  });

  it.each(["POST", "PUT"])("may come by %s, of any content type, with a query", async (method) => {
    const { url } = await startIntake();
    const types = ["application/json", "application/json; charset=utf-8", "text/plain", "nonsense"];

    const responses = await Promise.all(
      types.map((type) => fetch(`${url}/?from=falco`, { method, body: anEvent, headers: { "content-type": type } })),
    );

    expect(responses.map(({ status }) => status)).toEqual([202, 202, 202, 202]);
  });

  it("keeps the attack where the time is unusable, and counts that", async () => {
    const { url, events, counted } = await startIntake();
    const body = '{"rule":"r","priority":"Error","time":"2021-04-13T20:58:00.746609046Z+2"}';

    const response = await fetch(url, { method: "POST", body });

    expect(response.status).toBe(202);
    expect(events[0]).toMatchObject({ time: "2026-03-01T10:00:01.000Z", receivedAt: "2026-03-01T10:00:01.000Z" });
    expect(counted).toEqual(["eventAccepted", "eventTimeReplaced"]);
  });

  it("keeps the attack where its text is not UTF-8", async () => {
    const { url, events } = await startIntake();
    const body = Buffer.concat([
      Buffer.from('{"rule":"r","priority":"Error","output":"a'),
      Buffer.from([0xff, 0xfe]),
      Buffer.from('b"}'),
    ]);

    const response = await fetch(url, { method: "POST", body });

    expect(response.status).toBe(202);
    expect(events[0]?.output).toBe("a\uFFFD\uFFFDb");
  });

  const shared = ["real", "corpus"].map(
    (name) => new URL(`../../../shared/data/events/${name}.jsonl`, import.meta.url),
  );

  it.skipIf(!shared.every((file) => existsSync(file)))(
    "is accepted, every one of ../shared/data/events, plain and gzipped (skipped where that is absent)",
    async () => {
      const { url } = await startIntake();
      const bodies = shared.flatMap((file) => readFileSync(file, "utf8").trim().split("\n"));

      const statuses = await Promise.all(
        bodies.map(async (body, index) => {
          const gzip = index % 2 === 0 ? { "content-encoding": "gzip" } : undefined;
          const response = await fetch(url, {
            method: "POST",
            body: gzip ? gzipSync(body) : body,
            headers: { ...gzip },
          });
          await response.body?.cancel();
          return response.status;
        }),
      );

      expect(new Set(statuses)).toEqual(new Set([202]));
    },
    30_000,
  );
});

describe("how Falco and Falcosidekick connect", () => {
  it("takes one connection for each event", async () => {
    const { port } = await startIntake();

    const answers = await Promise.all([1, 2, 3].map(() => exchange(port, post(anEvent, "Connection: close"))));

    expect(answers.map(statusesIn)).toEqual([[202], [202], [202]]);
  });

  it("takes event after event on one connection, and pipelined ones", async () => {
    const { port, events } = await startIntake();

    const answer = await exchange(
      port,
      post(anEvent) + post(anEvent) + post("[]") + post(anEvent, "Connection: close"),
    );

    expect(statusesIn(answer)).toEqual([202, 202, 400, 202]);
    expect(events).toHaveLength(3);
  });

  it("takes HTTP/1.0", async () => {
    const { port } = await startIntake();

    const answer = await exchange(port, `POST / HTTP/1.0\r\nContent-Length: ${anEvent.length}\r\n\r\n${anEvent}`);

    expect(statusesIn(answer)).toEqual([202]);
  });

  it("takes chunks", async () => {
    const { port } = await startIntake();
    const [head, tail] = [anEvent.slice(0, 10), anEvent.slice(10)];

    const socket = dial(port, "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
    socket.write(`a\r\n${head}\r\n`);
    socket.write(`${tail.length.toString(16)}\r\n${tail}\r\n0\r\n\r\n`);

    expect(statusesIn(await untilClosed(socket))).toEqual([202]);
  });

  it("says to go on where the sender waits for that", async () => {
    const { port } = await startIntake();

    const socket = dial(port, head(anEvent, "Expect: 100-continue", "Connection: close"));
    const received = untilClosed(socket);
    await once(socket, "data");
    socket.write(anEvent);

    expect(statusesIn(await received)).toEqual([100, 202]);
  });

  it("refuses before the body where the sender waits, and ends the connection", async () => {
    const { port } = await startIntake({ settings: { maxBodyBytes: 10 } });

    const answer = await exchange(port, head(anEvent, "Expect: 100-continue"));

    expect(statusesIn(answer)).toEqual([413]);
    expect(answer).toMatch(/^connection: close\r$/im);
  });
});

describe("a bad event", () => {
  it.each([
    ["not json", "not_json", undefined],
    [anEvent.slice(0, -5), "not_json", undefined],
    ["", "not_json", undefined],
    [`[${anEvent}]`, "not_an_object", undefined],
    ['{"priority":"Debug"}', "invalid_rule", "rule"],
    ['{"rule":"r","priority":"Severe"}', "invalid_priority", "priority"],
    ['{"rule":"r","priority":"Debug","tags":"a"}', "invalid_field", "tags"],
  ])("is answered 400 and counted: %s", async (body, reason, field) => {
    const { url, events, counted, lines } = await startIntake();

    const response = await fetch(url, { method: "POST", body });

    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      error: { reason, field, expected: expect.any(String), message: expect.any(String) },
    });
    expect(events).toEqual([]);
    expect(counted).toEqual([`eventRefused ${reason}`]);
    expect(refusalsIn(lines)).toMatchObject([
      { reason, status: 400, remote: "127.0.0.1", msg: "event refused", event: { length: body.length } },
    ]);
  });

  it("is quoted in the log only under its key, and only in part", async () => {
    const { url, lines } = await startIntake();
    const body = `${"A".repeat(150)}marker${"B".repeat(100_000)}`;

    await fetch(url, { method: "POST", body });

    const [{ event, ...rest } = {}] = refusalsIn(lines);
    expect(event).toEqual({ start: body.slice(0, 200), length: body.length });
    expect(JSON.stringify(rest)).not.toContain("AAA");
  });

  it("says where a truncated one ends", async () => {
    const { url } = await startIntake();

    const response = await fetch(url, { method: "POST", body: '{"rule":"r"' });

    expect(await response.json()).toMatchObject({ error: { message: expect.stringContaining("position 11") } });
  });
});

describe("an event that the ledger does not take", () => {
  it("is answered 503 with the ledger's words", async () => {
    const { url, counted, lines } = await startIntake({
      accept: () => Promise.reject(new LedgerUnavailable("the ledger is full")),
    });

    const response = await fetch(url, { method: "POST", body: anEvent });

    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("1");
    expect(await response.json()).toEqual({ error: { reason: "unavailable", message: "the ledger is full" } });
    expect(counted).toEqual(["eventRefused unavailable"]);
    expect(refusalsIn(lines)).toMatchObject([{ level: 50, reason: "unavailable", status: 503 }]);
  });

  it("is answered 503 without our internals where the ledger failed", async () => {
    const { url, lines } = await startIntake({ accept: () => Promise.reject(new Error("SQLITE_CORRUPT /var/lib/db")) });

    const response = await fetch(url, { method: "POST", body: anEvent });

    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({
      error: { reason: "unavailable", message: "the event could not be stored" },
    });
    expect(refusalsIn(lines)).toMatchObject([{ err: { message: "SQLITE_CORRUPT /var/lib/db" } }]);
  });

  it("leaves the next one alone", async () => {
    let refuse = true;
    const { url } = await startIntake({
      accept: async () => {
        if (refuse) {
          refuse = false;
          throw new LedgerUnavailable("the ledger is full");
        }
        return { status: "accepted" };
      },
    });

    const statuses = [];
    for (let i = 0; i < 2; i += 1) {
      statuses.push((await fetch(url, { method: "POST", body: anEvent })).status);
    }

    expect(statuses).toEqual([503, 202]);
  });
});

function head(body: string, ...headers: string[]): string {
  return ["POST / HTTP/1.1", "Host: h", `Content-Length: ${body.length}`, ...headers, "", ""].join("\r\n");
}

function post(body: string, ...headers: string[]): string {
  return head(body, ...headers) + body;
}

function statusesIn(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

function refusalsIn(lines: readonly Record<string, unknown>[]): readonly Record<string, unknown>[] {
  return lines.filter(({ msg }) => msg === "event refused");
}
