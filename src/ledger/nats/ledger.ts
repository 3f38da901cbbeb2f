import { setTimeout as sleep } from "node:timers/promises";
import { JetStreamApiError } from "@nats-io/jetstream";
import type { FalcoEvent } from "../../events/event.ts";
import { type Bell, createBell } from "../bell.ts";
import { rememberedKeys } from "../deduplication.ts";
import { type Acceptance, type Hold, type Ledger, LedgerUnavailable, type Room, type Work } from "../ledger.ts";
import { accept } from "./accept.ts";
import type { NatsServerOptions } from "./connect.ts";
import { type Follower, follow } from "./follower.ts";
import { createHistory, type History } from "./history.ts";
import { createLeases, type Leases } from "./leases.ts";
import { createLink, type Link, type Message } from "./link.ts";
import { digestOf, type Names, namesFor } from "./names.ts";
import { createParts, type Parts } from "./parts.ts";
import { createPicture, type Picture } from "./picture.ts";
import { isForbidden, openSession, type Session } from "./session.ts";
import { createTurns, type Turns } from "./turns.ts";

export interface NatsLedgerOptions extends NatsServerOptions {
  /** Of the streams and subjects; letters, digits, `_` and `-`. */
  readonly prefix: string;
  /** Copies of each stream in a NATS cluster: 1, 3 or 5. */
  readonly replicas: number;
  /** JetStream's, where it is not the server's own. */
  readonly domain?: string | undefined;
  /** Of the de-duplication; 0 switches it off. */
  readonly windowSeconds: number;
  /** Of the texts of events accepted and not finished: beyond it, `accept` rejects. */
  readonly backlogBytes: number;
  /** How long, and how much, of the history is kept. */
  readonly retention: { readonly ageMs: number; readonly bytes: number };
  /** Milliseconds. */
  readonly clock: () => number;
  /** What an operator should read: a fault, and its end. */
  readonly remark: (message: string) => void;
  /** After so long without a sign of life the work of a replica goes to the others: the same in all of them. */
  readonly leaseMs?: number;
}

/** What the parts of the ledger have in common. */
interface Peers {
  readonly options: NatsLedgerOptions;
  readonly session: Session;
  readonly link: Link;
  readonly names: Names;
  readonly follower: Follower;
  readonly picture: Picture;
  readonly history: History;
  readonly leases: Leases;
  readonly parts: Parts;
  readonly turns: Turns;
  readonly bell: Bell;
  readonly state: { closed: boolean; takers: number; refusal: string | undefined; trimmed: number };
}

type Stream = Pick<Peers, "link" | "names" | "picture" | "follower">;

const usualLeaseMs = 20_000;
const balanceMs = 250;
const holdRetryMs = 250;
const openMs = 5_000;
const readMs = 30_000;
const tendMs = 1_000;
/** Of sequences: the stream is not trimmed for less. */
const trimStep = 1_000;
const closeMs = 5_000;
const closedReason = "the ledger is closed: Hallux is stopping";

/**
 * The ledger of several replicas, in the streams of NATS JetStream. It opens where NATS is not there, too: then it accepts nothing,
 * says why, and goes on as soon as it can.
 */
export async function createNatsLedger(options: NatsLedgerOptions): Promise<Ledger> {
  const names = namesFor(options.prefix);
  const leaseMs = options.leaseMs ?? usualLeaseMs;
  const id = crypto.randomUUID();
  const state = { closed: false, takers: 0, refusal: undefined, trimmed: 0 };
  const bell = createBell();

  const session = openSession({ ...options, names, leaseMs });
  const link = createLink(session);
  const history = createHistory(link, names);
  const leases = createLeases({ session, link, names, holder: id, leaseMs });
  const picture = createPicture({
    onEvent: (entry) => turns.offer(entry),
    keepsText: ({ part }) => parts.leaseOf(part) !== undefined,
  });
  const follower = follow(session, {
    stream: names.events,
    deliver: picture.read,
    reset() {
      picture.clear();
      state.trimmed = 0;
    },
  });
  const catchUp = async () => {
    const sequence = await link.publish(markOf(id, names));
    await before(readMs, follower.reached(sequence));
    await settleTrimmed({ link, names, picture, follower });
  };
  const parts = createParts({
    ...{ leases, id, balanceMs, catchUp },
    isIdle: (part) => turns.isIdle(part),
    onGained(gained) {
      for (const entry of picture.entries()) {
        if (gained.has(entry.part)) {
          turns.offer(entry);
        }
      }
    },
  });
  const turns = createTurns({
    ...{ link, names, picture, history, catchUp },
    leaseOf: parts.leaseOf,
    rouse: bell.ring,
    barred: () => (state.closed ? closedReason : undefined),
  });
  const peers: Peers = { options, session, link, names, follower, picture, history, leases, parts, turns, bell, state };
  const tending = setInterval(() => tend(peers, id).catch(unlessUnavailable), tendMs);

  await session.tried();
  await (session.fault() === undefined ? before(openMs, catchUp()).catch(unlessUnavailable) : undefined);
  return ledgerOf(peers, async () => {
    await before(closeMs, link.settled()).catch(unlessUnavailable);
    clearInterval(tending);
    follower.stop();
    await parts.close();
    await leases.close();
    await session.close();
  });
}

function ledgerOf(peers: Peers, close: () => Promise<void>): Ledger {
  const { history, picture, state, bell } = peers;
  const accepting = new Set<Promise<unknown>>();
  let closing: Promise<void> | undefined;

  return {
    accept(event) {
      const acceptance = acceptNow(event, peers);
      accepting.add(acceptance);
      acceptance.catch(() => {}).finally(() => accepting.delete(acceptance));
      return acceptance;
    },
    work: (room, signal) => workFrom(peers, room, signal),
    hold: (key, signal) => hold(key, signal, peers.leases),
    async responses(query) {
      refuseClosed(state);
      return history.responses(query);
    },
    async response(id) {
      refuseClosed(state);
      return history.response(id);
    },
    faults() {
      const fault = faultOf(peers);
      return fault === undefined ? [] : [fault];
    },
    backlog: picture.backlog,
    size: () => sizeOf(peers),
    close() {
      state.closed = true;
      bell.ring();
      closing ??= Promise.allSettled(accepting).then(close);
      return closing;
    },
  };
}

async function acceptNow(event: FalcoEvent, peers: Peers): Promise<Acceptance> {
  const { state, options } = peers;
  refuseClosed(state);
  const full = fullness(peers);
  if (full !== undefined) {
    throw new LedgerUnavailable(full);
  }
  try {
    const acceptance = await accept(event, { ...peers, ...options });
    state.refusal = undefined;
    return acceptance;
  } catch (error) {
    if (error instanceof LedgerUnavailable && (error.cause instanceof JetStreamApiError || isForbidden(error.cause))) {
      state.refusal = error.message;
    }
    throw error;
  }
}

async function* workFrom(peers: Peers, room: Room, signal: AbortSignal): AsyncGenerator<Work, undefined> {
  const { bell, parts, state, turns } = peers;
  signal.addEventListener("abort", bell.ring);
  state.takers += 1;
  parts.want(true);
  try {
    while (!signal.aborted && !state.closed) {
      const rung = bell.rung();
      const work = await turns.next(room);
      if (work === undefined) {
        await rung;
      } else {
        yield work;
      }
    }
  } finally {
    state.takers -= 1;
    parts.want(state.takers > 0);
    turns.rest();
    signal.removeEventListener("abort", bell.ring);
  }
}

async function hold(key: string, signal: AbortSignal, leases: Leases): Promise<Hold> {
  while (true) {
    signal.throwIfAborted();
    const changed = leases.changes.rung();
    const lease = await leases.take(`hold.${digestOf(key)}`);
    if (lease !== undefined && !signal.aborted) {
      return { lost: lease.lost, release: () => void lease.release() };
    }
    await (lease?.release() ?? Promise.race([changed, sleep(holdRetryMs, undefined, { signal }).catch(() => {})]));
  }
}

function faultOf(peers: Peers): string | undefined {
  const { session, state } = peers;
  return state.closed ? closedReason : (session.fault() ?? fullness(peers) ?? state.refusal);
}

function fullness({ picture, options: { backlogBytes } }: Peers): string | undefined {
  const { events, bytes } = picture.held();
  return bytes < backlogBytes
    ? undefined
    : `the backlog is full: ${events} events wait, with ${bytes} bytes (ledger.backlog_bytes is ${backlogBytes})`;
}

/** Of all its streams, one copy of each. */
async function sizeOf({ link, names, state }: Peers): Promise<number | undefined> {
  if (state.closed) {
    return undefined;
  }
  const streams = [names.events, names.responses, names.planned, names.repeats, names.leases];
  try {
    const infos = await link.perform(({ jsm }) => Promise.all(streams.map((stream) => jsm.streams.info(stream))));
    return infos.reduce((sum, info) => sum + info.state.bytes, 0);
  } catch {
    return undefined;
  }
}

function refuseClosed({ closed }: Peers["state"]): void {
  if (closed) {
    throw new LedgerUnavailable(closedReason);
  }
}

/** Finds out whether what was refused is taken again, and removes what is needed no more. */
async function tend(peers: Peers, id: string): Promise<void> {
  const { state, parts, picture, link, names } = peers;
  if (state.refusal !== undefined) {
    await link.publish(markOf(id, names)).then(() => {
      state.refusal = undefined;
    });
  }
  await settleTrimmed(peers);
  const seq = picture.surplus(rememberedKeys);
  if (parts.leaseOf(0) !== undefined && seq >= state.trimmed + trimStep) {
    await link.perform(({ jsm }) => jsm.streams.purge(names.events, { seq }));
    state.trimmed = seq;
  }
}

/** What is finished and trimmed before we read it is finished for us, too. Rejects where it is another stream that we have read. */
async function settleTrimmed({ link, names, picture, follower }: Stream): Promise<void> {
  const found = await link.perform(({ jsm }) => jsm.streams.info(names.events));
  if (!follower.isOf(found)) {
    throw new LedgerUnavailable("the stream of events was made anew: it is read from its beginning");
  }
  picture.settleBefore(found.state.first_seq);
}

/** A message that means nothing: it is stored after all that was stored before, and each replica reads it after that. */
function markOf(id: string, names: Names): Message {
  return { subject: names.subject("mark", id), note: "{}", body: "", replaces: true };
}

async function before(ms: number, done: Promise<void>): Promise<void> {
  const late = sleep(ms, undefined, { ref: false }).then(() => {
    throw new LedgerUnavailable("NATS is too slow");
  });
  await Promise.race([done, late]);
}

function unlessUnavailable(error: unknown): void {
  if (!(error instanceof LedgerUnavailable)) {
    throw error;
  }
}
