import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { ignored, success } from "../../src/catalogue/outcome.ts";
import type { Kubernetes, Owner, Pod } from "../../src/clients/kubernetes/port.ts";
import { flag, integer, text } from "../../src/schema/field.ts";
import { podTarget } from "./pod-target.ts";

export const terminate = defineActionner({
  id: "kubernetes:terminate",
  summary: "Delete the pod that raised the event",
  target: "pod",
  params: {
    grace_period_seconds: integer("Seconds the pod gets to stop", { minimum: 0, default: 0 }),
    ignore_daemonsets: flag("Leave pods of a DaemonSet alone", { default: false }),
    ignore_statefulsets: flag("Leave pods of a StatefulSet alone", { default: false }),
    ignore_standalone_pods: flag("Leave pods without an owner alone", { default: true }),
    min_healthy_replicas: text(
      "Leave the pod alone where its owner has fewer ready pods than this: a number, or a percentage of the pods wanted",
      { pattern: "^(\\d+|\\d{1,2}%|100%)$" },
    ),
  },
  uses: ["kubernetes"],
  rbac: [
    { apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "delete"] },
    { apiGroups: ["apps"], resources: ["replicasets", "statefulsets", "daemonsets"], verbs: ["get"] },
    { apiGroups: ["batch"], resources: ["jobs"], verbs: ["get"] },
    { apiGroups: [""], resources: ["replicationcontrollers"], verbs: ["get"] },
  ],
  destructive: true,
  oneAtATimePerOwner: true,
  idempotent: true,
  continues: false,
  output: "none",
  undo: "A pod that is deleted does not come back. Its owner, if it has one, makes another.",
  examples: [
    { title: "Delete the pod at once, even if nothing will replace it", parameters: { ignore_standalone_pods: false } },
    {
      title: "Let the pod stop in its own time, and only while a third of the replicas are ready",
      parameters: { grace_period_seconds: 30, min_healthy_replicas: "33%" },
    },
  ],

  async run({ target, params, clients: { kubernetes }, signal }) {
    const pod = await kubernetes.getPod(target, signal);

    const reason = exemption(pod, params) ?? (await shortage(pod, params.min_healthy_replicas, kubernetes, signal));
    if (reason !== undefined) {
      return ignored(reason);
    }

    await kubernetes.deletePod(pod, { gracePeriodSeconds: params.grace_period_seconds }, signal);
    return success("pod deleted", { objects: { namespace: pod.namespace, pod: pod.name }, target: podTarget(pod) });
  },
});

function exemption(
  { owner }: Pod,
  params: {
    readonly ignore_daemonsets: boolean;
    readonly ignore_statefulsets: boolean;
    readonly ignore_standalone_pods: boolean;
  },
): string | undefined {
  if (owner === undefined) {
    return params.ignore_standalone_pods ? "the pod has no owner (ignore_standalone_pods)" : undefined;
  }
  if (owner.kind === "DaemonSet" && params.ignore_daemonsets) {
    return "the pod belongs to a DaemonSet (ignore_daemonsets)";
  }
  if (owner.kind === "StatefulSet" && params.ignore_statefulsets) {
    return "the pod belongs to a StatefulSet (ignore_statefulsets)";
  }
  return undefined;
}

/** Why too few replicas are healthy to lose one. A pod without an owner has no replicas to count. */
async function shortage(
  { namespace, owner }: Pod,
  minimum: string | undefined,
  kubernetes: Kubernetes,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (minimum === undefined || owner === undefined) {
    return undefined;
  }
  const workload = await kubernetes.getWorkload(namespace, owner, signal);
  if (workload === undefined) {
    return `the ready pods of ${nameOf(owner)} cannot be counted (min_healthy_replicas)`;
  }
  const { replicas } = workload;
  const ready = await kubernetes.countReadyPods(workload, signal);
  const needed = minimum.endsWith("%") ? Math.ceil((replicas * Number.parseInt(minimum, 10)) / 100) : Number(minimum);
  return ready < needed
    ? `${ready} of ${replicas} pods of ${nameOf(owner)} are ready, fewer than ${needed} (min_healthy_replicas ${minimum})`
    : undefined;
}

function nameOf({ kind, name }: Owner): string {
  return `${kind} ${name}`;
}
