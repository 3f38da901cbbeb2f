import type { PolicyRule } from "../../src/catalogue/catalogue.ts";
import { ignored, type Result, success } from "../../src/catalogue/outcome.ts";
import type { Kubernetes } from "../../src/clients/kubernetes/port.ts";
import type { PodTarget } from "../../src/events/target.ts";
import { choice } from "../../src/schema/field.ts";
import { kubectl } from "./kubectl.ts";
import { podTarget } from "./pod-target.ts";

export const level = choice("What is changed: the pod, or the node it runs on", ["pod", "node"], { default: "pod" });

const patchPods = { apiGroups: [""], resources: ["pods"], verbs: ["patch"] };
const patchNodes = { apiGroups: [""], resources: ["nodes"], verbs: ["patch"] };

/** By level; the pod tells its node. */
export const levelRules: Readonly<Record<"pod" | "node", readonly PolicyRule[]>> = {
  pod: [patchPods],
  node: [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }, patchNodes],
};

interface Change {
  readonly target: PodTarget;
  readonly level: "pod" | "node";
  readonly key: "labels" | "annotations";
  /** An empty value removes the key. */
  readonly values: Readonly<Record<string, string>>;
  readonly kubernetes: Kubernetes;
  readonly signal: AbortSignal;
}

const words = {
  labels: { done: "labelled", command: "label" },
  annotations: { done: "annotated", command: "annotate" },
} as const;

/** Changes the labels or annotations of the pod, in one request, or of its node. */
export function changeMetadata(change: Change): Promise<Result> {
  return change.level === "pod" ? changePod(change) : changeNode(change);
}

async function changePod({ target, key, values, kubernetes, signal }: Change): Promise<Result> {
  const pod = await kubernetes.patchPod(target, { [key]: patchOf(values) }, signal);

  return success(`pod ${words[key].done}`, {
    objects: { namespace: pod.namespace, pod: pod.name },
    target: podTarget(pod),
    ...undoing(key, values, ["pod", pod.name, "-n", pod.namespace]),
  });
}

async function changeNode({ target, key, values, kubernetes, signal }: Change): Promise<Result> {
  const pod = await kubernetes.getPod(target, signal);
  if (pod.nodeName === undefined) {
    return ignored("the pod is not on a node yet");
  }

  const node = await kubernetes.patchNode(pod.nodeName, { [key]: patchOf(values) }, signal);

  return success(`node ${words[key].done}`, {
    objects: { namespace: pod.namespace, pod: pod.name, node: node.name },
    target: podTarget(pod),
    ...undoing(key, values, ["node", node.name]),
  });
}

function patchOf(values: Change["values"]): Record<string, string | null> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, value === "" ? null : value]));
}

/** What was removed cannot be put back: its value was not read. */
function undoing(key: Change["key"], values: Change["values"], object: readonly string[]): { undo?: string } {
  const added = Object.keys(values).filter((name) => values[name] !== "");
  return added.length === 0 ? {} : { undo: kubectl(words[key].command, ...object, ...added.map((name) => `${name}-`)) };
}
