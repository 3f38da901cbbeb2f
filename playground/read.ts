import { ApiError, badRequest } from "./errors.ts";
import { existing, type Key } from "./objects.ts";
import { groupVersionOf, type Resource } from "./resources.ts";
import { fieldsMatch, labelsMatch, type Matches } from "./selectors.ts";
import type { Store } from "./store.ts";
import { type Include, tableOf } from "./table.ts";
import type { Json, JsonObject, KubeObject } from "./wire.ts";

/** How the client wants objects written. */
export interface Format {
  readonly table: boolean;
  readonly include: Include;
}

export function formatOf(accept: string, query: URLSearchParams): Format {
  const asked = query.get("includeObject");
  return { table: accept.includes("as=Table"), include: asked === "None" || asked === "Object" ? asked : "Metadata" };
}

export function selectionOf(resource: Resource, query: URLSearchParams): Matches {
  const labels = labelsMatch(query.get("labelSelector") ?? "");
  const fields = fieldsMatch(query.get("fieldSelector") ?? "", resource.selectable);
  return (object) => labels(object) && fields(object);
}

export function readObject(store: Store, key: Key, format: Format): object {
  return rendered(key.resource, existing(store, key), format);
}

export function rendered(resource: Resource, object: KubeObject, { table, include }: Format, headings = true): object {
  const metadata = { resourceVersion: object.metadata.resourceVersion ?? "" };
  return table ? tableOf(resource, [object], metadata, { include, headings }) : object;
}

export function listObjects(store: Store, place: Omit<Key, "name">, query: URLSearchParams, format: Format): object {
  const { resource, namespace } = place;
  refuseFuture(store, query.get("resourceVersion"));
  const matching = store.list(resource, namespace).filter(selectionOf(resource, query));
  const page = pageOf(matching, numberIn(query, "limit"), query.get("continue"));
  const metadata: JsonObject = { resourceVersion: String(store.version), ...page.metadata };
  if (format.table) {
    return tableOf(resource, page.objects, metadata, { include: format.include, headings: true });
  }
  const items = page.objects.map(({ apiVersion: _version, kind: _kind, ...rest }) => rest as unknown as Json);
  return { kind: `${resource.kind}List`, apiVersion: groupVersionOf(resource), metadata, items };
}

export function numberIn(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === "") {
    return undefined;
  }
  if (!/^-?\d+$/.test(text)) {
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  return Number(text);
}

export function flagIn(query: URLSearchParams, name: string): boolean {
  const text = query.get(name);
  return text === "true" || text === "1" || text === "";
}

function refuseFuture(store: Store, version: string | null): void {
  if (version !== null && Number(version) > store.version) {
    const message = `Timeout: Too large resource version: ${version}, current: ${store.version}`;
    const causes = [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }];
    throw new ApiError(504, "Timeout", message, { causes, retryAfterSeconds: 1 });
  }
}

function pageOf(objects: readonly KubeObject[], limit: number | undefined, token: string | null) {
  const start = token === null || token === "" ? 0 : startAfter(objects, token);
  const end = limit === undefined || limit <= 0 ? objects.length : start + limit;
  const remainingItemCount = Math.max(0, objects.length - end);
  const last = objects[end - 1];
  const more = remainingItemCount > 0 && last !== undefined;
  return {
    objects: objects.slice(start, end),
    metadata: more ? { continue: Buffer.from(place(last)).toString("base64url"), remainingItemCount } : {},
  };
}

function startAfter(objects: readonly KubeObject[], token: string): number {
  const after = Buffer.from(token, "base64url").toString();
  if (!after.includes("/")) {
    throw badRequest("invalid continue token: continue key is not valid");
  }
  const next = objects.findIndex((object) => place(object) > after);
  return next === -1 ? objects.length : next;
}

function place({ metadata }: KubeObject): string {
  return `${metadata.namespace ?? ""}/${metadata.name}`;
}
