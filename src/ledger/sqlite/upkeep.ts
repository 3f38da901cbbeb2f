import type { Backlog } from "./backlog.ts";
import type { LeftRow } from "./batch.ts";
import { StoreFault } from "./fault.ts";
import type { Journal } from "./journal.ts";
import type { Recovery } from "./store.ts";
import type { Transport } from "./transport.ts";

export interface UpkeepOptions {
  /** How long what is finished stays on record, and how large the file may grow with it. */
  readonly retention: { readonly ageMs: number; readonly bytes: number };
  /** Milliseconds. */
  readonly clock: () => number;
  /** What an operator should read: a fault, and its end. */
  readonly remark: (message: string) => void;
  readonly pace: Pace;
}

/** Milliseconds. */
export interface Pace {
  /** Between two attempts to open what is at fault. */
  readonly retryMs: number;
  /** Between two looks at what is too old. */
  readonly tendMs: number;
}

export interface UpkeepPeers {
  readonly writer: Transport;
  readonly reader: Transport;
  readonly journal: Journal;
  readonly backlog: Backlog;
  /** Takes over what an earlier process left, the events oldest first, before anything else is taken. */
  readonly restore: (recovery: Recovery, unfinished: readonly LeftRow[]) => void;
}

/** Opens the files, opens them again after a fault, and removes what is too old. */
export interface Upkeep {
  /** Opens for the first time. Rejects with StoreFault where another process has the directory; any other fault is told. */
  start(): Promise<void>;
  /** The files cannot be used: they are opened again, until that comes about. */
  failed(reason: string): void;
  /** To the operator; the same again only after something else. */
  tell(message: string): void;
  /** Resolves when nothing is being opened any more. */
  stop(): Promise<void>;
}

export function createUpkeep(options: UpkeepOptions, peers: UpkeepPeers): Upkeep {
  const { pace, remark } = options;
  const { writer, reader, journal } = peers;
  const timers = new Map<() => Promise<void>, NodeJS.Timeout>();
  let stopped = false;
  let restored = false;
  let opening = Promise.resolve();
  let told = "";

  /** Does not keep the process alive. */
  const after = (ms: number, work: () => Promise<void>) => {
    clearTimeout(timers.get(work));
    if (!stopped) {
      timers.set(work, setTimeout(work, ms).unref());
    }
  };
  const tell = (message: string) => {
    if (message !== told) {
      told = message;
      remark(message);
    }
  };
  const open = async () => {
    await writer.call("open");
    if (restored) {
      // Another process may have had the files meanwhile: what it has put there keeps its numbers.
      peers.restore({ next: await writer.call("next"), known: [] }, []);
    } else {
      await restoreAll(peers);
      restored = true;
    }
  };
  const retry = () => {
    opening = openAgain();
    return opening;
  };
  const openAgain = async () => {
    try {
      await reader.close();
      await open();
      journal.resume();
      tell("the ledger works again");
    } catch (error) {
      failed(messageOf(error));
    }
  };
  const failed = (reason: string) => {
    journal.suspend(reason);
    tell(reason);
    after(pace.retryMs, retry);
  };
  const tend = async () => {
    try {
      while (!stopped && journal.fault === undefined && (await tendOnce(options, peers))) {
        await new Promise((resolve) => setImmediate(resolve));
      }
    } catch (error) {
      failed(messageOf(error));
    }
    after(pace.tendMs, tend);
  };

  return {
    async start() {
      try {
        await open();
      } catch (error) {
        if (error instanceof StoreFault && error.held) {
          throw error;
        }
        failed(messageOf(error));
      }
      after(pace.tendMs, tend);
    },
    failed,
    tell,
    stop() {
      stopped = true;
      for (const timer of timers.values()) {
        clearTimeout(timer);
      }
      return opening;
    },
  };
}

/** All of it, or nothing. */
async function restoreAll({ writer, restore }: UpkeepPeers): Promise<void> {
  const recovery = await writer.call("recover");
  const unfinished: LeftRow[] = [];
  for (let rows = await writer.call("left", 0); rows.length > 0; rows = await writer.call("left", lastOf(rows))) {
    unfinished.push(...rows);
  }
  restore(recovery, unfinished);
}

function lastOf(rows: readonly LeftRow[]): number {
  return rows.at(-1)?.seq ?? 0;
}

function tendOnce({ retention, clock }: UpkeepOptions, { writer, backlog }: UpkeepPeers): Promise<boolean> {
  const before = clock() - retention.ageMs;
  return writer.call("tend", { before, bytes: retention.bytes, backlogBytes: backlog.bytes });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
