/** What a request needs, in the words of RBAC. */
export interface Permission {
  /** `get`, `list`, `create`, `update`, `patch`, `delete`. */
  readonly verb: string;
  /** Empty for the core group. */
  readonly apiGroup: string;
  /** With its subresource: `pods`, `pods/log`. */
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
}

const verbs: Readonly<Record<string, string>> = {
  GET: "get",
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

/** Before it may stand a path under which a proxy serves the cluster. */
const apiPath = /\/(?:api\/v1|apis\/(?<apiGroup>[^/]+)\/v[^/]+)\/(?<rest>.+)$/;

/** Reads a request for an object, or for all of them, as the API server's authorizer does. */
export function permissionOf(method: string, path: string): Permission {
  const { apiGroup = "", rest = "" } = apiPath.exec(path)?.groups ?? {};
  const parts = rest.split("/").map(decodeURIComponent);
  const namespaced = parts[0] === "namespaces" && parts.length > 2;
  const [resource = "", name, subresource] = namespaced ? parts.slice(2) : parts;
  return {
    verb: method === "GET" && name === undefined ? "list" : (verbs[method] ?? method.toLowerCase()),
    apiGroup,
    resource: subresource === undefined ? resource : `${resource}/${subresource}`,
    namespace: namespaced ? parts[1] : undefined,
    name,
  };
}

/** `patch pods in namespace shop`, `create networkpolicies.networking.k8s.io in namespace shop`. */
export function describePermission({ verb, apiGroup, resource, namespace }: Permission): string {
  const qualified = apiGroup === "" ? resource : `${resource}.${apiGroup}`;
  return `${verb} ${qualified}${namespace === undefined ? "" : ` in namespace ${namespace}`}`;
}
