import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { FalcoEvent } from "../../src/events/event.ts";
import { describeTarget, subjectOf } from "../../src/events/target.ts";
import { type Ledger, LedgerUnavailable, type Transition, type Work } from "../../src/ledger/ledger.ts";
import { eventOf } from "../support/events.ts";
import { createNatsLedger, type NatsLedgerOptions } from "../../src/ledger/nats/ledger.ts";

/** What a replica is told on its command line. */
export interface ReplicaOptions {
  readonly name: string;
  readonly ledger: Omit<NatsLedgerOptions, "clock" | "remark">;
  /** A file to which each line is added as it happens. */
  readonly log: string;
  /** How long an action takes. */
  readonly workMs: number;
  /** On how many targets it accepts events, one after the other; none unless given. */
  readonly accepts?: number | undefined;
  /** Which replica's work does not end any more, after so many pieces of it. */
  readonly stuck?: { readonly name: string; readonly after: number } | undefined;
}

/** A line of the log. `at` in milliseconds, by the machine's clock. */
export interface LogEntry {
  readonly replica: string;
  readonly step: "accepted" | "begin" | "end" | "lost";
  readonly event: string;
  readonly target: string;
  readonly at: number;
}

const foreverMs = 1e9;

/** As a sender that tries again when it is told to: resolves when the event is accepted. */
export async function send(event: FalcoEvent, ledger: Ledger): Promise<void> {
  while (true) {
    try {
      await ledger.accept(event);
      return;
    } catch (error) {
      if (!(error instanceof LedgerUnavailable)) {
        throw error;
      }
      await sleep(100);
    }
  }
}

/** A replica without an engine: takes work, writes down when it worked on what, and ends it. */
async function main({ name, ledger: options, log, workMs, accepts = 0, stuck }: ReplicaOptions): Promise<void> {
  const ledger = await createNatsLedger({ ...options, clock: Date.now, remark: () => {} });
  const write = (step: LogEntry["step"], { event }: Pick<Work, "event">) => {
    const target = describeTarget(subjectOf(event));
    const entry: LogEntry = { replica: name, step, event: event.id, target, at: Date.now() };
    appendFileSync(log, `${JSON.stringify(entry)}\n`);
  };
  let left = stuck?.name === name ? stuck.after : Number.POSITIVE_INFINITY;
  const act = async (work: Work) => {
    const response = `r-${work.event.id}`;
    const at = new Date().toISOString();
    if (work.history.length === 0) {
      const planned = {
        type: "planned",
        at,
        response,
        event: work.event.id,
        rule: "r",
        target: { kind: "none" },
      } as const;
      await work.record([{ ...planned, actions: [] }]);
    }
    write("begin", work);
    try {
      left -= 1;
      await sleep(left < 0 ? foreverMs : workMs, undefined, { signal: work.lost });
      write("end", work);
    } catch {
      write("lost", work);
    }
    const closed: Transition = { type: "closed", at, response };
    await work.record([closed]);
    await work.finish();
  };

  const accept = async (pod: string) => {
    while (true) {
      const event = eventOf({ pod });
      await send(event, ledger);
      write("accepted", { event });
      await sleep(50);
    }
  };

  process.on("SIGTERM", () => void ledger.close().then(() => process.exit(0)));
  process.send?.("ready");
  for (let n = 0; n < accepts; n++) {
    void accept(`shop/cart-${n}`);
  }
  for await (const work of ledger.work({ events: 16, bytes: 1e7 }, new AbortController().signal)) {
    act(work).catch((error: unknown) => {
      if (!(error instanceof LedgerUnavailable)) {
        throw error;
      }
      work.giveBack(100);
    });
  }
}

if (process.argv[2] !== undefined) {
  await main(JSON.parse(process.argv[2]) as ReplicaOptions);
}
