import type { V1NetworkPolicy, V1NetworkPolicyPeer, V1NetworkPolicySpec } from "@kubernetes/client-node";
import { isDeepStrictEqual } from "node:util";
import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { ignored, success } from "../../src/catalogue/outcome.ts";
import type { Kubernetes, Pod } from "../../src/clients/kubernetes/port.ts";
import { type Decision, establish } from "./establish.ts";
import {
  type Allowed,
  allowCidr,
  allowFault,
  allowNamespaces,
  type Isolation,
  isolatedLabel,
  isolationOf,
  labelPod,
  mustBeOurs,
  policyMetadata,
  ruleOf,
  scope,
  undoOf,
  whoIs,
  workloadRules,
} from "./isolation.ts";
import { podTarget } from "./pod-target.ts";

const kind = {
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  resource: "networkpolicy",
  podLabel: isolatedLabel,
};

/** Whoever is cut off. */
const rules = [
  { apiGroups: [""], resources: ["pods"], verbs: ["get", "patch"] },
  { apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs: ["get", "create", "update"] },
];

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
  params: { allow_cidr: allowCidr, allow_namespaces: allowNamespaces, scope },
  check: allowFault,
  uses: ["kubernetes"],
  rbac: [...rules, ...workloadRules],
  rbacFor: ({ scope }) => (scope === "pod" ? rules : [...rules, ...workloadRules]),
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
    const isolation = await isolationOf(pod, kind, { scope: params.scope, kubernetes, signal });
    const policy = policyOf(isolation, { pod, rule, params });

    const change = await keepPolicy(policy, isolation, kubernetes, signal);
    const labelled = await labelPod(pod, isolation, kubernetes, signal);

    if (change.kind === "none" && !labelled) {
      return ignored(`already isolated by NetworkPolicy ${isolation.name}`);
    }
    if (change.kind === "kept" && !labelled) {
      return ignored(`already isolated by NetworkPolicy ${isolation.name} of ${change.by}: what that allows stays`);
    }
    return success(summaryOf(isolation, change), {
      objects: { namespace: pod.namespace, pod: pod.name, networkpolicy: isolation.name },
      target: podTarget(pod),
      undo: undoOf(isolation, pod),
    });
  },
});

function policyOf(
  isolation: Isolation,
  { pod, rule, params }: { readonly pod: Pod; readonly rule: string; readonly params: Allowed },
) {
  return {
    apiVersion: kind.apiVersion,
    kind: kind.kind,
    metadata: policyMetadata(isolation, { pod, rule }),
    spec: { podSelector: isolation.selector, ...egressTo(params) },
  };
}

/** An empty list of rules allows nothing; the API server does not keep it, so neither do we. */
function egressTo({ allow_cidr, allow_namespaces }: Allowed): Omit<V1NetworkPolicySpec, "podSelector"> {
  const to: V1NetworkPolicyPeer[] = [
    ...allow_cidr.map((cidr) => ({ ipBlock: { cidr } })),
    ...allow_namespaces.map((name) => ({
      namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": name } },
    })),
  ];
  return { policyTypes: ["Egress"], ...(to.length === 0 ? {} : { egress: [{ to }] }) };
}

type Change =
  | { readonly kind: "created" | "replaced" | "none" }
  /** Another rule isolates already, and allows something else. */
  | { readonly kind: "kept"; readonly by: string };

function keepPolicy(
  wanted: ReturnType<typeof policyOf>,
  isolation: Isolation,
  kubernetes: Kubernetes,
  signal: AbortSignal,
): Promise<Change> {
  const { namespace, name } = wanted.metadata;
  const policies = {
    get: () => kubernetes.getNetworkPolicy(namespace, name, signal),
    create: (policy: V1NetworkPolicy) => kubernetes.createNetworkPolicy(policy, signal),
    replace: (policy: V1NetworkPolicy) => kubernetes.replaceNetworkPolicySpec(policy, wanted.spec, signal),
  };
  return establish(policies, (existing) => decide(existing, wanted, isolation));
}

function decide(
  existing: V1NetworkPolicy | undefined,
  wanted: ReturnType<typeof policyOf>,
  isolation: Isolation,
): Decision<V1NetworkPolicy, Change> {
  if (existing === undefined) {
    return { write: wanted, change: { kind: "created" } };
  }
  mustBeOurs(existing, isolation);
  if (isDeepStrictEqual(plain(existing.spec), plain(wanted.spec))) {
    return { change: { kind: "none" } };
  }
  // Whoever is cut off by one rule could otherwise raise the event of a more lenient one.
  const rule = ruleOf(existing);
  return rule === ruleOf(wanted)
    ? { write: existing, change: { kind: "replaced" } }
    : { change: { kind: "kept", by: rule === undefined ? "an unknown rule" : `rule "${rule}"` } };
}

/** As JSON has it: without classes, and without what is undefined. */
function plain(spec: V1NetworkPolicySpec | undefined): unknown {
  return JSON.parse(JSON.stringify(spec ?? null));
}

function summaryOf(isolation: Isolation, change: Change): string {
  const who = whoIs(isolation);
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
