import type { PolicyRule } from "../../src/catalogue/catalogue.ts";
import { ignored, type Result, success } from "../../src/catalogue/outcome.ts";
import type { Kubernetes, Node, Pod } from "../../src/clients/kubernetes/port.ts";
import type { PodTarget } from "../../src/events/target.ts";
import { choice } from "../../src/schema/field.ts";
import { kubectl } from "./kubectl.ts";
import { podTarget } from "./pod-target.ts";

export const level = choice("What is changed: the pod, or the node it runs on", ["pod", "node"], { default: "pod" });

/** What the change needs, by level; the pod tells its node. */
export function rulesByLevel(verbs: readonly string[]): Readonly<Record<"pod" | "node", readonly PolicyRule[]>> {
  const pods = { apiGroups: [""], resources: ["pods"], verbs };
  return {
    pod: [pods],
    node: [
      { ...pods, verbs: ["get"] },
      { ...pods, resources: ["nodes"] },
    ],
  };
}

/** An empty value removes the key. */
export type Values = Readonly<Record<string, string>>;

export interface Changed<T> {
  /** As it is now. */
  readonly object: T;
  /** `labelled` */
  readonly verb: string;
  /** What `kubectl label` takes after the object: `suspicious-`, `tier=web`. */
  readonly undo: readonly string[];
}

interface Change {
  readonly target: PodTarget;
  readonly level: "pod" | "node";
  readonly kubernetes: Kubernetes;
  readonly signal: AbortSignal;
  /** Of kubectl, to undo it. */
  readonly command: "label" | "annotate";
  changePod(): Promise<Changed<Pod>>;
  changeNode(name: string): Promise<Changed<Node>>;
}

/** Changes the pod or its node, and tells what was done. */
export async function changeMetadata(change: Change): Promise<Result> {
  const { target, level, kubernetes, signal, command } = change;
  if (level === "pod") {
    const { object: pod, verb, undo } = await change.changePod();
    const objects = { namespace: pod.namespace, pod: pod.name };
    const undoing = undoBy(command, ["pod", pod.name, "-n", pod.namespace], undo);
    return success(`pod ${verb}`, { objects, target: podTarget(pod), ...undoing });
  }

  const pod = await kubernetes.getPod(target, signal);
  if (pod.nodeName === undefined) {
    return ignored("the pod is not on a node yet");
  }
  const { object: node, verb, undo } = await change.changeNode(pod.nodeName);
  const objects = { namespace: pod.namespace, pod: pod.name, node: node.name };
  const undoing = undoBy(command, ["node", node.name], undo);
  return success(`node ${verb}`, { objects, target: podTarget(pod), ...undoing });
}

export function patchOf(values: Values): Record<string, string | null> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, value === "" ? null : value]));
}

function undoBy(command: Change["command"], object: readonly string[], steps: readonly string[]): { undo?: string } {
  const overwrite = steps.some((step) => step.includes("=")) ? ["--overwrite"] : [];
  return steps.length === 0 ? {} : { undo: kubectl(command, ...object, ...overwrite, ...steps) };
}
