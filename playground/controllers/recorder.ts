import { randomUUID } from "node:crypto";
import { suffix } from "../objects.ts";
import { events } from "../resources.ts";
import type { Store } from "../store.ts";
import { type KubeObject, timestamp } from "../wire.ts";

export interface Happening {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
  readonly component: string;
}

/** Writes an event about an object, as the real controllers do. */
export function record(store: Store, about: KubeObject, { type, reason, message, component }: Happening): void {
  const { apiVersion, kind, metadata } = about;
  const namespace = metadata.namespace ?? "default";
  const now = timestamp();
  store.put(events, {
    apiVersion: "v1",
    kind: "Event",
    metadata: { name: `${metadata.name}.${suffix()}${suffix()}`, namespace, uid: randomUUID(), creationTimestamp: now },
    involvedObject: { apiVersion, kind, namespace: metadata.namespace, name: metadata.name, uid: metadata.uid },
    type,
    reason,
    message,
    source: { component },
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
    eventTime: null,
    reportingComponent: component,
    reportingInstance: "",
  });
}
