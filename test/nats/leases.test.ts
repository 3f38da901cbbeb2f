import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { createLeases } from "../../src/ledger/nats/leases.ts";
import { createLink } from "../../src/ledger/nats/link.ts";
import { namesFor, tokenOf } from "../../src/ledger/nats/names.ts";
import { openSession } from "../../src/ledger/nats/session.ts";
import { type NatsBinary, type NatsServer, natsBinaries, startNats, withoutNats } from "../peers/nats.ts";
import { acceptAll, taker } from "../support/ledger-contract.ts";
import { until } from "../support/until.ts";
import { detourTo } from "./detour.ts";
import { openLedger, settingsOf } from "./replicas.ts";

const [binary] = natsBinaries.slice(-1);

async function startServer(of: NatsBinary | undefined = binary): Promise<NatsServer> {
  const server = await startNats({ binary: of as NatsBinary });
  onTestFinished(() => server.dispose());
  return server;
}

async function open(url: string, { prefix = "t", holder = "we", leaseMs = 600_000 } = {}) {
  const settings = settingsOf({ servers: [url], prefix });
  const names = namesFor(prefix);
  const session = openSession({ ...settings, names, leaseMs, remark: () => undefined });
  const link = createLink(session);
  const leases = createLeases({ session, link, names, holder, leaseMs });
  onTestFinished(async () => {
    await leases.close();
    await session.close();
  });
  await session.tried();
  return {
    leases,
    streams: (await session.client()).jsm.streams,
    stream: names.leases,
    write: (key: string, holder: string) =>
      link.publish({ subject: names.subject("lease", tokenOf(key)), note: JSON.stringify({ key, holder }), body: "" }),
  };
}

describe.skipIf(natsBinaries.length > 0)("a lease on NATS", () => {
  it.skip(withoutNats);
});

describe.skipIf(binary === undefined)("a lease on NATS", () => {
  it("is taken once, however many ask for it at the same time", async () => {
    const { leases } = await open((await startServer()).url);

    const taken = await Promise.all([leases.take("a"), leases.take("a"), leases.take("a")]);

    expect(taken.filter((lease) => lease !== undefined)).toHaveLength(1);
  });

  it("that we wrote without hearing so is ours for the asking, another's is not", async () => {
    const { leases, write } = await open((await startServer()).url);
    await write("ours", "we");
    await write("theirs", "they");

    expect(await leases.take("ours")).toBeDefined();
    expect(await leases.take("theirs")).toBeUndefined();
  });

  it("that somebody has is not another's because the stream was removed and made anew", async () => {
    const server = await startServer();
    const detour = await detourTo(server.url);
    const they = await open(detour.url, { holder: "they" });
    const we = await open(server.url);
    const theirs = await they.leases.take("a");
    await until("we know that they have it", () => we.leases.taken("a"));

    detour.stall();
    await we.streams.delete(we.stream);
    await until("the stream is there again", async () => (await we.leases.take("b")) !== undefined);
    await until("we have read it", () => we.leases.count("b") === 1);
    const ours = await we.leases.take("a");
    detour.open();

    expect(theirs?.isGood()).toBe(true);
    expect(ours).toBeUndefined();
  });

  it("is not trusted by a process that stood still for too long, before anything tells it", async () => {
    const ledger = await openLedger(settingsOf({ servers: [(await startServer()).url], leaseMs: 2_000 }));
    const next = taker(ledger, { events: 1, bytes: 1e6 });
    await acceptAll(ledger, [{ pod: "shop/a" }]);
    const work = await next();
    await acceptAll(ledger, [{ pod: "shop/b" }]);
    await sleep(500);
    let given = false;
    const later = next().then(() => {
      given = true;
    });

    standStill(1_600);
    work.release();
    await microtasks();

    expect(given).toBe(false);
    await later;
  });

  it("outlives that NATS hangs for some seconds", async () => {
    const server = await startServer();
    const detour = await detourTo(server.url);
    const ledger = await openLedger(settingsOf({ servers: [detour.url] }));
    const hold = await ledger.hold("workload", new AbortController().signal);

    await sleep(3_500);
    detour.stall();
    await sleep(6_700);
    detour.open();
    await sleep(7_000);

    expect(hold.lost.aborted).toBe(false);
  });
});

describe.each(natsBinaries)("a lease on nats-server $version", (found) => {
  it("goes to another when its holder has died, also where the server removes nothing; not before", async () => {
    const leaseMs = 1_500;
    const { url } = await startServer(found);
    const detour = await detourTo(url);
    const they = await open(detour.url, { holder: "they", leaseMs });
    const we = await open(url, { leaseMs });
    await we.streams.update(we.stream, { max_age: 0 });
    const theirs = await they.leases.take("a");
    const asked = performance.now();
    const early: unknown[] = [];
    while (performance.now() - asked < 3 * leaseMs) {
      early.push(await we.leases.take("a"));
      await sleep(50);
    }

    detour.block();
    await until("the lease is ours", async () => (await we.leases.take("a")) !== undefined);

    expect(new Set(early)).toEqual(new Set([undefined]));
    expect(theirs?.lost.aborted).toBe(true);
  });
});

/** As a process that is stopped, or a machine that is: no timer fires meanwhile. */
function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

async function microtasks(): Promise<void> {
  for (let n = 0; n < 100; n++) {
    await Promise.resolve();
  }
}
