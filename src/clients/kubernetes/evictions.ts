import type { V1Eviction } from "@kubernetes/client-node";
import type { Api } from "./api.ts";
import { DisruptionRefused } from "./errors.ts";
import { deleteOptions, podFrom } from "./pods.ts";
import type { Kubernetes, Pod } from "./port.ts";

const pageSize = 250;

export function evictionCalls(api: Api): Pick<Kubernetes, "podsOnNode" | "evictPod"> {
  const { core, dryRun, via } = api;

  return {
    async podsOnNode(node, signal) {
      const pods: Pod[] = [];
      let next: string | undefined;
      do {
        const { items, metadata } = await core.listPodForAllNamespaces(
          { fieldSelector: `spec.nodeName=${node}`, limit: pageSize, _continue: next },
          via(signal),
        );
        pods.push(...items.map(podFrom));
        next = metadata?._continue || undefined;
      } while (next !== undefined);
      return pods;
    },

    async evictPod({ namespace, name, uid }, signal) {
      const body: V1Eviction = { metadata: { namespace, name }, deleteOptions: deleteOptions(api, uid) };
      try {
        await core.createNamespacedPodEviction({ namespace, name, body, dryRun }, via(signal, { aboutTarget: true }));
        return { kind: "accepted" };
      } catch (error) {
        if (error instanceof DisruptionRefused) {
          return { kind: "refused", reason: error.message, retryAfterMs: error.retryAfterMs };
        }
        throw error;
      }
    },
  };
}
