import { setTimeout as sleep } from "node:timers/promises";
import { ActionError } from "../catalogue/errors.ts";
import type { Ledger, Room, Work } from "../ledger/ledger.ts";
import type { RuleSet } from "../rules/rule.ts";
import type { Traces } from "../telemetry/traces.ts";
import { createBegun } from "./begun.ts";
import type { CarryOutOptions } from "./carry-out.ts";
import { uuidOf } from "./report.ts";
import { createResponder } from "./respond.ts";

/** Of the grace period: kept to tell what was interrupted. */
const shareOfLastWords = 0.1;

/** After the grace period: for what was interrupted to be written, where the ledger can be written. */
const recordingMs = 1_000;

/** After an error of our own: it may come again. */
const afterFaultMs = 60_000;

/** What may be another from one event to the next. */
export interface EngineSettings
  extends Pick<CarryOutOptions, "clients" | "guards" | "defaultNotifiers" | "actionTimeoutMs" | "retryMs"> {
  readonly rules: RuleSet;
  /** Log every event, not only those that a rule matches. */
  readonly logEveryEvent: boolean;
}

export interface EngineOptions extends Omit<CarryOutOptions, keyof EngineSettings> {
  readonly ledger: Ledger;
  /** A response keeps what it began with, but the clients and the guards: those are always the newest. */
  readonly current: () => EngineSettings;
  readonly traces: Pick<Traces, "of">;
  readonly newId: () => string;
  /** What is worked on at the same time; the rest waits in the ledger. */
  readonly room: Room;
  /** Before an event is tried again whose steps could not be recorded. */
  readonly giveBackMs: number;
}

export interface Engine {
  /**
   * Takes no more work and begins no more actions; waits for those that run at most so long, then interrupts them. Resolves when
   * nothing runs. What is left waits in the ledger, which is not waited for where it cannot be written.
   */
  stop(graceMs: number): Promise<void>;
}

/** Takes accepted events from the ledger and responds to them, stage by stage. */
export function startEngine(options: EngineOptions): Engine {
  const stopping = new AbortController();
  const interruption = new AbortController();
  const respond = createResponder(options, { begin: stopping.signal, run: interruption.signal });
  const underWay = new Set<Promise<void>>();
  const begun = createBegun(options.clock);

  const handle = async (work: Work) => {
    const { event } = work;
    const earlier = begun.take(event.id);
    let settings = earlier;
    const attempt = async () => {
      settings ??= options.current();
      const span = options.traces.of(event);
      const againMs = await respond(work, { settings, isOurs: earlier !== undefined, span });
      if (againMs === undefined) {
        span?.end();
      }
      return againMs;
    };
    const againMs = await attempt().catch((err: unknown) => {
      options.logger.error({ err, uuid: uuidOf(event) }, "event not handled to the end: internal error");
      return afterFaultMs;
    });
    if (againMs !== undefined) {
      if (settings !== undefined) {
        begun.keep(event.id, settings, againMs);
      }
      work.giveBack(againMs);
    }
  };
  const takeWork = async () => {
    for await (const work of options.ledger.work(options.room, stopping.signal)) {
      const handling = handle(work);
      underWay.add(handling);
      void handling.finally(() => underWay.delete(handling));
    }
  };
  /** A ledger that fails to give is asked again: without work the process would live for nothing. */
  const keepTaking = async () => {
    for (let ended = false; !ended; ) {
      ended = await takeWork().then(
        () => true,
        (err: unknown) => {
          options.logger.error({ err }, "the ledger gives no work; it is asked again");
          return false;
        },
      );
      await (ended
        ? undefined
        : sleep(options.giveBackMs, undefined, { signal: stopping.signal }).catch(() => undefined));
    }
  };
  const takingWork = keepTaking();

  return {
    async stop(graceMs) {
      const interrupted = new ActionError("interrupted", "Hallux stopped before it ended");
      stopping.abort(interrupted);
      options.notifications.end();
      const interrupt = setTimeout(() => interruption.abort(interrupted), graceMs * (1 - shareOfLastWords));
      const silence = setTimeout(() => options.notifications.stop(), graceMs);
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const enough = setTimeout(resolve, graceMs + recordingMs);
      await takingWork;
      await Promise.race([Promise.all(underWay).then(() => options.notifications.drained()), late]);
      clearTimeout(enough);
      clearTimeout(interrupt);
      clearTimeout(silence);
    },
  };
}
