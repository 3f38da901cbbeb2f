import { LedgerUnavailable } from "../ledger.ts";
import type { Batch, EventRow, FinishedRow, RepeatRow, StepsRow } from "./batch.ts";

/** A commit costs about as much for so many rows as for one: it does not wait for more. */
const rowsWorthACommit = 16;
/** Nobody waits for an end to be on disk: so long it waits for something to go with. */
const endsAloneMs = 10;

/** Group commit: while one batch is being written, the next one collects. */
export interface Journal {
  /** Resolves when it is on disk, and all that was added before. Rejects with LedgerUnavailable. */
  addEvent(row: EventRow): Promise<void>;
  addRepeat(row: RepeatRow): Promise<void>;
  addSteps(row: StepsRow): Promise<void>;
  /** It is tried again until it is on disk; rejects where that did not come about before `close`. */
  addFinished(row: FinishedRow): Promise<void>;
  /** Why nothing is taken now. */
  readonly fault: string | undefined;
  readonly closed: boolean;
  /** Takes nothing; what was to be written is rejected. */
  suspend(fault: string): void;
  resume(): void;
  /** Writes what is under way; takes nothing more. */
  close(reason: string): Promise<void>;
}

export interface JournalPeers {
  /** Rejects with a reason for people. */
  readonly commit: (batch: Batch) => Promise<void>;
  /** A batch could not be written. Suspends the journal. */
  readonly onFault: (reason: string) => void;
  /** Milliseconds. */
  readonly clock: () => number;
}

interface Collecting {
  readonly events: EventRow[];
  readonly repeats: RepeatRow[];
  readonly steps: StepsRow[];
  /** One promise for all of them. */
  readonly written: PromiseWithResolvers<void>;
}

interface Finish {
  readonly row: FinishedRow;
  readonly written: PromiseWithResolvers<void>;
}

export function createJournal(peers: JournalPeers): Journal {
  return new GroupCommit(peers);
}

class GroupCommit implements Journal {
  readonly #peers: JournalPeers;
  #collecting = collect();
  #finishes: Finish[] = [];
  #writing: Promise<void> | undefined;
  #endsAlone: NodeJS.Timeout | undefined;
  #fault: string | undefined;
  #closed = false;

  constructor(peers: JournalPeers) {
    this.#peers = peers;
  }

  get fault(): string | undefined {
    return this.#fault;
  }

  get closed(): boolean {
    return this.#closed;
  }

  addEvent(row: EventRow): Promise<void> {
    return this.#add(({ events }) => events, row);
  }

  addRepeat(row: RepeatRow): Promise<void> {
    return this.#add(({ repeats }) => repeats, row);
  }

  addSteps(row: StepsRow): Promise<void> {
    return this.#add(({ steps }) => steps, row);
  }

  addFinished(row: FinishedRow): Promise<void> {
    const written = unawaited<void>();
    if (this.#closed) {
      written.reject(new LedgerUnavailable(this.#fault));
      return written.promise;
    }
    this.#finishes.push({ row, written });
    this.#schedule();
    return written.promise;
  }

  suspend(fault: string): void {
    if (!this.#closed) {
      this.#refuse(fault);
    }
  }

  resume(): void {
    if (!this.#closed) {
      this.#fault = undefined;
      this.#begin();
    }
  }

  async close(reason: string): Promise<void> {
    if (this.#fault === undefined) {
      this.#begin();
    }
    this.#closed = true;
    this.#fault = reason;
    while (this.#writing !== undefined) {
      await this.#writing;
    }
    this.#refuse(reason);
    for (const { written } of this.#finishes.splice(0)) {
      written.reject(new LedgerUnavailable(reason));
    }
  }

  #add<R>(rows: (to: Collecting) => R[], row: R): Promise<void> {
    if (this.#fault !== undefined) {
      return Promise.reject(new LedgerUnavailable(this.#fault));
    }
    rows(this.#collecting).push(row);
    this.#schedule();
    return this.#collecting.written.promise;
  }

  get #rows(): number {
    const { events, repeats, steps } = this.#collecting;
    return events.length + repeats.length + steps.length;
  }

  #schedule(): void {
    if (this.#rows > 0 || this.#closed) {
      this.#begin();
    } else if (this.#finishes.length > 0) {
      this.#endsAlone ??= setTimeout(() => this.#writeEnds(), endsAloneMs);
    }
  }

  #writeEnds(): void {
    this.#endsAlone = undefined;
    if (this.#fault === undefined) {
      this.#begin();
    }
  }

  #begin(): void {
    if (this.#writing === undefined && this.#rows + this.#finishes.length > 0) {
      this.#writing = this.#gather().then(() => this.#write());
    }
  }

  /** Until the end of a turn that brought nothing more: what comes in at about the same time goes together. */
  async #gather(): Promise<void> {
    let before: number;
    do {
      before = this.#rows;
      await new Promise<void>((resolve) => setImmediate(resolve));
    } while (this.#rows > before && this.#rows < rowsWorthACommit);
  }

  async #write(): Promise<void> {
    const { commit, onFault, clock } = this.#peers;
    const [{ written, ...rows }, finishes] = [this.#collecting, this.#finishes];
    this.#collecting = collect();
    this.#finishes = [];
    clearTimeout(this.#endsAlone);
    this.#endsAlone = undefined;
    try {
      await commit({ ...rows, finished: finishes.map(({ row }) => row), at: clock() });
      written.resolve();
      for (const finish of finishes) {
        finish.written.resolve();
      }
      this.#writing = undefined;
      this.#schedule();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#finishes = [...finishes, ...this.#finishes];
      this.#writing = undefined;
      written.reject(new LedgerUnavailable(reason));
      onFault(reason);
    }
  }

  #refuse(reason: string): void {
    this.#fault = reason;
    this.#collecting.written.reject(new LedgerUnavailable(reason));
    this.#collecting = collect();
  }
}

function collect(): Collecting {
  return { events: [], repeats: [], steps: [], written: unawaited() };
}

/** Not everybody who adds something waits for it. */
function unawaited<T>(): PromiseWithResolvers<T> {
  const promise = Promise.withResolvers<T>();
  promise.promise.catch(() => undefined);
  return promise;
}
