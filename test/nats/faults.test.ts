import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { connect } from "@nats-io/transport-node";
import { jetstreamManager } from "@nats-io/jetstream";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Ledger } from "../../src/ledger/ledger.ts";
import { LedgerUnavailable } from "../../src/ledger/ledger.ts";
import { createNatsLedger } from "../../src/ledger/nats/ledger.ts";
import { Secret } from "../../src/schema/secret.ts";
import { type NatsServer, type NatsServerSettings, natsBinaries, startNats, withoutNats } from "../peers/nats.ts";
import { eventOf } from "../support/events.ts";
import { freePorts } from "../support/free-ports.ts";
import { newDirectory } from "../support/sqlite-ledger.ts";
import { acceptAll, closed, planned, take, taker } from "../support/ledger-contract.ts";
import { until } from "../support/until.ts";
import { createAccount } from "./account.ts";
import { detourTo } from "./detour.ts";
import { openLedger, type Settings, settingsOf } from "./replicas.ts";

const [binary] = natsBinaries.slice(-1);
const certificates = fileURLToPath(new URL("../../src/intake/fixtures", import.meta.url));
const operations = new URL("../../docs/operations.md", import.meta.url);
const certificate = (name: string) => join(certificates, `${name}.pem`);

async function server(settings: Omit<NatsServerSettings, "binary"> = {}): Promise<NatsServer> {
  const started = await startNats({ ...settings, binary: binary as NonNullable<typeof binary> });
  onTestFinished(() => started.dispose());
  return started;
}

function open(settings: Settings): Promise<Ledger> {
  return openLedger(settingsOf(settings));
}

async function expectRefusal(ledger: Ledger, words: RegExp): Promise<void> {
  const refused = ledger.accept(eventOf());

  await expect(refused).rejects.toBeInstanceOf(LedgerUnavailable);
  await expect(refused).rejects.toThrow(words);
  expect(ledger.faults()).toEqual([expect.stringMatching(words)]);
}

describe.skipIf(natsBinaries.length > 0)("nats ledger: faults", () => {
  it.skip(withoutNats);
});

describe.skipIf(binary === undefined)("nats ledger: who we are", () => {
  const users = 'authorization { user: hallux, password: "s3cret" }';

  it("is told by user and password", async () => {
    const { url } = await server({ config: users });

    const ledger = await open({ servers: [url], user: "hallux", password: new Secret("s3cret") });

    expect(await ledger.accept(eventOf())).toEqual({ status: "accepted" });
  });

  it("may be as little as docs/operations.md says", async () => {
    const [permissions] = /permissions \{[^}]*\}/.exec(readFileSync(operations, "utf8")) ?? [];
    const { url } = await server({
      config: `authorization { users: [{ user: hallux, password: p, ${permissions} }] }`,
    });
    const ours = { servers: [url], prefix: "hallux", user: "hallux", password: new Secret("p"), windowSeconds: 1 };
    const remarks: string[] = [];
    const ledger = await createNatsLedger({
      ...settingsOf(ours),
      clock: Date.now,
      remark: (text) => remarks.push(text),
    });
    const same = { uuid: undefined, pod: "shop/cart-1" };

    await ledger.accept(eventOf(same));
    expect(await ledger.accept(eventOf(same))).toMatchObject({ status: "duplicate" });
    await sleep(1_000);
    await ledger.accept(eventOf(same));
    await acceptAll(
      ledger,
      Array.from({ length: 40 }, (_, n) => ({ pod: `shop/p-${n}`, output: "x".repeat(200_000) })),
    );
    const again = await open({ ...ours, retention: { ageMs: 3_600_000, bytes: 1e8 } });
    for (const [n, work] of (await take(again, 41)).entries()) {
      await work.record([planned(`r-${n}`, work.event), closed(`r-${n}`)]);
      await work.finish();
    }
    const [last] = await take(again, 1);
    await last?.finish();
    (await ledger.hold("workload", new AbortController().signal)).release();
    await ledger.close();

    expect((await again.responses({ limit: 50 })).responses).toHaveLength(41);
    expect(await again.response("r-0")).toBeDefined();
    expect(again.backlog().events).toBe(0);
    expect(remarks).toEqual([]);
  });

  it("says once what it is forbidden, and does the rest", async () => {
    const { url } = await server({
      config:
        'authorization { users: [{ user: h, password: p, permissions { publish: { deny: "$JS.API.STREAM.PURGE.>" } } }] }',
    });
    const remarks: string[] = [];
    const settings = settingsOf({ servers: [url], user: "h", password: new Secret("p") });
    const ledger = await createNatsLedger({ ...settings, clock: Date.now, remark: (text) => remarks.push(text) });
    await acceptAll(
      ledger,
      Array.from({ length: 8 }, (_, n) => ({ pod: `shop/p-${n}` })),
    );

    for (const work of await take(ledger, 8)) {
      await work.record([planned(work.event.id, work.event), closed(work.event.id)]);
      await work.finish();
    }
    await ledger.close();

    expect(remarks).toEqual([expect.stringMatching(/forbids what the ledger needs.*STREAM\.PURGE/)]);
  });

  it("leaves the work to the others where it is not allowed to read", async () => {
    const sick = '{ user: sick, password: p, permissions { publish: { deny: "$JS.API.CONSUMER.CREATE.>" } } }';
    const { url } = await server({ config: `authorization { users: [{ user: well, password: p }, ${sick}] }` });
    const settings = { ...settingsOf({ servers: [url], leaseMs: 5_000 }), password: new Secret("p") };
    const well = await openLedger({ ...settings, user: "well" });
    const other = await openLedger({ ...settings, user: "sick" });
    const next = taker(well);

    void taker(other)().catch(() => undefined);
    const waiting = next();
    await sleep(3_000);
    const events = await acceptAll(
      well,
      Array.from({ length: 40 }, (_, n) => ({ pod: `shop/p-${n}` })),
    );
    const works = [await waiting];
    while (works.length < events.length) {
      works.push(await next());
    }

    expect(new Set(works.map(({ event }) => event.id))).toEqual(new Set(events.map(({ id }) => id)));
  });

  it("is refused with a wrong password, which stays a secret", async () => {
    const { url } = await server({ config: users });

    const ledger = await open({ servers: [url.replace("//", "//hallux:wr0ng@")] });

    await expectRefusal(ledger, /refuses the credentials.*check user, password/);
    expect(ledger.faults().join()).not.toContain("wr0ng");
  });

  it("is told by a token", async () => {
    const { url } = await server({ config: 'authorization { token: "t0ken" }' });

    const ledger = await open({ servers: [url], token: new Secret("t0ken") });

    expect(await ledger.accept(eventOf())).toEqual({ status: "accepted" });
  });

  it("is told by a credentials file", async () => {
    const { config, credentials } = createAccount();
    const { url, directory } = await server({ config });
    const credentialsFile = join(directory, "hallux.creds");
    writeFileSync(credentialsFile, credentials);

    const ledger = await open({ servers: [url], credentialsFile });

    expect(ledger.faults()).toEqual([]);
    expect(await ledger.accept(eventOf())).toEqual({ status: "accepted" });
  });

  it("is told by a certificate, and the server by its own", async () => {
    const files = `cert_file: "${certificate("server")}", key_file: "${certificate("server-key")}"`;
    const { url } = await server({ config: `tls { ${files}, ca_file: "${certificate("ca")}", verify: true }` });
    const ours = { tlsCertFile: certificate("client"), tlsKeyFile: certificate("client-key") };

    const known = await open({ servers: [url], tlsCaFile: certificate("ca"), ...ours });
    const unknown = await open({ servers: [url], tlsCaFile: certificate("ca") });

    expect(await known.accept(eventOf())).toEqual({ status: "accepted" });
    await expectRefusal(unknown, /cannot be reached/);
  });
});

describe.skipIf(binary === undefined)("nats ledger: where JetStream is", () => {
  it("is told by its domain, from behind a leaf node that has another", async () => {
    const [leaves] = await freePorts(1);
    const directory = newDirectory();
    const jetStream = (domain: string) => `jetstream { domain: ${domain}, store_dir: "${join(directory, domain)}" }`;
    await server({ jetStream: false, config: `${jetStream("hub")}\nleafnodes { listen: "127.0.0.1:${leaves}" }` });
    const remotes = `leafnodes { remotes: [{ url: "nats-leaf://127.0.0.1:${leaves}" }] }`;
    const leaf = await server({ jetStream: false, config: `${jetStream("leaf")}\n${remotes}` });
    const ledger = await open({ servers: [leaf.url], domain: "hub", backlogBytes: 1e8 });
    await until("the ledger works", () => ledger.faults().length === 0);

    const sent = await acceptAll(
      ledger,
      Array.from({ length: 40 }, (_, n) => ({ pod: `shop/p-${n}`, output: "x".repeat(200_000) })),
    );
    const works = await take(ledger, 40);
    for (const work of works) {
      await work.record([planned(work.event.id, work.event), closed(work.event.id)]);
      await work.finish();
    }

    expect(new Set(works.map(({ event }) => event.id))).toEqual(new Set(sent.map(({ id }) => id)));
    expect(ledger.backlog().events).toBe(0);
    const wrong = await open({ servers: [leaf.url], domain: "nowhere" });
    await expectRefusal(wrong, /without JetStream in the domain nowhere/);
  });
});

describe.skipIf(binary === undefined)("nats ledger: what is wrong", () => {
  it("is that nobody answers, until somebody does", async () => {
    const nats = await server();
    await nats.stop();

    const ledger = await open({ servers: [nats.url] });
    await expectRefusal(ledger, /cannot be reached.*check that it runs/);
    await nats.start();

    await until("the ledger works", () => ledger.faults().length === 0);
    expect(await ledger.accept(eventOf())).toEqual({ status: "accepted" });
  });

  it("does not keep a ledger from closing while it connects", async () => {
    const detour = await detourTo((await server()).url, { delayMs: 1_000 });
    detour.block();
    const ledger = await createNatsLedger({
      ...settingsOf({ servers: [detour.url] }),
      clock: Date.now,
      remark: () => {},
    });

    detour.open();
    await detour.visited();
    await ledger.close();

    expect(ledger.faults()).toEqual([expect.stringContaining("closed")]);
  });

  it("is that JetStream is not enabled", async () => {
    const { url } = await server({ jetStream: false });

    const ledger = await open({ servers: [url] });

    await expectRefusal(ledger, /without JetStream: start it with -js/);
  });

  it("is that the streams cannot have so many copies", async () => {
    const { url } = await server();

    const ledger = await open({ servers: [url], replicas: 3 });

    await expectRefusal(ledger, /refuses a stream.*ledger\.nats\.replicas/);
  });

  it("is that a message is larger than NATS takes", async () => {
    const { url } = await server({ config: "max_payload: 4096" });
    const ledger = await open({ servers: [url] });

    const refused = ledger.accept(eventOf({ output: "x".repeat(5000) }));

    await expect(refused).rejects.toThrow(/max_payload/);
    expect(ledger.faults()).toEqual([]);
  });

  it("is that the streams were removed, which makes them anew", async () => {
    const { url } = await server();
    const settings = settingsOf({ servers: [url] });
    const ledger = await openLedger(settings);
    await ledger.accept(eventOf());
    const nc = await connect({ servers: [url] });
    const { streams } = await jetstreamManager(nc);

    await streams.delete(`${settings.prefix.toUpperCase()}_EVENTS`);
    await ledger.accept(eventOf()).catch(() => {});
    await until("the ledger works", () => ledger.faults().length === 0);
    const event = eventOf({ pod: "shop/late" });
    await ledger.accept(event);

    const work = await taker(ledger)();
    expect(work.event.id).toBe(event.id);
    await nc.close();
  });

  it("adapts streams that were made with other settings", async () => {
    const { url } = await server();
    const settings = settingsOf({ servers: [url] });
    await (await openLedger(settings)).accept(eventOf());

    const ledger = await openLedger({ ...settings, retention: { ageMs: 3_600_000, bytes: 5e6 }, backlogBytes: 5e6 });

    expect(ledger.faults()).toEqual([]);
    expect(ledger.backlog().events).toBe(1);
  });
});
