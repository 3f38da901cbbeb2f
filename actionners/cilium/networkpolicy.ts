import { defineActionner } from "../../src/catalogue/catalogue.ts";
import type { Workload } from "../../src/clients/kubernetes/port.ts";
import { type Denying, denialParams, denialTraits, denyRemote } from "../kubernetes/denial.ts";
import type { Allowed } from "../kubernetes/isolation.ts";

const podLabel = "hallux.dev/cilium-networkpolicy";
/** Cilium's own label for the namespace of an endpoint. */
const namespaceLabel = "k8s:io.kubernetes.pod.namespace";

interface Spec {
  readonly endpointSelector?: Workload["selector"];
  readonly enableDefaultDeny?: { readonly egress: boolean };
  readonly egress?: readonly object[];
  readonly egressDeny?: readonly { readonly toCIDR?: readonly string[] }[];
}

const cilium: Denying<Allowed, Spec> = {
  kind: {
    apiVersion: "cilium.io/v2",
    kind: "CiliumNetworkPolicy",
    plural: "ciliumnetworkpolicies",
    resource: "ciliumnetworkpolicies.cilium.io",
    podLabel,
    remedy: "install Cilium, or use kubernetes:networkpolicy",
  },

  specOf(selector, params) {
    return { endpointSelector: selector, ...allowing(params) };
  },

  deniedBy({ egressDeny = [] }) {
    return egressDeny.flatMap(({ toCIDR = [] }) => toCIDR);
  },

  denying(spec, ranges) {
    return { ...spec, egressDeny: [{ toCIDR: ranges }] };
  },
};

/** Whoever is cut off. */
const rules = [
  { apiGroups: [""], resources: ["pods"], verbs: ["get", "patch"] },
  { apiGroups: ["cilium.io"], resources: ["ciliumnetworkpolicies"], verbs: ["get", "create", "update"] },
];

export const ciliumNetworkpolicy = defineActionner({
  ...denialTraits(rules),
  id: "cilium:networkpolicy",
  summary: "Deny the pod's egress to the event's remote IP, by a CiliumNetworkPolicy",
  description: `The address is \`fd.rip\`, else \`fd.sip\`, IPv4 or IPv6. The policy is Hallux's own, belongs to the pod (with \`scope: workload\`
to its top owner) and goes with it. Further addresses are added to it, at most 1000; what it allows stays as the rule that made it has it.
Only egress is denied.

Without \`allow_cidr\` and \`allow_namespaces\` nothing else changes: what other policies deny stays denied, what none denies stays allowed
(\`enableDefaultDeny\`, which Cilium has from 1.16 on). With one of them everything but what is allowed is denied, DNS too: allow \`kube-system\`
where the pod may go on resolving names.

To Cilium, address ranges are what lies outside of the cluster: they do not match its own pods and nodes. Where Cilium is told which labels
make an identity, \`${podLabel}\` must be among them.`,
  params: denialParams,
  undo: `\`kubectl delete ciliumnetworkpolicies.cilium.io NAME -n NAMESPACE\`, with all addresses in it, then \`kubectl label pod POD -n NAMESPACE ${podLabel}-\``,
  examples: [
    { title: "Deny the address, leave everything else as it is", parameters: {} },
    {
      title:
        "Deny the address to all pods of the Deployment, and let them reach nothing but the internal network and DNS",
      parameters: { scope: "workload", allow_cidr: ["10.0.0.0/8"], allow_namespaces: ["kube-system"] },
    },
  ],

  run: (call) => denyRemote(cilium, call),
});

/** By itself, a policy of Cilium denies all that none allows; and what it allows, it allows in spite of other policies. */
function allowing({ allow_cidr, allow_namespaces }: Allowed): Pick<Spec, "egress" | "enableDefaultDeny"> {
  if (allow_cidr.length + allow_namespaces.length === 0) {
    return { enableDefaultDeny: { egress: false } };
  }
  return {
    egress: [
      ...(allow_cidr.length === 0 ? [] : [{ toCIDR: allow_cidr }]),
      ...(allow_namespaces.length === 0
        ? []
        : [{ toEndpoints: allow_namespaces.map((name) => ({ matchLabels: { [namespaceLabel]: name } })) }]),
    ],
  };
}
