import { ActionError } from "../../catalogue/errors.ts";
import type { Api } from "./api.ts";
import type { Kubernetes } from "./port.ts";

const reporter = "hallux";

/** Core events, which `kubectl describe` shows with their object. A dry run makes none. */
export function eventCalls({ core, dryRun, via }: Api): Pick<Kubernetes, "createEvent"> {
  return {
    async createEvent({ id, namespace, about, type, reason, message, action }, signal) {
      if (dryRun !== undefined) {
        return;
      }
      const now = new Date();
      const body = {
        metadata: { namespace, name: `${reporter}-${id}` },
        involvedObject: { ...about },
        type,
        reason,
        action,
        message,
        source: { component: reporter },
        reportingComponent: reporter,
        reportingInstance: reporter,
        firstTimestamp: now,
        lastTimestamp: now,
        count: 1,
      };
      await core.createNamespacedEvent({ namespace, body }, via(signal)).catch(unlessThere);
    },
  };
}

/** By an attempt whose answer was lost. */
function unlessThere(error: unknown): void {
  if (!(error instanceof ActionError && error.code === "conflict")) {
    throw error;
  }
}
