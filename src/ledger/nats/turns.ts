import { decodeEvent } from "../../events/decode.ts";
import type { FalcoEvent } from "../../events/event.ts";
import { createLanes, type Waiting } from "../lanes.ts";
import { LedgerUnavailable, type Room, type Work } from "../ledger.ts";
import { createCounts } from "./counts.ts";
import type { Lease } from "./leases.ts";
import type { Entry } from "./picture.ts";
import { storedEvent } from "./stored.ts";
import { afterFaultMs, type Given, type WorkPeers, workOn } from "./work.ts";

/** An event that waits for its turn as long as its part is ours. */
interface Turn extends Waiting {
  readonly entry: Entry;
  readonly lease: Lease;
}

/** Gives the events of our parts, in turn. */
export interface Turns {
  /** An event that is to be given, if its part is ours. */
  offer(entry: Entry): void;
  /** Undefined where nothing may be given now. */
  next(room: Room): Promise<Work | undefined>;
  /** Nobody asks any more: what was made ready waits again. */
  rest(): void;
  /** Whether nothing of the part is being worked on. */
  isIdle(part: number): boolean;
}

export interface TurnsPeers extends WorkPeers {
  /** The lease of a part that is ours. */
  readonly leaseOf: (part: number) => Lease | undefined;
  /** Resolves when everything is read that is stored now. */
  readonly catchUp: () => Promise<void>;
  /** There may be something to give. */
  readonly rouse: () => void;
}

/** So many texts are asked for before their turn: the answers come together. */
const maxAhead = 32;

export function createTurns(peers: TurnsPeers): Turns {
  const queue = createQueue(peers);
  const workedOn = createCounts<number>();
  /** They were given before: what was recorded last may be stored, or not. */
  const unsure = new WeakSet<Entry>();
  const ahead: { readonly turn: Turn; readonly event: Promise<FalcoEvent | undefined> }[] = [];

  const prepare = async (entry: Entry): Promise<FalcoEvent | undefined> => {
    try {
      if (unsure.has(entry)) {
        await peers.catchUp();
        unsure.delete(entry);
      }
      return await eventOf(entry, peers);
    } catch (error) {
      if (error instanceof LedgerUnavailable) {
        return undefined;
      }
      throw error;
    }
  };
  const fill = (room: Room) => {
    while (ahead.length < maxAhead) {
      const turn = queue.take(room);
      if (turn === undefined) {
        return;
      }
      ahead.push({ turn, event: prepare(turn.entry) });
    }
  };
  const workFor = (turn: Turn, event: FalcoEvent): Work => {
    const { entry, lease } = turn;
    workedOn.add(entry.part, 1);
    const given: Given = {
      entry,
      event,
      lost: lease.lost,
      release: () => queue.release(turn),
      leave: () => workedOn.add(entry.part, -1),
      again(afterMs) {
        unsure.add(entry);
        queue.putBack(turn, afterMs);
      },
    };
    return workOn(given, peers);
  };

  return {
    offer: queue.offer,
    async next(room) {
      for (fill(room); ahead.length > 0; fill(room)) {
        const first = ahead.shift();
        const event = await first?.event;
        if (first !== undefined && event !== undefined && queue.isCurrent(first.turn)) {
          return workFor(first.turn, event);
        }
        queue.giveUp(first?.turn);
      }
      return undefined;
    },
    rest() {
      for (const { turn } of ahead.splice(0).reverse()) {
        queue.release(turn);
        queue.putBack(turn, 0);
      }
    },
    isIdle: (part) => workedOn.get(part) === 0,
  };
}

/** What waits; of it only what is still ours is given. */
function createQueue({ leaseOf, rouse }: Pick<TurnsPeers, "leaseOf" | "rouse">) {
  const lanes = createLanes<Turn>();
  const current = new WeakMap<Entry, Turn>();

  const isCurrent = (turn: Turn) =>
    !turn.entry.finished && current.get(turn.entry) === turn && leaseOf(turn.entry.part) === turn.lease;
  const release = (turn: Turn) => {
    lanes.release(turn);
    rouse();
  };
  const putFirst = (turn: Turn) => {
    if (isCurrent(turn)) {
      lanes.putFirst(turn);
      rouse();
    }
  };
  const putBack = (turn: Turn, afterMs: number) => {
    if (afterMs === 0) {
      putFirst(turn);
    } else {
      setTimeout(() => putFirst(turn), afterMs).unref();
    }
  };

  return {
    isCurrent,
    release,
    putBack,
    offer(entry: Entry) {
      const lease = leaseOf(entry.part);
      if (lease !== undefined) {
        const { lane, group, bytes } = entry;
        const turn: Turn = { lane, group, bytes, entry, lease };
        current.set(entry, turn);
        lanes.add(turn);
        rouse();
      }
    },
    take(room: Room): Turn | undefined {
      let turn = lanes.take(room);
      while (turn !== undefined && !isCurrent(turn)) {
        lanes.release(turn);
        turn = lanes.take(room);
      }
      return turn;
    },
    /** Not now. */
    giveUp(turn: Turn | undefined) {
      if (turn !== undefined) {
        release(turn);
        putBack(turn, afterFaultMs);
      }
    },
  };
}

async function eventOf(
  { id, receivedAt, text, sequence }: Entry,
  { link, names, picture }: Pick<TurnsPeers, "link" | "names" | "picture">,
): Promise<FalcoEvent | undefined> {
  const stored = text ?? (await storedEvent({ id, sequence }, { link, names }))?.string();
  if (stored === undefined) {
    // Somebody else has removed it from the stream.
    picture.settle(id);
    return undefined;
  }
  return decodeEvent(stored, { id, receivedAt }).event;
}
