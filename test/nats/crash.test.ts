import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { natsBinaries, startNats, withoutNats } from "../peers/nats.ts";
import type { LogEntry } from "./replica.ts";
import { clashesIn, endedIn, settingsOf, startReplicas } from "./replicas.ts";

const [binary] = natsBinaries.slice(-1);
/** `HALLUX_NATS_CRASH_ROUNDS=200 npx vitest run --project nats test/nats/crash.test.ts` */
const rounds = Number(process.env["HALLUX_NATS_CRASH_ROUNDS"] ?? 6);
const longestLifeMs = 1_200;

describe.skipIf(natsBinaries.length > 0)("replicas on NATS that are killed again and again", () => {
  it.skip(withoutNats);
});

describe.skipIf(binary === undefined)("replicas on NATS that are killed again and again", () => {
  it("act on every event that they have accepted, never two on one target", {
    timeout: 60_000 + rounds * 5_000,
  }, async () => {
    const server = await startNats({ binary: binary as NonNullable<typeof binary> });
    onTestFinished(() => server.dispose());
    const ledger = settingsOf({ servers: [server.url], leaseMs: 1_500, windowSeconds: 0 });
    const log: LogEntry[] = [];
    const deaths = new Map<string, number>();

    for (let round = 0; round < rounds; round++) {
      const replicas = await startReplicas(2, { ledger, workMs: 20, accepts: 10 });
      await Promise.all(
        replicas.names.map(async (name) => {
          await sleep(Math.random() * longestLifeMs);
          deaths.set(`${round} ${name}`, await replicas.kill(name));
        }),
      );
      log.push(...replicas.log().map((entry) => ({ ...entry, replica: `${round} ${entry.replica}` })));
    }
    const accepted = new Set(log.filter(({ step }) => step === "accepted").map(({ event }) => event));
    const last = await startReplicas(2, { ledger, workMs: 20 });
    await last.until((more) => accepted.isSubsetOf(endedIn([...log, ...more])));

    expect(accepted.size).toBeGreaterThan(rounds);
    expect(clashesIn([...log, ...last.log()], deaths)).toEqual([]);
  });
});
