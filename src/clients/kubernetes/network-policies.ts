import { ActionError } from "../../catalogue/errors.ts";
import type { Api } from "./api.ts";
import type { Kubernetes } from "./port.ts";

type PolicyCalls = Pick<Kubernetes, "getNetworkPolicy" | "createNetworkPolicy" | "replaceNetworkPolicySpec">;

export function networkPolicyCalls({ networking, dryRun, via }: Api): PolicyCalls {
  return {
    async getNetworkPolicy(namespace, name, signal) {
      try {
        return await networking.readNamespacedNetworkPolicy({ namespace, name }, via(signal));
      } catch (error) {
        if (error instanceof ActionError && error.code === "not_found") {
          return undefined;
        }
        throw error;
      }
    },

    async createNetworkPolicy(policy, signal) {
      const namespace = policy.metadata?.namespace ?? "";
      await networking.createNamespacedNetworkPolicy({ namespace, body: policy, dryRun }, via(signal));
    },

    async replaceNetworkPolicySpec(policy, spec, signal) {
      const { namespace = "", name = "" } = policy.metadata ?? {};
      const body = { ...policy, spec };
      await networking.replaceNamespacedNetworkPolicy({ namespace, name, body, dryRun }, via(signal));
    },
  };
}
