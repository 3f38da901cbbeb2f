import { isDeepStrictEqual } from "node:util";
import { parse } from "yaml";
import { mediaTypeOf, parseBody, textMapFault } from "./decode.ts";
import { type DeleteOptions, deleteOptions, remove } from "./deletion.ts";
import { badRequest, invalid, unsupportedPatch } from "./errors.ts";
import { create, existing, type Key, update, type WriteOptions } from "./objects.ts";
import { isObject, jsonPatch, mergePatch } from "./patch.ts";
import { selectionOf } from "./read.ts";
import type { ServerSideApply } from "./apply.ts";
import type { Store } from "./store.ts";
import { strategicMerge } from "./strategic.ts";
import { isRecord, type Json, type JsonObject, type KubeObject } from "./wire.ts";

/** A write as it came over HTTP. */
export interface WriteRequest {
  readonly key: Key;
  readonly subresource: "status" | undefined;
  readonly body: Buffer;
  readonly contentType: string;
  readonly query: URLSearchParams;
}

export function createFrom(store: Store, request: WriteRequest): KubeObject {
  const { key, body, contentType, query } = request;
  const expected = `the object provided is unrecognized (must be of type ${key.resource.kind}): `;
  return create(store, key, parseBody(body, contentType, expected), writeOptions(query, "CreateOptions"));
}

export function replaceFrom(store: Store, request: WriteRequest): KubeObject {
  const { key, body, contentType, query, subresource } = request;
  const expected = `the object provided is unrecognized (must be of type ${key.resource.kind}): `;
  const options = writeOptions(query, "UpdateOptions");
  return update(store, key, parseBody(body, contentType, expected), { ...options, subresource, by: "put" });
}

/** Applies a patch of any of the four kinds. The second value says whether an apply created the object. */
export function patchFrom(
  store: Store,
  apply: ServerSideApply,
  request: WriteRequest,
): { readonly object: KubeObject; readonly created: boolean } {
  const { key, query, subresource } = request;
  const type = mediaTypeOf(request.contentType);
  const options = writeOptions(query, "PatchOptions");
  if (type === "application/apply-patch+yaml") {
    return apply.apply(key, appliedObject(request), { ...options, ...applyOptions(query), subresource });
  }
  const patch = patchers[type];
  if (patch === undefined) {
    throw unsupportedPatch();
  }
  const document = decodePatch(request.body);
  const current = existing(store, key);
  const result = patch(current as unknown as JsonObject, document);
  textMapFault(result, (fault) => unfit(type, document, result, fault));
  const object = isDeepStrictEqual(result, current)
    ? current
    : update(store, key, result, { ...options, subresource, by: "patch" });
  return { object, created: false };
}

const patchers: Readonly<Record<string, (current: JsonObject, patch: Json) => Json>> = {
  "application/json-patch+json": (current, patch) => jsonPatch(current, operationsOf(patch)),
  "application/merge-patch+json": (current, patch) => mergePatch(current, mapOf(patch)),
  "application/strategic-merge-patch+json": (current, patch) => strategicMerge(current, mapOf(patch)),
};

function decodePatch(body: Buffer): Json {
  try {
    return JSON.parse(body.toString()) as Json;
  } catch (error) {
    throw badRequest(`error decoding patch: ${(error as Error).message}`);
  }
}

function mapOf(patch: Json): JsonObject {
  if (!isObject(patch)) {
    throw badRequest(
      "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
    );
  }
  return patch;
}

function operationsOf(patch: Json): readonly JsonObject[] {
  if (!Array.isArray(patch) || !patch.every(isRecord)) {
    throw badRequest(
      "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
    );
  }
  return patch as readonly JsonObject[];
}

/** A strategic merge is refused before, the others after the patch is applied. */
function unfit(type: string, patch: Json, result: Json, fault: string) {
  const strategic = type === "application/strategic-merge-patch+json";
  const value = strategic ? goText(patch) : JSON.stringify(result);
  const reason = strategic
    ? fault.replace(/.*unmarshal (\w+) .*/, (_all, from) => `cannot convert ${goTypes[from]} to string`)
    : fault;
  const message = `Invalid value: ${JSON.stringify(value)}: ${reason}`;
  return invalid({ kind: "", group: "" }, "", [{ reason: "FieldValueInvalid", message, field: "patch" }]);
}

const goTypes: Readonly<Record<string, string>> = { number: "int64", bool: "bool", object: "map[string]interface {}" };

/** As Go prints a map. */
function goText(value: Json | undefined): string {
  if (Array.isArray(value)) {
    return `[${value.map(goText).join(" ")}]`;
  }
  if (value === undefined || !isObject(value)) {
    return value === null ? "<nil>" : String(value);
  }
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `map[${entries.map(([key, inner]) => `${key}:${goText(inner)}`).join(" ")}]`;
}

function appliedObject({ body }: WriteRequest): JsonObject {
  const object: unknown = parse(body.toString());
  if (!isRecord(object)) {
    throw badRequest("error decoding YAML: the body is not an object");
  }
  return object as JsonObject;
}

function applyOptions(query: URLSearchParams) {
  const manager = query.get("fieldManager") ?? "";
  if (manager === "") {
    const cause = {
      reason: "FieldValueRequired",
      message: "Required value: is required for apply patch",
      field: "fieldManager",
    };
    throw invalid({ kind: "PatchOptions", group: "meta.k8s.io" }, "", [cause]);
  }
  return { manager, force: query.get("force") === "true" };
}

export function deleteFrom(store: Store, request: WriteRequest): object {
  return remove(store, request.key, deletionOf(request));
}

/** Deletes each object of the selection and answers with the list of them. */
export function deleteCollectionFrom(store: Store, request: WriteRequest): object {
  const { resource, namespace } = request.key;
  const options = deletionOf(request);
  const selected = store.list(resource, namespace).filter(selectionOf(resource, request.query));
  for (const { metadata } of selected) {
    remove(store, { resource, namespace: metadata.namespace, name: metadata.name }, options);
  }
  const metadata = { resourceVersion: String(store.version) };
  return { kind: `${resource.kind}List`, apiVersion: selected[0]?.apiVersion ?? "v1", metadata, items: selected };
}

function deletionOf({ body, contentType, query }: WriteRequest): DeleteOptions {
  writeOptions(query, "DeleteOptions");
  return deleteOptions(body.length === 0 ? {} : parseBody(body, contentType, ""), query);
}

export function writeOptions(query: URLSearchParams, kind: string): WriteOptions {
  const asked = query.getAll("dryRun");
  if (asked.some((value) => value !== "All")) {
    const message = `Unsupported value: ${JSON.stringify(asked)}: supported values: "All"`;
    const causes = [{ reason: "FieldValueNotSupported", message, field: "dryRun" }];
    throw invalid({ kind, group: "meta.k8s.io" }, "", causes);
  }
  return { dryRun: asked.length > 0, strict: query.get("fieldValidation") === "Strict" };
}
