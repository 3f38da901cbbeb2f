import { methodNotAllowed, unknownPath } from "./errors.ts";
import { type Resource, resourceAt } from "./resources.ts";

/** A request in the terms of Kubernetes RBAC. */
export interface ApiRequest {
  readonly verb: string;
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string | undefined;
  readonly namespace: string | undefined;
  /** Undefined for lists, creations and collections. */
  readonly name: string | undefined;
  readonly user: string;
  /** Nothing is stored (`dryRun=All` in the query or in a deletion's body). */
  readonly dryRun: boolean;
}

export interface Address {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

/** A request on a resource, understood. */
export interface Routed {
  readonly request: ApiRequest;
  readonly resource: Resource;
  readonly address: Address;
  readonly query: URLSearchParams;
}

/** What a path under /api/v1 or /apis/GROUP/VERSION names; undefined elsewhere. */
export function addressOf(path: string): Address | undefined {
  const parts = path.split("/").slice(1).map(decoded);
  const [group, version, rest] =
    parts[0] === "api" ? ["", parts[1], parts.slice(2)] : [parts[1], parts[2], parts.slice(3)];
  if ((parts[0] !== "api" && parts[0] !== "apis") || group === undefined || version === undefined || !rest[0]) {
    return undefined;
  }
  const scoped = rest[0] === "namespaces" && rest[2] !== undefined && !isNamespaceSubresource(rest);
  const [plural = "", name, subresource, ...beyond] = scoped ? rest.slice(2) : rest;
  if (beyond.length > 0) {
    throw unknownPath();
  }
  return { group, version, plural, namespace: scoped ? rest[1] : undefined, name, subresource };
}

function isNamespaceSubresource(rest: readonly string[]): boolean {
  return rest.length === 3 && (rest[2] === "status" || rest[2] === "finalize");
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw unknownPath();
  }
}

/** The table's entry for an address. Throws 404 and 405. */
export function resourceNamed({ group, version, plural, namespace, name, subresource }: Address): Resource {
  const resource = resourceAt({ group, version, plural });
  if (resource === undefined || (namespace !== undefined && !resource.namespaced)) {
    throw unknownPath();
  }
  if (name !== undefined && namespace === undefined && resource.namespaced) {
    throw unknownPath();
  }
  if (subresource !== undefined && !resource.subresources.some((declared) => declared.name === subresource)) {
    throw unknownPath();
  }
  return resource;
}

/** The RBAC verb of a method on an address. Throws 405. */
export function verbOf(method: string, address: Address, query: URLSearchParams): string {
  if (verbless(method, address)) {
    throw methodNotAllowed();
  }
  const { name, subresource } = address;
  const verb = (name === undefined ? collectionVerbs : subresource === undefined ? objectVerbs : subresourceVerbs)[
    method
  ];
  if (verb === undefined) {
    throw methodNotAllowed();
  }
  return verb === "list" && isWatch(query) ? "watch" : verb;
}

/** Namespaced collections are created in and deleted from one namespace at a time. */
function verbless(method: string, { group, version, plural, namespace, name }: Address): boolean {
  const everywhere = name === undefined && namespace === undefined && method !== "GET";
  return everywhere && resourceAt({ group, version, plural })?.namespaced === true;
}

function isWatch(query: URLSearchParams): boolean {
  const watch = query.get("watch");
  return watch !== null && watch !== "false" && watch !== "0";
}

const collectionVerbs: Readonly<Record<string, string>> = { GET: "list", POST: "create", DELETE: "deletecollection" };
const objectVerbs: Readonly<Record<string, string>> = { GET: "get", PUT: "update", PATCH: "patch", DELETE: "delete" };
const subresourceVerbs: Readonly<Record<string, string>> = { ...objectVerbs, POST: "create" };
