import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { success } from "../../src/catalogue/outcome.ts";

/** `delete` is no name for a constant. */
export const deleteResource = defineActionner({
  id: "kubernetes:delete",
  summary: "Delete the object that a Kubernetes audit event is about",
  target: "resource",
  params: {},
  uses: ["kubernetes"],
  rbac: [
    {
      apiGroups: [""],
      resources: ["namespaces", "configmaps", "secrets", "services", "serviceaccounts", "pods"],
      verbs: ["get", "delete"],
    },
    {
      apiGroups: ["apps"],
      resources: ["deployments", "daemonsets", "statefulsets", "replicasets"],
      verbs: ["get", "delete"],
    },
    { apiGroups: ["rbac.authorization.k8s.io"], resources: ["roles", "clusterroles"], verbs: ["get", "delete"] },
  ],
  destructive: true,
  // The event has no UID: run again after a crash, it would delete an object made since under the same name.
  idempotent: false,
  continues: false,
  output: "none",
  undo: "What is deleted is gone, with what belongs to it: the pods of a Deployment, everything in a namespace.",
  examples: [{ title: "Delete the object", parameters: {} }],

  async run({ target, clients: { kubernetes }, signal }) {
    await kubernetes.deleteResource(target, signal);

    const { resource, namespace, name } = target;
    return success(`${resource} ${name} deleted`, {
      target,
      objects: { resource, name, ...(namespace === undefined ? {} : { namespace }) },
    });
  },
});
