import { createRandom, type Random } from "./random.ts";

/** The named steps of the product (`src/failpoint.ts`). */
export const failpoints = [
  "event-before-commit",
  "event-committed",
  "transitions-committed",
  "action-started",
  "action-done",
  "before-finish",
] as const;

export type Failpoint = (typeof failpoints)[number];

/** What an event asks for, by its rule. */
export type Deed =
  /** A label of its own on its pod: may be done twice. */
  | "label"
  /** One call of the function: must not be done twice. */
  | "call"
  /** The label, then the call. */
  | "both"
  /** No rule matches. */
  | "nothing";

export interface PlannedEvent {
  readonly uuid: string;
  readonly deed: Deed;
  readonly pod: string;
  /** Counts the events of its pod: no other one sets this label there. */
  readonly mark: number;
  /** The function refuses the first call for it (429). */
  readonly throttled: boolean;
  /** Bytes beyond the usual, so that texts are of every size. */
  readonly padding: number;
}

/** One request. */
export interface Post {
  readonly event: PlannedEvent;
  /** After the answer before, on the same connection. */
  readonly pauseMs: number;
}

/** How a life of the process ends; `answers` is how many requests were answered before, and then the time counts. */
export type End =
  /** With nobody sending, the time counts from the start of the process. */
  | { readonly kind: "kill"; readonly answers: number; readonly thenMs: number }
  | { readonly kind: "failpoint"; readonly step: Failpoint; readonly hit: number }
  | {
      readonly kind: "kill-while-stopping";
      readonly answers: number;
      readonly thenMs: number;
      /** In which events are still taken. */
      readonly delaySeconds: 0 | 1;
    }
  | { readonly kind: "second-signal"; readonly answers: number; readonly thenMs: number };

/** One run of the process on the round's ledger. */
export interface Life {
  readonly posts: readonly Post[];
  readonly connections: number;
  readonly end: End;
}

export interface Round {
  readonly seed: number;
  readonly number: number;
  readonly kind: Kind;
  /** After them one more, which is left to end all work. */
  readonly lives: readonly Life[];
  /** The longest that the function, and the webhook, take to answer. */
  readonly callMs: number;
  readonly webhookMs: number;
  /** How much longer the disk takes for each commit: what must wait for it then shows whether it does. */
  readonly commitMs: number;
}

const scenarios = ["random", "kill-while-stopping", "second-signal", "kill-while-starting", "kills-in-a-row"] as const;

export type Kind = Failpoint | (typeof scenarios)[number];

/** Rounds take turns through them: the first ones have each kind once. */
export const kinds: readonly Kind[] = [...failpoints, ...scenarios];

export const pods = ["pod-0", "pod-1", "pod-2", "pod-3", "pod-4", "pod-5", "pod-6", "pod-7"] as const;

/** The same for the same seed and number, whatever ran before. Numbers count from 1. */
export function planRound(seed: number, number: number): Round {
  const random = createRandom(seed, number);
  const kind = kinds[(number - 1) % kinds.length] ?? "random";
  const load = createLoad(random);
  return {
    seed,
    number,
    kind,
    lives: livesOf(kind, random, load),
    callMs: random.pick([0, 5, 40, 150]),
    webhookMs: random.pick([0, 5, 40]),
    commitMs: random.pick([0, 0, 20, 60]),
  };
}

/** Of a life under load. */
const loadedEvents = 150;

/** Requests of so many new events, some sent twice or again from a life before, and over how many connections. */
type Load = (events: number) => Pick<Life, "posts" | "connections">;

function livesOf(kind: Kind, random: Random, load: Load): readonly Life[] {
  switch (kind) {
    case "random":
      return [underLoad(random, load)];
    case "kill-while-stopping":
      return [stopping(random, load)];
    case "second-signal":
      return [stoppingTwice(random, load)];
    case "kill-while-starting":
      return [underLoad(random, load), ...several(random, [1, 3], () => starting(random, load))];
    case "kills-in-a-row":
      return several(random, [3, 5], () => anyLife(random, load));
    default:
      return [atFailpoint(kind, random, load)];
  }
}

function several(random: Random, [least, most]: readonly [number, number], life: () => Life): readonly Life[] {
  return Array.from({ length: random.integer(least, most) }, life);
}

function underLoad(random: Random, load: Load): Life {
  return {
    ...load(loadedEvents),
    end: { kind: "kill", answers: answersBefore(random), thenMs: random.integer(0, 60) },
  };
}

/** Of all, so that the rest is on its way. */
function answersBefore(random: Random): number {
  return random.integer(0, Math.floor(loadedEvents * 0.9));
}

/** Commits are few: one takes what waited while the one before was written. */
const mostHits: Readonly<Record<Failpoint, number>> = {
  "event-before-commit": 12,
  "event-committed": 8,
  "transitions-committed": 8,
  "action-started": 40,
  "action-done": 40,
  "before-finish": 30,
};

function atFailpoint(step: Failpoint, random: Random, load: Load): Life {
  const hit = random.integer(1, mostHits[step]);
  return { ...load(loadedEvents), end: { kind: "failpoint", step, hit } };
}

function stopping(random: Random, load: Load): Life {
  const delaySeconds = random.pick<0 | 1>([0, 1]);
  const [answers, thenMs] = [answersBefore(random), random.integer(0, delaySeconds === 0 ? 150 : 1200)];
  return { ...load(loadedEvents), end: { kind: "kill-while-stopping", answers, thenMs, delaySeconds } };
}

function stoppingTwice(random: Random, load: Load): Life {
  const [answers, thenMs] = [answersBefore(random), random.integer(0, 300)];
  return { ...load(loadedEvents), end: { kind: "second-signal", answers, thenMs } };
}

/** Nobody sends: it is killed while it starts, or while it resumes what was left. */
function starting(random: Random, load: Load): Life {
  const atStep = random.chance(0.5);
  const step = random.pick(failpoints);
  const end: End = atStep
    ? { kind: "failpoint", step, hit: random.integer(1, 5) }
    : { kind: "kill", answers: 0, thenMs: random.integer(0, 1500) };
  return { ...load(0), end };
}

function anyLife(random: Random, load: Load): Life {
  const life = random.pick([
    () => underLoad(random, load),
    () => atFailpoint(random.pick(failpoints), random, load),
    () => starting(random, load),
    () => stopping(random, load),
    () => stoppingTwice(random, load),
  ]);
  return life();
}

function createLoad(random: Random): Load {
  const known: PlannedEvent[] = [];

  return (events) => {
    const posts: Post[] = [];
    for (let count = 0; count < events; count++) {
      const event = planEvent(random, known);
      known.push(event);
      posts.push({ event, pauseMs: random.integer(0, 10) });
      if (random.chance(0.1)) {
        // At the same moment, so that both may be under way; or something from before, long done or cut off by a crash.
        const again = random.chance(0.5) ? event : random.pick([event, ...known]);
        posts.push({ event: again, pauseMs: 0 });
      }
    }
    return { posts, connections: random.integer(2, 8) };
  };
}

function planEvent(random: Random, before: readonly PlannedEvent[]): PlannedEvent {
  const deed = random.pick<Deed>(["label", "label", "call", "call", "both", "nothing"]);
  // Calls on few pods: there they wait for each other.
  const pod = deed === "call" ? random.pick([pods[0], pods[1], pods[2]]) : random.pick(pods);
  return {
    uuid: `event-${before.length}`,
    deed,
    pod,
    mark: before.filter((event) => event.pod === pod).length,
    throttled: random.chance(0.1),
    padding: random.chance(0.1) ? random.integer(1_000, 30_000) : 0,
  };
}
