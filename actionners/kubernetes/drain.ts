import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import { ignored, type Result, success } from "../../src/catalogue/outcome.ts";
import type { Pod } from "../../src/clients/kubernetes/port.ts";
import { flag, integer, textList } from "../../src/schema/field.ts";
import { evictAll, type Fate, overtimeMs, podsToDrain } from "./evictions.ts";
import { kubectl } from "./kubectl.ts";
import { countingRules, minHealthyReplicas } from "./min-healthy.ts";
import { namespaceName } from "./namespace-name.ts";
import { podTarget } from "./pod-target.ts";

/** Beside the evictions: to read, and to cordon. */
const readingSeconds = 30;
/** Of a message; the outcome's text lists the rest. */
const named = { pods: 5, reasonLength: 200 };

export const drain = defineActionner({
  id: "kubernetes:drain",
  summary: "Cordon the pod's node and evict the pods that run on it",
  description: `The pods are evicted side by side, the event's own pod among the first. PodDisruptionBudgets are kept: a pod that its
budget does not let go is tried again until \`max_wait_period\` is over, and then counts as a failure, like one that has not ended by then.

These stay: pods of protected namespaces (\`protected_namespaces\`, and Hallux's own), of a DaemonSet (it would put them back at once)
and of static manifests; pods that have ended, or are ending already. The outcome's text names every pod: evicted, left or failed, and why.

\`min_healthy_replicas\` is held within one drain. Against two nodes drained at the same time, or anything else, only a
PodDisruptionBudget helps.`,
  target: "pod",
  params: {
    min_healthy_replicas: minHealthyReplicas,
    ignore_daemonsets: flag("Leave pods of a DaemonSet alone; they stay without it, too", { default: false }),
    ignore_statefulsets: flag("Leave pods of a StatefulSet alone", { default: false }),
    force: flag("Evict pods without an owner, too, which nothing brings back", { default: true }),
    ignore_errors: flag("Count the drain as a success where pods could not be evicted", {
      default: false,
      aliases: ["ignore_error"],
    }),
    max_wait_period: integer(
      "Seconds in which a disruption budget that refuses is asked again and evicted pods have to end; 0 waits for neither",
      { default: 0, minimum: 0, maximum: 86_400 },
    ),
    wait_period_excluded_namespaces: textList("Namespaces whose pods are evicted, but not waited for", {
      default: [],
      items: namespaceName,
    }),
  },
  uses: ["kubernetes"],
  rbac: [
    { apiGroups: [""], resources: ["pods"], verbs: ["get", "list"] },
    { apiGroups: [""], resources: ["pods/eviction"], verbs: ["create"] },
    { apiGroups: [""], resources: ["nodes"], verbs: ["get", "patch"] },
    { apiGroups: ["apps"], resources: ["replicasets", "statefulsets"], verbs: ["get"] },
    { apiGroups: ["batch"], resources: ["jobs"], verbs: ["get"] },
    { apiGroups: [""], resources: ["replicationcontrollers"], verbs: ["get"] },
  ],
  rbacFor: ({ min_healthy_replicas, ignore_statefulsets }) => [
    { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
    { apiGroups: [""], resources: ["nodes"], verbs: ["get", "patch"] },
    ...[
      { apiGroups: [""], resources: ["pods"], verbs: ["list"] },
      { apiGroups: [""], resources: ["pods/eviction"], verbs: ["create"] },
      ...countingRules(min_healthy_replicas, { daemonsets: false, statefulsets: !ignore_statefulsets }),
    ].map((rule) => ({ ...rule, namespace: "*" })),
  ],
  destructive: true,
  // Only the event's pod tells the node, and it is evicted, too: begun again, it would find that pod gone and call that the end of it.
  // What may pass is tried again pod by pod instead.
  idempotent: false,
  continues: true,
  output: "none",
  undo: "`kubectl uncordon NODE`; evicted pods do not come back to it by themselves.",
  timeoutSeconds: ({ max_wait_period }) => max_wait_period + overtimeMs / 1000 + readingSeconds,
  examples: [
    { title: "Move everything away but what a disruption budget holds back", parameters: {} },
    {
      title: "Give budgets and pods five minutes, and keep half of each workload ready",
      parameters: { max_wait_period: 300, min_healthy_replicas: "50%", ignore_statefulsets: true },
    },
  ],

  async run({ target, params, objectionTo, dryRun, clients: { kubernetes }, signal }) {
    const pod = await kubernetes.getPod(target, signal);
    if (pod.nodeName === undefined) {
      return ignored("the pod is not on a node yet");
    }
    const node = await kubernetes.getNode(pod.nodeName, signal);
    const cordoned = !node.unschedulable;
    if (cordoned) {
      await kubernetes.patchNode(node.name, { unschedulable: true }, signal);
    }
    const undo = cordoned && !dryRun ? kubectl("uncordon", node.name) : undefined;

    const looking = { kubernetes, signal, node: node.name };
    const pods = await podsToDrain(looking).catch((error: unknown) => {
      throw cordoned ? withCordon(error, node.name, undo) : error;
    });
    const staying = stayingOf(pods, (one) => objectionTo(one) ?? exemption(one, params));
    const place = ({ uid }: Pod) => (uid === pod.uid ? 0 : 1);
    const going = pods.filter((one) => !staying.has(one)).sort((one, other) => place(one) - place(other));
    const fates = await evictAll(going, {
      ...looking,
      minHealthyReplicas: params.min_healthy_replicas,
      // In a dry run nothing changes for which it could wait.
      waitMs: dryRun ? 0 : params.max_wait_period * 1000,
      unwaited: new Set(params.wait_period_excluded_namespaces),
    });

    const circumstances = { pod, node: node.name, cordoned, undo, ignoreErrors: params.ignore_errors };
    return conclude([...fates, ...staying], circumstances);
  },
});

/** The error with what was done before it: begun again, the drain would not know who has cordoned the node. */
function withCordon(error: unknown, node: string, undo: string | undefined): unknown {
  return error instanceof ActionError
    ? new ActionError(error.code, notDrained(node, error.message, undo), { cause: error })
    : error;
}

function notDrained(node: string, why: string, undo: string | undefined): string {
  const hint = undo === undefined ? "" : `; to take the cordon back: ${undo}`;
  return `node ${node} is cordoned, but not drained: ${why}${hint}`;
}

/** Those for which there is a reason to stay. */
function stayingOf(pods: readonly Pod[], reasonFor: (pod: Pod) => string | undefined): ReadonlyMap<Pod, Fate> {
  const fates = new Map<Pod, Fate>();
  for (const pod of pods) {
    const reason = reasonFor(pod);
    if (reason !== undefined) {
      fates.set(pod, { kind: "left", reason });
    }
  }
  return fates;
}

/** Why the pod stays where it is. */
function exemption(
  { owner, phase, terminating }: Pod,
  params: { readonly force: boolean; readonly ignore_statefulsets: boolean },
): string | undefined {
  if (terminating) {
    return "it is ending already";
  }
  if (phase === "Succeeded" || phase === "Failed") {
    return "it has ended";
  }
  if (owner === undefined) {
    return params.force ? undefined : "it has no owner (force: false)";
  }
  if (owner.kind === "DaemonSet") {
    return "its DaemonSet would put it back at once";
  }
  return owner.kind === "StatefulSet" && params.ignore_statefulsets
    ? "it belongs to a StatefulSet (ignore_statefulsets)"
    : undefined;
}

type Fates = readonly (readonly [Pod, Fate])[];

interface Circumstances {
  readonly pod: Pod;
  readonly node: string;
  /** By this drain, not before. */
  readonly cordoned: boolean;
  readonly undo: string | undefined;
  readonly ignoreErrors: boolean;
}

function conclude(fates: Fates, { pod, node, cordoned, undo, ignoreErrors }: Circumstances): Result {
  const count = (kind: Fate["kind"]) => fates.filter(([, fate]) => fate.kind === kind).length;
  const counts = `${count("evicted")} evicted, ${count("left")} left`;
  const failure = firstFailure(fates);
  const text = listing(fates);

  if (failure !== undefined && !ignoreErrors) {
    throw new ActionError(failure.code, notDrained(node, `${failures(fates)}; ${counts}`, undo), { text });
  }
  if (failure === undefined && !cordoned && count("evicted") === 0) {
    return ignored(`node ${node} is cordoned already, and no pod is to be evicted from it`);
  }
  const but = failure === undefined ? "" : ` but for what failed (ignore_errors): ${failures(fates)}`;
  return success(`node ${node} drained${but}; pods: ${counts}`, {
    objects: { namespace: pod.namespace, pod: pod.name, node },
    target: podTarget(pod),
    text,
    ...(undo === undefined ? {} : { undo }),
  });
}

function firstFailure(fates: Fates) {
  return fates.map(([, fate]) => fate).find((fate) => fate.kind === "failed");
}

/** `2 pods failed: shop/db-0 (why), shop/db-1 (why)`. */
function failures(fates: Fates): string {
  const failed = fates.flatMap(([pod, fate]) =>
    fate.kind === "failed" ? [`${nameOf(pod)} (${fate.reason.slice(0, named.reasonLength)})`] : [],
  );
  const more = failed.length > named.pods ? ` and ${failed.length - named.pods} more` : "";
  return `${failed.length} failed: ${failed.slice(0, named.pods).join(", ")}${more}`;
}

/** Each reason once, with all pods of which it is true; what failed comes first. */
function listing(fates: Fates): string {
  const order = ["failed", "evicted", "left"];
  const groups = Map.groupBy(
    fates.toSorted(([, one], [, other]) => order.indexOf(one.kind) - order.indexOf(other.kind)),
    ([, fate]) => (fate.kind === "evicted" ? fate.kind : `${fate.kind} (${fate.reason})`),
  );
  return [...groups].map(([what, members]) => `${what}: ${members.map(([pod]) => nameOf(pod)).join(", ")}\n`).join("");
}

function nameOf({ namespace, name }: Pod): string {
  return `${namespace}/${name}`;
}
