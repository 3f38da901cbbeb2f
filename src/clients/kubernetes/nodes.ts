import type { V1Node } from "@kubernetes/client-node";
import type { Api } from "./api.ts";
import { labelsPatch, metadataPatch, undefinedIfInvalid } from "./pods.ts";
import type { Kubernetes, Node } from "./port.ts";

export function nodeCalls({ core, dryRun, via }: Api): Pick<Kubernetes, "getNode" | "patchNode" | "addLabelsToNode"> {
  return {
    async getNode(name, signal) {
      return nodeFrom(await core.readNode({ name }, via(signal)));
    },

    async patchNode(name, { unschedulable, ...change }, signal) {
      const body = {
        metadata: metadataPatch(change),
        ...(unschedulable === undefined ? {} : { spec: { unschedulable } }),
      };
      return nodeFrom(await core.patchNode({ name, body, dryRun }, via(signal, { patch: "merge" })));
    },

    async addLabelsToNode(name, labels, signal) {
      const body = labelsPatch(labels);
      const node = await undefinedIfInvalid(() =>
        core.patchNode({ name, body, dryRun }, via(signal, { patch: "json" })),
      );
      return node && nodeFrom(node);
    },
  };
}

function nodeFrom({ metadata, spec }: V1Node): Node {
  return {
    name: metadata?.name ?? "",
    uid: metadata?.uid ?? "",
    resourceVersion: metadata?.resourceVersion ?? "",
    labels: metadata?.labels ?? {},
    annotations: metadata?.annotations ?? {},
    unschedulable: spec?.unschedulable ?? false,
    providerId: spec?.providerID,
  };
}
