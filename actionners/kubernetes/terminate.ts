import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { ignored, success } from "../../src/catalogue/outcome.ts";
import type { Pod } from "../../src/clients/kubernetes/port.ts";
import { flag, integer } from "../../src/schema/field.ts";
import { countingRules, minHealthyReplicas, shortage } from "./min-healthy.ts";
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
    min_healthy_replicas: minHealthyReplicas,
  },
  uses: ["kubernetes"],
  rbac: [
    { apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "delete"] },
    { apiGroups: ["apps"], resources: ["replicasets", "statefulsets", "daemonsets"], verbs: ["get"] },
    { apiGroups: ["batch"], resources: ["jobs"], verbs: ["get"] },
    { apiGroups: [""], resources: ["replicationcontrollers"], verbs: ["get"] },
  ],
  rbacFor: ({ min_healthy_replicas, ignore_daemonsets, ignore_statefulsets }) => [
    { apiGroups: [""], resources: ["pods"], verbs: ["get", "delete"] },
    ...countingRules(min_healthy_replicas, { daemonsets: !ignore_daemonsets, statefulsets: !ignore_statefulsets }),
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

    const reason = exemption(pod, params) ?? (await shortage(pod, params.min_healthy_replicas, { kubernetes, signal }));
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
