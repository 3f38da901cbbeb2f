import { randomUUID } from "node:crypto";
import { createNamespace } from "./bootstrap.ts";
import { namespaces, resourceOf } from "./resources.ts";
import type { Store } from "./store.ts";
import { type KubeObject, type Metadata, timestamp } from "./wire.ts";

/** An object with as much as the test cares for; namespaced ones without a namespace go to `default`. */
export interface Seed {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Partial<Metadata> & { readonly name: string };
  readonly [field: string]: unknown;
}

/** Stores the objects; the function returned reads them back. Throws on a kind that the playground does not hold. */
export function seedObjects(store: Store, seeds: readonly Seed[]): () => readonly KubeObject[] {
  const keys = seeds.map((seed) => {
    const resource = resourceOf(seed.apiVersion, seed.kind);
    if (resource === undefined) {
      throw new Error(`the playground holds no ${seed.kind} of ${seed.apiVersion}`);
    }
    const namespace = resource.namespaced ? (seed.metadata.namespace ?? "default") : undefined;
    if (namespace !== undefined && store.get(namespaces, undefined, namespace) === undefined) {
      createNamespace(store, namespace);
    }
    const metadata: Metadata = {
      uid: randomUUID(),
      creationTimestamp: timestamp(),
      ...seed.metadata,
      ...(namespace === undefined ? {} : { namespace }),
    };
    store.put(resource, resource.complete({ ...(JSON.parse(JSON.stringify(seed)) as Seed), metadata }));
    return { resource, namespace, name: seed.metadata.name };
  });
  return () => keys.flatMap(({ resource, namespace, name }) => store.get(resource, namespace, name) ?? []);
}
