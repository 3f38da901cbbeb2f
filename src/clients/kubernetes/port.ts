import type {
  V1EphemeralContainer,
  V1Job,
  V1NetworkPolicy,
  V1NetworkPolicySpec,
  V1ObjectMeta,
} from "@kubernetes/client-node";
import { ActionError } from "../../catalogue/errors.ts";
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
  /** One request, which adds all or nothing: undefined where one of them is there already, or there are no labels yet. */
  addLabelsToPod(pod: PodTarget, labels: Labels, signal: AbortSignal): Promise<Pod | undefined>;
  /** The UID is the precondition: a pod that took the name is never deleted. */
  deletePod(pod: Pod, options: { readonly gracePeriodSeconds: number }, signal: AbortSignal): Promise<void>;

  /** All pods of the node, of every namespace. */
  podsOnNode(node: string, signal: AbortSignal): Promise<readonly Pod[]>;
  /** By the Eviction API, so that PodDisruptionBudgets are kept. The UID is the precondition. */
  evictPod(pod: Pod, signal: AbortSignal): Promise<Eviction>;

  getNode(name: string, signal: AbortSignal): Promise<Node>;
  patchNode(
    name: string,
    change: MetadataChange & { readonly unschedulable?: boolean },
    signal: AbortSignal,
  ): Promise<Node>;
  /** As `addLabelsToPod`. */
  addLabelsToNode(name: string, labels: Labels, signal: AbortSignal): Promise<Node | undefined>;

  /** The controller behind an owner reference; undefined for kinds that Hallux does not know (a custom resource). */
  getWorkload(namespace: string, owner: Owner, signal: AbortSignal): Promise<Workload | undefined>;

  /**
   * The workload's own pods that are ready and not being deleted, counted now: its status lags behind what was just deleted.
   * Those of the UIDs in `besides` do not count.
   */
  countReadyPods(workload: Workload, signal: AbortSignal, besides?: ReadonlySet<string>): Promise<number>;

  /** Undefined where there is none of this name. */
  getNetworkPolicy(namespace: string, name: string, signal: AbortSignal): Promise<V1NetworkPolicy | undefined>;
  createNetworkPolicy(policy: V1NetworkPolicy, signal: AbortSignal): Promise<void>;
  /** Replaces the spec only, on condition that the policy is still the one read (its UID and resourceVersion). */
  replaceNetworkPolicySpec(policy: V1NetworkPolicy, spec: V1NetworkPolicySpec, signal: AbortSignal): Promise<void>;

  /** Undefined where there is none of this name. `not_found` where the cluster does not know the kind, as in the calls that follow. */
  getCustomObject(kind: CustomKind, place: CustomPlace, signal: AbortSignal): Promise<CustomObject | undefined>;
  /** `invalid` where the cluster's schema lacks one of the object's fields. */
  createCustomObject(kind: CustomKind, object: CustomObject, signal: AbortSignal): Promise<void>;
  /** As above; on condition that the object is still the one read (its UID and resourceVersion). */
  replaceCustomObject(kind: CustomKind, object: CustomObject, signal: AbortSignal): Promise<void>;

  /** `invalid` for a resource that Hallux does not delete. */
  getResource(target: ResourceTarget, signal: AbortSignal): Promise<Sighted>;
  /** The UID is the precondition: the target's, else that of the object found now. `invalid` as above. */
  deleteResource(target: ResourceTarget, signal: AbortSignal): Promise<void>;

  /** The last lines of one container's log; `previous` is its crashed predecessor's. */
  podLog(pod: Pod, options: LogOptions, signal: AbortSignal): Promise<Uint8Array>;
  /** Runs argv in one container, without a shell of ours. Rejects `timeout`/`cancelled` when the signal fires. */
  exec(pod: Pod, options: ExecOptions, signal: AbortSignal): Promise<ExecResult>;
  /**
   * The same, for output of any size: it flows no faster than it is read. The command starts when its output is first read, and
   * its connection ends with the reading, at the latest with the signal. Throws there, and rejects `ended`, where `exec` rejects.
   */
  execStream(pod: Pod, options: CommandOptions, signal: AbortSignal): ExecStream;

  /** Beside those that others add meanwhile. It cannot be changed or removed afterwards. The UID is the precondition. */
  addEphemeralContainer(pod: Pod, container: V1EphemeralContainer, signal: AbortSignal): Promise<void>;

  createJob(job: V1Job, signal: AbortSignal): Promise<Job>;
  podsOfJob(job: Job, signal: AbortSignal): Promise<readonly Pod[]>;
  /** What went wrong with it, as Kubernetes' events tell it: that its pod is not admitted. */
  warningsOfJob(job: Job, signal: AbortSignal): Promise<readonly string[]>;
  /** With its pods; also where there is none of this name. */
  deleteJob(job: Pick<Job, "namespace" | "name">, signal: AbortSignal): Promise<void>;

  createEvent(event: KubernetesEvent, signal: AbortSignal): Promise<void>;

  /** Whether Hallux may do this, as the API server's authorizers see it now. Changes nothing, in no client set. */
  reviewAccess(question: AccessQuestion, signal: AbortSignal): Promise<AccessReview>;
}

export interface AccessQuestion {
  readonly verb: string;
  /** Empty for the core group. */
  readonly apiGroup: string;
  /** With its subresource: `pods`, `pods/log`. */
  readonly resource: string;
  /** All of them where it is undefined. */
  readonly namespace: string | undefined;
  /** All of them where it is undefined. */
  readonly name?: string | undefined;
}

export interface AccessReview {
  readonly allowed: boolean;
  /** Where it is not allowed: the authorizers' words. */
  readonly reason: string;
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
  /** On condition that the object is still as it was read: `conflict` where it is not. */
  readonly resourceVersion?: string;
}

export type Labels = Readonly<Record<string, string>>;

export interface Owner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

export interface Pod extends PodTarget, Sighted {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly nodeName: string | undefined;
  readonly serviceAccount: string | undefined;
  readonly hostNetwork: boolean;
  readonly phase: string | undefined;
  /** It was deleted or evicted, and stops. */
  readonly terminating: boolean;
  /** All that may run: its own, its sidecars, and last the ephemeral ones. */
  readonly containers: readonly Container[];
  /** Those added to the running pod, as by `kubectl debug`. */
  readonly ephemeralContainers: readonly Container[];
}

export interface Container {
  readonly name: string;
  readonly image: string;
  /** Without the runtime's prefix; undefined until it has started once. */
  readonly id: string | undefined;
  readonly running: boolean;
  readonly state: ContainerState;
  readonly restartCount: number;
}

/** A reason is CamelCase (`ErrImagePull`), and empty where the kubelet has not given one. */
export type ContainerState =
  | { readonly kind: "waiting"; readonly reason: string; readonly message: string }
  | { readonly kind: "running" }
  | { readonly kind: "terminated"; readonly exitCode: number; readonly reason: string; readonly message: string };

export interface Job {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** What became of an eviction: the pod is to stop, or a PodDisruptionBudget does not let it go now. */
export type Eviction =
  | { readonly kind: "accepted" }
  | { readonly kind: "refused"; readonly reason: string; readonly retryAfterMs: number | undefined };

/** Of a CustomResourceDefinition or an aggregated API server. */
export interface CustomKind {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  /** What to do where the cluster does not know it: `install Cilium`. */
  readonly remedy: string;
}

export interface CustomPlace {
  readonly namespace: string;
  readonly name: string;
}

export interface CustomObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: V1ObjectMeta & CustomPlace;
  readonly spec?: unknown;
}

export interface Node {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
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

export interface CommandOptions {
  readonly container: string;
  readonly command: readonly string[];
}

export interface ExecOptions extends CommandOptions {
  /**
   * What the command reads from its standard input; without it there is nothing to read. API servers before 1.30 cannot say that
   * it ends: a command that is to run there must know by itself where its input does.
   */
  readonly stdin?: string;
  /** Of standard output and of standard error, each; the rest is read and dropped. */
  readonly maxOutputBytes: number;
}

export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
}

export interface ExecStream {
  readonly stdout: AsyncIterable<Uint8Array>;
  /** Settles once `stdout` has been read to its end or given up. */
  readonly ended: Promise<CommandEnding>;
}

export interface CommandEnding {
  readonly exitCode: number;
  /** Its first 8 KiB. */
  readonly stderr: string;
}

/** The node's runtime could not start the command: the container has no such program, or does not run. */
export class CommandNotStarted extends ActionError {}

/** An event as `kubectl describe` shows it. */
export interface KubernetesEvent {
  /** Of the event itself: one told again, with the same id, stands there once. Lower-case letters and digits. */
  readonly id: string;
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
