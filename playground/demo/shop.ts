import type { Seed } from "../seed.ts";

/** Two namespaces of a small shop, and what every cluster runs. */
export const shop: readonly Seed[] = [
  deployment("shop/frontend", { replicas: 2, image: "docker.io/library/nginx:1.27" }),
  deployment("shop/cart", { replicas: 3, image: "registry.example.com/shop/cart:v2.3.1" }),
  statefulSet("shop/orders-db", { replicas: 1, image: "docker.io/library/postgres:18" }),
  deployment("payments/api", { replicas: 3, image: "registry.example.com/payments/api:v5.0.2" }),
  pod("payments/nightly-report", { image: "registry.example.com/payments/report:v1.4.0" }),
  deployment("kube-system/coredns", { replicas: 2, image: "registry.k8s.io/coredns/coredns:v1.13.1" }),
];

interface Workload {
  readonly replicas: number;
  readonly image: string;
}

function deployment(place: string, workload: Workload): Seed {
  return { apiVersion: "apps/v1", kind: "Deployment", metadata: metadataOf(place), spec: replicated(place, workload) };
}

function statefulSet(place: string, workload: Workload): Seed {
  const { name } = metadataOf(place);
  const spec = { ...replicated(place, workload), serviceName: name };
  return { apiVersion: "apps/v1", kind: "StatefulSet", metadata: metadataOf(place), spec };
}

function pod(place: string, { image }: Pick<Workload, "image">): Seed {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: metadataOf(place),
    spec: { containers: [{ name: "main", image }] },
  };
}

function replicated(place: string, { replicas, image }: Workload) {
  const { labels } = metadataOf(place);
  return {
    replicas,
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [{ name: "main", image }] } },
  };
}

function metadataOf(place: string): Seed["metadata"] & { readonly labels: Record<string, string> } {
  const [namespace = "", name = ""] = place.split("/");
  return { namespace, name, labels: { app: name } };
}
