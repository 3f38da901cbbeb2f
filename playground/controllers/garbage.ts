import { isOver } from "../objects.ts";
import { namespaces, type Resource } from "../resources.ts";
import type { Change, Store } from "../store.ts";
import { type KubeObject, listAt } from "../wire.ts";
import type { WorkQueue } from "./queue.ts";

type Remove = (resource: Resource, object: KubeObject) => void;

/**
 * The garbage collector and the namespace controller. What a deleted owner leaves behind goes after it (or is set free, where
 * the deletion said Orphan); a namespace goes when its content has gone. `remove` deletes an object as a client would.
 */
export function collectGarbage(store: Store, queue: WorkQueue, remove: Remove): void {
  store.subscribe((change) => {
    const { resource, type, object } = change;
    const { uid } = object.metadata;
    if (type === "DELETED") {
      queue.add(`dependents of ${uid}`, () => removeDependents(store, uid, remove));
      wakeWaiting(store, queue, change, remove);
    } else if (object.metadata.deletionTimestamp !== undefined) {
      queue.add(`finalizers of ${uid}`, () => finalize(store, { resource, object }, remove));
    }
  });
}

interface Held {
  readonly resource: Resource;
  readonly object: KubeObject;
}

function dependentsOf(store: Store, uid: string): readonly Held[] {
  return [...store.all()].filter(({ object }) => object.metadata.ownerReferences?.some((owner) => owner.uid === uid));
}

/** A dependent with another owner left loses the reference only. */
function removeDependents(store: Store, uid: string, remove: Remove): void {
  for (const { resource, object } of dependentsOf(store, uid)) {
    const others = (object.metadata.ownerReferences ?? []).filter((owner) => owner.uid !== uid);
    if (others.length > 0) {
      store.put(resource, { ...object, metadata: { ...object.metadata, ownerReferences: others } });
    } else {
      remove(resource, object);
    }
  }
}

/** When something is gone: the namespace and the owners that waited for it look again. */
function wakeWaiting(store: Store, queue: WorkQueue, { object }: Change, remove: Remove): void {
  const { namespace, ownerReferences = [] } = object.metadata;
  const home = namespace === undefined ? undefined : store.get(namespaces, undefined, namespace);
  if (home?.metadata.deletionTimestamp !== undefined) {
    queue.add(`finalizers of ${home.metadata.uid}`, () =>
      finalize(store, { resource: namespaces, object: home }, remove),
    );
  }
  for (const { uid } of ownerReferences) {
    const owner = [...store.all()].find((held) => held.object.metadata.uid === uid);
    if (owner?.object.metadata.deletionTimestamp !== undefined) {
      queue.add(`finalizers of ${uid}`, () => finalize(store, owner, remove));
    }
  }
}

function finalize(store: Store, held: Held, remove: Remove): void {
  const { resource } = held;
  const object = store.get(resource, held.object.metadata.namespace, held.object.metadata.name);
  if (object?.metadata.uid !== held.object.metadata.uid) {
    return;
  }
  if (resource === namespaces) {
    empty(store, object, remove);
    return;
  }
  const finalizers = object.metadata.finalizers ?? [];
  if (finalizers.includes("orphan")) {
    orphanDependents(store, object.metadata.uid);
    release(store, resource, object, "orphan");
  } else if (finalizers.includes("foregroundDeletion")) {
    awaitDependents(store, resource, object, remove);
  }
}

function empty(store: Store, namespace: KubeObject, remove: Remove): void {
  const { name } = namespace.metadata;
  const content = [...store.all()].filter(({ object }) => object.metadata.namespace === name);
  if (content.length === 0) {
    store.remove(namespaces, { ...namespace, spec: { finalizers: [] } });
    return;
  }
  for (const { resource, object } of content) {
    if (object.metadata.deletionTimestamp === undefined) {
      remove(resource, object);
    }
  }
}

function orphanDependents(store: Store, uid: string): void {
  for (const { resource, object } of dependentsOf(store, uid)) {
    const ownerReferences = (object.metadata.ownerReferences ?? []).filter((owner) => owner.uid !== uid);
    store.put(resource, { ...object, metadata: { ...object.metadata, ownerReferences } });
  }
}

function awaitDependents(store: Store, resource: Resource, object: KubeObject, remove: Remove): void {
  const { uid } = object.metadata;
  const blocking = dependentsOf(store, uid).filter((held) => blocks(held.object, uid));
  if (blocking.length === 0) {
    release(store, resource, object, "foregroundDeletion");
    return;
  }
  for (const dependent of blocking) {
    if (dependent.object.metadata.deletionTimestamp === undefined) {
      remove(dependent.resource, dependent.object);
    }
  }
}

function blocks(object: KubeObject, uid: string): boolean {
  return listAt(object, "metadata", "ownerReferences").some(
    (owner) => (owner as { uid: string; blockOwnerDeletion?: boolean }).uid === uid,
  );
}

function release(store: Store, resource: Resource, object: KubeObject, finalizer: string): void {
  const finalizers = (object.metadata.finalizers ?? []).filter((other) => other !== finalizer);
  const released = { ...object, metadata: { ...object.metadata, finalizers } };
  if (isOver(released)) {
    store.remove(resource, released);
  } else {
    store.put(resource, released);
  }
}
