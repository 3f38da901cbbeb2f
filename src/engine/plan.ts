import { ActionError, type ErrorCode, TargetGone } from "../catalogue/errors.ts";
import type { Kubernetes, Pod } from "../clients/kubernetes/port.ts";
import type { FalcoEvent } from "../events/event.ts";
import { type PodTarget, type Target, targetOf } from "../events/target.ts";
import type { Rule } from "../rules/rule.ts";
import { withDeadline } from "./deadline.ts";

/** One rule applied to one event. */
export interface Response {
  readonly id: string;
  readonly event: FalcoEvent;
  readonly rule: Rule;
  /** What the event is about. */
  readonly target: Target;
  /** What the API server said of the pod when the response was planned. */
  readonly sighting: Sighting;
}

/**
 * A destructive action needs the pod's UID from before it waited in a queue: by then another pod may have taken the name.
 * `unseen`: no action of the rule needs it.
 */
export type Sighting =
  | { readonly kind: "unseen" }
  | { readonly kind: "seen"; readonly pod: Pod }
  | { readonly kind: "gone"; readonly reason: string }
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly reason: string };

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

/** Looks at the pod where an action of the rule is destructive. Never rejects, nor takes longer than the deadline. */
export async function sight(
  rule: Rule,
  target: Target,
  clients: { readonly kubernetes: Kubernetes },
  deadline: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Sighting> {
  if (target.kind !== "pod" || !needsSighting(rule)) {
    return { kind: "unseen" };
  }
  try {
    const pod = await withDeadline(deadline, (signal) => clients.kubernetes.getPod(target, signal));
    return { kind: "seen", pod };
  } catch (error) {
    return failedSighting(error, target);
  }
}

function needsSighting(rule: Rule): boolean {
  return rule.actions.some(({ actionner }) => actionner.destructive && actionner.target === "pod");
}

function failedSighting(error: unknown, { namespace, name }: PodTarget): Sighting {
  if (error instanceof TargetGone) {
    return { kind: "gone", reason: error.message };
  }
  const code = error instanceof ActionError ? error.code : "internal";
  const cause = error instanceof Error ? error.message : String(error);
  return { kind: "failed", code, reason: `pod ${namespace}/${name} could not be read: ${cause}` };
}
