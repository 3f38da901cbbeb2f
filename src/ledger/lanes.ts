import { hash } from "node:crypto";
import type { FalcoEvent } from "../events/event.ts";
import { describeTarget, subjectOf } from "../events/target.ts";
import type { Room } from "./ledger.ts";
import { LinkedSet } from "./linked-set.ts";

/** What waits for its turn. */
export interface Waiting {
  /** What must not be worked on by two at a time; undefined where nothing has to wait for it. */
  readonly lane: string | undefined;
  /** Who shares the room fairly with others. */
  readonly group: string;
  readonly bytes: number;
}

/**
 * The order in which waiting work is given: of one lane one at a time and oldest first, lanes in turn, groups in turn. All of it
 * in memory, so what waits should be small: a number that says where the rest is.
 */
export interface Lanes<T extends Waiting> {
  add(item: T): void;
  /** As `add`, but first in its lane: it was taken and released before. */
  putFirst(item: T): void;
  /** The next one; undefined where nothing waits, or nothing may be given now. */
  take(room: Room): T | undefined;
  /** Frees the room and the lane of what was taken. */
  release(item: T): void;
  readonly size: number;
}

interface Lane<T> {
  /** One of its items is out. */
  taken: boolean;
  first: Entry<T> | undefined;
  last: Entry<T> | undefined;
}

interface Entry<T> {
  readonly item: T;
  next: Entry<T> | undefined;
}

/** Of its lanes those whose first item may be given, in the order of their turns. */
interface Group<T> {
  readonly name: string;
  readonly ready: LinkedSet<Lane<T>>;
}

interface Share {
  events: number;
  bytes: number;
}

const maxNameLength = 256;

/** An event waits in its target's lane, and shares the room as one of its Falco rule's. */
export function waitingOf(event: FalcoEvent): Waiting {
  const target = subjectOf(event);
  const lane = target.kind === "none" ? undefined : describeTarget(target);
  return { lane, group: shortened(event.rule), bytes: event.text.length };
}

export function createLanes<T extends Waiting>(): Lanes<T> {
  return new LanesInTurn();
}

class LanesInTurn<T extends Waiting> implements Lanes<T> {
  readonly #lanes = new Map<string, Lane<T>>();
  readonly #groups = new Map<string, Group<T>>();
  /** Groups with a lane whose first item may be given, in the order of their turns. */
  readonly #ready = new LinkedSet<Group<T>>();
  readonly #shares = new Map<string, Share>();
  readonly #given: Share = { events: 0, bytes: 0 };
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(item: T): void {
    this.#size += 1;
    const lane = this.#laneOf(item);
    const entry = { item, next: undefined };
    if (lane.last === undefined) {
      lane.first = entry;
      this.#makeReady(lane);
    } else {
      lane.last.next = entry;
    }
    lane.last = entry;
  }

  putFirst(item: T): void {
    this.#size += 1;
    const lane = this.#laneOf(item);
    this.#makeUnready(lane);
    lane.first = { item, next: lane.first };
    lane.last ??= lane.first;
    this.#makeReady(lane);
  }

  take(room: Room): T | undefined {
    const left = leftOf(room, this.#given);
    if (left.events <= 0 || left.bytes <= 0) {
      return undefined;
    }
    for (const group of this.#ready) {
      if (fits(this.#shares.get(group.name), left)) {
        return this.#takeFrom(group);
      }
    }
    return undefined;
  }

  release(item: T): void {
    const share = this.#shares.get(item.group);
    grow(this.#given, item, -1);
    if (share !== undefined && grow(share, item, -1) === 0) {
      this.#shares.delete(item.group);
    }
    const lane = item.lane === undefined ? undefined : this.#lanes.get(item.lane);
    if (lane === undefined || item.lane === undefined) {
      return;
    }
    lane.taken = false;
    if (lane.first === undefined) {
      this.#lanes.delete(item.lane);
    } else {
      this.#makeReady(lane);
    }
  }

  /** What has no lane has one to itself. */
  #laneOf({ lane: key }: T): Lane<T> {
    const known = key === undefined ? undefined : this.#lanes.get(key);
    const lane = known ?? { taken: false, first: undefined, last: undefined };
    if (key !== undefined) {
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  #takeFrom(group: Group<T>): T | undefined {
    const lane = group.ready.first;
    const item = lane?.first?.item;
    if (lane === undefined || item === undefined) {
      return undefined;
    }
    this.#makeUnready(lane);
    if (this.#ready.delete(group)) {
      this.#ready.add(group);
    }
    lane.taken = true;
    lane.first = lane.first?.next;
    lane.last = lane.first === undefined ? undefined : lane.last;
    this.#size -= 1;
    const share = this.#shares.get(group.name) ?? { events: 0, bytes: 0 };
    this.#shares.set(group.name, share);
    grow(share, item, 1);
    grow(this.#given, item, 1);
    return item;
  }

  /** In the group of its first item, where that may be given. */
  #makeReady(lane: Lane<T>): void {
    const name = lane.first?.item.group;
    if (name === undefined || lane.taken) {
      return;
    }
    const group = this.#groups.get(name) ?? { name, ready: new LinkedSet() };
    this.#groups.set(name, group);
    group.ready.add(lane);
    this.#ready.add(group);
  }

  #makeUnready(lane: Lane<T>): void {
    const name = lane.first?.item.group;
    const group = name === undefined ? undefined : this.#groups.get(name);
    if (group?.ready.delete(lane) && group.ready.size === 0) {
      this.#groups.delete(group.name);
      this.#ready.delete(group);
    }
  }
}

/** The change in `events` that is left. */
function grow(share: Share, { bytes }: Waiting, by: 1 | -1): number {
  share.events += by;
  share.bytes += by * bytes;
  return share.events;
}

/** One is always given, however large. */
function leftOf(room: Room, given: Share): Share {
  return given.events === 0
    ? { events: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY }
    : { events: room.events - given.events, bytes: room.bytes - given.bytes };
}

/** A group that has as much as is left waits for the others. */
function fits(share: Share | undefined, left: Share): boolean {
  return share === undefined || (share.events < left.events && share.bytes < left.bytes);
}

/** Whatever a sender writes, what is kept of it in memory stays small. */
function shortened(name: string): string {
  return name.length > maxNameLength ? hash("sha256", name) : name;
}
