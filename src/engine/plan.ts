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
import { withDeadline } from "./deadline.ts";

/** One rule applied to one event. */
export interface Response {
  readonly id: string;
  readonly event: FalcoEvent;
  readonly rule: Rule;
  /** What the event is about. */
  readonly target: Target;
  /** What the API server said of the targets of its destructive actions when the response was planned. */
  readonly sightings: Sightings;
}

/**
 * A destructive action needs the UID of its target from before it waited in a queue: by then another object may have taken
 * the name.
 */
export type Sighting =
  | { readonly kind: "seen"; readonly object: Sighted }
  | { readonly kind: "gone"; readonly reason: string }
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly reason: string };

/** By kind of target; only what a destructive action of the rule works on. */
export type Sightings = Readonly<Partial<Record<TargetKind, Sighting>>>;

/** What the event is about: its pod, else the object of its audit event, else nothing in the cluster. */
export function subjectOf(event: FalcoEvent): Target {
  const pod = targetOf("pod", event);
  const resource = targetOf("resource", event);
  if (pod.kind !== "missing") {
    return pod;
  }
  return resource.kind === "missing" ? { kind: "none" } : resource;
}

/** Responses with the same key run one after another. */
export function queueKey(event: FalcoEvent, target: Target): string {
  switch (target.kind) {
    case "pod":
      return `pod/${target.namespace}/${target.name}`;
    case "resource":
      return `${target.resource}/${target.namespace ?? ""}/${target.name}`;
    case "none":
      return `event/${event.id}`;
  }
}

/** Looks at what the rule's destructive actions work on. Never rejects, nor takes longer than the deadline. */
export async function sight(
  rule: Rule,
  event: FalcoEvent,
  { kubernetes }: { readonly kubernetes: Kubernetes },
  deadline: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Sightings> {
  const destructive = rule.actions.filter(({ actionner }) => actionner.destructive);
  const kinds = new Set(destructive.map(({ actionner }) => actionner.target));
  const targets = [...kinds].map((kind) => targetOf(kind, event));

  const sightings = targets.map(async (target) => {
    if (target.kind === "missing" || target.kind === "none") {
      return [];
    }
    return [[target.kind, await look(target, kubernetes, deadline)] as const];
  });
  return Object.fromEntries((await Promise.all(sightings)).flat());
}

async function look(
  target: PodTarget | ResourceTarget,
  kubernetes: Kubernetes,
  deadline: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Sighting> {
  try {
    const object = await withDeadline<Sighted>(deadline, (signal) =>
      target.kind === "pod" ? kubernetes.getPod(target, signal) : kubernetes.getResource(target, signal),
    );
    return { kind: "seen", object };
  } catch (error) {
    return failedSighting(error, target);
  }
}

function failedSighting(error: unknown, target: Target): Sighting {
  if (error instanceof TargetGone) {
    return { kind: "gone", reason: error.message };
  }
  const code = error instanceof ActionError ? error.code : "internal";
  const cause = error instanceof Error ? error.message : String(error);
  return { kind: "failed", code, reason: `${describeTarget(target)} could not be read: ${cause}` };
}
