import type { Cluster } from "./cluster.ts";
import type { KubeconfigSource } from "./connection.ts";
import { laterStream } from "./exec-stream.ts";
import type { Kubernetes } from "./port.ts";

export type { KubeconfigSource };

export interface KubernetesClients {
  readonly real: Kubernetes;
  readonly dryRun: Kubernetes;
  /** Loads the client and reads the kubeconfig now instead of with the first call; rejects `unavailable` where it cannot be read. */
  load(): Promise<void>;
  close(): Promise<void>;
}

/** Nothing is loaded, read or connected before the first call. */
export function createKubernetes(options: { readonly kubeconfig: KubeconfigSource }): KubernetesClients {
  let opening: Promise<Cluster> | undefined;

  function open(): Promise<Cluster> {
    opening ??= import("./cluster.ts")
      .then(({ openCluster }) => openCluster(options.kubeconfig))
      .catch((error: unknown) => {
        opening = undefined;
        throw error;
      });
    return opening;
  }

  return {
    real: deferred(async () => (await open()).real),
    dryRun: deferred(async () => (await open()).dryRun),
    load: async () => void (await open()),
    // What fails to load has nothing open.
    close: async () => (await opening?.catch(() => undefined))?.close(),
  };
}

function deferred(open: () => Promise<Kubernetes>): Kubernetes {
  return {
    getPod: async (...call) => (await open()).getPod(...call),
    patchPod: async (...call) => (await open()).patchPod(...call),
    addLabelsToPod: async (...call) => (await open()).addLabelsToPod(...call),
    deletePod: async (...call) => (await open()).deletePod(...call),
    podsOnNode: async (...call) => (await open()).podsOnNode(...call),
    evictPod: async (...call) => (await open()).evictPod(...call),
    getNode: async (...call) => (await open()).getNode(...call),
    patchNode: async (...call) => (await open()).patchNode(...call),
    addLabelsToNode: async (...call) => (await open()).addLabelsToNode(...call),
    getWorkload: async (...call) => (await open()).getWorkload(...call),
    countReadyPods: async (...call) => (await open()).countReadyPods(...call),
    getNetworkPolicy: async (...call) => (await open()).getNetworkPolicy(...call),
    createNetworkPolicy: async (...call) => (await open()).createNetworkPolicy(...call),
    replaceNetworkPolicySpec: async (...call) => (await open()).replaceNetworkPolicySpec(...call),
    getCustomObject: async (...call) => (await open()).getCustomObject(...call),
    createCustomObject: async (...call) => (await open()).createCustomObject(...call),
    replaceCustomObject: async (...call) => (await open()).replaceCustomObject(...call),
    getResource: async (...call) => (await open()).getResource(...call),
    deleteResource: async (...call) => (await open()).deleteResource(...call),
    podLog: async (...call) => (await open()).podLog(...call),
    exec: async (...call) => (await open()).exec(...call),
    execStream: (...call) => laterStream(async () => (await open()).execStream(...call)),
    addEphemeralContainer: async (...call) => (await open()).addEphemeralContainer(...call),
    createJob: async (...call) => (await open()).createJob(...call),
    podsOfJob: async (...call) => (await open()).podsOfJob(...call),
    warningsOfJob: async (...call) => (await open()).warningsOfJob(...call),
    deleteJob: async (...call) => (await open()).deleteJob(...call),
    createEvent: async (...call) => (await open()).createEvent(...call),
    reviewAccess: async (...call) => (await open()).reviewAccess(...call),
  };
}
