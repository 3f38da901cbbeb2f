import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { HalluxProcess } from "../support/hallux-process.ts";
import { drained, historyOf, metricOf } from "./observe.ts";
import type { End, Life, PlannedEvent, Round } from "./plan.ts";
import { type Sent, send } from "./sender.ts";
import { type Evidence, violations } from "./verdict.ts";
import { createWorld, type World } from "./world.ts";

/** Generous: none of these is a promise about time. */
const drainSeconds = 120;
const exitSeconds = 60;
/** Longer than `exitSeconds`: what ends before was ended by the second signal. */
const longDelaySeconds = 120;

export interface RoundReport {
  readonly lives: number;
  readonly events: number;
  readonly acknowledged: number;
  readonly calls: number;
  readonly interrupted: number;
  /** Responses that the last process went on with. */
  readonly resumed: number;
}

export interface RoundOptions {
  /** Hallux, with its failpoints. */
  readonly program: string;
  /** Where the ledger and the logs of a round that fails are kept; each round in a directory of its own. */
  readonly keepIn: string;
}

/** Rejects where a promise is broken, with all that was seen to be wrong and how to repeat it. */
export async function runRound(round: Round, { program, keepIn }: RoundOptions): Promise<RoundReport> {
  await using world = await createWorld(round, program);
  try {
    return await play(round, world);
  } catch (cause) {
    const kept = join(keepIn, `hallux-crash-${round.seed}-${round.number}`);
    cpSync(world.directory, kept, { recursive: true });
    throw new Error(`${cause instanceof Error ? cause.message : cause}\n${directionsFor(round, kept)}`, { cause });
  }
}

function directionsFor({ seed, number, kind, lives }: Round, kept: string): string {
  const ends = lives.map(({ posts, end }) => `  ${posts.length} requests, then ${JSON.stringify(end)}`);
  return [
    `seed ${seed}, round ${number} (${kind}):`,
    ...ends,
    `its ledger and the logs are in ${kept}`,
    `repeat it: npm run test:crash -- --seed ${seed} --round ${number}`,
  ].join("\n");
}

async function play(round: Round, world: World): Promise<RoundReport> {
  const sent: Sent = { count: 0, events: new Set(), answers: new Map() };
  const faults: string[] = [];
  for (const [index, life] of round.lives.entries()) {
    await using hallux = world.start(environmentOf(life.end));
    await live(life, hallux, sent).catch((error: Error) => faults.push(`life ${index + 1}: ${error.message}`));
    writeFileSync(join(world.directory, `life-${index + 1}.log`), hallux.output());
  }
  const { evidence, resumed } = await afterlife(world, sent);
  faults.push(...violations(evidence), ...(await damage(world)));
  if (faults.length > 0) {
    throw new Error(`${faults.length} faults:\n${faults.map((fault) => `- ${fault}`).join("\n")}`);
  }
  return { ...reportOn(round, evidence), resumed };
}

function environmentOf(end: End): Readonly<Record<string, string>> {
  switch (end.kind) {
    case "failpoint":
      return { HALLUX_CRASH_AT: `${end.step}:${end.hit}` };
    case "kill-while-stopping":
      return { SHUTDOWN_DELAY_SECONDS: String(end.delaySeconds) };
    case "second-signal":
      return { SHUTDOWN_DELAY_SECONDS: String(longDelaySeconds) };
    case "kill":
      return {};
  }
}

async function live(life: Life, hallux: HalluxProcess, sent: Sent): Promise<void> {
  if (life.posts.length === 0) {
    return endIdle(life.end, hallux);
  }
  const url = await hallux.listening();
  const before = sent.count;
  const sending = send(url, life, sent);
  let over = false;
  const done = sending
    .then(() => drained(url, drainSeconds))
    .finally(() => {
      over = true;
    });
  const isAnswered = (answers: number) => over || sent.count - before >= answers;
  await Promise.all([done, endLoaded(life.end, hallux, { done, isAnswered })]);
}

/** Nobody sends: it starts, and resumes what is left. */
async function endIdle(end: End, hallux: HalluxProcess): Promise<void> {
  if (end.kind === "kill") {
    await pause(end.thenMs);
    return kill(hallux);
  }
  const resumed = async () => drained(await hallux.listening(), drainSeconds);
  await Promise.race([hallux.exited, resumed().catch(() => hallux.exited)]);
  return kill(hallux);
}

interface Load {
  /** Resolves when all was sent and all work has ended, or nobody answers any more. */
  readonly done: Promise<void>;
  /** So many requests were, or no more will be. */
  readonly isAnswered: (answers: number) => boolean;
}

async function endLoaded(end: End, hallux: HalluxProcess, load: Load): Promise<void> {
  if (end.kind === "failpoint") {
    await Promise.race([hallux.exited, load.done]);
    return mustBeKilled(hallux, `it never came to step ${end.step} for the ${end.hit}. time`);
  }
  while (!load.isAnswered(end.answers)) {
    await pause(1);
  }
  if (end.kind !== "kill") {
    hallux.signal("SIGTERM");
    await hallux.logged(({ msg }) => msg === "hallux is stopping");
  }
  await pause(end.thenMs);
  if (end.kind !== "second-signal") {
    return kill(hallux);
  }
  hallux.signal("SIGTERM");
  return mustExit(hallux, 1, "the second SIGTERM did not end it at once");
}

async function kill(hallux: HalluxProcess): Promise<void> {
  hallux.signal("SIGKILL");
  const { code, signal } = await hallux.exited;
  if (signal !== "SIGKILL" && code !== 0) {
    throw new Error(`it ended by itself with code ${code}:\n${hallux.output().slice(-2000)}`);
  }
}

async function mustBeKilled(hallux: HalluxProcess, otherwise: string): Promise<void> {
  const exit = await Promise.race([hallux.exited, pause(exitSeconds * 1000)]);
  if (exit?.signal !== "SIGKILL") {
    throw new Error(`${otherwise}:\n${hallux.output().slice(-2000)}`);
  }
}

async function mustExit(hallux: HalluxProcess, code: number, otherwise: string): Promise<void> {
  const exit = await Promise.race([hallux.exited, pause(exitSeconds * 1000)]);
  if (exit?.code !== code) {
    throw new Error(`${otherwise} (${JSON.stringify(exit ?? "it still runs")})`);
  }
}

/** One more process, left alone until all work has ended; some events are sent again, as senders do that had no answer. */
async function afterlife(world: World, sent: Sent): Promise<{ readonly evidence: Evidence; readonly resumed: number }> {
  await using hallux = world.start();
  try {
    const url = await hallux.listening();
    await drained(url, drainSeconds);
    await send(
      url,
      { posts: [...sent.events].filter(sentAgain).map((event) => ({ event, pauseMs: 0 })), connections: 2 },
      sent,
    );
    await drained(url, drainSeconds);
    const [records, resumed] = [await historyOf(url), await metricOf(url, "hallux_responses_resumed_total")];
    hallux.signal("SIGTERM");
    await mustExit(hallux, 0, "it did not stop in order");
    const { calls, told } = world;
    const evidence = { ...sent, events: [...sent.events], records, calls, told, labels: await world.labels() };
    return { evidence, resumed: resumed ?? 0 };
  } finally {
    writeFileSync(join(world.directory, "afterlife.log"), hallux.output());
  }
}

/** Every other one: the rest shows what becomes of events whose sender went away. */
function sentAgain(_event: PlannedEvent, index: number): boolean {
  return index % 2 === 0;
}

async function damage(world: World): Promise<readonly string[]> {
  await using check = world.checkLedger();
  const { code } = await check.exited;
  return code === 0 ? [] : [`hallux ledger check ended with ${code}: ${check.output()}`];
}

function reportOn({ lives }: Round, { events, answers, records, calls }: Evidence): Omit<RoundReport, "resumed"> {
  const actions = records.flatMap((record) => record.actions);
  return {
    lives: lives.length,
    events: events.length,
    acknowledged: answers.size,
    calls: calls.size,
    interrupted: actions.filter(({ code }) => code === "interrupted").length,
  };
}
