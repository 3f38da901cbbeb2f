import { defineContext } from "../src/catalogue/catalogue.ts";
import type { Node } from "../src/clients/kubernetes/port.ts";

const roleLabel = "node-role.kubernetes.io/";

/** Where each fact stands. */
const facts: Readonly<Record<string, (node: Node) => string | undefined>> = {
  "node.hostname": ({ labels }) => labels["kubernetes.io/hostname"],
  "node.instancetype": ({ labels }) => labels["node.kubernetes.io/instance-type"],
  "node.role": ({ labels }) => rolesIn(labels).join(",") || undefined,
  "node.topology.region": ({ labels }) => labels["topology.kubernetes.io/region"],
  "node.topology.zone": ({ labels }) => labels["topology.kubernetes.io/zone"],
  "node.spec.providerid": ({ providerId }) => providerId,
};

export const k8snode = defineContext({
  id: "k8snode",
  summary: "Facts about the node on which the pod runs",
  description: "What the node's labels do not say is left out; several roles are joined by commas.",
  target: "pod",
  uses: ["kubernetes"],
  rbac: [
    { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
    { apiGroups: [""], resources: ["nodes"], verbs: ["get"] },
  ],
  elements: Object.keys(facts),

  async fetch({ target, clients: { kubernetes }, signal }) {
    const { nodeName } = await kubernetes.getPod(target, signal);
    if (nodeName === undefined) {
      return {};
    }
    const node = await kubernetes.getNode(nodeName, signal);
    const found = Object.entries(facts).map(([name, read]) => [name, read(node)] as const);
    return Object.fromEntries(found.filter((entry): entry is [string, string] => entry[1] !== undefined));
  },
});

function rolesIn(labels: Node["labels"]): string[] {
  return Object.keys(labels)
    .filter((key) => key.startsWith(roleLabel))
    .map((key) => key.slice(roleLabel.length))
    .sort();
}
