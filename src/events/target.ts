import { type FalcoEvent, fieldOf } from "./event.ts";
import { textOf } from "./json.ts";

export interface PodTarget {
  readonly kind: "pod";
  readonly namespace: string;
  readonly name: string;
  /** Falco's `k8s.pod.uid`, or what the API server said when the response was planned. */
  readonly uid: string | undefined;
}

/** The object of a Kubernetes audit event (`ka.target.*`). */
export interface ResourceTarget {
  readonly kind: "resource";
  /** Plural and lower case, as in `ka.target.resource`: `configmaps`. */
  readonly resource: string;
  /** Undefined for cluster-wide resources. */
  readonly namespace: string | undefined;
  readonly name: string;
  /** What the API server said when the response was planned; audit events do not tell. */
  readonly uid?: string;
}

/** An action that works on nothing in the cluster (a Lambda). */
export interface NoTarget {
  readonly kind: "none";
}

export type Target = PodTarget | ResourceTarget | NoTarget;
export type TargetKind = Target["kind"];
export type TargetOf<K extends TargetKind> = { readonly [T in Target as T["kind"]]: T }[K];

/** A target, or why the event names none. */
export type Finding<T extends Target> = T | { readonly kind: "missing"; readonly reason: string };

/** RFC 1123 names: what may stand in an API path. Event fields are the attacker's, `../../nodes/x` included. */
const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const subdomain = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
/** Names of roles may hold colons. */
const pathSegment = /^(?!\.{1,2}$)[^/%\p{Cc}\s]{1,253}$/u;
const uidForm = /^[0-9a-zA-Z-]{1,64}$/;

const finders: { readonly [K in TargetKind]: (event: FalcoEvent) => Finding<TargetOf<K>> } = {
  pod: podOf,
  resource: resourceOf,
  none: () => ({ kind: "none" }),
};

export function targetOf<K extends TargetKind>(kind: K, event: FalcoEvent): Finding<TargetOf<K>> {
  return finders[kind](event);
}

/**
 * The pod: `k8s.pod.name`, else `ka.target.pod.name`, else, where the audit event is about a pod, `ka.target.name` or
 * `ka.resp.name` (the name the API server made up); its namespace: `k8s.ns.name`, else `ka.target.namespace`.
 */
export function podOf(event: FalcoEvent): Finding<PodTarget> {
  const name = podName(event);
  const namespace = text(event, "k8s.ns.name") ?? text(event, "ka.target.namespace");

  if (name === undefined || namespace === undefined) {
    return missing("the event names no pod (k8s.pod.name, k8s.ns.name)");
  }
  if (!subdomain.test(name) || !label.test(namespace)) {
    return missing("the event's pod or namespace is not a Kubernetes name");
  }
  const uid = text(event, "k8s.pod.uid");
  return { kind: "pod", namespace, name, uid: uid !== undefined && uidForm.test(uid) ? uid : undefined };
}

function resourceOf(event: FalcoEvent): Finding<ResourceTarget> {
  const resource = text(event, "ka.target.resource");
  const name = text(event, "ka.target.name") ?? text(event, "ka.resp.name");
  const namespace = text(event, "ka.target.namespace");

  if (resource === undefined || name === undefined) {
    return missing("the event names no resource (ka.target.resource, ka.target.name)");
  }
  if (!label.test(resource) || !pathSegment.test(name) || (namespace !== undefined && !label.test(namespace))) {
    return missing("the event's resource, name or namespace is not a Kubernetes name");
  }
  return { kind: "resource", resource, namespace, name };
}

function podName(event: FalcoEvent): string | undefined {
  const resource = text(event, "ka.target.resource");
  const aboutPod = resource === undefined || resource === "pods";
  return (
    text(event, "k8s.pod.name") ??
    text(event, "ka.target.pod.name") ??
    (aboutPod ? text(event, "ka.target.name") : undefined) ??
    (resource === "pods" ? text(event, "ka.resp.name") : undefined)
  );
}

/** What the event is about: its pod, else the object of its audit event, else nothing in the cluster. */
export function subjectOf(event: FalcoEvent): Target {
  const pod = podOf(event);
  if (pod.kind !== "missing") {
    return pod;
  }
  const resource = resourceOf(event);
  return resource.kind === "missing" ? { kind: "none" } : resource;
}

/** For logs and queues: `pod shop/cart-1`, `configmaps shop/settings`. */
export function describeTarget(target: Target): string {
  switch (target.kind) {
    case "pod":
      return `pod ${target.namespace}/${target.name}`;
    case "resource":
      return `${target.resource} ${target.namespace === undefined ? "" : `${target.namespace}/`}${target.name}`;
    case "none":
      return "none";
  }
}

function text(event: FalcoEvent, name: string): string | undefined {
  const value = fieldOf(event, name);
  return value === undefined ? undefined : textOf(value);
}

function missing(reason: string): { readonly kind: "missing"; readonly reason: string } {
  return { kind: "missing", reason };
}
