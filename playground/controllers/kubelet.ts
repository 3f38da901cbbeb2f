import { createHash } from "node:crypto";
import { nodes, pods } from "../resources.ts";
import type { Store } from "../store.ts";
import { at, type ContainerStatus, type KubeObject, type Pod, timestamp } from "../wire.ts";
import type { WorkQueue } from "./queue.ts";
import { record } from "./recorder.ts";

const scheduler = "default-scheduler";

/** Names a container that crashed once and waits to be started again. */
export const crashAnnotation = "playground.hallux.dev/crash";

/** The scheduler and every node's kubelet: gives pods a node, runs them, ends them. Pods seeded with a phase stay as they are. */
export class Kubelet {
  readonly #store: Store;
  readonly #queue: WorkQueue;
  readonly #stopMs: number;
  readonly #ending = new Map<string, NodeJS.Timeout>();
  #addresses = 0;

  constructor(store: Store, queue: WorkQueue, stopMs: number) {
    this.#store = store;
    this.#queue = queue;
    this.#stopMs = stopMs;
    store.subscribe(({ resource, type, object }) => {
      if (resource === pods && type !== "DELETED") {
        this.#observe(object as Pod);
      }
      if (resource === nodes && type !== "DELETED") {
        for (const pod of store.list(pods)) {
          this.#observe(pod as Pod);
        }
      }
    });
  }

  close(): void {
    for (const timer of this.#ending.values()) {
      clearTimeout(timer);
    }
    this.#ending.clear();
  }

  #observe({ metadata, spec, status }: Pod): void {
    const { uid } = metadata;
    const waiting = status?.phase === "Pending" && status.containerStatuses === undefined;
    if (metadata.deletionTimestamp !== undefined) {
      this.#end(uid, metadata.namespace, metadata.name, metadata.deletionGracePeriodSeconds ?? 0);
    } else if (waiting && (spec.nodeName !== undefined || spec.schedulerName === scheduler)) {
      this.#queue.add(`pod ${uid}`, () => this.#advance(metadata.namespace, metadata.name));
    }
  }

  #advance(namespace: string | undefined, name: string): void {
    const pod = this.#store.get(pods, namespace, name) as Pod | undefined;
    if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) {
      return;
    }
    if (pod.spec.nodeName === undefined) {
      this.#schedule(pod);
    } else if (pod.status?.containerStatuses === undefined) {
      this.#start(pod);
    }
  }

  /** The node with the fewest pods among those that take this one; none leaves the pod pending. */
  #schedule(pod: Pod): void {
    const load = new Map<string, number>();
    for (const { spec } of this.#store.list(pods) as readonly Pod[]) {
      load.set(spec.nodeName ?? "", (load.get(spec.nodeName ?? "") ?? 0) + 1);
    }
    const [node] = this.#store
      .list(nodes)
      .filter((candidate) => takes(candidate, pod))
      .map(({ metadata }) => metadata.name)
      .toSorted((a, b) => (load.get(a) ?? 0) - (load.get(b) ?? 0));
    if (node === undefined) {
      return;
    }
    const scheduled = this.#store.put(pods, { ...pod, spec: { ...pod.spec, nodeName: node } });
    const message = `Successfully assigned ${pod.metadata.namespace}/${pod.metadata.name} to ${node}`;
    record(this.#store, scheduled, { type: "Normal", reason: "Scheduled", message, component: scheduler });
  }

  #start(pod: Pod): void {
    this.#addresses += 1;
    const ip = `10.244.${this.#addresses >> 8}.${this.#addresses & 255}`;
    const now = timestamp();
    const containerStatuses = pod.spec.containers.map((container) => statusOf(pod, container, now));
    const ready = containerStatuses.every((status) => status.ready) ? "True" : "False";
    const conditions = [
      ["PodScheduled", "True"],
      ["Initialized", "True"],
      ["ContainersReady", ready],
      ["Ready", ready],
    ].map(([type, status]) => ({ type, status, lastProbeTime: null, lastTransitionTime: now }));
    const running = this.#store.put(pods, {
      ...pod,
      status: {
        ...pod.status,
        phase: "Running",
        conditions,
        hostIP: "127.0.0.1",
        podIP: ip,
        podIPs: [{ ip }],
        startTime: now,
        containerStatuses,
      },
    });
    for (const { name } of pod.spec.containers) {
      record(this.#store, running, {
        type: "Normal",
        reason: "Started",
        message: `Started container ${name}`,
        component: "kubelet",
      });
    }
  }

  /** A container stops well before its grace period is over; one with a longer way to go may be asked again to hurry. */
  #end(uid: string, namespace: string | undefined, name: string, grace: number): void {
    clearTimeout(this.#ending.get(uid));
    const timer = setTimeout(() => this.#gone(uid, namespace, name), Math.min(grace * 1000, this.#stopMs));
    this.#ending.set(uid, timer);
  }

  #gone(uid: string, namespace: string | undefined, name: string): void {
    this.#ending.delete(uid);
    const pod = this.#store.get(pods, namespace, name);
    if (pod?.metadata.uid !== uid) {
      return;
    }
    if ((pod.metadata.finalizers ?? []).length === 0) {
      this.#store.remove(pods, { ...pod, metadata: { ...pod.metadata, deletionGracePeriodSeconds: 0 } });
    } else if (pod.metadata.deletionGracePeriodSeconds !== 0) {
      this.#store.put(pods, { ...pod, metadata: { ...pod.metadata, deletionGracePeriodSeconds: 0 } });
    }
  }
}

function takes(node: KubeObject, { spec }: Pod): boolean {
  const labels = node.metadata.labels ?? {};
  const wanted = Object.entries(spec.nodeSelector ?? {});
  return at(node, "spec", "unschedulable") !== true && wanted.every(([key, value]) => labels[key] === value);
}

function statusOf(pod: Pod, { name, image }: Pod["spec"]["containers"][number], now: string): ContainerStatus {
  const id = (start: number) =>
    `containerd://${createHash("sha256").update(`${pod.metadata.uid}/${name}/${start}`).digest("hex")}`;
  if (pod.metadata.annotations?.[crashAnnotation] !== name) {
    const state = { running: { startedAt: now } };
    return {
      name,
      state,
      lastState: {},
      ready: true,
      restartCount: 0,
      image,
      imageID: image,
      containerID: id(0),
      started: true,
    };
  }
  const message = `back-off 10s restarting failed container=${name} pod=${pod.metadata.name}`;
  const terminated = { exitCode: 1, reason: "Error", startedAt: now, finishedAt: now, containerID: id(0) };
  return {
    name,
    state: { waiting: { reason: "CrashLoopBackOff", message } },
    lastState: { terminated },
    ready: false,
    restartCount: 1,
    image,
    imageID: image,
    containerID: id(0),
    started: false,
  };
}
