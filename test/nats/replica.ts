import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { describeTarget, subjectOf } from "../../src/events/target.ts";
import { LedgerUnavailable, type Transition, type Work } from "../../src/ledger/ledger.ts";
import { createNatsLedger, type NatsLedgerOptions } from "../../src/ledger/nats/ledger.ts";

/** What a replica is told on its command line. */
export interface ReplicaOptions {
  readonly name: string;
  readonly ledger: Omit<NatsLedgerOptions, "clock" | "remark">;
  /** A file to which each line is added as it happens. */
  readonly log: string;
  /** How long an action takes. */
  readonly workMs: number;
}

/** A line of the log. `at` in milliseconds, by the machine's clock. */
export interface LogEntry {
  readonly replica: string;
  readonly step: "begin" | "end" | "lost";
  readonly event: string;
  readonly target: string;
  readonly at: number;
}

/** A replica without an engine: takes work, writes down when it worked on what, and ends it. */
async function main({ name, ledger: options, log, workMs }: ReplicaOptions): Promise<void> {
  const ledger = await createNatsLedger({ ...options, clock: Date.now, remark: () => {} });
  const write = (step: LogEntry["step"], { event }: Work) => {
    const target = describeTarget(subjectOf(event));
    const entry: LogEntry = { replica: name, step, event: event.id, target, at: Date.now() };
    appendFileSync(log, `${JSON.stringify(entry)}\n`);
  };
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
      await sleep(workMs, undefined, { signal: work.lost });
      write("end", work);
    } catch {
      write("lost", work);
    }
    const closed: Transition = { type: "closed", at, response };
    await work.record([closed]);
    await work.finish();
  };

  process.on("SIGTERM", () => void ledger.close().then(() => process.exit(0)));
  process.send?.("ready");
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
