import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { createLeases } from "../../src/ledger/nats/leases.ts";
import { createLink } from "../../src/ledger/nats/link.ts";
import { namesFor, tokenOf } from "../../src/ledger/nats/names.ts";
import { openSession } from "../../src/ledger/nats/session.ts";
import { type NatsServer, natsBinaries, startNats, withoutNats } from "../peers/nats.ts";
import { detourTo } from "./detour.ts";
import { openLedger, settingsOf } from "./replicas.ts";

const [binary] = natsBinaries.slice(-1);

async function startServer(): Promise<NatsServer> {
  const server = await startNats({ binary: binary as NonNullable<typeof binary> });
  onTestFinished(() => server.dispose());
  return server;
}

async function open(url: string) {
  const settings = settingsOf({ servers: [url] });
  const names = namesFor(settings.prefix);
  const leaseMs = 600_000;
  const session = openSession({ ...settings, names, leaseMs, remark: () => undefined });
  const link = createLink(session);
  const leases = createLeases({ session, link, names, holder: "we", leaseMs });
  onTestFinished(async () => {
    await leases.close();
    await session.close();
  });
  await session.tried();
  return {
    leases,
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
