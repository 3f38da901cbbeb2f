import { isDeepStrictEqual } from "node:util";
import { groupVersionOf, type Resource } from "./resources.ts";
import { deepFreeze, type KubeObject, type Metadata } from "./wire.ts";

export interface Change {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly resource: Resource;
  /** A deleted object as it was last, with the version of its deletion. */
  readonly object: KubeObject;
  readonly previous: KubeObject | undefined;
  readonly version: number;
}

/** Every object, under one counter of versions, with as much history as watches need. */
export class Store {
  readonly #objects = new Map<Resource, Map<string, KubeObject>>();
  readonly #history: Change[] = [];
  readonly #listeners = new Set<(change: Change) => void>();
  readonly #historyLimit: number;
  #version = 1;
  /** The newest version that the history no longer holds. */
  #forgotten = 0;

  constructor(historyLimit: number) {
    this.#historyLimit = historyLimit;
  }

  get version(): number {
    return this.#version;
  }

  get(resource: Resource, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#objects.get(resource)?.get(key(namespace, name));
  }

  /** In the order of namespace and name. */
  list(resource: Resource, namespace?: string): readonly KubeObject[] {
    return [...(this.#objects.get(resource) ?? [])]
      .filter(([, { metadata }]) => namespace === undefined || metadata.namespace === namespace)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object);
  }

  /** Every object of every resource. */
  *all(): Iterable<{ readonly resource: Resource; readonly object: KubeObject }> {
    for (const [resource, objects] of this.#objects) {
      for (const object of objects.values()) {
        yield { resource, object };
      }
    }
  }

  /** Stores a new object, or a new version of it; one that changes nothing is no new version. */
  put(resource: Resource, object: KubeObject): KubeObject {
    const { metadata } = object;
    const previous = this.get(resource, metadata.namespace, metadata.name);
    if (previous !== undefined && isDeepStrictEqual(object, previous)) {
      return previous;
    }
    const stored = this.#stamp(resource, object);
    this.#collection(resource).set(key(metadata.namespace, metadata.name), stored);
    this.#record({
      type: previous === undefined ? "ADDED" : "MODIFIED",
      resource,
      object: stored,
      previous,
      version: this.#version,
    });
    return stored;
  }

  remove(resource: Resource, object: KubeObject): KubeObject {
    const { namespace, name } = object.metadata;
    const previous = this.get(resource, namespace, name);
    this.#collection(resource).delete(key(namespace, name));
    const last = this.#stamp(resource, object);
    this.#record({ type: "DELETED", resource, object: last, previous, version: this.#version });
    return last;
  }

  /** What happened after a version, or undefined where that is forgotten. */
  since(version: number): readonly Change[] | undefined {
    return version < this.#forgotten ? undefined : this.#history.filter((change) => change.version > version);
  }

  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Forgets the history, as an API server does after a while: watches from before get 410. */
  compact(): void {
    this.#history.length = 0;
    this.#forgotten = this.#version;
  }

  #collection(resource: Resource): Map<string, KubeObject> {
    const existing = this.#objects.get(resource);
    if (existing !== undefined) {
      return existing;
    }
    const created = new Map<string, KubeObject>();
    this.#objects.set(resource, created);
    return created;
  }

  #stamp(resource: Resource, object: KubeObject): KubeObject {
    this.#version += 1;
    const metadata: Metadata = { ...object.metadata, resourceVersion: String(this.#version) };
    const { apiVersion: _version, kind: _kind, metadata: _metadata, ...rest } = object;
    return deepFreeze({ apiVersion: groupVersionOf(resource), kind: resource.kind, metadata, ...rest });
  }

  #record(change: Change): void {
    this.#history.push(change);
    if (this.#history.length > this.#historyLimit) {
      this.#forgotten = this.#history.shift()?.version ?? this.#forgotten;
    }
    for (const listener of this.#listeners) {
      listener(change);
    }
  }
}

function key(namespace: string | undefined, name: string): string {
  return `${namespace ?? ""}/${name}`;
}
