/** What one commit writes: all of it or nothing. Plain data, as it goes from thread to thread. */
export interface Batch {
  readonly events: readonly EventRow[];
  readonly repeats: readonly RepeatRow[];
  readonly steps: readonly StepsRow[];
  readonly finished: readonly FinishedRow[];
  /** Milliseconds. */
  readonly at: number;
}

export interface EventRow {
  readonly seq: number;
  readonly id: string;
  readonly receivedAt: string;
  /** Milliseconds. */
  readonly at: number;
  /** Of the de-duplication; null where that is off. */
  readonly key: string | null;
  readonly text: string;
}

export interface RepeatRow {
  readonly of: string;
  readonly id: string;
  /** Milliseconds. */
  readonly at: number;
}

/** One call of `record`. */
export interface StepsRow {
  /** The event's seq. */
  readonly event: number;
  /** The transitions as a JSON list. */
  readonly body: string;
  readonly plans: readonly PlanRow[];
  readonly marks: readonly Mark[];
}

export interface PlanRow {
  readonly response: string;
  readonly rule: string;
  /** As `describeTarget` writes it. */
  readonly target: string;
  /** Milliseconds. */
  readonly at: number;
}

/** What becomes of a response. */
export interface Mark {
  readonly response: string;
  /** Bits of `statusBits`. */
  readonly statuses: number;
  readonly closed: boolean;
}

export interface FinishedRow {
  readonly seq: number;
  /** It had responses, which stay on record with it. */
  readonly kept: boolean;
}

/** An event that an earlier process left unfinished. */
export interface LeftRow extends Omit<EventRow, "text" | "receivedAt"> {
  readonly lane: string | undefined;
  readonly group: string;
  readonly bytes: number;
  /** There are transitions of it. */
  readonly recorded: boolean;
}
