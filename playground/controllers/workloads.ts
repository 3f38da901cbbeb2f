import { createHash, randomUUID } from "node:crypto";
import { suffix } from "../objects.ts";
import {
  daemonSets,
  deployments,
  groupVersionOf,
  jobs,
  nodes,
  pods,
  type Resource,
  replicaSets,
  replicationControllers,
  statefulSets,
} from "../resources.ts";
import { selects } from "../selectors.ts";
import type { Change, Store } from "../store.ts";
import {
  at,
  controllerOf,
  type KubeObject,
  type LabelSelector,
  type Metadata,
  type Pod,
  recordAt,
  timestamp,
  type Workload,
} from "../wire.ts";
import type { WorkQueue } from "./queue.ts";

type Remove = (resource: Resource, object: KubeObject) => void;

const controlled: readonly Resource[] = [
  deployments,
  replicaSets,
  replicationControllers,
  statefulSets,
  daemonSets,
  jobs,
];

/** The Deployment, ReplicaSet, StatefulSet and DaemonSet controllers: they keep the pods that are asked for. */
export function keepWorkloads(store: Store, queue: WorkQueue, remove: Remove): void {
  const workloads = new Workloads(store, queue, remove);
  store.subscribe((change) => workloads.observe(change));
}

class Workloads {
  readonly #store: Store;
  readonly #queue: WorkQueue;
  readonly #remove: Remove;

  constructor(store: Store, queue: WorkQueue, remove: Remove) {
    this.#store = store;
    this.#queue = queue;
    this.#remove = remove;
  }

  observe({ resource, object, previous }: Change): void {
    if (controlled.includes(resource)) {
      this.#enqueue(resource, object);
    }
    if (resource === nodes) {
      this.#store.list(daemonSets).forEach((set) => {
        this.#enqueue(daemonSets, set);
      });
    }
    if (resource === pods || resource === replicaSets) {
      this.#enqueueOwner(object);
      this.#enqueueOwner(previous);
    }
  }

  #enqueueOwner(object: KubeObject | undefined): void {
    const owner = object === undefined ? undefined : controllerOf(object);
    const resource = controlled.find((candidate) => candidate.kind === owner?.kind);
    const found = resource && owner && this.#store.get(resource, object?.metadata.namespace, owner.name);
    if (resource !== undefined && found !== undefined && found.metadata.uid === owner?.uid) {
      this.#enqueue(resource, found);
    }
  }

  #enqueue(resource: Resource, { metadata }: KubeObject): void {
    this.#queue.add(`${resource.kind} ${metadata.uid}`, () => {
      const current = this.#store.get(resource, metadata.namespace, metadata.name) as Workload | undefined;
      if (current !== undefined && current.metadata.deletionTimestamp === undefined) {
        this.#reconcile(resource, current);
      }
    });
  }

  #reconcile(resource: Resource, workload: Workload): void {
    switch (resource) {
      case deployments:
        this.#deployment(workload);
        break;
      case replicaSets:
      case replicationControllers:
        this.#replicaSet(resource, workload);
        break;
      case jobs:
        this.#job(workload);
        break;
      case statefulSets:
        this.#statefulSet(workload);
        break;
      default:
        this.#daemonSet(workload);
    }
  }

  /** One ReplicaSet for the current template has all replicas, those of former templates none. */
  #deployment(deployment: Workload): void {
    const { spec } = deployment;
    const hash = createHash("sha256").update(JSON.stringify(spec.template)).digest("hex").slice(0, 10);
    const labels = { ...spec.template.metadata?.labels, "pod-template-hash": hash };
    const sets = this.#owned(replicaSets, deployment) as readonly Workload[];
    const wanted = spec.replicas ?? 1;
    const current = sets.find(({ metadata }) => metadata.labels?.["pod-template-hash"] === hash) ?? soleSeeded(sets);
    if (current === undefined) {
      this.#store.put(replicaSets, {
        apiVersion: "apps/v1",
        kind: "ReplicaSet",
        metadata: { ...childOf(deployments, deployment, `${deployment.metadata.name}-${hash}`), labels },
        spec: {
          replicas: wanted,
          selector: { ...spec.selector, matchLabels: { ...spec.selector.matchLabels, "pod-template-hash": hash } },
          template: { ...spec.template, metadata: { ...spec.template.metadata, labels } },
        },
        status: { replicas: 0 },
      });
    }
    for (const set of sets) {
      this.#scale(set, set === current ? wanted : 0);
    }
    const ready = sets.reduce((sum, set) => sum + Number(at(set, "status", "readyReplicas") ?? 0), 0);
    this.#report(
      deployments,
      deployment,
      replicaStatus(
        sets.reduce((sum, set) => sum + Number(at(set, "status", "replicas") ?? 0), 0),
        ready,
      ),
    );
  }

  #scale(set: Workload, replicas: number): void {
    if (set.spec.replicas !== replicas) {
      this.#store.put(replicaSets, { ...set, spec: { ...set.spec, replicas } });
    }
  }

  #replicaSet(resource: Resource, set: Workload): void {
    const claimed = this.#claim(resource, set);
    const wanted = set.spec.replicas ?? 1;
    for (let missing = claimed.length; missing < wanted; missing += 1) {
      this.#createPod(resource, set, `${set.metadata.name}-${suffix()}`, {});
    }
    for (const pod of claimed.toSorted(byReadiness).slice(wanted)) {
      this.#remove(pods, pod);
    }
    this.#report(resource, set, replicaStatus(claimed.length, readyAmong(claimed)));
  }

  /** Pods that a test marks Succeeded count as completions; nothing else ends here by itself. */
  #job(job: Workload): void {
    const claimed = this.#claim(jobs, job);
    const succeeded = claimed.filter(({ status }) => status?.phase === "Succeeded").length;
    const active = claimed.filter(({ status }) => !["Succeeded", "Failed"].includes(status?.phase ?? ""));
    const { parallelism = 1, completions = 1 } = job.spec;
    for (let running = active.length; running < Math.min(parallelism, completions - succeeded); running += 1) {
      this.#createPod(jobs, job, `${job.metadata.name}-${suffix()}`, {});
    }
    this.#report(jobs, job, {
      startTime: job.metadata.creationTimestamp,
      active: active.length,
      ready: readyAmong(active),
      ...(succeeded === 0 ? {} : { succeeded }),
    });
  }

  #statefulSet(set: Workload): void {
    const claimed = this.#claim(statefulSets, set);
    const wanted = set.spec.replicas ?? 1;
    for (let ordinal = 0; ordinal < wanted; ordinal += 1) {
      const name = `${set.metadata.name}-${ordinal}`;
      if (this.#store.get(pods, set.metadata.namespace, name) === undefined) {
        const labels = { "statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": String(ordinal) };
        this.#createPod(statefulSets, set, name, { labels });
      }
    }
    for (const pod of claimed.filter(({ metadata }) => ordinalOf(metadata.name) >= wanted)) {
      this.#remove(pods, pod);
    }
    this.#report(statefulSets, set, replicaStatus(claimed.length, readyAmong(claimed)));
  }

  #daemonSet(set: Workload): void {
    const claimed = this.#claim(daemonSets, set);
    const wanted = Object.entries(set.spec.template.spec.nodeSelector ?? {});
    const eligible = this.#store
      .list(nodes)
      .filter(({ metadata }) => wanted.every(([key, value]) => metadata.labels?.[key] === value));
    for (const { metadata } of eligible) {
      if (!claimed.some(({ spec }) => spec.nodeName === metadata.name)) {
        this.#createPod(daemonSets, set, `${set.metadata.name}-${suffix()}`, { nodeName: metadata.name });
      }
    }
    const ready = readyAmong(claimed);
    this.#report(daemonSets, set, {
      currentNumberScheduled: claimed.length,
      desiredNumberScheduled: eligible.length,
      numberMisscheduled: 0,
      numberReady: ready,
      numberAvailable: ready,
      updatedNumberScheduled: claimed.length,
    });
  }

  /** The pods that count: owned and still matching. Orphans that match are adopted, owned ones that no longer match set free. */
  #claim(resource: Resource, workload: Workload): readonly Pod[] {
    const live = this.#store
      .list(pods, workload.metadata.namespace)
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    return live.flatMap((pod) => this.#claimed(resource, workload, pod as Pod));
  }

  #claimed(resource: Resource, workload: Workload, pod: Pod): readonly Pod[] {
    const owner = controllerOf(pod);
    const matching = selects(selectorOf(resource, workload), pod.metadata.labels ?? {});
    if (owner?.uid === workload.metadata.uid) {
      return matching ? [pod] : this.#release(pod, owner.uid);
    }
    if (owner !== undefined || !matching || ["Succeeded", "Failed"].includes(pod.status?.phase ?? "")) {
      return [];
    }
    const ownerReferences = [...(pod.metadata.ownerReferences ?? []), ownerReference(resource, workload)];
    return [this.#store.put(pods, { ...pod, metadata: { ...pod.metadata, ownerReferences } }) as Pod];
  }

  #release(pod: Pod, uid: string): readonly Pod[] {
    const ownerReferences = (pod.metadata.ownerReferences ?? []).filter((owner) => owner.uid !== uid);
    this.#store.put(pods, { ...pod, metadata: { ...pod.metadata, ownerReferences } });
    return [];
  }

  #owned(resource: Resource, owner: KubeObject): readonly KubeObject[] {
    return this.#store
      .list(resource, owner.metadata.namespace)
      .filter((object) => controllerOf(object)?.uid === owner.metadata.uid);
  }

  #createPod(
    resource: Resource,
    workload: Workload,
    name: string,
    extra: { readonly labels?: Readonly<Record<string, string>>; readonly nodeName?: string },
  ): void {
    const { template } = workload.spec;
    const labels = { ...template.metadata?.labels, ...extra.labels };
    const annotations = template.metadata?.annotations;
    this.#store.put(
      pods,
      pods.complete({
        apiVersion: "v1",
        kind: "Pod",
        metadata: {
          ...childOf(resource, workload, name),
          labels,
          ...(annotations === undefined ? {} : { annotations }),
        },
        spec: { ...template.spec, ...(extra.nodeName === undefined ? {} : { nodeName: extra.nodeName }) },
      }),
    );
  }

  #report(resource: Resource, workload: Workload, status: object): void {
    const { uid, namespace, name, generation = 1 } = workload.metadata;
    const current = this.#store.get(resource, namespace, name);
    if (current?.metadata.uid === uid) {
      const observed = { ...recordAt(current, "status"), ...status, observedGeneration: generation };
      this.#store.put(resource, { ...current, status: observed });
    }
  }
}

function selectorOf(resource: Resource, { spec }: Workload): LabelSelector {
  return resource === replicationControllers
    ? { matchLabels: spec.selector as Readonly<Record<string, string>> }
    : spec.selector;
}

/** A seeded Deployment's only ReplicaSet carries no hash of ours. */
function soleSeeded(sets: readonly Workload[]): Workload | undefined {
  return sets.length === 1 && sets[0]?.metadata.labels?.["pod-template-hash"] === undefined ? sets[0] : undefined;
}

function replicaStatus(replicas: number, ready: number): object {
  return {
    replicas,
    readyReplicas: ready,
    availableReplicas: ready,
    updatedReplicas: replicas,
    fullyLabeledReplicas: replicas,
  };
}

function ordinalOf(name: string): number {
  return Number(name.slice(name.lastIndexOf("-") + 1));
}

function isReady({ status }: Pod): boolean {
  return (status?.conditions ?? []).some((condition) => condition.type === "Ready" && condition.status === "True");
}

function readyAmong(list: readonly Pod[]): number {
  return list.filter(isReady).length;
}

function byReadiness(a: Pod, b: Pod): number {
  return Number(isReady(b)) - Number(isReady(a));
}

function ownerReference(resource: Resource, { metadata }: KubeObject) {
  const { kind } = resource;
  const apiVersion = groupVersionOf(resource);
  return { apiVersion, kind, name: metadata.name, uid: metadata.uid, controller: true, blockOwnerDeletion: true };
}

function childOf(resource: Resource, owner: KubeObject, name: string): Metadata {
  const { namespace } = owner.metadata;
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    uid: randomUUID(),
    creationTimestamp: timestamp(),
    generation: 1,
    ownerReferences: [ownerReference(resource, owner)],
  };
}
