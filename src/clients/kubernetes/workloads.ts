import type { ConfigurationOptions, V1LabelSelector, V1ObjectMeta, V1Pod } from "@kubernetes/client-node";
import { ActionError } from "../../catalogue/errors.ts";
import type { Api } from "./api.ts";
import { controllerOf } from "./pods.ts";
import type { Kubernetes, Owner, Workload } from "./port.ts";

interface Place {
  readonly namespace: string;
  readonly name: string;
}

/** What each kind calls its numbers. */
interface Reading {
  readonly metadata: V1ObjectMeta | undefined;
  readonly selector: V1LabelSelector | undefined;
  readonly replicas: number | undefined;
  readonly readyReplicas: number | undefined;
}

type Read = (api: Api, place: Place, options: ConfigurationOptions) => Promise<Reading>;

/** By API group and kind, whatever the version. */
const readers: Readonly<Record<string, Read>> = {
  "apps/ReplicaSet": async ({ apps }, place, options) =>
    replicated(await apps.readNamespacedReplicaSet(place, options)),
  "apps/Deployment": async ({ apps }, place, options) =>
    replicated(await apps.readNamespacedDeployment(place, options)),
  "apps/StatefulSet": async ({ apps }, place, options) =>
    replicated(await apps.readNamespacedStatefulSet(place, options)),
  "apps/DaemonSet": async ({ apps }, place, options) => {
    const { metadata, spec, status } = await apps.readNamespacedDaemonSet(place, options);
    const { desiredNumberScheduled: replicas, numberReady: readyReplicas } = status ?? {};
    return { metadata, selector: spec?.selector, replicas, readyReplicas };
  },
  "/ReplicationController": async ({ core }, place, options) => {
    const { metadata, spec, status } = await core.readNamespacedReplicationController(place, options);
    return {
      metadata,
      selector: { matchLabels: spec?.selector },
      replicas: spec?.replicas,
      readyReplicas: status?.readyReplicas,
    };
  },
  "batch/Job": async ({ batch }, place, options) => {
    const { metadata, spec, status } = await batch.readNamespacedJob(place, options);
    return { metadata, selector: spec?.selector, replicas: spec?.parallelism, readyReplicas: status?.ready };
  },
};

export function workloadCalls(api: Api): Pick<Kubernetes, "getWorkload" | "countReadyPods"> {
  return {
    async getWorkload(namespace, owner, signal) {
      const read = readers[`${groupOf(owner.apiVersion)}/${owner.kind}`];
      return read && workloadFrom(namespace, owner, await read(api, { namespace, name: owner.name }, api.via(signal)));
    },

    async countReadyPods({ namespace, selector, uid }, signal, besides) {
      const labelSelector = selectorText(selector);
      const { items } = await api.core.listNamespacedPod({ namespace, labelSelector }, api.via(signal));
      const own = items.filter(({ metadata }) => controllerOf(metadata?.ownerReferences)?.uid === uid);
      return own.filter((pod) => isReady(pod) && !besides?.has(pod.metadata?.uid ?? "")).length;
    },
  };
}

function isReady({ metadata, status }: V1Pod): boolean {
  const ready = status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
  return ready && metadata?.deletionTimestamp === undefined;
}

/** As a query parameter takes it: `app=cart,tier in (front,back)`. */
function selectorText({ matchLabels = {}, matchExpressions = [] }: Workload["selector"]): string {
  const expressions = matchExpressions.map(({ key, operator, values = [] }) => {
    switch (operator) {
      case "Exists":
        return key;
      case "DoesNotExist":
        return `!${key}`;
      default:
        return `${key} ${operator.toLowerCase()} (${values.join(",")})`;
    }
  });
  return [...Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`), ...expressions].join(",");
}

function replicated(object: {
  readonly metadata?: V1ObjectMeta;
  readonly spec?: { readonly selector: V1LabelSelector; readonly replicas?: number };
  readonly status?: { readonly readyReplicas?: number };
}): Reading {
  const { metadata, spec, status } = object;
  return { metadata, selector: spec?.selector, replicas: spec?.replicas, readyReplicas: status?.readyReplicas };
}

function workloadFrom(namespace: string, owner: Owner, reading: Reading): Workload {
  const { metadata, selector, replicas, readyReplicas } = reading;
  if (metadata?.uid !== owner.uid) {
    const what = `${owner.kind} ${namespace}/${owner.name}`;
    throw new ActionError("not_found", `${what} is gone: another one has taken its name`);
  }
  return {
    ...owner,
    namespace,
    replicas: replicas ?? 1,
    readyReplicas: readyReplicas ?? 0,
    selector: selector ?? {},
    owner: controllerOf(metadata.ownerReferences),
  };
}

/** `apps` of `apps/v1`; empty for `v1`. */
function groupOf(apiVersion: string): string {
  return apiVersion.includes("/") ? apiVersion.replace(/\/.*$/, "") : "";
}
