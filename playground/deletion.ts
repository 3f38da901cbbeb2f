import { type Cause, forbidden, invalid, preconditionFailed, type Status, success } from "./errors.ts";
import { existing, isOver, type Key } from "./objects.ts";
import { namespaces, pods } from "./resources.ts";
import type { Store } from "./store.ts";
import { type KubeObject, type Metadata, numberAt, recordAt, textAt, timestamp } from "./wire.ts";

export interface DeleteOptions {
  readonly gracePeriodSeconds: number | undefined;
  readonly preconditions: { readonly uid?: string; readonly resourceVersion?: string };
  readonly propagationPolicy: string | undefined;
  readonly dryRun: boolean;
}

const immortal = ["default", "kube-system", "kube-public"];
const policies = ["Foreground", "Background", "Orphan"];

/** The options in a DELETE's body and query; the body wins. */
export function deleteOptions(body: unknown, query: URLSearchParams): DeleteOptions {
  const grace = numberAt(body, "gracePeriodSeconds") ?? numeric(query.get("gracePeriodSeconds"));
  const propagationPolicy = textAt(body, "propagationPolicy") ?? query.get("propagationPolicy") ?? undefined;
  if (propagationPolicy !== undefined && !policies.includes(propagationPolicy)) {
    throw unsupportedPolicy(propagationPolicy);
  }
  const dryRun = recordAt(body)["dryRun"] ?? query.getAll("dryRun");
  return {
    gracePeriodSeconds: grace,
    preconditions: recordAt(body, "preconditions"),
    propagationPolicy,
    dryRun: Array.isArray(dryRun) && dryRun.includes("All"),
  };
}

function numeric(text: string | null): number | undefined {
  return text === null || text === "" ? undefined : Number(text);
}

function unsupportedPolicy(policy: string) {
  const supported = [...policies, "nil"].map((name) => `"${name}"`).join(", ");
  const message = `Unsupported value: "${policy}": supported values: ${supported}`;
  const causes: readonly Cause[] = [{ reason: "FieldValueNotSupported", message, field: "propagationPolicy" }];
  return invalid({ kind: "DeleteOptions", group: "meta.k8s.io" }, "", causes);
}

/** Deletes, or marks as deleted what a grace period or a finalizer holds. Throws 403, 404 and 409. */
export function remove(store: Store, key: Key, options: DeleteOptions): KubeObject | Status {
  const { resource, name } = key;
  const object = existing(store, key);
  refusePreconditions(key, object, options.preconditions);
  if (resource === namespaces && immortal.includes(name)) {
    throw forbidden(resource, name, "this namespace may not be deleted");
  }
  const marked = mark(key, object, options);
  if (options.dryRun) {
    return answer(key, marked);
  }
  if (resource === namespaces || !isOver(marked)) {
    return store.put(resource, marked);
  }
  return answer(key, store.remove(resource, marked));
}

function answer({ resource, name }: Key, object: KubeObject): KubeObject | Status {
  const { plural, group } = resource;
  return resource.returnsDeleted || !isOver(object)
    ? object
    : success({ name, ...(group === "" ? {} : { group }), kind: plural, uid: object.metadata.uid });
}

function refusePreconditions(
  { resource, name }: Key,
  { metadata }: KubeObject,
  { uid, resourceVersion }: DeleteOptions["preconditions"],
): void {
  if (uid !== undefined && uid !== metadata.uid) {
    const message = `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid}). The object might have been deleted and then recreated`;
    throw preconditionFailed(resource, name, message);
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    const message = `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion}). The object might have been modified`;
    throw preconditionFailed(resource, name, message);
  }
}

function mark(key: Key, object: KubeObject, options: DeleteOptions): KubeObject {
  const grace = graceOf(key, object, options.gracePeriodSeconds);
  const { metadata } = object;
  const pending = metadata.deletionGracePeriodSeconds;
  if (pending !== undefined && pending <= grace) {
    return object;
  }
  const finalizers = [...new Set([...(metadata.finalizers ?? []), ...policyFinalizers(options.propagationPolicy)])];
  const deletion: Partial<Metadata> = {
    ...(metadata.generation === undefined || pending !== undefined ? {} : { generation: metadata.generation + 1 }),
    deletionTimestamp: timestamp(new Date(Date.now() + grace * 1000)),
    deletionGracePeriodSeconds: grace,
    ...(finalizers.length === 0 ? {} : { finalizers }),
  };
  const marked = { ...object, metadata: { ...metadata, ...deletion } };
  return key.resource === namespaces
    ? { ...marked, status: { ...recordAt(object, "status"), phase: "Terminating" } }
    : marked;
}

/** Seconds a pod gets to stop: none where nothing runs yet, or any more. */
function graceOf({ resource }: Key, object: KubeObject, asked: number | undefined): number {
  const phase = textAt(object, "status", "phase") ?? "";
  const stopped = textAt(object, "spec", "nodeName") === undefined || phase === "Succeeded" || phase === "Failed";
  if (resource !== pods || stopped) {
    return 0;
  }
  const grace = asked ?? numberAt(object, "spec", "terminationGracePeriodSeconds") ?? 30;
  return grace < 0 ? 1 : grace;
}

function policyFinalizers(policy: string | undefined): readonly string[] {
  switch (policy) {
    case "Foreground":
      return ["foregroundDeletion"];
    case "Orphan":
      return ["orphan"];
    default:
      return [];
  }
}
