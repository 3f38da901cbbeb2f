import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { describeProblem, type Problem } from "../schema/problem.ts";
import { fileProblem } from "../schema/yaml.ts";
import { type Contents, digestOf, readAgain } from "./contents.ts";
import type { LoadedSettings, Origin, Settings, SettingsReading } from "./load.ts";
import { createTurns } from "./turns.ts";

/** Who wants it: files that changed, SIGHUP, or `POST /-/reload`. */
export type ReloadCause = "files" | "signal" | "request";

export type Reloaded =
  | {
      readonly status: "reloaded" | "unchanged";
      readonly hash: string;
      /** Settings that are not as the files say before the next start. */
      readonly restartNeeded: readonly string[];
    }
  /** What was in force stays. */
  | { readonly status: "refused"; readonly hash: string; readonly problems: readonly Problem[] };

/** What is in force, and what became of the last attempt to change it. */
export interface ReloadState {
  readonly hash: string;
  readonly loadedAt: Date;
  readonly restartNeeded: readonly string[];
  /** Of the last attempt; empty where what it loaded is in force. */
  readonly problems: readonly Problem[];
}

export interface ReloadOptions {
  /** What Hallux started with. */
  readonly first: LoadedSettings;
  /** `known` is what some of the files hold. */
  readonly load: (known: Contents) => Promise<SettingsReading>;
  /**
   * Puts them in force, all at once, and gives the names of those that have to wait for a start. Rejects where it cannot: then nothing
   * has changed.
   */
  readonly apply: (settings: Settings) => Promise<readonly string[]>;
  /** Told after each attempt which files were read for it. */
  readonly follow: (files: Iterable<string>, settings: Settings | undefined) => void;
  readonly logger: Logger;
  readonly clock: () => Date;
  /** Files that are at fault may be half written: before it is told, they are looked at again after so long. */
  readonly secondLookMs?: number;
}

export interface Reloader {
  /**
   * One after the other; whoever asks while one is under way is answered by one that begins after it. Rejects only where it is
   * stopped.
   */
  reload(cause: ReloadCause): Promise<Reloaded>;
  state(): ReloadState;
  /** Nothing is put in force any more. */
  stop(): void;
}

/** Files that change all the time are taken as they are after so many looks. */
const maxLooks = 10;
/** Lines of the log. */
const maxTold = 20;

/** Keeps no settings: thousands of rules of which none is in force any more would fill the heap. */
export function createReloader({ first, ...options }: ReloadOptions): Reloader {
  const { logger, clock } = options;
  const stopping = new AbortController();
  let state: ReloadState = { hash: first.settings.hash, loadedAt: clock(), restartNeeded: [], problems: [] };
  /** Of the files whose settings are in force. */
  let inForce = first.digest;
  /** The last attempt. */
  let seen: Origin = { contents: first.contents, digest: first.digest };

  async function turn(causes: ReadonlySet<ReloadCause>): Promise<Reloaded> {
    const cause = [...causes].join(", ");
    try {
      return await attempt(
        cause,
        [...causes].some((one) => one !== "files"),
      );
    } catch (err) {
      stopping.signal.throwIfAborted();
      logger.error({ err }, "configuration could not be put in force");
      return refuse([fileProblem("configuration", "it could not be put in force: the log says why")], cause);
    }
  }

  async function attempt(cause: string, asked: boolean): Promise<Reloaded> {
    stopping.signal.throwIfAborted();
    const known = await readAgain(seen.contents);
    if (digestOf(known) === seen.digest && (!asked || seen.digest === inForce)) {
      return unchanged(cause);
    }
    const reading = await settled(known, { options, isPatient: !asked, signal: stopping.signal });
    stopping.signal.throwIfAborted();
    seen = { contents: reading.contents, digest: reading.digest };
    options.follow(reading.contents.keys(), reading.settings);
    if (reading.settings === undefined) {
      return refuse(reading.problems, cause);
    }
    return reading.digest === inForce ? restored(cause) : swap(reading, cause);
  }

  function unchanged(cause: string): Reloaded {
    logger.debug({ cause, hash: state.hash }, "configuration unchanged");
    return { status: "unchanged", hash: state.hash, restartNeeded: state.restartNeeded };
  }

  /** The files are again what is in force. */
  function restored(cause: string): Reloaded {
    if (state.problems.length > 0) {
      logger.info({ cause, hash: state.hash }, "configuration files are again what is in force");
    }
    state = { ...state, problems: [] };
    return unchanged(cause);
  }

  function refuse(problems: readonly Problem[], cause: string): Reloaded {
    state = { ...state, problems };
    tellProblems(problems, { logger, cause });
    return { status: "refused", hash: state.hash, problems };
  }

  async function swap({ settings, digest }: LoadedSettings, cause: string): Promise<Reloaded> {
    const restartNeeded = await options.apply(settings);
    inForce = digest;
    state = { hash: settings.hash, loadedAt: clock(), restartNeeded, problems: [] };
    tellSwap(settings, { logger, cause, restartNeeded });
    return { status: "reloaded", hash: settings.hash, restartNeeded };
  }

  return { reload: createTurns(turn), state: () => state, stop: () => stopping.abort() };
}

interface Look {
  readonly options: Pick<ReloadOptions, "load" | "secondLookMs">;
  /** Waits before it looks again at files that are at fault. */
  readonly isPatient: boolean;
  readonly signal: AbortSignal;
}

/** What two looks at the files give alike: one in the middle of a change would see some of them before and some after it. */
async function settled(known: Contents, look: Look, looks = 1): Promise<SettingsReading> {
  const { options, isPatient, signal } = look;
  const reading = await options.load(known);
  if (looks === maxLooks) {
    return reading;
  }
  if (isPatient && reading.settings === undefined) {
    await sleep(options.secondLookMs ?? 500, undefined, { signal });
  }
  const again = await readAgain(reading.contents);
  // Not in a loop: what is out of date must not take room while the next is loaded.
  return digestOf(again) === reading.digest ? reading : settled(again, look, looks + 1);
}

interface Telling {
  readonly logger: Logger;
  readonly cause: string;
}

function tellProblems(problems: readonly Problem[], { logger, cause }: Telling): void {
  logger.error({ cause, problems: problems.length }, "configuration refused: what was in force stays");
  for (const problem of problems.slice(0, maxTold)) {
    const { file, line, column } = problem;
    logger.error({ problem: describeProblem(problem), file, line, column }, "configuration problem");
  }
}

function tellSwap(
  { hash, rules, rulesFiles, remarks }: Settings,
  { logger, cause, restartNeeded }: Telling & { readonly restartNeeded: readonly string[] },
): void {
  for (const { remark, message } of remarks) {
    logger.warn({ remark }, message);
  }
  for (const setting of restartNeeded) {
    logger.warn({ setting }, "setting takes effect at the next start");
  }
  logger.info({ cause, hash, rules: rules.rules.length, files: rulesFiles }, "configuration reloaded");
}
