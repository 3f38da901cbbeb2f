import { ActionError } from "../../catalogue/errors.ts";
import type { Api } from "./api.ts";
import { controllerOf, podFrom } from "./pods.ts";
import type { Kubernetes } from "./port.ts";

type JobCalls = Pick<Kubernetes, "createJob" | "podsOfJob" | "warningsOfJob" | "deleteJob">;

/** Set by the Job controller on its pods, since before the label had a prefix. */
const jobLabel = "job-name";

export function jobCalls({ batch, core, dryRun, via }: Api): JobCalls {
  return {
    async createJob(job, signal) {
      const namespace = job.metadata?.namespace ?? "";
      const { metadata } = await batch.createNamespacedJob({ namespace, body: job, dryRun }, via(signal));
      return { namespace, name: metadata?.name ?? "", uid: metadata?.uid ?? "" };
    },

    async podsOfJob({ namespace, name, uid }, signal) {
      const { items } = await core.listNamespacedPod({ namespace, labelSelector: `${jobLabel}=${name}` }, via(signal));
      return items.filter((pod) => controllerOf(pod.metadata?.ownerReferences)?.uid === uid).map(podFrom);
    },

    async warningsOfJob({ namespace, uid }, signal) {
      const fieldSelector = `involvedObject.uid=${uid},type=Warning`;
      const { items } = await core.listNamespacedEvent({ namespace, fieldSelector }, via(signal));
      return items.flatMap(({ message }) => message ?? []);
    },

    async deleteJob({ namespace, name }, signal) {
      const body = { propagationPolicy: "Background", ...(dryRun === undefined ? {} : { dryRun: [dryRun] }) };
      try {
        await batch.deleteNamespacedJob({ namespace, name, body }, via(signal));
      } catch (error) {
        if (!(error instanceof ActionError) || error.code !== "not_found") {
          throw error;
        }
      }
    },
  };
}
