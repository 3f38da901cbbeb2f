import { describe, expect, it } from "vitest";
import { ciliumNetworkpolicy } from "../../actionners/cilium/networkpolicy.ts";
import { useCluster } from "../support/cluster.ts";
import { type DenialContract, describeDenials, describeMissing, isServed } from "../support/denial-contract.ts";

const cluster = await useCluster();
const kind = { apiVersion: "cilium.io/v2", kind: "CiliumNetworkPolicy", plural: "ciliumnetworkpolicies" };
const served = await isServed(cluster, kind);
const podLabel = "hallux.dev/cilium-networkpolicy";

interface Spec {
  readonly egress?: unknown;
  readonly enableDefaultDeny?: unknown;
}

const contract: DenialContract = {
  cluster,
  actionner: ciliumNetworkpolicy,
  kind,
  podLabel,
  specOf: (label, toCIDR) => ({
    endpointSelector: { matchLabels: { [podLabel]: label } },
    enableDefaultDeny: { egress: false },
    egressDeny: [{ toCIDR }],
  }),
  allowedBy: (spec) => {
    const { egress, enableDefaultDeny } = spec as Spec;
    return { egress, enableDefaultDeny };
  },
  allowed: {
    params: { allow_cidr: ["10.0.0.0/8", "2001:db8::/32"], allow_namespaces: ["kube-system", "green-ns"] },
    is: {
      enableDefaultDeny: undefined,
      egress: [
        { toCIDR: ["10.0.0.0/8", "2001:db8::/32"] },
        {
          toEndpoints: [
            { matchLabels: { "k8s:io.kubernetes.pod.namespace": "kube-system" } },
            { matchLabels: { "k8s:io.kubernetes.pod.namespace": "green-ns" } },
          ],
        },
      ],
    },
  },
};

describe.skipIf(served)("cilium:networkpolicy without Cilium", () => {
  describeMissing(contract, /install Cilium/);

  it.skip("the rest needs Cilium's CustomResourceDefinitions: cluster up --crds");
});

describe.runIf(served)("cilium:networkpolicy", () => {
  describeDenials(contract);

  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(ciliumNetworkpolicy)).toEqual([]);
  });
});
