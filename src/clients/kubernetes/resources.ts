import type { ConfigurationOptions, V1DeleteOptions, V1ObjectMeta } from "@kubernetes/client-node";
import { ActionError } from "../../catalogue/errors.ts";
import type { ResourceTarget } from "../../events/target.ts";
import type { Api } from "./api.ts";
import { controllerOf, deleteOptions, isMirror } from "./pods.ts";
import type { Kubernetes, Sighted } from "./port.ts";

interface Place {
  readonly namespace: string;
  readonly name: string;
}

/** How to read and delete one kind of object. */
interface Kind {
  readonly namespaced: boolean;
  get(place: Place, options: ConfigurationOptions): Promise<{ readonly metadata?: V1ObjectMeta }>;
  delete(place: Place & { readonly body: V1DeleteOptions }, options: ConfigurationOptions): Promise<unknown>;
}

export function resourceCalls(api: Api): Pick<Kubernetes, "getResource" | "deleteResource"> {
  const kinds = kindsOf(api);

  function kindOf({ resource }: ResourceTarget): Kind {
    const kind = kinds.get(resource);
    if (kind === undefined) {
      const known = [...kinds.keys()].join(", ");
      throw new ActionError("invalid", `${resource} are not deleted by Hallux: it deletes ${known}`);
    }
    return kind;
  }

  async function getResource(target: ResourceTarget, signal: AbortSignal): Promise<Sighted> {
    const kind = kindOf(target);
    const { metadata } = await kind.get(placeOf(target, kind), api.via(signal, { aboutTarget: true }));
    return {
      uid: metadata?.uid ?? "",
      createdAt: metadata?.creationTimestamp,
      mirror: isMirror(metadata),
      owner: controllerOf(metadata?.ownerReferences),
    };
  }

  return {
    getResource,
    async deleteResource(target, signal) {
      const kind = kindOf(target);
      const uid = target.uid ?? (await getResource(target, signal)).uid;
      const body = { ...deleteOptions(api, uid), propagationPolicy: "Background" };
      await kind.delete({ ...placeOf(target, kind), body }, api.via(signal, { aboutTarget: true }));
    },
  };
}

function placeOf({ resource, namespace = "", name }: ResourceTarget, { namespaced }: Kind): Place {
  if (namespaced && namespace === "") {
    throw new ActionError("invalid", `the event names no namespace (ka.target.namespace) for ${resource} ${name}`);
  }
  return { namespace, name };
}

/** By `ka.target.resource`. */
function kindsOf(api: Api): ReadonlyMap<string, Kind> {
  return new Map([...coreKinds(api), ...appsKinds(api), ...rbacKinds(api)]);
}

function coreKinds({ core }: Api): [string, Kind][] {
  return [
    [
      "namespaces",
      {
        namespaced: false,
        get: (place, options) => core.readNamespace(place, options),
        delete: (place, options) => core.deleteNamespace(place, options),
      },
    ],
    [
      "configmaps",
      {
        namespaced: true,
        get: (place, options) => core.readNamespacedConfigMap(place, options),
        delete: (place, options) => core.deleteNamespacedConfigMap(place, options),
      },
    ],
    [
      "secrets",
      {
        namespaced: true,
        get: (place, options) => core.readNamespacedSecret(place, options),
        delete: (place, options) => core.deleteNamespacedSecret(place, options),
      },
    ],
    [
      "services",
      {
        namespaced: true,
        get: (place, options) => core.readNamespacedService(place, options),
        delete: (place, options) => core.deleteNamespacedService(place, options),
      },
    ],
    [
      "serviceaccounts",
      {
        namespaced: true,
        get: (place, options) => core.readNamespacedServiceAccount(place, options),
        delete: (place, options) => core.deleteNamespacedServiceAccount(place, options),
      },
    ],
    [
      "pods",
      {
        namespaced: true,
        get: (place, options) => core.readNamespacedPod(place, options),
        delete: (place, options) => core.deleteNamespacedPod(place, options),
      },
    ],
  ];
}

function appsKinds({ apps }: Api): [string, Kind][] {
  return [
    [
      "deployments",
      {
        namespaced: true,
        get: (place, options) => apps.readNamespacedDeployment(place, options),
        delete: (place, options) => apps.deleteNamespacedDeployment(place, options),
      },
    ],
    [
      "daemonsets",
      {
        namespaced: true,
        get: (place, options) => apps.readNamespacedDaemonSet(place, options),
        delete: (place, options) => apps.deleteNamespacedDaemonSet(place, options),
      },
    ],
    [
      "statefulsets",
      {
        namespaced: true,
        get: (place, options) => apps.readNamespacedStatefulSet(place, options),
        delete: (place, options) => apps.deleteNamespacedStatefulSet(place, options),
      },
    ],
    [
      "replicasets",
      {
        namespaced: true,
        get: (place, options) => apps.readNamespacedReplicaSet(place, options),
        delete: (place, options) => apps.deleteNamespacedReplicaSet(place, options),
      },
    ],
  ];
}

function rbacKinds({ rbac }: Api): [string, Kind][] {
  return [
    [
      "roles",
      {
        namespaced: true,
        get: (place, options) => rbac.readNamespacedRole(place, options),
        delete: (place, options) => rbac.deleteNamespacedRole(place, options),
      },
    ],
    [
      "clusterroles",
      {
        namespaced: false,
        get: (place, options) => rbac.readClusterRole(place, options),
        delete: (place, options) => rbac.deleteClusterRole(place, options),
      },
    ],
  ];
}
