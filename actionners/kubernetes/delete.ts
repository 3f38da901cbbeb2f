import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { ignored, success } from "../../src/catalogue/outcome.ts";
import { type FalcoEvent, fieldOf } from "../../src/events/event.ts";
import { textOf } from "../../src/events/json.ts";

const rbac = [
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
] as const;

/** `delete` is no name for a constant. */
export const deleteResource = defineActionner({
  id: "kubernetes:delete",
  summary: "Delete the object that a Kubernetes audit event is about",
  target: "resource",
  params: {},
  uses: ["kubernetes"],
  rbac,
  destructive: true,
  // The event has no UID: run again after a crash, it would delete an object made since under the same name.
  idempotent: false,
  continues: false,
  output: "none",
  undo: "What is deleted is gone, with what belongs to it: the pods of a Deployment, everything in a namespace.",
  examples: [{ title: "Delete the object", parameters: {} }],

  async run({ event, target, clients: { kubernetes }, signal }) {
    const group = groupIn(event);
    if (group !== undefined && group !== groupOf(target.resource)) {
      return ignored(`the event is about ${target.resource} of API group ${group}, not those that Hallux deletes`);
    }
    await kubernetes.deleteResource(target, signal);

    const { resource, namespace, name } = target;
    return success(`${resource} ${name} deleted`, {
      target,
      objects: { resource, name, ...(namespace === undefined ? {} : { namespace }) },
    });
  },
});

/** Events name the plural only: a custom resource may share it with one of Kubernetes'. The URI tells, where Falco sends it. */
function groupIn(event: FalcoEvent): string | undefined {
  const uri = textOf(fieldOf(event, "ka.uri") ?? "");
  const [, kind, group = ""] = /^\/(api|apis)\/([^/]+)\//.exec(uri) ?? [];
  return kind === "api" ? "" : group || undefined;
}

function groupOf(resource: string): string | undefined {
  return rbac.find(({ resources }) => (resources as readonly string[]).includes(resource))?.apiGroups[0];
}
