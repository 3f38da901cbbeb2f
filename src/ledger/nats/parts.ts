import { createBell } from "../bell.ts";
import type { Lease, Leases } from "./leases.ts";
import { parts } from "./names.ts";

/**
 * Which parts of the work are ours. Nobody decides it for others: each replica takes what is free up to its share of the replicas
 * it sees, and lets go of what it has beyond it as soon as nothing of that is being worked on.
 */
export interface Parts {
  /** Undefined where it is not ours. */
  leaseOf(part: number): Lease | undefined;
  /** Whether we take work at all; without, all goes to the others. */
  want(wanted: boolean): void;
  close(): Promise<void>;
}

export interface PartsOptions {
  readonly leases: Leases;
  /** This process. */
  readonly id: string;
  readonly balanceMs: number;
  /** Resolves when everything is read that the holders before us have written. */
  catchUp(): Promise<void>;
  /** They are ours from now on. */
  onGained(gained: ReadonlySet<number>): void;
  isIdle(part: number): boolean;
}

const replicaKeys = "replica.";

export function createParts({ leases, id, balanceMs, catchUp, onGained, isIdle }: PartsOptions): Parts {
  const ours = new Map<number, Lease>();
  const stir = createBell();
  const beat = setInterval(stir.ring, balanceMs);
  let wanted = false;
  let closed = false;
  const membership = createMembership({ leases, id, catchUp });

  const leaseOf = (part: number) => {
    const lease = ours.get(part);
    return lease?.isGood() === true ? lease : undefined;
  };
  const share = async () =>
    wanted && (await membership.join()) ? Math.ceil(parts / Math.max(1, leases.count(replicaKeys))) : 0;
  const letGo = async (part: number) => {
    const lease = ours.get(part);
    ours.delete(part);
    await lease?.release();
  };
  const take = async (count: number) => {
    const free = shuffled(allParts().filter((part) => !ours.has(part) && !leases.taken(keyOf(part)))).slice(0, count);
    const taken = await Promise.all(free.map(async (part) => ({ part, lease: await leases.take(keyOf(part)) })));
    const gained = taken.flatMap(({ part, lease }) => (lease === undefined ? [] : [{ part, lease }]));
    if (gained.length === 0) {
      return;
    }
    if (!(await succeeds(catchUp))) {
      await Promise.all([...gained.map(({ lease }) => lease.release()), membership.resign()]);
      return;
    }
    for (const { part, lease } of gained) {
      ours.set(part, lease);
    }
    onGained(new Set(gained.map(({ part }) => part)));
  };
  const balance = async () => {
    for (const part of ours.keys()) {
      if (leaseOf(part) === undefined) {
        ours.delete(part);
      }
    }
    const fair = await share();
    const tooMany = [...ours.keys()].filter(isIdle).slice(0, Math.max(0, ours.size - fair));
    await Promise.all(tooMany.map(letGo));
    if (ours.size < fair) {
      await take(fair - ours.size);
    }
    if (!wanted && ours.size === 0) {
      await membership.resign();
    }
  };
  const running = (async () => {
    while (!closed) {
      const stirred = stir.rung();
      await balance();
      await stirred;
    }
  })();

  return {
    leaseOf,
    want(now) {
      wanted = now;
      if (now) {
        stir.ring();
      }
    },
    async close() {
      closed = true;
      clearInterval(beat);
      stir.ring();
      await running;
    },
  };
}

/** Who cannot read what is to be done does not count as a replica: its share would be done by nobody. */
function createMembership({ leases, id, catchUp }: Pick<PartsOptions, "leases" | "id" | "catchUp">) {
  let membership: Lease | undefined;
  return {
    /** Whether we count. */
    async join() {
      if (membership?.isGood() !== true) {
        membership = (await succeeds(catchUp)) ? await leases.take(replicaKeys + id) : undefined;
      }
      return membership !== undefined;
    },
    async resign() {
      const left = membership;
      membership = undefined;
      await left?.release();
    },
  };
}

function succeeds(act: () => Promise<void>): Promise<boolean> {
  return act().then(
    () => true,
    () => false,
  );
}

function allParts(): number[] {
  return Array.from({ length: parts }, (_, part) => part);
}

function keyOf(part: number): string {
  return `part.${part}`;
}

/** Replicas that look at the same time do not all want the same one. */
function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
