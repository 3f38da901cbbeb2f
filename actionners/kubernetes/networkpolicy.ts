import type { V1NetworkPolicy, V1NetworkPolicyPeer, V1NetworkPolicySpec } from "@kubernetes/client-node";
import { isDeepStrictEqual } from "node:util";
import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { ActionError, TargetGone } from "../../src/catalogue/errors.ts";
import { ignored, success } from "../../src/catalogue/outcome.ts";
import type { Kubernetes, Owner, Pod, Workload } from "../../src/clients/kubernetes/port.ts";
import { choice, textList } from "../../src/schema/field.ts";
import { rangeFault } from "./cidr.ts";
import { kubectl } from "./kubectl.ts";
import { podTarget } from "./pod-target.ts";

const ruleAnnotation = "hallux.dev/rule";
const managedBy = { "app.kubernetes.io/managed-by": "hallux" };
/** On the pod, and what its policy selects. */
const isolatedLabel = "hallux.dev/isolated";
/** Of a label's value. */
const maxLength = 63;

export const networkpolicy = defineActionner({
  id: "kubernetes:networkpolicy",
  summary: "Cut the pod off: deny its egress but for what is allowed",
  description: `The policy is Hallux's own, belongs to the pod and goes with it. It selects a label that the pod gets (\`${isolatedLabel}\`), so
other pods of the same workload go on as before. With \`scope: workload\` it belongs to the top owner (the Deployment) and
selects all its pods; a pod without an owner is a workload of its own.

An isolation stays as the rule that made it has it: the event of another rule does not change what it allows. The two scopes
are two policies, though.

NetworkPolicies need a network plugin that enforces them, and they add up: what another policy allows the pod stays allowed.
DNS is denied like everything else: allow \`kube-system\` where the pod may go on resolving names.`,
  target: "pod",
  params: {
    allow_cidr: textList("Address ranges that the pod may still reach", {
      default: [],
      aliases: ["allow"],
      items: { format: "cidr" },
    }),
    allow_namespaces: textList("Namespaces whose pods the pod may still reach", {
      default: [],
      items: { pattern: "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" },
    }),
    scope: choice("Who is cut off: the pod, or all pods of its workload", ["pod", "workload"], { default: "pod" }),
  },
  check({ allow_cidr }) {
    const fault = allow_cidr.map(rangeFault).find((one) => one !== undefined);
    return fault && `allow_cidr: ${fault}`;
  },
  uses: ["kubernetes"],
  rbac: [
    { apiGroups: [""], resources: ["pods"], verbs: ["get", "patch"] },
    { apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs: ["get", "create", "update"] },
    { apiGroups: ["apps"], resources: ["replicasets", "deployments", "statefulsets", "daemonsets"], verbs: ["get"] },
    { apiGroups: ["batch"], resources: ["jobs"], verbs: ["get"] },
    { apiGroups: [""], resources: ["replicationcontrollers"], verbs: ["get"] },
  ],
  destructive: true,
  idempotent: true,
  continues: true,
  output: "none",
  undo: `\`kubectl delete networkpolicy NAME -n NAMESPACE\`, then \`kubectl label pod POD -n NAMESPACE ${isolatedLabel}-\``,
  examples: [
    { title: "Deny all egress of the pod", parameters: {} },
    {
      title: "Isolate all pods of the Deployment, but let them resolve names and reach the internal network",
      parameters: { scope: "workload", allow_cidr: ["10.0.0.0/8"], allow_namespaces: ["kube-system"] },
    },
  ],

  async run({ target, params, rule, clients: { kubernetes }, signal }) {
    const pod = await kubernetes.getPod(target, signal);
    if (pod.hostNetwork) {
      throw new ActionError("invalid", "the pod uses its node's network: NetworkPolicies do not apply to it");
    }
    const workload = params.scope === "workload" ? await topWorkload(pod, kubernetes, signal) : undefined;
    const isolation = workload === undefined ? isolationOfPod(pod) : isolationOfWorkload(workload);
    const policy = policyOf(isolation, { pod, rule, spec: { ...isolation.selects, ...egressTo(params) } });

    const change = await establish(policy, kubernetes, signal);
    const label = isolation.podLabel !== undefined && pod.labels[isolatedLabel] !== isolation.podLabel;
    if (label) {
      await labelPod(pod, isolation, kubernetes, signal);
    }

    if (change.kind === "none" && !label) {
      return ignored(`already isolated by NetworkPolicy ${isolation.name}`);
    }
    if (change.kind === "kept" && !label) {
      return ignored(`already isolated by NetworkPolicy ${isolation.name} of ${change.by}: what that allows stays`);
    }
    return success(summaryOf(isolation, change), {
      objects: { namespace: pod.namespace, pod: pod.name, networkpolicy: isolation.name },
      target: podTarget(pod),
      undo: undoOf(isolation, pod),
    });
  },
});

/** Throws what tells of the policy that is left behind, too. A pod that is gone takes it along. */
async function labelPod(pod: Pod, isolation: Isolation, kubernetes: Kubernetes, signal: AbortSignal): Promise<void> {
  try {
    await kubernetes.patchPod(pod, { labels: { [isolatedLabel]: isolation.podLabel ?? null } }, signal);
  } catch (cause) {
    if (!(cause instanceof ActionError) || cause instanceof TargetGone) {
      throw cause;
    }
    const { code, message, retryAfterMs } = cause;
    const remains = `NetworkPolicy ${isolation.name} is there and selects no pod, to remove it: ${removalOf(isolation, pod)}`;
    throw new ActionError(code, `the pod is not isolated: ${message}; ${remains}`, { cause, retryAfterMs });
  }
}

type Policy = V1NetworkPolicy & { readonly spec: V1NetworkPolicySpec };

/** Whose egress is denied, and how they are found. */
interface Isolation {
  /** The policy's; the same each time for the same object. */
  readonly name: string;
  readonly owner: Owner;
  readonly selects: Pick<V1NetworkPolicySpec, "podSelector">;
  /** What the pod's own label has to say; undefined where a workload's selector does the work. */
  readonly podLabel: string | undefined;
}

function isolationOfPod(pod: Pod): Isolation {
  const owner = { apiVersion: "v1", kind: "Pod", name: pod.name, uid: pod.uid };
  const name = policyName(owner);
  return { name, owner, selects: { podSelector: { matchLabels: { [isolatedLabel]: name } } }, podLabel: name };
}

function isolationOfWorkload(workload: Workload): Isolation {
  const { matchLabels = {}, matchExpressions = [] } = workload.selector;
  if (Object.keys(matchLabels).length + matchExpressions.length === 0) {
    const what = `${workload.kind} ${workload.name}`;
    throw new ActionError("invalid", `${what} has no selector that tells its pods from others`);
  }
  return {
    name: policyName(workload),
    owner: workload,
    selects: { podSelector: workload.selector },
    podLabel: undefined,
  };
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

/** An empty list of rules allows nothing; the API server does not keep it, so neither do we. */
function egressTo(params: {
  readonly allow_cidr: readonly string[];
  readonly allow_namespaces: readonly string[];
}): Omit<V1NetworkPolicySpec, "podSelector"> {
  const to: V1NetworkPolicyPeer[] = [
    ...params.allow_cidr.map((cidr) => ({ ipBlock: { cidr } })),
    ...params.allow_namespaces.map((name) => ({
      namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": name } },
    })),
  ];
  return { policyTypes: ["Egress"], ...(to.length === 0 ? {} : { egress: [{ to }] }) };
}

function policyOf(
  { name, owner: { apiVersion, kind, name: ownerName, uid } }: Isolation,
  { pod, rule, spec }: { readonly pod: Pod; readonly rule: string; readonly spec: V1NetworkPolicySpec },
): Policy {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: {
      name,
      namespace: pod.namespace,
      labels: managedBy,
      annotations: { [ruleAnnotation]: rule, "hallux.dev/pod": pod.name },
      ownerReferences: [{ apiVersion, kind, name: ownerName, uid }],
    },
    spec,
  };
}

type Change =
  | { readonly kind: "created" | "replaced" | "none" }
  /** Another rule isolates already, and allows something else. */
  | { readonly kind: "kept"; readonly by: string };

/**
 * Sees to it that the policy is there as wanted; one that is not ours is never touched. Pods of one workload, or two of us, may
 * isolate it at the same moment: whoever comes second looks again at what the first has made.
 */
async function establish(wanted: Policy, kubernetes: Kubernetes, signal: AbortSignal, attempts = 5): Promise<Change> {
  const { namespace = "", name = "" } = wanted.metadata ?? {};
  const existing = await kubernetes.getNetworkPolicy(namespace, name, signal);
  const standing = existing && standsBy(existing, wanted);
  if (standing !== undefined) {
    return standing;
  }
  try {
    return await write(wanted, existing, kubernetes, signal);
  } catch (error) {
    if (attempts > 1 && error instanceof ActionError && error.code === "conflict") {
      return establish(wanted, kubernetes, signal, attempts - 1);
    }
    throw error;
  }
}

/** Why the policy that is there is left as it is, or undefined where it is to be replaced. */
function standsBy(existing: V1NetworkPolicy, wanted: Policy): Change | undefined {
  const { namespace, name } = wanted.metadata ?? {};
  if (!isOurs(existing)) {
    throw new ActionError("conflict", `NetworkPolicy ${namespace}/${name} is not Hallux's own and was left as it is`);
  }
  if (isDeepStrictEqual(plain(existing.spec), plain(wanted.spec))) {
    return { kind: "none" };
  }
  // Whoever is cut off by one rule could otherwise raise the event of a more lenient one.
  const rule = ruleOf(existing);
  return rule === ruleOf(wanted)
    ? undefined
    : { kind: "kept", by: rule === undefined ? "an unknown rule" : `rule "${rule}"` };
}

async function write(
  wanted: Policy,
  existing: V1NetworkPolicy | undefined,
  kubernetes: Kubernetes,
  signal: AbortSignal,
): Promise<Change> {
  if (existing === undefined) {
    await kubernetes.createNetworkPolicy(wanted, signal);
    return { kind: "created" };
  }
  await kubernetes.replaceNetworkPolicySpec(existing, wanted.spec, signal);
  return { kind: "replaced" };
}

function ruleOf({ metadata }: V1NetworkPolicy): string | undefined {
  return metadata?.annotations?.[ruleAnnotation];
}

function isOurs({ metadata }: V1NetworkPolicy): boolean {
  return Object.entries(managedBy).every(([key, value]) => metadata?.labels?.[key] === value);
}

/** As JSON has it: without classes, and without what is undefined. */
function plain(spec: V1NetworkPolicySpec | undefined): unknown {
  return JSON.parse(JSON.stringify(spec ?? null));
}

function summaryOf({ owner, podLabel }: Isolation, change: Change): string {
  const who = podLabel === undefined ? `all pods of ${owner.kind} ${owner.name}` : "pod";
  switch (change.kind) {
    case "replaced":
      return `${who} isolated already; what is allowed was replaced`;
    case "kept":
      return `${who} isolated again as ${change.by} has it`;
    case "created":
    case "none":
      return `${who} isolated`;
  }
}

function removalOf({ name }: Isolation, { namespace }: Pod): string {
  return kubectl("delete", "networkpolicy", name, "-n", namespace);
}

function undoOf(isolation: Isolation, pod: Pod): string {
  const deletion = removalOf(isolation, pod);
  return isolation.podLabel === undefined
    ? deletion
    : `${deletion} && ${kubectl("label", "pod", pod.name, "-n", pod.namespace, `${isolatedLabel}-`)}`;
}
