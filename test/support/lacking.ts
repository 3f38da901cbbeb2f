import type { TestCluster } from "./cluster.ts";
import { isServed } from "./denial-contract.ts";
import { hasImages, withoutImages } from "./images.ts";

const withoutKind = "skipped: the cluster was not started with --crds";

/** What an actionner needs beyond a plain Kubernetes, and this cluster lacks. */
export async function lackingIn(cluster: TestCluster): Promise<Readonly<Record<string, string | undefined>>> {
  const images = (await hasImages(cluster)) ? undefined : withoutImages;
  const serves = async (apiVersion: string, plural: string) =>
    (await isServed(cluster, { apiVersion, kind: plural, plural })) ? undefined : withoutKind;
  return {
    "kubernetes:tcpdump": images,
    "kubernetes:sysdig": images,
    "calico:networkpolicy": await serves("projectcalico.org/v3", "networkpolicies"),
    "cilium:networkpolicy": await serves("cilium.io/v2", "ciliumnetworkpolicies"),
  };
}
