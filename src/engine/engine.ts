import { setTimeout as sleep } from "node:timers/promises";
import { ActionError } from "../catalogue/errors.ts";
import type { Ledger, Room, Work } from "../ledger/ledger.ts";
import type { RuleSet } from "../rules/rule.ts";
import type { CarryOutOptions } from "./carry-out.ts";
import { uuidOf } from "./report.ts";
import { createResponder } from "./respond.ts";

/** Of the grace period: kept to tell what was interrupted. */
const shareOfLastWords = 0.1;

/** After the grace period: for what was interrupted to be written, where the ledger can be written. */
const recordingMs = 1_000;

/** After an error of our own: it may come again. */
const afterFaultMs = 60_000;

export interface EngineOptions extends CarryOutOptions {
  readonly ledger: Ledger;
  /** Asked once per event: a response keeps the rules it began with. */
  readonly rules: () => RuleSet;
  readonly newId: () => string;
  /** What is worked on at the same time; the rest waits in the ledger. */
  readonly room: Room;
  /** Before an event is tried again whose steps could not be recorded. */
  readonly giveBackMs: number;
  /** Log every event, not only those that a rule matches. */
  readonly logEveryEvent: boolean;
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
  /** Events that this process has given back: they go on, but not after a restart. */
  const givenBack = new Set<string>();

  const takeWork = async () => {
    for await (const given of options.ledger.work(options.room, stopping.signal)) {
      const { id } = given.event;
      const isOurs = givenBack.delete(id);
      const work: Work = {
        ...given,
        giveBack(afterMs) {
          givenBack.add(id);
          given.giveBack(afterMs);
        },
      };
      const handling = respond(work, isOurs).catch((err: unknown) => {
        options.logger.error({ err, uuid: uuidOf(work.event) }, "event not handled to the end: internal error");
        work.giveBack(afterFaultMs);
      });
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
