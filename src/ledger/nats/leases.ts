import type { StoredMsg } from "@nats-io/jetstream";
import { ActionError } from "../../catalogue/errors.ts";
import { type Bell, createBell } from "../bell.ts";
import { LedgerUnavailable } from "../ledger.ts";
import { follow } from "./follower.ts";
import { Conflict, type Link, noteHeader, noteIn } from "./link.ts";
import { type Names, tokenOf } from "./names.ts";
import type { Session } from "./session.ts";

export interface Lease {
  readonly key: string;
  /** Fires before another process can have it. */
  readonly lost: AbortSignal;
  /** Whether it is to be trusted at this moment: after this process stood still, `lost` may have yet to fire. Once false, for ever. */
  isGood(): boolean;
  release(): Promise<void>;
}

/**
 * What one process at a time may have: a message that its holder writes again as long as it lives. The server's compare-and-set on
 * the subject decides; what is known here only says when it is worth asking. The stream forgets a message after `leaseMs`. Where it
 * does not, whoever has known the message for so long may overwrite it: its holder trusts it less long, from before it was written.
 */
export interface Leases {
  /** Undefined where somebody else has it, or NATS does not answer. */
  take(key: string): Promise<Lease | undefined>;
  /** Whether another process has it, as far as is known here. */
  taken(key: string): boolean;
  /** How many keys that begin so somebody has, as far as is known here. */
  count(beginning: string): number;
  /** Rings when somebody takes or releases one. */
  readonly changes: Bell;
  /** Releases all. */
  close(): Promise<void>;
}

export interface LeasesOptions {
  readonly session: Session;
  readonly link: Link;
  readonly names: Names;
  /** This process. */
  readonly holder: string;
  readonly leaseMs: number;
}

/** A lease as it is written; without holder it is released. */
interface Note {
  readonly key: string;
  readonly holder?: string | undefined;
  /** Another one each time its holder writes it: a stream that was made anew has the same sequences again. */
  readonly beat?: number | undefined;
}

/** A lease as it was read, and when: by our clock. */
interface Seen extends Note {
  readonly sequence: number;
  readonly at: number;
}

interface Held {
  readonly lease: Lease;
  readonly lost: AbortController;
  sequence: number;
  renewing: Promise<void>;
  /** By our clock: before the server can have forgotten it. */
  goodUntil: number;
}

/** In the life of a lease. */
const renewals = 5;
/** Of it: how long its holder trusts it. The rest is for what runs to end. */
const trusted = 0.75;

export function createLeases(options: LeasesOptions): Leases {
  const { session, link, names, holder, leaseMs } = options;
  const seen = new Map<string, Seen>();
  const changes = createBell();
  const keeper = createKeeper(options);
  const follower = follow(session, {
    stream: names.leases,
    // Whoever had a lease in the former stream trusts it until it hears otherwise: what was seen of it still counts.
    reset: () => undefined,
    deliver: ({ note, sequence }) => {
      const { key, holder, beat } = noteIn<Note>(note);
      if (key !== undefined) {
        seen.set(key, { key, holder, beat, sequence, at: performance.now() });
        changes.ring();
      }
    },
  });
  const asking = new Set<string>();
  const isHeld = (note: Seen) => note.holder !== undefined && performance.now() - note.at < leaseMs;
  /** As long again as it is worth asking for what may be outlived. */
  const forgetting = setInterval(() => {
    for (const [key, note] of seen) {
      if (performance.now() - note.at > 2 * leaseMs) {
        seen.delete(key);
      }
    }
  }, leaseMs);
  const taken = (key: string) => {
    const note = seen.get(key);
    return note !== undefined && note.holder !== holder && isHeld(note);
  };

  const isFree = (key: string, last: StoredMsg | undefined) => {
    const found = noteOf(last);
    // Where it says that we have it, we wrote so without hearing that it was stored.
    if (last === undefined || found.holder === undefined || found.holder === holder) {
      return true;
    }
    const known = seen.get(key);
    if (known?.sequence === last.seq && known.holder === found.holder && known.beat === found.beat) {
      return !isHeld(known);
    }
    seen.set(key, { ...found, key, sequence: last.seq, at: performance.now() });
    return false;
  };

  return {
    async take(key) {
      if (taken(key) || keeper.has(key) || asking.has(key)) {
        return undefined;
      }
      asking.add(key);
      const asked = performance.now();
      try {
        const last = await link.last(names.leases, subjectOf(key, names));
        return isFree(key, last) ? await keeper.take(key, { expected: last?.seq ?? 0, asked }) : undefined;
      } catch (error) {
        return pass(error);
      } finally {
        asking.delete(key);
      }
    },
    taken,
    count: (beginning) => [...seen.values()].filter((note) => note.key.startsWith(beginning) && isHeld(note)).length,
    changes,
    async close() {
      clearInterval(forgetting);
      await keeper.close();
      follower.stop();
    },
  };
}

/** Writes what we have again and again, and says in time when that fails. */
function createKeeper({ link, names, holder, leaseMs }: LeasesOptions) {
  const mine = new Map<string, Held>();
  /** They are lost, and what ran under them may still be ending. */
  const ending = new Set<string>();
  const write = createWriter(link, names);

  const isGood = (held: Held) => mine.get(held.lease.key) === held && performance.now() <= held.goodUntil;
  const drop = (held: Held, reason: string) => {
    const { key } = held.lease;
    mine.delete(key);
    ending.add(key);
    setTimeout(() => ending.delete(key), leaseMs * (1 - trusted)).unref();
    held.lost.abort(new ActionError("interrupted", reason));
  };
  const release = async (held: Held) => {
    const { key } = held.lease;
    if (mine.get(key) === held) {
      mine.delete(key);
      await held.renewing;
      await write({ key }, held.sequence).catch(pass);
    }
  };
  const renew = async (held: Held) => {
    const asked = performance.now();
    const { key } = held.lease;
    if (!isGood(held)) {
      return;
    }
    try {
      held.sequence = await write({ key, holder }, held.sequence);
      if (isGood(held)) {
        held.goodUntil = asked + leaseMs * trusted;
      }
    } catch (error) {
      pass(error);
      if (error instanceof Conflict) {
        await recheck(held);
      }
    }
  };
  /** Where we wrote it without hearing so, it is still ours: as long as it says, if it is renewed now. */
  const recheck = async (held: Held) => {
    const last = await link.last(names.leases, subjectOf(held.lease.key, names));
    if (last !== undefined && noteOf(last).holder === holder) {
      held.sequence = last.seq;
      await renew(held);
    } else if (mine.get(held.lease.key) === held) {
      drop(held, "another replica has taken over");
    }
  };
  const each = (everyMs: number, act: (held: Held) => void) =>
    setInterval(() => {
      for (const held of mine.values()) {
        act(held);
      }
    }, everyMs);
  const timers = [
    each(leaseMs / renewals, (held) => {
      held.renewing = held.renewing.then(() => renew(held)).catch(pass);
    }),
    each(leaseMs / 40, (held) => {
      if (performance.now() > held.goodUntil) {
        drop(held, "NATS did not answer in time: another replica may have taken over");
      }
    }),
  ];

  return {
    has: (key: string) => mine.has(key) || ending.has(key),
    async take(key: string, { expected, asked }: { readonly expected: number; readonly asked: number }) {
      const lost = new AbortController();
      const sequence = await write({ key, holder }, expected);
      const lease: Lease = { key, lost: lost.signal, isGood: () => isGood(held), release: () => release(held) };
      const goodUntil = asked + leaseMs * trusted;
      const held: Held = { lease, lost, sequence, goodUntil, renewing: Promise.resolve() };
      mine.set(key, held);
      return lease;
    },
    async close() {
      timers.forEach(clearInterval);
      await Promise.all([...mine.values()].map(release));
    },
  };
}

function createWriter(link: Link, names: Names) {
  let beat = 0;
  return (note: Omit<Note, "beat">, expected: number): Promise<number> => {
    beat += 1;
    const text = JSON.stringify({ ...note, beat });
    return link.publish({ subject: subjectOf(note.key, names), note: text, body: "", expected });
  };
}

function subjectOf(key: string, names: Names): string {
  return names.subject("lease", tokenOf(key));
}

function noteOf(last: StoredMsg | undefined): Partial<Note> {
  return last === undefined ? {} : noteIn<Note>(last.header.get(noteHeader));
}

/** What cannot be written now is tried again at the next beat, or forgotten by the server in time. */
function pass(error: unknown): undefined {
  if (error instanceof Conflict || error instanceof LedgerUnavailable) {
    return undefined;
  }
  throw error;
}
