import type { PolicyRule } from "../../src/catalogue/catalogue.ts";
import type { Kubernetes, Owner, Pod } from "../../src/clients/kubernetes/port.ts";
import { text } from "../../src/schema/field.ts";

export const minHealthyReplicas = text(
  "Leave the pod alone where its owner has fewer ready pods than this: a number, or a percentage of the pods wanted",
  { pattern: "^(\\d+|\\d{1,2}%|100%)$" },
);

/** What `shortage` needs. Who leaves the pods of a kind of owner alone does not have them counted. */
export function countingRules(
  minimum: string | undefined,
  { daemonsets, statefulsets }: { readonly daemonsets: boolean; readonly statefulsets: boolean },
): readonly PolicyRule[] {
  if (minimum === undefined) {
    return [];
  }
  const kinds = ["replicasets", ...(statefulsets ? ["statefulsets"] : []), ...(daemonsets ? ["daemonsets"] : [])];
  return [
    { apiGroups: [""], resources: ["pods"], verbs: ["list"] },
    { apiGroups: ["apps"], resources: kinds, verbs: ["get"] },
    { apiGroups: ["batch"], resources: ["jobs"], verbs: ["get"] },
    { apiGroups: [""], resources: ["replicationcontrollers"], verbs: ["get"] },
  ];
}

interface Counting {
  readonly kubernetes: Kubernetes;
  readonly signal: AbortSignal;
  /** UIDs of pods that do not count any more. */
  readonly besides?: ReadonlySet<string>;
}

/** Why too few replicas are healthy to lose one. A pod without an owner has no replicas to count. */
export async function shortage(
  { namespace, owner }: Pod,
  minimum: string | undefined,
  { kubernetes, signal, besides }: Counting,
): Promise<string | undefined> {
  if (minimum === undefined || owner === undefined) {
    return undefined;
  }
  const workload = await kubernetes.getWorkload(namespace, owner, signal);
  if (workload === undefined) {
    return `the ready pods of ${nameOf(owner)} cannot be counted (min_healthy_replicas)`;
  }
  const { replicas } = workload;
  const ready = await kubernetes.countReadyPods(workload, signal, besides);
  const needed = minimum.endsWith("%") ? Math.ceil((replicas * Number.parseInt(minimum, 10)) / 100) : Number(minimum);
  return ready < needed
    ? `${ready} of ${replicas} pods of ${nameOf(owner)} are ready, fewer than ${needed} (min_healthy_replicas ${minimum})`
    : undefined;
}

function nameOf({ kind, name }: Owner): string {
  return `${kind} ${name}`;
}
