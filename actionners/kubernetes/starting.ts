import { setTimeout as pause } from "node:timers/promises";
import { abortedError } from "../../src/catalogue/abort.ts";
import { ActionError, type ErrorCode, isPassing } from "../../src/catalogue/errors.ts";
import type { Container, ContainerState } from "../../src/clients/kubernetes/port.ts";

export interface Pace {
  /** Between looks. */
  readonly everyMs: number;
  /** In which an image that cannot be pulled may still come: the kubelet tries again after 10 s. */
  readonly pullMs: number;
}

const kubeletsPace: Pace = { everyMs: 300, pullMs: 15_000 };
const maxMessageLength = 500;

/** Reasons for which the kubelet tries again. Those not listed are the steps on the way: `ContainerCreating`. */
const passing = ["ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"];
/** Reasons that no waiting mends. */
const faults: Readonly<Record<string, ErrorCode>> = {
  InvalidImageName: "invalid",
  ErrImageNeverPull: "not_found",
  ImageInspectError: "internal",
  SignatureValidationFailed: "forbidden",
  CreateContainerConfigError: "invalid",
  CreateContainerError: "internal",
  PreCreateHookError: "internal",
  PreStartHookError: "internal",
  RunContainerError: "internal",
  CrashLoopBackOff: "internal",
};

export interface Start<F> {
  /** For people: `ephemeral container hallux-tcpdump-3f2a9c1e`. */
  readonly what: string;
  readonly image: string;
  readonly withinSeconds: number;
  /** Looks now at what the container is in; undefined where it is not there yet. */
  find(): Promise<F | undefined>;
  /** Throws where there is no hope for it. */
  container(found: F): Container | undefined;
}

/** Gives what was found when the container runs. Throws why it does not: once that is known, at the latest when its time is over. */
export async function untilRunning<F>(start: Start<F>, signal: AbortSignal, pace: Pace = kubeletsPace): Promise<F> {
  const judge = judgeOf(start, pace);
  for (;;) {
    const found = await start.find().catch(undefinedIfPassing);
    const state = found && start.container(found)?.state;
    if (found !== undefined && state?.kind === "running") {
      return found;
    }
    judge(state);
    await pause(pace.everyMs, undefined, { signal }).catch(() => {
      throw abortedError(signal, `the start of ${start.what}`);
    });
  }
}

/** Is shown one state after another, and throws where there is no hope left. */
function judgeOf({ what, image, withinSeconds }: Omit<Start<unknown>, "find" | "container">, { pullMs }: Pace) {
  const began = performance.now();
  let unpulledSince: number | undefined;

  return (state: ContainerState | undefined): void => {
    const now = performance.now();
    unpulledSince ??= isUnpulled(state) ? now : undefined;
    const late = now - began > withinSeconds * 1000 ? "timeout" : undefined;
    const unpulled = now - (unpulledSince ?? now) > pullMs;
    const code = faultOf(state, unpulled) ?? late;
    if (code !== undefined) {
      throw new ActionError(code, `${what} (image ${image}) does not run: ${wordsOf(state)}`);
    }
  };
}

/** The container is there and goes on: the next look tells. */
function undefinedIfPassing(error: unknown): undefined {
  if (!isPassing(error)) {
    throw error;
  }
}

function isUnpulled(state: ContainerState | undefined): boolean {
  return state?.kind === "waiting" && passing.includes(state.reason);
}

/** Undefined where it may still come. */
function faultOf(state: ContainerState | undefined, unpulled: boolean): ErrorCode | undefined {
  switch (state?.kind) {
    case "terminated":
      return "internal";
    case "waiting":
      return isUnpulled(state) && unpulled ? "not_found" : faults[state.reason];
    default:
      return undefined;
  }
}

function wordsOf(state: ContainerState | undefined): string {
  switch (state?.kind) {
    case "terminated":
      return said(`it ended with exit code ${state.exitCode}${state.reason && ` (${state.reason})`}`, state.message);
    case "waiting":
      return said(state.reason || "the node has not started it in time", state.message);
    default:
      return "no node has taken it in time";
  }
}

function said(fact: string, message: string): string {
  return message === "" ? fact : `${fact}: ${message.slice(0, maxMessageLength)}`;
}
