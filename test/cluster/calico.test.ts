import { describe, expect, it } from "vitest";
import { calicoNetworkpolicy } from "../../actionners/calico/networkpolicy.ts";
import { eventually, podTemplate, useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { runActionner } from "../support/run-actionner.ts";
import { type DenialContract, describeDenials, describeMissing, isServed } from "../support/denial-contract.ts";

const cluster = await useCluster();
const { apps, core, custom } = cluster.api;
const kind = { apiVersion: "projectcalico.org/v3", kind: "NetworkPolicy", plural: "networkpolicies" };
const path = { group: "projectcalico.org", version: "v3", plural: kind.plural };
const served = await isServed(cluster, kind);
const podLabel = "hallux.dev/calico-networkpolicy";

interface Spec {
  readonly order: number;
  readonly selector: string;
  readonly egress: readonly { readonly action: string }[];
}

/** Calico's API server refuses what its CustomResourceDefinition takes: a rule with addresses of both families. */
function denials(nets: readonly string[]) {
  const four = nets.filter((net) => !net.includes(":"));
  const six = nets.filter((net) => net.includes(":"));
  return [four, six].filter(({ length }) => length > 0).map((nets) => ({ action: "Deny", destination: { nets } }));
}

const contract: DenialContract = {
  cluster,
  actionner: calicoNetworkpolicy,
  kind,
  podLabel,
  specOf: (label, nets) => ({
    tier: "default",
    order: 0,
    selector: `${podLabel} == '${label}' && !has(hallux.dev/isolated)`,
    types: ["Egress"],
    egress: [
      ...denials(nets),
      { action: "Allow", destination: { nets: ["0.0.0.0/0"] } },
      { action: "Allow", destination: { nets: ["::/0"] } },
    ],
  }),
  allowedBy: (spec) => (spec as Spec).egress.filter(({ action }) => action === "Allow"),
  allowed: {
    params: { allow_cidr: ["10.0.0.0/8", "2001:db8::/32"], allow_namespaces: ["kube-system", "green-ns"] },
    is: [
      { action: "Allow", destination: { nets: ["10.0.0.0/8"] } },
      { action: "Allow", destination: { nets: ["2001:db8::/32"] } },
      {
        action: "Allow",
        destination: { namespaceSelector: "kubernetes.io/metadata.name in { 'kube-system', 'green-ns' }" },
      },
    ],
  },
};

describe.skipIf(served)("calico:networkpolicy without Calico", () => {
  describeMissing(contract, /install Calico with its API server/);

  it.skip("the rest needs Calico's CustomResourceDefinitions: cluster up --crds");
});

describe.runIf(served)("calico:networkpolicy", () => {
  describeDenials(contract);

  it("stands where the rule's order places it", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", wait: false });
    const event = eventOf({ pod: `${namespace}/cart-1`, fields: { "fd.sip": "192.0.2.7" } });

    await runActionner(calicoNetworkpolicy, { cluster, event, params: { order: 20 } });

    const { items } = await custom.listNamespacedCustomObject({ ...path, namespace });
    expect(items).toMatchObject([{ spec: { order: 20 } }]);
  });

  it("selects a workload's pods in Calico's own language", async () => {
    const namespace = await cluster.namespace();
    const matchExpressions = [
      { key: "app", operator: "In", values: ["cart", "till"] },
      { key: "track", operator: "NotIn", values: ["canary"] },
      { key: "app", operator: "Exists" },
      { key: "debug", operator: "DoesNotExist" },
    ];
    const selector = { matchLabels: { app: "cart" }, matchExpressions };
    await apps.createNamespacedReplicaSet({
      namespace,
      body: { metadata: { name: "cart" }, spec: { replicas: 1, selector, template: podTemplate("cart") } },
    });
    const pod = await eventually(async () => (await core.listNamespacedPod({ namespace })).items[0]);
    const event = eventOf({ pod: `${namespace}/${pod.metadata?.name}`, fields: { "fd.rip": "192.0.2.7" } });

    await runActionner(calicoNetworkpolicy, { cluster, event, params: { scope: "workload" } });

    const { items } = await custom.listNamespacedCustomObject({ ...path, namespace });
    expect((items[0].spec as Spec).selector).toBe(
      "app == 'cart' && app in { 'cart', 'till' } && track not in { 'canary' } && has(app) && !has(debug) && !has(hallux.dev/isolated)",
    );
  });

  it("takes what an API server adds where nothing was said for no difference", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", wait: false });
    const run = { cluster, event: eventOf({ pod: `${namespace}/cart-1`, fields: { "fd.rip": "192.0.2.7" } }) };
    await runActionner(calicoNetworkpolicy, run);
    const { items } = await custom.listNamespacedCustomObject({ ...path, namespace });
    const [policy] = items;
    const egress = policy.spec.egress.map((rule: object) => ({ ...rule, source: {} }));
    const body = { ...policy, spec: { ...policy.spec, egress } };
    await custom.replaceNamespacedCustomObject({ ...path, namespace, name: policy.metadata.name, body });

    const second = await runActionner(calicoNetworkpolicy, run);

    expect(second).toMatchObject({ status: "ignored" });
  });

  it("uses every permission that it declares, but for those that Calico itself asks for", () => {
    expect(cluster.permissions.unused(calicoNetworkpolicy)).toEqual([
      "get projectcalico.org/tier.networkpolicies",
      "create projectcalico.org/tier.networkpolicies",
      "update projectcalico.org/tier.networkpolicies",
      "get projectcalico.org/tiers",
    ]);
  });
});
