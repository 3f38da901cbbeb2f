import { defineContext, type Facts } from "../src/catalogue/catalogue.ts";
import { ActionError } from "../src/catalogue/errors.ts";
import type { Kubernetes, Owner, Pod, Workload } from "../src/clients/kubernetes/port.ts";

/** Of a map of labels or annotations, as JSON. */
const maxMapLength = 8 * 1024;
const maxValueLength = 1024;
const maxOwners = 5;

/** Where `kubectl apply` leaves the whole manifest, with every secret in its environment. */
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";

interface Found {
  readonly pod: Pod;
  /** The pod's own controller first. */
  readonly owners: readonly Owner[];
}

/** Where each fact stands. */
const facts: Readonly<Record<string, (found: Found) => string | undefined>> = {
  "pod.labels": ({ pod }) => jsonOf(pod.labels),
  "pod.annotations": ({ pod }) => jsonOf(pod.annotations),
  "pod.owners": ({ owners }) => owners.map(({ kind, name }) => `${kind}/${name}`).join(",") || undefined,
  "pod.owner.kind": ({ owners }) => owners.at(-1)?.kind,
  "pod.owner.name": ({ owners }) => owners.at(-1)?.name,
  "pod.images": ({ pod }) => [...new Set(pod.containers.map(({ image }) => image))].join(","),
  "pod.service_account": ({ pod }) => pod.serviceAccount,
};

export const k8spod = defineContext({
  id: "k8spod",
  summary: "Facts about the pod: labels, annotations, owners, images, service account",
  description: [
    "`pod.labels` and `pod.annotations` are JSON objects; values above 1024 characters, what does not fit into 8 KiB, and kubectl's copy of the",
    "manifest are left out. `pod.owners` names the controllers from the pod's own to the uppermost (`ReplicaSet/cart-7f,Deployment/cart`),",
    "`pod.owner.kind` and `pod.owner.name` the uppermost. `pod.images` are joined by commas. What there is not is left out.",
  ].join("\n"),
  target: "pod",
  uses: ["kubernetes"],
  rbac: [
    { apiGroups: [""], resources: ["pods", "replicationcontrollers"], verbs: ["get"] },
    { apiGroups: ["apps"], resources: ["replicasets", "deployments", "statefulsets", "daemonsets"], verbs: ["get"] },
    { apiGroups: ["batch"], resources: ["jobs"], verbs: ["get"] },
  ],
  elements: Object.keys(facts),

  async fetch({ target, clients: { kubernetes }, signal }): Promise<Facts> {
    const pod = await kubernetes.getPod(target, signal);
    const found = { pod, owners: await ownersOf(pod, kubernetes, signal) };
    const values = Object.entries(facts).map(([name, read]) => [name, read(found)] as const);
    return Object.fromEntries(values.filter((entry): entry is [string, string] => entry[1] !== undefined));
  },
});

async function ownersOf({ namespace, owner }: Pod, kubernetes: Kubernetes, signal: AbortSignal): Promise<Owner[]> {
  const owners: Owner[] = [];
  for (let next = owner; next !== undefined && owners.length < maxOwners; ) {
    owners.push(next);
    next = (await workloadOf(namespace, next, kubernetes, signal))?.owner;
  }
  return owners;
}

/** Undefined where it is gone, or of a kind that Hallux does not know: there the chain ends. */
async function workloadOf(
  namespace: string,
  owner: Owner,
  kubernetes: Kubernetes,
  signal: AbortSignal,
): Promise<Workload | undefined> {
  try {
    return await kubernetes.getWorkload(namespace, owner, signal);
  } catch (error) {
    if (error instanceof ActionError && error.code === "not_found") {
      return undefined;
    }
    throw error;
  }
}

/** By name, as many as fit. */
function jsonOf(map: Readonly<Record<string, string>>): string {
  const kept: Record<string, string> = {};
  let length = 2;
  for (const name of Object.keys(map).sort()) {
    const value = map[name] ?? "";
    const more = JSON.stringify(name).length + JSON.stringify(value).length + 2;
    if (name !== lastApplied && value.length <= maxValueLength && length + more <= maxMapLength) {
      kept[name] = value;
      length += more;
    }
  }
  return JSON.stringify(kept);
}
