import { groupVersionOf, type Resource, resources } from "./resources.ts";

const info = { title: "Kubernetes", version: "v1.36.3" };
const parameters = ["dryRun", "fieldManager", "fieldValidation"].map((name) => ({
  name,
  in: "query",
  schema: { type: "string", uniqueItems: true },
}));

/**
 * The least that kubectl needs: it looks whether a kind's PATCH takes `fieldValidation` and `dryRun`, and then leaves
 * validation to the server. Schemas are left out, so `kubectl explain` finds nothing.
 */
export function openApiAt(path: string): object | undefined {
  if (path === "/openapi/v3") {
    return {
      paths: Object.fromEntries(roots().map((root) => [root, { serverRelativeURL: `/openapi/v3/${root}?hash=1` }])),
    };
  }
  const root = path.startsWith("/openapi/v3/") ? path.slice("/openapi/v3/".length) : "";
  const held = resources.filter((resource) => rootOf(resource) === root);
  return held.length === 0
    ? undefined
    : { openapi: "3.0.0", info, paths: Object.fromEntries(held.map(operations)), components: { schemas: {} } };
}

function roots(): readonly string[] {
  return [...new Set(resources.map(rootOf))];
}

function rootOf(resource: Resource): string {
  return resource.group === "" ? `api/${resource.version}` : `apis/${groupVersionOf(resource)}`;
}

function operations(resource: Resource) {
  const { group, version, kind, plural, namespaced } = resource;
  const path = `/${rootOf(resource)}/${namespaced ? "namespaces/{namespace}/" : ""}${plural}/{name}`;
  const patch = {
    operationId: `patch${kind}`,
    parameters,
    responses: { 200: { description: "OK" } },
    "x-kubernetes-action": "patch",
    "x-kubernetes-group-version-kind": { group, version, kind },
  };
  return [path, { patch }] as const;
}
