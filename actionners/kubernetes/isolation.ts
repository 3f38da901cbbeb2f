import type { V1ObjectMeta } from "@kubernetes/client-node";
import { ActionError, TargetGone } from "../../src/catalogue/errors.ts";
import type { Kubernetes, Owner, Pod, Workload } from "../../src/clients/kubernetes/port.ts";
import { choice, textList } from "../../src/schema/field.ts";
import { rangeFault } from "./cidr.ts";
import { kubectl } from "./kubectl.ts";
import { namespaceName } from "./namespace-name.ts";

const ruleAnnotation = "hallux.dev/rule";
const managedBy = { "app.kubernetes.io/managed-by": "hallux" };
/** On a pod that kubernetes:networkpolicy has cut off, and what its policy selects. */
export const isolatedLabel = "hallux.dev/isolated";
/** Of a label's value. */
const maxLength = 63;

export const allowCidr = textList("Address ranges that the pod may still reach", {
  default: [],
  aliases: ["allow"],
  items: { format: "cidr" },
});
export const allowNamespaces = textList("Namespaces whose pods the pod may still reach", {
  default: [],
  items: namespaceName,
});

export interface Allowed {
  readonly allow_cidr: readonly string[];
  readonly allow_namespaces: readonly string[];
}

export function allowFault({ allow_cidr }: Pick<Allowed, "allow_cidr">): string | undefined {
  const fault = allow_cidr.map(rangeFault).find((one) => one !== undefined);
  return fault && `allow_cidr: ${fault}`;
}

export const scope = choice("Who is cut off: the pod, or all pods of its workload", ["pod", "workload"], {
  default: "pod",
});

/** To find the pod's workload, and the workload's own, up to the top. */
export const workloadRules = [
  { apiGroups: ["apps"], resources: ["replicasets", "deployments", "statefulsets", "daemonsets"], verbs: ["get"] },
  { apiGroups: ["batch"], resources: ["jobs"], verbs: ["get"] },
  { apiGroups: [""], resources: ["replicationcontrollers"], verbs: ["get"] },
] as const;

/** The kinds of policy that Hallux makes, each with a label of its own on the pods that it selects one by one. */
export interface PolicyKind {
  readonly apiVersion: string;
  readonly kind: string;
  /** For kubectl. */
  readonly resource: string;
  /** On the pod, and what its policy selects. */
  readonly podLabel: string;
}

/** Whom a policy of ours selects. */
export interface Isolation {
  readonly of: PolicyKind;
  /** The policy's; the same each time for the same object. */
  readonly name: string;
  readonly owner: Owner;
  readonly selector: Workload["selector"];
  /** What the pod's own label has to say; undefined where a workload's selector does the work. */
  readonly podLabel: string | undefined;
}

interface Choosing {
  readonly scope: "pod" | "workload";
  readonly kubernetes: Kubernetes;
  readonly signal: AbortSignal;
}

export async function isolationOf(
  pod: Pod,
  kind: PolicyKind,
  { scope, kubernetes, signal }: Choosing,
): Promise<Isolation> {
  if (pod.hostNetwork) {
    throw new ActionError("invalid", "the pod uses its node's network: NetworkPolicies do not apply to it");
  }
  const workload = scope === "workload" ? await topWorkload(pod, kubernetes, signal) : undefined;
  return workload === undefined ? isolationOfPod(pod, kind) : isolationOfWorkload(workload, kind);
}

function isolationOfPod(pod: Pod, of: PolicyKind): Isolation {
  const owner = { apiVersion: "v1", kind: "Pod", name: pod.name, uid: pod.uid };
  const name = policyName(owner);
  return { of, name, owner, selector: { matchLabels: { [of.podLabel]: name } }, podLabel: name };
}

function isolationOfWorkload(workload: Workload, of: PolicyKind): Isolation {
  const { matchLabels = {}, matchExpressions = [] } = workload.selector;
  if (Object.keys(matchLabels).length + matchExpressions.length === 0) {
    const what = `${workload.kind} ${workload.name}`;
    throw new ActionError("invalid", `${what} has no selector that tells its pods from others`);
  }
  return { of, name: policyName(workload), owner: workload, selector: workload.selector, podLabel: undefined };
}

/** `hallux-cart-1-3f2a9c1e`: fit for a label and for its value. */
function policyName({ name, uid }: Owner): string {
  const suffix = `-${uid.slice(0, 8)}`;
  const stem = `hallux-${name.replaceAll(".", "-")}`;
  return `${stem.slice(0, maxLength - suffix.length)}${suffix}`;
}

/** The pod's controller's controller's … as far as Hallux knows them; undefined where the pod has none. */
async function topWorkload(pod: Pod, kubernetes: Kubernetes, signal: AbortSignal): Promise<Workload | undefined> {
  let top: Workload | undefined;
  let owner = pod.owner;
  const seen = new Set<string>();
  // Owner references may go in a circle: whoever may change workloads can make one, and must not escape by it.
  while (owner !== undefined && !seen.has(owner.uid)) {
    seen.add(owner.uid);
    const workload = await kubernetes.getWorkload(pod.namespace, owner, signal);
    top = workload ?? top;
    owner = workload?.owner;
  }
  return top;
}

/** Of the policy: ours, and gone with what it is for. */
export function policyMetadata(
  { name, owner }: Isolation,
  { pod, rule }: { readonly pod: Pod; readonly rule: string },
) {
  const { apiVersion, kind, name: ownerName, uid } = owner;
  return {
    name,
    namespace: pod.namespace,
    labels: managedBy,
    annotations: { [ruleAnnotation]: rule, "hallux.dev/pod": pod.name },
    ownerReferences: [{ apiVersion, kind, name: ownerName, uid }],
  };
}

interface Labelled {
  readonly metadata?: V1ObjectMeta;
}

/** The rule that has made the policy; undefined where that is not known any more. */
export function ruleOf({ metadata }: Labelled): string | undefined {
  return metadata?.annotations?.[ruleAnnotation];
}

/** Throws where somebody else has made it. */
export function mustBeOurs({ metadata }: Labelled, { of, name }: Isolation): void {
  if (!Object.entries(managedBy).every(([key, value]) => metadata?.labels?.[key] === value)) {
    const what = `${of.kind} ${metadata?.namespace}/${name}`;
    throw new ActionError("conflict", `${what} is not Hallux's own and was left as it is`);
  }
}

/**
 * Where the policy selects the pod by a label of ours, sees to it that the pod has it; whether it lacked it. Throws what tells of
 * the policy that is left behind, too. A pod that is gone takes it along.
 */
export async function labelPod(
  pod: Pod,
  isolation: Isolation,
  kubernetes: Kubernetes,
  signal: AbortSignal,
): Promise<boolean> {
  const { of, name, podLabel } = isolation;
  if (podLabel === undefined || pod.labels[of.podLabel] === podLabel) {
    return false;
  }
  try {
    await kubernetes.patchPod(pod, { labels: { [of.podLabel]: podLabel } }, signal);
    return true;
  } catch (cause) {
    if (!(cause instanceof ActionError) || cause instanceof TargetGone) {
      throw cause;
    }
    const { code, message, retryAfterMs } = cause;
    const remains = `${of.kind} ${name} is there and selects no pod, to remove it: ${removalOf(isolation, pod)}`;
    throw new ActionError(code, `the pod is not isolated: ${message}; ${remains}`, { cause, retryAfterMs });
  }
}

/** `pod`, or `all pods of Deployment cart`. */
export function whoIs({ owner, podLabel }: Isolation): string {
  return podLabel === undefined ? `all pods of ${owner.kind} ${owner.name}` : "pod";
}

function removalOf({ of, name }: Isolation, { namespace }: Pod): string {
  return kubectl("delete", of.resource, name, "-n", namespace);
}

/** A command that takes the policy back, and the pod's label with it. */
export function undoOf(isolation: Isolation, pod: Pod): string {
  const deletion = removalOf(isolation, pod);
  return isolation.podLabel === undefined
    ? deletion
    : `${deletion} && ${kubectl("label", "pod", pod.name, "-n", pod.namespace, `${isolation.of.podLabel}-`)}`;
}
