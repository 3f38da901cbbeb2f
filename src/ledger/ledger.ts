import type { ErrorCode } from "../catalogue/errors.ts";
import type { Outcome, OutcomeStatus } from "../catalogue/outcome.ts";
import type { FalcoEvent } from "../events/event.ts";
import type { Target } from "../events/target.ts";
import type { Backlog } from "../telemetry/metrics.ts";

/**
 * The durable record of events and responses. Every driver passes the same suite (`test/support/ledger-contract.ts`).
 *
 * The intake accepts, the engine takes work and records; they know each other only through here, so that a backlog lives
 * in the ledger and not in memory, and another process can take over what one left behind.
 */
export interface Ledger {
  /**
   * De-duplicates the event and makes it durable; when this resolves the sender may be answered 2xx: the event, or the one it
   * repeats, is on disk. Rejects with `LedgerUnavailable` where that is not possible now; then it is as if it had never come.
   */
  accept(event: FalcoEvent): Promise<Acceptance>;

  /**
   * Accepted events not yet finished, what an earlier process left behind too. Of one target one at a time (until it is
   * released), oldest first, whichever process asks; targets take turns, and so do Falco rules: however many events one of
   * them brings, the others' come through. Waits while the room is taken. Ends when the signal fires or the ledger closes.
   * An event may be given before it is durable, so that an idempotent action need not wait.
   */
  work(room: Room, signal: AbortSignal): AsyncIterable<Work>;

  /**
   * Resolves when nobody else, in any process, holds the key. Rejects when the signal fires.
   */
  hold(key: string, signal: AbortSignal): Promise<Hold>;

  /** Newest first. Rejects with `LedgerUnavailable` where it cannot be read now. */
  responses(query: ResponseQuery): Promise<ResponsePage>;

  /** Undefined where there is none of this id, or no more. */
  response(id: string): Promise<ResponseDetail | undefined>;

  /** Why `accept` would reject now, for /readyz; empty when it would not. */
  faults(): readonly string[];

  /** For the metrics. */
  backlog(): Backlog;

  /** Bytes that it takes where it is stored; undefined where that is not to be had now. Never rejects. */
  size(): Promise<number | undefined>;

  /** Writes what is under way, gives nothing more. Work that was given and not finished is given again by the next `work`. */
  close(): Promise<void>;
}

export type Acceptance =
  | { readonly status: "accepted" }
  /** `of` is the id of the event that this one repeats. */
  | { readonly status: "duplicate"; readonly of: string };

/**
 * How much may be given and not yet released. Of one Falco rule no more is given than there is room left: none can take
 * all of it.
 */
export interface Room {
  readonly events: number;
  /** Of the events' texts. */
  readonly bytes: number;
}

/** One event, given to one taker, who ends it with `finish` or `giveBack`. */
export interface Work {
  readonly event: FalcoEvent;
  /**
   * Resolves when the event is durable: before that no action may start that is not idempotent. Rejects with
   * `LedgerUnavailable` where it could not be made so: the sender is told, and nothing more is recorded of it.
   */
  readonly durable: Promise<void>;
  /** What was recorded for this event before it was given, oldest first; empty for a new one. */
  readonly history: readonly Transition[];
  /** Fires, with an `ActionError` `interrupted`, when another process may have taken the event over: whatever runs for it must end. */
  readonly lost: AbortSignal;
  /**
   * All of them or none, in the order of the calls; resolves when they are durable. Rejects with `LedgerUnavailable`, and from
   * then on for this work: it is given again later, with the history as far as it was written.
   */
  record(transitions: readonly Transition[]): Promise<void>;
  /** What is left to do needs neither the target nor room: others may be given. */
  release(): void;
  /** Every response of the event has ended; it is not given again. Releases it. */
  finish(): Promise<void>;
  /** It is given again, not before so many milliseconds and then before others of its target. Releases it. */
  giveBack(afterMs: number): void;
}

export interface Hold {
  /** Fires, with an `ActionError` `interrupted`, when another process may have it: whatever needs it must end. */
  readonly lost: AbortSignal;
  release(): void;
}

/** The steps of a response. `response` is its id, `action` the position in the rule's actions. */
export type Transition =
  | {
      readonly type: "planned";
      readonly at: string;
      readonly response: string;
      /** The event's id. */
      readonly event: string;
      readonly rule: string;
      /** Absent where it is none. */
      readonly dryRun?: boolean;
      readonly target: Target;
      readonly actions: readonly { readonly name: string; readonly actionner: string }[];
    }
  /** `attempt` counts from 1. */
  | {
      readonly type: "started";
      readonly at: string;
      readonly response: string;
      readonly action: number;
      readonly attempt: number;
    }
  /** The attempt that was started has failed, and another one follows. */
  | {
      readonly type: "retrying";
      readonly at: string;
      readonly response: string;
      readonly action: number;
      readonly attempt: number;
      readonly code: ErrorCode;
      readonly message: string;
    }
  | {
      readonly type: "ended";
      readonly at: string;
      readonly response: string;
      readonly action: number;
      readonly outcome: Outcome;
    }
  | {
      readonly type: "notified";
      readonly at: string;
      readonly response: string;
      readonly action: number;
      readonly notifier: string;
      /** Undefined when it was delivered. */
      readonly error: string | undefined;
    }
  /** No further action of the response will run. */
  | { readonly type: "closed"; readonly at: string; readonly response: string };

/** Each given filter must hold. */
export interface ResponseQuery {
  /** At least 1. */
  readonly limit: number;
  /** The `next` of the page before. */
  readonly after?: string | undefined;
  /** Planned at this time or later; RFC 3339. */
  readonly since?: string | undefined;
  readonly rule?: string | undefined;
  /** As `describeTarget` writes it: `pod shop/cart-1`. */
  readonly target?: string | undefined;
  /** Any of its actions ended so; `open`: it is not closed. */
  readonly status?: OutcomeStatus | "open" | undefined;
}

export interface ResponsePage {
  readonly responses: readonly ResponseRecord[];
  /** Where the next page begins; undefined on the last one. */
  readonly next: string | undefined;
}

/** One rule applied to one event: the first transition is `planned`. */
export interface ResponseRecord {
  readonly response: string;
  readonly transitions: readonly Transition[];
}

/** With the event, and the events that repeated it (the newest hundred, newest first). */
export interface ResponseDetail extends ResponseRecord {
  readonly event: FalcoEvent;
  readonly repeats: readonly Repeat[];
}

export interface Repeat {
  /** The id that the sender was told. */
  readonly event: string;
  readonly at: string;
}

/** The ledger cannot make anything durable now: full, its disk too, broken, or closed. The message says which, for the sender. */
export class LedgerUnavailable extends Error {
  override readonly name = "LedgerUnavailable";
}
