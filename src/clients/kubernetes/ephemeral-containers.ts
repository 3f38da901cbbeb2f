import type { Api } from "./api.ts";
import type { Kubernetes } from "./port.ts";

/** A strategic merge patch joins the list by name at the server, so that additions made side by side all stay. */
export function ephemeralContainerCalls({ core, dryRun, via }: Api): Pick<Kubernetes, "addEphemeralContainer"> {
  return {
    async addEphemeralContainer({ namespace, name, uid }, container, signal) {
      const body = { metadata: { uid }, spec: { ephemeralContainers: [container] } };
      await core.patchNamespacedPodEphemeralcontainers(
        { namespace, name, body, dryRun },
        via(signal, { aboutTarget: true, patch: "strategic" }),
      );
    },
  };
}
