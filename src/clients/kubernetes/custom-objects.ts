import { ActionError, TargetGone } from "../../catalogue/errors.ts";
import type { Api } from "./api.ts";
import type { CustomKind, CustomObject, Kubernetes } from "./port.ts";

type CustomCalls = Pick<Kubernetes, "getCustomObject" | "createCustomObject" | "replaceCustomObject">;

export function customObjectCalls({ custom, dryRun, via }: Api): CustomCalls {
  /** A field that the schema lacks would be dropped without a word. */
  const options = { dryRun, fieldValidation: "Strict" };

  return {
    async getCustomObject(kind, place, signal) {
      try {
        const options = via(signal, { aboutTarget: true });
        return (await custom.getNamespacedCustomObject({ ...pathOf(kind), ...place }, options)) as CustomObject;
      } catch (error) {
        if (error instanceof TargetGone) {
          return undefined;
        }
        throw known(error, kind);
      }
    },

    async createCustomObject(kind, body, signal) {
      const { namespace } = body.metadata;
      await custom.createNamespacedCustomObject({ ...pathOf(kind), ...options, namespace, body }, via(signal));
    },

    async replaceCustomObject(kind, body, signal) {
      const { namespace, name } = body.metadata;
      await custom.replaceNamespacedCustomObject({ ...pathOf(kind), ...options, namespace, name, body }, via(signal));
    },
  };
}

function pathOf({ apiVersion, plural }: CustomKind): { group: string; version: string; plural: string } {
  const [group = "", version = ""] = apiVersion.split("/");
  return { group, version, plural };
}

/** A 404 that names no object says that there is no such kind. */
function known(error: unknown, { apiVersion, kind, remedy }: CustomKind): unknown {
  return error instanceof ActionError && error.code === "not_found"
    ? new ActionError("not_found", `the cluster has no ${kind} of ${apiVersion}: ${remedy}`, { cause: error })
    : error;
}
