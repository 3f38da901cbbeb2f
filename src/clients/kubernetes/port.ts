import type { V1NetworkPolicy, V1NetworkPolicySpec } from "@kubernetes/client-node";
import type { PodTarget, ResourceTarget } from "../../events/target.ts";

/**
 * What Hallux asks of Kubernetes, and no more. Every call takes an AbortSignal that reaches the socket, and throws
 * `ActionError`: 403 `forbidden` with the permission that is missing, 404 `not_found`, 409 `conflict`, 400 and 422 `invalid`
 * with the server's words, 429 `throttled` with Retry-After, 401, 5xx and broken connections `unavailable`. Calls on a pod throw
 * `TargetGone` where the pod does not exist, or exists with another UID than the target's.
 */
export interface Kubernetes {
  getPod(pod: PodTarget, signal: AbortSignal): Promise<Pod>;
  /** One request. A null value removes the key. Where the target has a UID it is the precondition. */
  patchPod(pod: PodTarget, change: MetadataChange, signal: AbortSignal): Promise<Pod>;
  /** The UID is the precondition: a pod that took the name is never deleted. */
  deletePod(pod: Pod, options: { readonly gracePeriodSeconds: number }, signal: AbortSignal): Promise<void>;

  getNode(name: string, signal: AbortSignal): Promise<Node>;
  patchNode(
    name: string,
    change: MetadataChange & { readonly unschedulable?: boolean },
    signal: AbortSignal,
  ): Promise<Node>;

  /** The controller behind an owner reference; undefined for kinds that Hallux does not know (a custom resource). */
  getWorkload(namespace: string, owner: Owner, signal: AbortSignal): Promise<Workload | undefined>;

  /**
   * The workload's own pods that are ready and not being deleted, counted now: its status lags behind what was just deleted.
   */
  countReadyPods(workload: Workload, signal: AbortSignal): Promise<number>;

  /** Undefined where there is none of this name. */
  getNetworkPolicy(namespace: string, name: string, signal: AbortSignal): Promise<V1NetworkPolicy | undefined>;
  createNetworkPolicy(policy: V1NetworkPolicy, signal: AbortSignal): Promise<void>;
  /** Replaces the spec only, on condition that the policy is still the one read (its UID and resourceVersion). */
  replaceNetworkPolicySpec(policy: V1NetworkPolicy, spec: V1NetworkPolicySpec, signal: AbortSignal): Promise<void>;

  /** `invalid` for a resource that Hallux does not delete. */
  getResource(target: ResourceTarget, signal: AbortSignal): Promise<Sighted>;
  /** The UID is the precondition: the target's, else that of the object found now. `invalid` as above. */
  deleteResource(target: ResourceTarget, signal: AbortSignal): Promise<void>;

  /** The last lines of one container's log; `previous` is its crashed predecessor's. */
  podLog(pod: Pod, options: LogOptions, signal: AbortSignal): Promise<Uint8Array>;
  /** Runs argv in one container, without a shell of ours. Rejects `timeout`/`cancelled` when the signal fires. */
  exec(pod: Pod, options: ExecOptions, signal: AbortSignal): Promise<ExecResult>;

  createEvent(event: KubernetesEvent, signal: AbortSignal): Promise<void>;
}

/** What guards and preconditions need of any object. */
export interface Sighted {
  readonly uid: string;
  readonly createdAt: Date | undefined;
  /** A static pod's image in the API: the kubelet owns it, deleting it changes nothing. */
  readonly mirror: boolean;
  /** The owner reference with `controller: true`. */
  readonly owner: Owner | undefined;
}

export interface MetadataChange {
  readonly labels?: Readonly<Record<string, string | null>>;
  readonly annotations?: Readonly<Record<string, string | null>>;
}

export interface Owner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

export interface Pod extends PodTarget, Sighted {
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly nodeName: string | undefined;
  readonly hostNetwork: boolean;
  readonly phase: string | undefined;
  readonly containers: readonly Container[];
}

export interface Container {
  readonly name: string;
  /** Without the runtime's prefix; undefined until it has started once. */
  readonly id: string | undefined;
  readonly running: boolean;
  readonly restartCount: number;
}

export interface Node {
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly unschedulable: boolean;
  readonly providerId: string | undefined;
}

/** ReplicaSet, Deployment, StatefulSet, DaemonSet, ReplicationController, Job. */
export interface Workload extends Owner {
  readonly namespace: string;
  /** Pods wanted: `spec.replicas`, or a DaemonSet's `desiredNumberScheduled`. */
  readonly replicas: number;
  readonly readyReplicas: number;
  readonly selector: {
    readonly matchLabels?: Record<string, string>;
    readonly matchExpressions?: { key: string; operator: string; values?: string[] }[];
  };
  /** The workload's own controller: a ReplicaSet's Deployment. */
  readonly owner: Owner | undefined;
}

export interface LogOptions {
  readonly container: string;
  readonly tailLines: number;
  readonly previous: boolean;
  /** The server sends no more than this. */
  readonly limitBytes: number;
}

export interface ExecOptions {
  readonly container: string;
  readonly command: readonly string[];
  /** Of standard output and of standard error, each; the rest is read and dropped. */
  readonly maxOutputBytes: number;
}

export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
}

/** An event as `kubectl describe` shows it. */
export interface KubernetesEvent {
  readonly namespace: string;
  readonly about: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
  };
  readonly type: "Normal" | "Warning";
  /** CamelCase, at most 128 characters. */
  readonly reason: string;
  /** At most 1 KiB. */
  readonly message: string;
  /** What was done, CamelCase. */
  readonly action: string;
}
