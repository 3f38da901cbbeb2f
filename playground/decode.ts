import { badRequest, unsupportedBody } from "./errors.ts";
import { parseProtobuf } from "./protobuf.ts";
import { groupVersionOf, type Resource } from "./resources.ts";
import { at, isRecord, type JsonObject, type KubeObject, recordAt } from "./wire.ts";
import { parse } from "yaml";

const metadataFields = [
  "name",
  "generateName",
  "namespace",
  "selfLink",
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "labels",
  "annotations",
  "ownerReferences",
  "finalizers",
  "managedFields",
];

/** The body as the media type says; JSON where it says nothing. Throws 400 and 415. */
export function parseBody(body: Buffer, mediaType: string, expected: string): unknown {
  const type = mediaTypeOf(mediaType);
  if (type === "application/vnd.kubernetes.protobuf") {
    return parseProtobuf(body);
  }
  if (type !== "" && type !== "application/json" && type !== "application/yaml") {
    throw unsupportedBody();
  }
  try {
    return type === "application/yaml" ? parse(body.toString()) : JSON.parse(body.toString());
  } catch (error) {
    throw badRequest(`${expected}couldn't get version/kind; json parse error: ${(error as Error).message}`);
  }
}

export function mediaTypeOf(header: string): string {
  return header.split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

/** What a client sent as an object of the resource: unknown fields and nulls dropped, or refused where `strict`. */
export function decodeObject(resource: Resource, body: unknown, strict: boolean): JsonObject {
  if (!isRecord(body)) {
    throw badRequest(
      `the object provided is unrecognized (must be of type ${resource.kind}): couldn't get version/kind; json parse error: json: cannot unmarshal into Go value of type struct`,
    );
  }
  const { kind, apiVersion } = sentType(resource, body);
  if (kind !== resource.kind || apiVersion !== groupVersionOf(resource)) {
    throw badRequest(cannotBe(resource, kind, apiVersion));
  }
  const unknown = unknownFields(resource, body);
  if (strict && unknown.length > 0) {
    const fields = unknown.map((field) => `unknown field "${field}"`).join(", ");
    throw badRequest(`${cannotBeHandled(resource)}: strict decoding error: ${fields}`);
  }
  textMapFault(body, (fault) => badRequest(`${cannotBeHandled(resource)}: ${fault}`));
  return withoutNulls(known(resource, body)) as JsonObject;
}

/** Labels and annotations are maps of strings; throws what `refuse` makes of the fault. */
export function textMapFault(body: unknown, refuse: (fault: string) => Error): void {
  for (const map of ["labels", "annotations"]) {
    const bad = Object.values(recordAt(body, "metadata", map)).find(
      (value) => value !== null && typeof value !== "string",
    );
    if (bad !== undefined) {
      const type = { boolean: "bool", object: "object" }[typeof bad as string] ?? "number";
      throw refuse(`json: cannot unmarshal ${type} into Go struct field ObjectMeta.metadata.${map} of type string`);
    }
  }
}

function sentType(resource: Resource, body: Readonly<Record<string, unknown>>) {
  return {
    kind: body["kind"] ?? resource.kind,
    apiVersion: body["apiVersion"] ?? groupVersionOf(resource),
  };
}

function cannotBe(resource: Resource, kind: unknown, apiVersion: unknown): string {
  const version = String(apiVersion).split("/").at(-1);
  const internal = resource.group === "" ? "core" : resource.group.split(".")[0];
  const from = `${version}.${kind}`;
  return `${kind} in version "${version}" cannot be handled as a ${resource.kind}: converting (${from}) to (${internal}.${resource.kind}): unknown conversion`;
}

function cannotBeHandled(resource: Resource): string {
  return `${resource.kind} in version "${resource.version}" cannot be handled as a ${resource.kind}`;
}

function unknownFields(resource: Resource, body: Readonly<Record<string, unknown>>): readonly string[] {
  const top = ["apiVersion", "kind", "metadata", ...resource.fields];
  return [
    ...Object.keys(recordAt(body, "metadata"))
      .filter((key) => !metadataFields.includes(key))
      .map((key) => `metadata.${key}`),
    ...Object.keys(body).filter((key) => !top.includes(key)),
  ];
}

function known(resource: Resource, body: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const metadata = Object.entries(recordAt(body, "metadata")).filter(
    ([key]) => metadataFields.includes(key) && key !== "managedFields" && key !== "selfLink",
  );
  const fields = resource.fields.filter((field) => Object.hasOwn(body, field)).map((field) => [field, body[field]]);
  return {
    apiVersion: groupVersionOf(resource),
    kind: resource.kind,
    metadata: Object.fromEntries(metadata),
    ...Object.fromEntries(fields),
  };
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(withoutNulls);
  }
  if (!isRecord(value)) {
    return value;
  }
  const kept = Object.entries(value).filter(([, inner]) => inner !== null && inner !== undefined);
  return Object.fromEntries(kept.map(([key, inner]) => [key, withoutNulls(inner)]));
}

/** The name that a decoded object carries; empty where it carries none. */
export function nameOf(object: JsonObject | KubeObject): string {
  const name = at(object, "metadata", "name");
  return typeof name === "string" ? name : "";
}
