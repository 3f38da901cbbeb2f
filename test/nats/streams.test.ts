import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import { connect, headers, nanos, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, it, onTestFinished } from "vitest";
import { rememberedKeys } from "../../src/ledger/deduplication.ts";
import { namesFor } from "../../src/ledger/nats/names.ts";
import { type NatsServer, natsBinaries, startNats, withoutNats } from "../peers/nats.ts";
import { eventOf } from "../support/events.ts";
import { acceptAll, take, taker } from "../support/ledger-contract.ts";
import { until } from "../support/until.ts";
import { detourTo } from "./detour.ts";
import { send } from "./replica.ts";
import { openLedger, settingsOf } from "./replicas.ts";

const [binary] = natsBinaries.slice(-1);

interface Operator {
  readonly server: NatsServer;
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
}

/** A server, and somebody else who may do everything there. */
async function operator(): Promise<Operator> {
  const server = await startNats({ binary: binary as NonNullable<typeof binary> });
  onTestFinished(() => server.dispose());
  const nc = await connect({ servers: server.url });
  onTestFinished(() => nc.close());
  return { server, nc, jsm: await jetstreamManager(nc) };
}

function pods(name: string, count: number) {
  return Array.from({ length: count }, (_, n) => ({ pod: `shop/${name}-${n}` }));
}

describe.skipIf(natsBinaries.length > 0)("nats ledger: streams", () => {
  it.skip(withoutNats);
});

describe.skipIf(binary === undefined)("nats ledger: a stream that somebody else", () => {
  it("removed and another replica made anew is read from its beginning", async () => {
    const { server, jsm } = await operator();
    const settings = settingsOf({ servers: [server.url] });
    const [one, other] = [await openLedger(settings), await openLedger(settings)];
    await acceptAll(one, pods("before", 40));
    await take(other, 40);

    await jsm.streams.delete(namesFor(settings.prefix).events);
    const events = pods("after", 4).map(eventOf);
    for (const event of events) {
      await send(event, one);
    }
    const works = await take(other, 4);

    expect(new Set(works.map(({ event }) => event.id))).toEqual(new Set(events.map(({ id }) => id)));
  });

  it("removed and another replica made anew does not mislead one that takes over at that moment", async () => {
    const { server, jsm } = await operator();
    const settings = settingsOf({ servers: [server.url] });
    const [one, other] = [await openLedger(settings), await openLedger(settings)];
    await acceptAll(one, pods("before", 40));
    await until("the other has read all", () => other.backlog().events === 40);

    await jsm.streams.delete(namesFor(settings.prefix).events);
    const events = pods("after", 4).map(eventOf);
    for (const event of events) {
      await send(event, one);
    }
    const works = await take(other, 4);

    expect(works.map(({ event }) => [event.id, event.text]).sort()).toEqual(
      events.map(({ id, text }) => [id, text]).sort(),
    );
  });

  it("took back to an earlier state is read from its beginning", async () => {
    const { server, nc } = await operator();
    const ledger = await openLedger(settingsOf({ servers: [server.url] }));
    const next = taker(ledger);
    const [store, copy] = ["store", "copy"].map((name) => join(server.directory, name)) as [string, string];
    await acceptAll(ledger, [{ pod: "shop/first" }]);
    await (await next()).finish();
    await nc.close();
    await server.stop();
    cpSync(store, copy, { recursive: true });
    await server.start();
    for (const event of pods("lost", 40).map(eventOf)) {
      await send(event, ledger);
    }
    await Promise.all((await Promise.all(Array.from({ length: 40 }, next))).map((work) => work.finish()));

    await server.stop("SIGKILL");
    rmSync(store, { recursive: true });
    cpSync(copy, store, { recursive: true });
    await server.start();
    const event = eventOf({ pod: "shop/late" });
    await send(event, ledger);

    expect((await next()).event.id).toBe(event.id);
  });

  it("took back, and that has come as far again since, is read from its beginning by a replica that was away", async () => {
    const { server, nc } = await operator();
    const settings = settingsOf({ servers: [server.url] });
    const detour = await detourTo(server.url);
    const one = await openLedger(settings);
    const away = await openLedger({ ...settings, servers: [detour.url] });
    const [store, copy] = ["store", "copy"].map((name) => join(server.directory, name)) as [string, string];
    await nc.close();
    await server.stop();
    cpSync(store, copy, { recursive: true });
    await server.start();
    for (const event of pods("lost", 10).map(eventOf)) {
      await send(event, one);
    }
    await until("the other has read all", () => away.backlog().events === 10);

    detour.block();
    await server.stop("SIGKILL");
    rmSync(store, { recursive: true });
    cpSync(copy, store, { recursive: true });
    await server.start();
    const events = pods("late", 30).map(eventOf);
    for (const event of events) {
      await send(event, one);
    }
    detour.open();
    const works = await take(away, 30);

    expect(new Set(works.map(({ event }) => event.id))).toEqual(new Set(events.map(({ id }) => id)));
  });

  it("has emptied leaves nothing behind that waits for ever", async () => {
    const { server, jsm } = await operator();
    const settings = settingsOf({ servers: [server.url] });
    const ledger = await openLedger(settings);
    await acceptAll(ledger, pods("cart", 3));

    await jsm.streams.purge(namesFor(settings.prefix).events);
    const next = taker(ledger);
    const [event] = await acceptAll(ledger, [{ pod: "shop/late" }]);
    const work = await next();
    await work.finish();
    await until("nothing waits", () => ledger.backlog().events === 0);

    expect(work.event.id).toBe(event?.id);
  });

  it("has given an age loses it again: what waits is not removed by it", async () => {
    const { server, jsm } = await operator();
    const settings = settingsOf({ servers: [server.url] });
    const { events } = namesFor(settings.prefix);
    await (await openLedger(settings)).close();
    await jsm.streams.update(events, { max_age: nanos(120_000), max_msgs_per_subject: 1 });

    await openLedger(settings);

    const { config } = await jsm.streams.info(events);
    expect(config).toMatchObject({ max_age: 0, max_msgs_per_subject: -1 });
  });

  it("has written into does not stop the work", async () => {
    const { server, nc, jsm } = await operator();
    const settings = settingsOf({ servers: [server.url] });
    const names = namesFor(settings.prefix);
    const ledger = await openLedger(settings);
    const [event] = await acceptAll(ledger, [{ pod: "shop/cart" }]);
    const next = taker(ledger);
    const work = await next();
    const { messages } = (await jsm.streams.info(names.leases)).state;
    const { subjects = {} } = (await jsm.streams.info(names.leases, { subjects_filter: ">" })).state;

    for (const subject of [...Object.keys(subjects), names.subject("event", "x"), names.subject("record", "x")]) {
      nc.publish(subject, "what is this?");
    }
    await nc.flush();
    await until("the work is lost", () => work.lost.aborted);
    work.giveBack(0);
    const again = await next();

    expect(messages).toBeGreaterThan(1);
    expect(again.event.id).toBe(event?.id);
  });
});

describe.each(natsBinaries)("nats ledger: history on $version", (found) => {
  it("is an empty page where nothing is on record", async () => {
    const server = await startNats({ binary: found });
    onTestFinished(() => server.dispose());
    const ledger = await openLedger(settingsOf({ servers: [server.url] }));

    expect(await ledger.responses({ limit: 10 })).toEqual({ responses: [], next: undefined });
  });
});

describe.skipIf(binary === undefined)("nats ledger: trimming", () => {
  it("is understood by a replica that was away: it does not act on what was finished meanwhile", async () => {
    const { server, nc, jsm } = await operator();
    const settings = settingsOf({ servers: [server.url] });
    const names = namesFor(settings.prefix);
    const detour = await detourTo(server.url);
    const one = await openLedger(settings);
    const other = await openLedger({ ...settings, servers: [detour.url] });
    await acceptAll(one, pods("cart", 3));
    await until("the other has read all", () => other.backlog().events === 3);

    detour.block();
    for (const work of await take(one, 3)) {
      await work.finish();
    }
    const next = taker(one);
    const waiting = next();
    finishMany(nc, (n) => names.subject("event", `key-${n}`));
    await until("the stream is trimmed", async () => (await jsm.streams.info(names.events)).state.first_seq > 500);
    detour.open();
    await until("the other knows that nothing waits", () => other.backlog().events === 0);
    const [event] = await acceptAll(one, [{ pod: "shop/late" }]);

    expect((await waiting).event.id).toBe(event?.id);
  });
});

/** So many that the oldest need not be remembered. */
function finishMany(nc: NatsConnection, subject: (n: number) => string): void {
  for (let n = 0; n < rememberedKeys + 2_000; n++) {
    const head = headers();
    head.set("Hallux", JSON.stringify({ id: `e-${n}`, at: Date.now(), finished: true }));
    nc.publish(subject(n), "", { headers: head });
  }
}
