import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import type { FalcoEvent } from "../../src/events/event.ts";
import { describeTarget, subjectOf } from "../../src/events/target.ts";
import { type Ledger, LedgerUnavailable, type Work } from "../../src/ledger/ledger.ts";
import { type NatsServer, natsBinaries, startNats, withoutNats } from "../peers/nats.ts";
import { eventOf } from "../support/events.ts";
import { closed, planned, started } from "../support/ledger-contract.ts";
import { until } from "../support/until.ts";
import { type Detour, detourTo } from "./detour.ts";
import { openLedger, settingsOf } from "./replicas.ts";

/** `HALLUX_NATS_STORM_SEED=7 HALLUX_NATS_STORM_SECONDS=60 npx vitest run --project nats test/nats/storm.test.ts` */
const seed = Number(process.env["HALLUX_NATS_STORM_SEED"] ?? 1);
const long = process.env["HALLUX_NATS_STORM_SECONDS"];
const seconds = Number(long ?? 5);
/** A server of 2.9 that is killed may forget subjects: in the long form only. */
const binaries = natsBinaries.slice(long === undefined ? -1 : 0);
const leaseMs = 3_000;
/** So short that many events of the same key wait at the same time. */
const windowSeconds = 0.1;
const pods = 10;
const workMs = 30;

type Random = (below: number) => number;

/** The same numbers from the same seed. */
function randomFrom(start: number): Random {
  let state = start;
  return (below) => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return Math.floor((state / 4_294_967_296) * below);
  };
}

/** What all replicas do, and what they must not. */
function createRecord() {
  const busy = new Set<string>();
  const acted = new Set<string>();
  const finished = new Set<string>();
  /** Worked on to the end, whether or not anybody has heard that this could be recorded. */
  const done = new Set<string>();
  const faults: string[] = [];
  const check = (fault: string, isSo: boolean) => {
    if (isSo) {
      faults.push(fault);
    }
  };
  return {
    faults,
    finished,
    done,
    given: ({ event }: Work) => check(`${event.id} was finished, and given again`, finished.has(event.id)),
    /** Of an action that may not run twice. */
    acts({ event }: Work) {
      check(`${event.id} was acted on twice`, acted.has(event.id));
      acted.add(event.id);
    },
    begins(target: string) {
      check(`two on ${target}`, busy.has(target));
      busy.add(target);
    },
    ends: (target: string) => busy.delete(target),
  };
}

/** Takes work as long as the ledger gives any. */
async function workOn(ledger: Ledger, record: ReturnType<typeof createRecord>): Promise<void> {
  const act = async (work: Work) => {
    const { event, history, lost } = work;
    const target = describeTarget(subjectOf(event));
    record.given(work);
    if (history.length === 0) {
      await work.record([planned(event.id, event), started(event.id, 0)]);
      lost.throwIfAborted();
      record.acts(work);
    }
    record.begins(target);
    await sleep(workMs, undefined, { signal: lost }).finally(() => record.ends(target));
    record.done.add(event.id);
    await work.record([closed(event.id)]);
    await work.finish();
    record.finished.add(event.id);
  };
  for await (const work of ledger.work({ events: 16, bytes: 1e7 }, new AbortController().signal)) {
    act(work).catch((error: unknown) => {
      work.giveBack(100);
      if (!(error instanceof LedgerUnavailable || work.lost.aborted)) {
        record.faults.push(String(error));
      }
    });
  }
}

/** Comes and goes, until the signal fires. */
async function trouble(acts: readonly (() => Promise<void>)[], random: Random, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    await sleep(random(2_000));
    await acts[random(acts.length)]?.();
  }
}

function troublesOn(detour: Detour, random: Random): (() => Promise<void>)[] {
  const passing = (begin: () => void, longestMs: number) => async () => {
    begin();
    await sleep(random(longestMs));
    detour.open();
  };
  return [passing(detour.stall, 1_000), passing(detour.stall, 4_000), passing(detour.block, 1_000)];
}

function troublesOf(server: NatsServer, random: Random): (() => Promise<void>)[] {
  const restart = (signal: NodeJS.Signals) => async () => {
    await server.stop(signal);
    await sleep(random(800));
    await server.start();
  };
  return [restart("SIGKILL"), restart("SIGTERM"), () => sleep(2_000)];
}

describe.skipIf(natsBinaries.length > 0)("replicas in a storm", () => {
  it.skip(withoutNats);
});

describe.each(binaries)(`replicas on nats-server $version in a storm of seed ${seed}`, (binary) => {
  it("act on all that they have accepted, never two on one target, never twice", async () => {
    const random = randomFrom(seed);
    const server = await startNats({ binary });
    onTestFinished(() => server.dispose());
    const detours = await Promise.all([0, 1, 2].map(() => detourTo(server.url)));
    const settings = settingsOf({ servers: [], leaseMs, windowSeconds });
    const ledgers = await Promise.all(detours.map(({ url }) => openLedger({ ...settings, servers: [url] })));
    const record = createRecord();
    const working = ledgers.map((ledger) => workOn(ledger, record));
    const accepted: FalcoEvent[] = [];
    let stormy = true;

    const senders = ledgers.map(async (ledger, n) => {
      while (stormy) {
        const event = eventOf({ pod: `shop/cart-${random(pods)}`, rule: `Rule ${n % 2}`, uuid: undefined });
        const acceptance = await ledger.accept(event).catch(unlessUnavailable);
        if (acceptance?.status === "accepted") {
          accepted.push(event);
        }
        await sleep(random(60));
      }
    });
    const over = AbortSignal.timeout(seconds * 1_000);
    await Promise.all([
      trouble(troublesOf(server, random), random, over),
      ...detours.map((detour, n) => {
        const own = randomFrom(seed + n + 1);
        return trouble(troublesOn(detour, own), own, over);
      }),
    ]);
    stormy = false;
    await Promise.all(senders);
    const left = () => accepted.filter(({ id }) => !record.done.has(id)).map(({ id }) => id);
    const backlogs = () => ledgers.map((ledger) => ledger.backlog().events);
    await until(
      "all is done, and everybody knows",
      () => left().length === 0 && backlogs().every((n) => n === 0),
    ).catch(() => undefined);

    expect({ left: left(), backlogs: backlogs(), faults: record.faults }).toEqual({
      left: [],
      backlogs: [0, 0, 0],
      faults: [],
    });
    await Promise.all(ledgers.map((ledger) => ledger.close()));
    await Promise.all(working);
  });
});

function unlessUnavailable(error: unknown): undefined {
  if (!(error instanceof LedgerUnavailable)) {
    throw error;
  }
}
