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

/** Of a reason. */
const maxUriLength = 200;

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
    const reason = namesake(event, target.resource);
    if (reason !== undefined) {
      return ignored(reason);
    }
    await kubernetes.deleteResource(target, signal);

    const { resource, namespace, name } = target;
    return success(`${resource} ${name} deleted`, {
      target,
      objects: { resource, name, ...(namespace === undefined ? {} : { namespace }) },
    });
  },
});

/**
 * Why the event is about something that only shares its plural with one of Kubernetes' own kinds: a custom resource. Of the
 * API group, events have nothing but the URI of the request, where Falco sends it.
 */
function namesake(event: FalcoEvent, resource: string): string | undefined {
  const uri = textOf(fieldOf(event, "ka.uri") ?? "");
  const group = groupOf(resource);
  if (group === undefined || !uri.startsWith("/")) {
    return undefined;
  }
  return uri.startsWith(group === "" ? "/api/v1/" : `/apis/${group}/`)
    ? undefined
    : `the event is not about ${resource} of Kubernetes' own: its ka.uri is ${uri.slice(0, maxUriLength)}`;
}

function groupOf(resource: string): string | undefined {
  return rbac.find(({ resources }) => (resources as readonly string[]).includes(resource))?.apiGroups[0];
}
