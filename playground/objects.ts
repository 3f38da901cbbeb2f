import { randomBytes, randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { decodeObject, nameOf } from "./decode.ts";
import {
  ApiError,
  type Cause,
  alreadyExists,
  badRequest,
  conflict,
  forbidden,
  invalid,
  modified,
  notFound,
} from "./errors.ts";
import { namespaces, type Resource } from "./resources.ts";
import type { Store } from "./store.ts";
import { immutableCauses, metadataCauses, required } from "./validation.ts";
import { at, type JsonObject, type KubeObject, type Metadata, recordAt, timestamp } from "./wire.ts";

export interface WriteOptions {
  readonly dryRun: boolean;
  readonly strict: boolean;
}

/** Which object, or whose subresource. */
export interface Key {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly name: string;
}

export function existing(store: Store, { resource, namespace, name }: Key): KubeObject {
  const object = store.get(resource, namespace, name);
  if (object === undefined) {
    throw notFound(resource, name);
  }
  return object;
}

/** Creates an object from what a client sent. Throws 400, 403, 404 (namespace), 409 and 422. */
export function create(store: Store, place: Omit<Key, "name">, body: unknown, options: WriteOptions): KubeObject {
  const { resource, namespace } = place;
  const sent = inNamespace(decodeObject(resource, body, options.strict), namespace);
  if (at(sent, "metadata", "resourceVersion") !== undefined) {
    throw new ApiError(500, undefined, "resourceVersion should not be set on objects to be created");
  }
  const object = resource.complete(born(sent, namespace));
  refuseNamespace(store, place, object.metadata.name);
  refuseInvalid(resource, object, [
    ...(object.metadata.name === ""
      ? [required("metadata.name", "name or generateName is required")]
      : metadataCauses(object, resource.names)),
    ...resource.validate(object, undefined),
  ]);
  refuseTaken(store, { ...place, name: object.metadata.name });
  return options.dryRun ? object : store.put(resource, object);
}

function inNamespace(sent: JsonObject, namespace: string | undefined): JsonObject {
  const own = at(sent, "metadata", "namespace");
  if (own !== undefined && own !== namespace) {
    throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
  }
  return sent;
}

function born(sent: JsonObject, namespace: string | undefined): KubeObject {
  const { deletionTimestamp: _deleted, generation: _generation, ...given } = recordAt(sent, "metadata");
  const generateName = typeof given["generateName"] === "string" ? given["generateName"] : "";
  const metadata = {
    ...given,
    name: nameOf(sent) || (generateName === "" ? "" : `${generateName}${suffix()}`),
    ...(namespace === undefined ? {} : { namespace }),
    uid: randomUUID(),
    creationTimestamp: timestamp(),
  };
  return withGeneration({ ...sent, metadata } as unknown as KubeObject, 1);
}

/** Five characters without vowels, as the server makes them: no words by chance. */
export function suffix(): string {
  const alphabet = "bcdfghjklmnpqrstvwxz2456789";
  return [...randomBytes(5)].map((byte) => alphabet[byte % alphabet.length]).join("");
}

function withGeneration(object: KubeObject, generation: number): KubeObject {
  return object["spec"] === undefined ? object : { ...object, metadata: { ...object.metadata, generation } };
}

function refuseNamespace(store: Store, { resource, namespace }: Omit<Key, "name">, name: string): void {
  if (namespace === undefined) {
    return;
  }
  const home = existing(store, { resource: namespaces, namespace: undefined, name: namespace });
  if (home.metadata.deletionTimestamp !== undefined) {
    const message = `namespace ${namespace} is being terminated`;
    throw forbidden(
      resource,
      name,
      `unable to create new content in namespace ${namespace} because it is being terminated`,
      [{ reason: "NamespaceTerminating", message, field: "metadata.namespace" }],
    );
  }
}

function refuseTaken(store: Store, { resource, namespace, name }: Key): void {
  const taken = store.get(resource, namespace, name);
  if (taken !== undefined) {
    throw alreadyExists(
      resource,
      name,
      taken.metadata.deletionTimestamp === undefined ? "" : "object is being deleted: ",
    );
  }
}

function refuseInvalid(resource: Resource, { metadata }: KubeObject, causes: readonly Cause[]): void {
  if (causes.length > 0) {
    throw invalid(resource, metadata.name, causes);
  }
}

export interface Update extends WriteOptions {
  /** Only `status` is written, or all but `status`. */
  readonly subresource: "status" | undefined;
  /** A PUT takes the UID as precondition; a patch may not change it. */
  readonly by: "put" | "patch";
}

/** Writes a new version of an existing object. Throws 400, 404, 409 and 422. */
export function update(store: Store, key: Key, body: unknown, options: Update): KubeObject {
  const { resource } = key;
  const sent = inNamespace(decodeObject(resource, body, options.strict), key.namespace);
  refuseOtherName(sent, key.name, options.by);
  const previous = existing(store, key);
  refuseStale(key, sent, previous, options.by);
  const next = successor(resource, previous, sent, options);
  refuseInvalid(resource, next, [
    ...immutableCauses(next, previous),
    ...metadataCauses(next, resource.names),
    ...resource.validate(next, previous),
  ]);
  if (options.dryRun) {
    return next;
  }
  return isOver(next) ? store.remove(resource, next) : store.put(resource, next);
}

function refuseOtherName(sent: JsonObject, name: string, by: Update["by"]): void {
  const own = nameOf(sent);
  if (own === "" && by === "put") {
    throw badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`);
  }
  if (own !== name) {
    throw badRequest(`the name of the object (${own}) does not match the name on the URL (${name})`);
  }
}

function refuseStale({ resource, name }: Key, sent: JsonObject, previous: KubeObject, by: Update["by"]): void {
  const { uid, resourceVersion } = recordAt(sent, "metadata");
  if (by === "put" && uid !== undefined && uid !== previous.metadata.uid) {
    const path = `/registry/${resource.plural}/${previous.metadata.namespace ?? ""}/${name}`.replace("//", "/");
    const mismatch = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${previous.metadata.uid}`;
    const error = `StorageError: invalid object, Code: 4, Key: ${path}, ResourceVersion: 0, AdditionalErrorMsg: ${mismatch}`;
    throw conflict(resource, name, error);
  }
  if (resourceVersion !== undefined && resourceVersion !== previous.metadata.resourceVersion) {
    throw modified(resource, name);
  }
}

function successor(resource: Resource, previous: KubeObject, sent: JsonObject, { subresource }: Update): KubeObject {
  const own = previous.metadata;
  const metadata = {
    ...recordAt(sent, "metadata"),
    ...kept(own, ["name", "namespace", "creationTimestamp", "generateName", "resourceVersion", "generation"]),
    ...kept(own, ["deletionTimestamp", "deletionGracePeriodSeconds"]),
    uid: at(sent, "metadata", "uid") ?? own.uid,
  } as unknown as Metadata;
  const { status: sentStatus, ...content } = sent;
  if (subresource === "status") {
    return { ...previous, metadata, status: sentStatus ?? {} };
  }
  const status = resource.status ? previous["status"] : sentStatus;
  const whole = { ...content, metadata, ...(status === undefined ? {} : { status }) } as unknown as KubeObject;
  const next = resource.complete(whole);
  const changed = resource.generation && !isDeepStrictEqual(next["spec"], previous["spec"]);
  return changed ? withGeneration(next, (own.generation ?? 0) + 1) : next;
}

function kept(metadata: Metadata, fields: readonly (keyof Metadata)[]): Partial<Metadata> {
  return Object.fromEntries(
    fields.filter((field) => metadata[field] !== undefined).map((field) => [field, metadata[field]]),
  );
}

/** Deleted, and neither time nor a finalizer holds it any more. */
export function isOver({ metadata }: KubeObject): boolean {
  return metadata.deletionGracePeriodSeconds === 0 && (metadata.finalizers ?? []).length === 0;
}
