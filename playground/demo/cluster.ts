import type { Playground } from "../index.ts";
import type { KubeObject, Pod } from "../wire.ts";

/** What the demo looks at, over the same API as kubectl. */
export interface Cluster {
  /** By namespace and name. */
  pods(): Promise<readonly Pod[]>;
  networkPolicies(namespace: string): Promise<readonly KubeObject[]>;
  /** Kubernetes events about the object, oldest first. */
  eventsAbout(object: KubeObject): Promise<readonly KubeObject[]>;
}

export function clusterOf({ url, token }: Pick<Playground, "url" | "token">): Cluster {
  const list = async <T extends KubeObject>(path: string): Promise<readonly T[]> => {
    const response = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } });
    const { items } = (await response.json()) as { readonly items: readonly T[] };
    return items;
  };
  return {
    pods: async () => (await list<Pod>("/api/v1/pods")).toSorted(byPlace),
    networkPolicies: (namespace) => list(`/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`),
    eventsAbout: ({ metadata: { namespace, uid } }) =>
      list(`/api/v1/namespaces/${namespace}/events?fieldSelector=involvedObject.uid=${uid}`),
  };
}

/** `shop/cart-1`. */
export function placeOf({ metadata: { namespace, name } }: KubeObject): string {
  return `${namespace}/${name}`;
}

/** As kubectl's column says it. */
export function statusOf({ metadata, status }: Pod): string {
  return metadata.deletionTimestamp === undefined ? (status?.phase ?? "Unknown") : "Terminating";
}

function byPlace(a: KubeObject, b: KubeObject): number {
  return placeOf(a).localeCompare(placeOf(b));
}
