import { defineActionner } from "../../src/catalogue/catalogue.ts";
import type { Workload } from "../../src/clients/kubernetes/port.ts";
import { integer } from "../../src/schema/field.ts";
import { type Denying, denialParams, denialTraits, denyRemote } from "../kubernetes/denial.ts";
import { type Allowed, isolatedLabel } from "../kubernetes/isolation.ts";

const podLabel = "hallux.dev/calico-networkpolicy";

interface Rule {
  readonly action: "Allow" | "Deny";
  readonly destination?: { readonly nets?: readonly string[]; readonly namespaceSelector?: string };
}

interface Spec {
  readonly tier?: string;
  readonly order?: number;
  readonly selector?: string;
  readonly types?: readonly string[];
  readonly egress?: readonly Rule[];
}

const calico: Denying<Allowed & { readonly order: number }, Spec> = {
  kind: {
    // Objects of `crd.projectcalico.org/v1` are how Calico stores these: what is written there, nobody checks or completes.
    apiVersion: "projectcalico.org/v3",
    kind: "NetworkPolicy",
    plural: "networkpolicies",
    resource: "networkpolicies.projectcalico.org",
    podLabel,
    remedy: "install Calico with its API server (calico-apiserver), or use kubernetes:networkpolicy",
  },

  specOf(selector, params) {
    return {
      tier: "default",
      order: params.order,
      // What a policy of Calico allows is allowed in spite of those that come after it, those of Kubernetes too.
      selector: `${selectorText(selector)} && !has(${isolatedLabel})`,
      types: ["Egress"],
      egress: allowing(params),
    };
  },

  deniedBy({ egress = [] }) {
    return egress.filter(({ action }) => action === "Deny").flatMap(({ destination }) => destination?.nets ?? []);
  },

  denying(spec, ranges) {
    const others = spec.egress?.filter(({ action }) => action !== "Deny") ?? [];
    return { ...spec, egress: [...rulesFor("Deny", ranges), ...others] };
  },
};

/** Whoever is cut off. */
const rules = [
  { apiGroups: [""], resources: ["pods"], verbs: ["get", "patch"] },
  {
    apiGroups: ["projectcalico.org"],
    resources: ["networkpolicies", "tier.networkpolicies"],
    verbs: ["get", "create", "update"],
  },
  { apiGroups: ["projectcalico.org"], resources: ["tiers"], verbs: ["get"] },
];

export const calicoNetworkpolicy = defineActionner({
  ...denialTraits(rules),
  id: "calico:networkpolicy",
  summary: "Deny the pod's egress to the event's remote IP, by a NetworkPolicy of Calico",
  description: `The address is \`fd.rip\`, else \`fd.sip\`, IPv4 or IPv6. The policy is Hallux's own, belongs to the pod (with \`scope: workload\`
to its top owner) and goes with it. Further addresses are added to it, at most 1000; what it allows stays as the rule that made it has it.
Only egress is denied, also of connections that the other side opened.

Without \`allow_cidr\` and \`allow_namespaces\` everything else is allowed, and Calico looks at no policy of a higher \`order\` then, nor at
those of Kubernetes (their order is 1000): where these restrict the pod, say in \`allow_cidr\` and \`allow_namespaces\` what it may reach.
A policy of a lower \`order\` that allows the address wins over this one. A pod that kubernetes:networkpolicy has cut off by itself
(\`${isolatedLabel}\`) stays so: the policy does not select it.

It needs the API \`projectcalico.org/v3\`: Calico's API server, or Calico with its CustomResourceDefinitions of that version. The permissions on
\`tiers\` and \`tier.networkpolicies\` are asked for by Calico itself, from 3.30 on.`,
  params: {
    ...denialParams,
    order: integer("Place of the policy among Calico's: the lowest is looked at first", { default: 0 }),
  },
  undo: `\`kubectl delete networkpolicies.projectcalico.org NAME -n NAMESPACE\`, with all addresses in it, then \`kubectl label pod POD -n NAMESPACE ${podLabel}-\``,
  examples: [
    { title: "Deny the address, allow everything else", parameters: {} },
    {
      title:
        "Deny the address to all pods of the Deployment, and let them reach nothing but the internal network and DNS",
      parameters: { scope: "workload", allow_cidr: ["10.0.0.0/8"], allow_namespaces: ["kube-system"], order: 20 },
    },
  ],

  run: (call) => denyRemote(calico, call),
});

function allowing({ allow_cidr, allow_namespaces }: Allowed): Rule[] {
  const all = allow_cidr.length + allow_namespaces.length === 0;
  const namespaceSelector = `kubernetes.io/metadata.name in ${setOf(allow_namespaces)}`;
  return [
    ...rulesFor("Allow", all ? ["0.0.0.0/0", "::/0"] : allow_cidr),
    ...(allow_namespaces.length === 0 ? [] : [{ action: "Allow", destination: { namespaceSelector } } as const]),
  ];
}

/** One for each family: Calico refuses a rule with ranges of both. */
function rulesFor(action: Rule["action"], ranges: readonly string[]): Rule[] {
  const families = Map.groupBy(ranges, (range) => range.includes(":"));
  return [...families.values()].map((nets) => ({ action, destination: { nets } }));
}

/** A label selector in Calico's own language: `app == 'cart' && tier in { 'front', 'back' }`. */
function selectorText({ matchLabels = {}, matchExpressions = [] }: Workload["selector"]): string {
  const expressions = matchExpressions.map(({ key, operator, values = [] }) => {
    switch (operator) {
      case "Exists":
        return `has(${key})`;
      case "DoesNotExist":
        return `!has(${key})`;
      case "NotIn":
        return `${key} not in ${setOf(values)}`;
      default:
        return `${key} in ${setOf(values)}`;
    }
  });
  return [...Object.entries(matchLabels).map(([key, value]) => `${key} == '${value}'`), ...expressions].join(" && ");
}

/** Names and label values: none of them holds a quote. */
function setOf(values: readonly string[]): string {
  return `{ ${values.map((value) => `'${value}'`).join(", ")} }`;
}
