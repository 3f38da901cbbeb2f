import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { connect } from "@nats-io/transport-node";
import { jetstreamManager } from "@nats-io/jetstream";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Ledger } from "../../src/ledger/ledger.ts";
import { LedgerUnavailable } from "../../src/ledger/ledger.ts";
import { Secret } from "../../src/schema/secret.ts";
import { type NatsServer, type NatsServerSettings, natsBinaries, startNats, withoutNats } from "../peers/nats.ts";
import { eventOf } from "../support/events.ts";
import { taker } from "../support/ledger-contract.ts";
import { createAccount } from "./account.ts";
import { openLedger, type Settings, settingsOf } from "./replicas.ts";

const [binary] = natsBinaries.slice(-1);
const certificates = fileURLToPath(new URL("../../src/intake/fixtures", import.meta.url));
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

describe.skipIf(binary === undefined)("nats ledger: what is wrong", () => {
  it("is that nobody answers, until somebody does", async () => {
    const nats = await server();
    await nats.stop();

    const ledger = await open({ servers: [nats.url] });
    await expectRefusal(ledger, /cannot be reached.*check that it runs/);
    await nats.start();

    await until(() => ledger.faults().length === 0);
    expect(await ledger.accept(eventOf())).toEqual({ status: "accepted" });
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
    await until(() => ledger.faults().length === 0);
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

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await sleep(20);
  }
}
