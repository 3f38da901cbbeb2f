import { ActionError, type ErrorCode, TargetGone } from "../catalogue/errors.ts";
import type { Kubernetes, Sighted } from "../clients/kubernetes/port.ts";
import type { FalcoEvent } from "../events/event.ts";
import {
  describeTarget,
  type PodTarget,
  type ResourceTarget,
  type Target,
  type TargetKind,
  targetOf,
} from "../events/target.ts";
import type { Rule } from "../rules/rule.ts";
import type { Span } from "../telemetry/traces.ts";
import { withDeadline } from "./deadline.ts";
import type { FactsCache } from "./facts.ts";
import type { Timing } from "./timing.ts";

/** Clocks differ: an object counts as younger than the event only where it is so by more than this. */
const clockSkewMs = 5_000;

/** One rule applied to one event. */
export interface Response {
  readonly id: string;
  readonly event: FalcoEvent;
  readonly rule: Rule;
  /** What the event is about. */
  readonly target: Target;
  readonly plannedAt: Date;
  /** What the API server says of the targets of its destructive actions. */
  readonly sightings: Sightings;
  readonly facts: FactsCache;
  readonly timing: Timing;
  /** Undefined where the event is not traced. */
  readonly span: Span | undefined;
}

/**
 * A destructive action needs the UID of its target from the time of the event: while it waited another object may have taken
 * the name.
 */
export type Sighting =
  | { readonly kind: "seen"; readonly object: Sighted }
  | { readonly kind: "gone"; readonly reason: string }
  | { readonly kind: "failed"; readonly error: ActionError };

export interface Sightings {
  /** Looks once, and again only where that failed. Undefined where no destructive action of the rule works on this kind. */
  of(kind: TargetKind): Promise<Sighting | undefined>;
}

/** Asks the API server for one object; the deadline and the limits are the caller's. */
export type Look = (target: PodTarget | ResourceTarget) => Promise<Sighted>;

/** Begins to look at once: what the rule's destructive actions work on is to be seen before they wait. */
export function createSightings(rule: Rule, event: FalcoEvent, look: Look): Sightings {
  const sightings = new Map<TargetKind, Promise<Sighting>>();
  for (const { actionner } of rule.actions) {
    const target = targetOf(actionner.target, event);
    if (actionner.destructive && target.kind !== "missing" && target.kind !== "none") {
      sightings.set(target.kind, sightingOf(target, event, look));
    }
  }

  return {
    async of(kind) {
      const sighting = await sightings.get(kind);
      const target = targetOf(kind, event);
      if (sighting?.kind !== "failed" || target.kind === "missing" || target.kind === "none") {
        return sighting;
      }
      const again = sightingOf(target, event, look);
      sightings.set(kind, again);
      return again;
    },
  };
}

/** With the deadline of an action. */
export function lookAt(
  target: PodTarget | ResourceTarget,
  { kubernetes }: { readonly kubernetes: Kubernetes },
  deadline: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Sighted> {
  return withDeadline<Sighted>(deadline, (signal) =>
    target.kind === "pod" ? kubernetes.getPod(target, signal) : kubernetes.getResource(target, signal),
  );
}

async function sightingOf(target: PodTarget | ResourceTarget, event: FalcoEvent, look: Look): Promise<Sighting> {
  try {
    const object = await look(target);
    return isYounger(object, event)
      ? { kind: "gone", reason: `${describeTarget(target)} is gone: what has its name now is younger than the event` }
      : { kind: "seen", object };
  } catch (error) {
    return error instanceof TargetGone
      ? { kind: "gone", reason: error.message }
      : { kind: "failed", error: unseen(error, target) };
  }
}

function isYounger({ createdAt }: Sighted, { receivedAt }: FalcoEvent): boolean {
  return createdAt !== undefined && createdAt.getTime() > Date.parse(receivedAt) + clockSkewMs;
}

function unseen(cause: unknown, target: Target): ActionError {
  const code: ErrorCode = cause instanceof ActionError ? cause.code : "internal";
  const words = cause instanceof Error ? cause.message : String(cause);
  const retryAfterMs = cause instanceof ActionError ? cause.retryAfterMs : undefined;
  return new ActionError(code, `${describeTarget(target)} could not be read: ${words}`, { cause, retryAfterMs });
}
