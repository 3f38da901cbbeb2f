import type { Outcome, OutcomeStatus } from "../catalogue/outcome.ts";
import type { FalcoEvent } from "../events/event.ts";
import type { Target } from "../events/target.ts";

/**
 * The record of events and responses. Every driver passes the same suite (`test/support/ledger-contract.ts`).
 *
 * The intake accepts, the engine takes work and records; they know each other only through here, so that a backlog lives
 * in the ledger and not in memory, and another replica can take over work.
 */
export interface Ledger {
  /**
   * De-duplicates the event and makes it durable; when this resolves the sender may be answered 2xx.
   * Rejects with `LedgerUnavailable` where that is not possible now.
   */
  accept(event: FalcoEvent): Promise<Acceptance>;

  /**
   * Accepted events not yet finished, oldest first, each given to one taker. Ends when the signal fires or the ledger closes;
   * a driver that cannot keep work for the next process gives all it has first.
   * An event may be given before it is durable, so that an idempotent action need not wait.
   */
  work(signal: AbortSignal): AsyncIterable<Work>;

  /** Resolves when the transition is durable. */
  record(transition: Transition): Promise<void>;

  /** Newest first. */
  responses(query: ResponseQuery): Promise<readonly ResponseRecord[]>;

  /** Why `accept` would reject now, for /readyz; empty when it would not. */
  faults(): readonly string[];

  close(): Promise<void>;
}

export type Acceptance =
  | { readonly status: "accepted" }
  /** `of` is the id of the event that this one repeats. */
  | { readonly status: "duplicate"; readonly of: string };

export interface Work {
  readonly event: FalcoEvent;
  /** Resolves when the event is durable: before that no action may start that is not idempotent. */
  readonly durable: Promise<void>;
  /** What an earlier process recorded for this event; empty for a new one. */
  readonly history: readonly Transition[];
  /** Every response of the event has ended; it is not given again. */
  finish(): Promise<void>;
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

export interface ResponseQuery {
  readonly limit: number;
  readonly rule?: string;
  readonly status?: OutcomeStatus;
}

/** One rule applied to one event, with all that is on record of it. */
export interface ResponseRecord {
  readonly response: string;
  readonly event: FalcoEvent;
  readonly transitions: readonly Transition[];
}

/** The ledger cannot make an event durable now: full, its disk too, or closed. The message says which, for the sender. */
export class LedgerUnavailable extends Error {
  override readonly name = "LedgerUnavailable";
}
