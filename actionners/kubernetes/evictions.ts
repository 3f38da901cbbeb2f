import { setTimeout as sleep } from "node:timers/promises";
import { abortedError } from "../../src/catalogue/abort.ts";
import { ActionError, type ErrorCode, isPassing, TargetGone } from "../../src/catalogue/errors.ts";
import type { Kubernetes, Pod } from "../../src/clients/kubernetes/port.ts";
import { atMost, oneAtATime, type Turn } from "./at-most.ts";
import { shortage } from "./min-healthy.ts";

/** Evictions at the same time: enough for a full node, and no flood for the API server. */
const concurrency = 10;
/** Of one attempt: an admission webhook that hangs must not take the time of the other pods. */
const attemptMs = 30_000;
const backoffMs = { first: 500, longest: 5_000 };
/** For faults that may pass, also where a budget's refusal is not waited out. */
const patienceMs = 10_000;
const lookAgainMs = 2_000;
/** No other fault of an eviction has it: a 409 says that the pod is gone. */
const budgetRefused = "conflict";
/** Of one look at the pods. */
const lookMs = 10_000;

/** All of it ends at most so long after the time to wait. */
export const overtimeMs = 60_000;

/** What becomes of a pod. */
export type Fate =
  | { readonly kind: "evicted" }
  | { readonly kind: "left"; readonly reason: string }
  | { readonly kind: "failed"; readonly reason: string; readonly code: ErrorCode };

interface Looking {
  readonly kubernetes: Kubernetes;
  readonly signal: AbortSignal;
  readonly node: string;
}

export interface Evicting extends Looking {
  readonly minHealthyReplicas: string | undefined;
  /** In which a PodDisruptionBudget that refuses is asked again, and the pods have to end. 0: neither is waited for. */
  readonly waitMs: number;
  /** Namespaces of pods for which that is 0. */
  readonly unwaited: ReadonlySet<string>;
}

/** The node's pods. The drain cannot begin again where it asks for them: what may pass is tried again here. */
export async function podsToDrain(
  { kubernetes, node, signal }: Looking,
  until = performance.now() + patienceMs,
): Promise<readonly Pod[]> {
  try {
    return await kubernetes.podsOnNode(node, signal);
  } catch (error) {
    const waitMs = isPassing(error) ? Math.max(error.retryAfterMs ?? 0, backoffMs.first) : Number.POSITIVE_INFINITY;
    if (signal.aborted || performance.now() + waitMs > until) {
      throw error;
    }
    await pause(waitMs, signal);
    return podsToDrain({ kubernetes, node, signal }, until);
  }
}

/** Evicts the pods side by side, the first ones first. Throws only where the signal fires. */
export async function evictAll(pods: readonly Pod[], evicting: Evicting): Promise<ReadonlyMap<Pod, Fate>> {
  const course: Course = {
    ...evicting,
    startedAt: performance.now(),
    evicted: new Set(),
    turn: atMost(concurrency),
    turnOfOwner: oneAtATime(),
  };
  const fates = new Map(
    await Promise.all(pods.map(async (pod): Promise<[Pod, Fate]> => [pod, await evict(pod, course)])),
  );
  const reason = `it was evicted, and has not ended within ${evicting.waitMs / 1000} s`;
  for (const pod of await lingering(fates, course)) {
    fates.set(pod, { kind: "failed", code: "timeout", reason });
  }
  return fates;
}

/** Times are those of `performance.now()`. */
interface Course extends Evicting {
  readonly startedAt: number;
  /** UIDs. */
  readonly evicted: Set<string>;
  readonly turn: Turn;
  readonly turnOfOwner: (uid: string) => Turn;
}

interface Refused {
  readonly kind: "refused";
  readonly reason: string;
  readonly code: ErrorCode;
  readonly retryAfterMs: number | undefined;
  /** It is not tried again after this time. */
  readonly until: number;
}

async function evict(pod: Pod, course: Course): Promise<Fate> {
  for (let waitMs: number = backoffMs.first; ; waitMs = Math.min(waitMs * 2, backoffMs.longest)) {
    const answer = await inTurn(pod, course, () => attempt(pod, course));
    if (answer.kind !== "refused") {
      return answer;
    }
    const { reason, code, retryAfterMs = 0, until } = answer;
    const leftMs = until - performance.now();
    // A budget's own word on when to come back is a guess: it is asked until the time is over.
    if (leftMs <= 0 || (code !== budgetRefused && retryAfterMs > leftMs)) {
      return { kind: "failed", reason, code };
    }
    // Not all at the same moment, and a last time when the time is over.
    const jitteredMs = waitMs * (0.7 + 0.6 * Math.random());
    await pause(Math.min(Math.max(jitteredMs, retryAfterMs), leftMs), course.signal);
  }
}

/** Where the pods of an owner are counted, they go one by one: the next is counted when the one before is gone or stays. */
function inTurn<T>({ owner }: Pod, course: Course, job: () => Promise<T>): Promise<T> {
  const { minHealthyReplicas, turn, turnOfOwner } = course;
  return minHealthyReplicas === undefined || owner === undefined ? turn(job) : turnOfOwner(owner.uid)(() => turn(job));
}

async function attempt(pod: Pod, course: Course): Promise<Fate | Refused> {
  const { kubernetes, minHealthyReplicas, evicted } = course;
  const until = course.startedAt + waitOf(pod, course);
  try {
    const signal = AbortSignal.any([course.signal, AbortSignal.timeout(attemptTime(until))]);
    const reason = await shortage(pod, minHealthyReplicas, { kubernetes, signal, besides: evicted });
    if (reason !== undefined) {
      return { kind: "left", reason };
    }
    const eviction = await kubernetes.evictPod(pod, signal);
    if (eviction.kind === "refused") {
      return { ...eviction, code: budgetRefused, until };
    }
    evicted.add(pod.uid);
    return { kind: "evicted" };
  } catch (error) {
    return endedBy(error, Math.max(until, course.startedAt + patienceMs), course.signal);
  }
}

function attemptTime(until: number): number {
  return Math.ceil(Math.min(attemptMs, Math.max(0, until + overtimeMs - performance.now())));
}

function endedBy(error: unknown, until: number, signal: AbortSignal): Fate | Refused {
  if (!(error instanceof ActionError) || signal.aborted) {
    throw error;
  }
  if (error instanceof TargetGone) {
    return { kind: "left", reason: "it is gone" };
  }
  const { message: reason, code, retryAfterMs } = error;
  return isPassing(error) ? { kind: "refused", reason, code, retryAfterMs, until } : { kind: "failed", reason, code };
}

function waitOf({ namespace }: Pod, { waitMs, unwaited }: Course): number {
  return unwaited.has(namespace) ? 0 : waitMs;
}

/** The evicted pods that are waited for and still there when the time is over. */
async function lingering(fates: ReadonlyMap<Pod, Fate>, course: Course): Promise<readonly Pod[]> {
  const awaited = [...fates].filter(([pod, { kind }]) => kind === "evicted" && waitOf(pod, course) > 0);
  let pods: readonly Pod[] = awaited.map(([pod]) => pod);
  while (pods.length > 0) {
    pods = await stillThere(pods, course);
    const leftMs = course.startedAt + course.waitMs - performance.now();
    if (pods.length === 0 || leftMs <= 0) {
      return pods;
    }
    await pause(Math.min(lookAgainMs, leftMs), course.signal);
  }
  return pods;
}

/** All of them where that cannot be seen now. */
async function stillThere(pods: readonly Pod[], { kubernetes, node, signal }: Course): Promise<readonly Pod[]> {
  try {
    const look = AbortSignal.any([signal, AbortSignal.timeout(lookMs)]);
    const there = new Set((await kubernetes.podsOnNode(node, look)).map(({ uid }) => uid));
    return pods.filter(({ uid }) => there.has(uid));
  } catch (error) {
    if (error instanceof ActionError && !signal.aborted) {
      return pods;
    }
    throw error;
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {
    throw abortedError(signal, "the drain");
  });
}
