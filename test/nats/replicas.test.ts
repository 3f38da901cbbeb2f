import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { natsBinaries, type NatsServer, startNats, startNatsCluster, withoutNats } from "../peers/nats.ts";
import { eventOf } from "../support/events.ts";
import { type LogEntry, send } from "./replica.ts";
import { clashesIn, endedIn, openLedger, settingsOf, startReplicas } from "./replicas.ts";

/** In production 20 s; the same in all replicas. */
const leaseMs = 3_000;
const newest = natsBinaries.at(-1);

describe.skipIf(natsBinaries.length > 0)("replicas on NATS", () => {
  it.skip(withoutNats);
});

function eventsOn(targets: number, count: number) {
  return Array.from({ length: count }, (_, n) => eventOf({ pod: `shop/cart-${n % targets}`, rule: `Rule ${n % 3}` }));
}

describe.each(natsBinaries)("replicas on nats-server $version", (binary) => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await startNats({ binary });
  });
  afterAll(() => server.dispose());

  it("share the work, and when one is killed in the middle of it, the others end all of it, never two on one target", async () => {
    const settings = settingsOf({ servers: [server.url], leaseMs });
    const ledger = await openLedger(settings);
    const replicas = await startReplicas(3, { ledger: settings, workMs: 100 });
    const events = eventsOn(60, 600);

    await Promise.all(events.map((event) => send(event, ledger)));
    await replicas.until(
      (log) =>
        new Set(log.map(({ replica }) => replica)).size === 3 && endedIn(log).size > 200 && isBusy("replica-1", log),
    );
    const killed = await replicas.kill("replica-1");
    await replicas.until((log) => endedIn(log).size === events.length);

    const log = replicas.log();
    const deaths = new Map([["replica-1", killed]]);
    const orphans = new Set(log.filter(({ replica }) => replica === "replica-1").map(({ event }) => event)).difference(
      endedIn(log.filter(({ replica }) => replica === "replica-1")),
    );
    const takenOver = log.filter(
      ({ event, replica, step }) => orphans.has(event) && replica !== "replica-1" && step === "begin",
    );
    expect(clashesIn(log, deaths)).toEqual([]);
    expect(orphans.size).toBeGreaterThan(0);
    expect(new Set(takenOver.map(({ event }) => event))).toEqual(orphans);
    expect(Math.max(...takenOver.map(({ at }) => at)) - killed).toBeLessThan(1.5 * leaseMs + 1_000);
    await settled(ledger);
  });

  it("lose nothing of what was accepted when the server is restarted in the middle", async () => {
    const settings = settingsOf({ servers: [server.url], leaseMs });
    const ledger = await openLedger(settings);
    const replicas = await startReplicas(2, { ledger: settings, workMs: 10 });
    const events = eventsOn(30, 400);

    const sending = Promise.all(events.map((event, n) => sleep(n * 5).then(() => send(event, ledger))));
    await replicas.until((log) => endedIn(log).size > 50);
    await server.stop("SIGKILL");
    await sleep(500);
    const fault = ledger.faults();
    await server.start();
    await sending;
    await replicas.until((log) => endedIn(log).size === events.length);

    expect(fault).toEqual([expect.stringContaining("NATS at")]);
    expect(clashesIn(replicas.log())).toEqual([]);
    await settled(ledger);
    expect(ledger.faults()).toEqual([]);
  });
});

describe.skipIf(newest === undefined)("replicas on a NATS cluster of three", () => {
  it("go on when it loses a server", async () => {
    const servers = await startNatsCluster(newest as NonNullable<typeof newest>);
    const settings = settingsOf({ servers: servers.map(({ url }) => url), replicas: 3, leaseMs });
    const ledger = await openLedger(settings);
    const replicas = await startReplicas(2, { ledger: settings, workMs: 10 });
    const events = eventsOn(30, 300);

    const sending = Promise.all(events.map((event, n) => sleep(n * 10).then(() => send(event, ledger))));
    await replicas.until((log) => endedIn(log).size > 50);
    await servers[0]?.stop("SIGKILL");
    await sending;
    await replicas.until((log) => endedIn(log).size === events.length);

    expect(clashesIn(replicas.log())).toEqual([]);
    await settled(ledger);
    await Promise.all(servers.map((server) => server.dispose()));
  });
});

function isBusy(name: string, log: readonly LogEntry[]): boolean {
  const own = log.filter(({ replica }) => replica === name);
  return 2 * own.filter(({ step }) => step === "begin").length > own.length;
}

/** Every replica comes to know that all is done. */
async function settled(ledger: { backlog(): { readonly events: number } }): Promise<void> {
  while (ledger.backlog().events > 0) {
    await sleep(50);
  }
}
