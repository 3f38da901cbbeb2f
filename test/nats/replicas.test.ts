import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FalcoEvent } from "../../src/events/event.ts";
import type { Ledger } from "../../src/ledger/ledger.ts";
import { natsBinaries, type NatsServer, startNats, startNatsCluster, withoutNats } from "../peers/nats.ts";
import { eventOf } from "../support/events.ts";
import { until } from "../support/until.ts";
import { type LogEntry, send } from "./replica.ts";
import {
  clashesIn,
  endedIn,
  openLedger,
  patienceSeconds,
  type Replicas,
  settingsOf,
  startReplicas,
} from "./replicas.ts";

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
    const replicas = await startReplicas(3, { ledger: settings, workMs: 100, stuck: { name: "replica-1", after: 5 } });
    const more = eventsOn(60, 600);
    const events = [...(await sentUntilAllWork(replicas, ledger)), ...more];

    await Promise.all(more.map((event) => send(event, ledger)));
    await replicas.until((log) => endedIn(log).size > 200 && orphansIn(log, "replica-1").size > 0);
    const killed = await replicas.kill("replica-1");
    await replicas.until((log) => endedIn(log).size === events.length);

    const log = replicas.log();
    const deaths = new Map([["replica-1", killed]]);
    const orphans = orphansIn(log, "replica-1");
    const takenOver = log.filter(
      ({ event, replica, step }) => orphans.has(event) && replica !== "replica-1" && step === "begin",
    );
    expect(clashesIn(log, deaths)).toEqual([]);
    expect(new Set(takenOver.map(({ event }) => event))).toEqual(orphans);
    expect(Math.max(...takenOver.map(({ at }) => at)) - killed).toBeLessThan(1.5 * leaseMs + 5_000);
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

/** One after the other, until each replica has had some of them. */
async function sentUntilAllWork({ names, log }: Replicas, ledger: Ledger): Promise<FalcoEvent[]> {
  const sent: FalcoEvent[] = [];
  while (new Set(log().map(({ replica }) => replica)).size < names.length) {
    const event = eventOf({ pod: `shop/first-${sent.length}` });
    sent.push(event);
    await send(event, ledger);
    await sleep(20);
  }
  return sent;
}

/** What the replica has begun and not ended. */
function orphansIn(log: readonly LogEntry[], name: string): Set<string> {
  const own = log.filter(({ replica }) => replica === name);
  return new Set(own.map(({ event }) => event)).difference(endedIn(own));
}

/** Every replica comes to know that all is done. */
async function settled(ledger: Pick<Ledger, "backlog" | "faults">): Promise<void> {
  const seen = () => JSON.stringify([ledger.backlog(), ledger.faults()]);
  await until(seen, () => ledger.backlog().events === 0, patienceSeconds);
}
