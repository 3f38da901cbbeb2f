import { decodeEvent } from "../../src/events/decode.ts";
import type { FalcoEvent } from "../../src/events/event.ts";
import type { JsonValue } from "../../src/events/json.ts";
import type { Priority } from "../../src/events/priority.ts";

export interface EventTraits {
  /** `namespace/name`, written into `k8s.ns.name` and `k8s.pod.name`. */
  readonly pod?: string;
  /** `k8s.pod.uid`. */
  readonly podUid?: string;
  /** Into `output_fields`, over what the other traits put there. */
  readonly fields?: Readonly<Record<string, JsonValue>>;
  /** Each event has its own, unless given; `undefined` stands for Falco without Falcosidekick. */
  readonly uuid?: string | undefined;
  readonly rule?: string;
  readonly priority?: Priority;
  readonly source?: string;
  readonly hostname?: string | undefined;
  readonly output?: string | undefined;
  readonly tags?: readonly string[];
}

/** An event as the intake hands it on: `eventOf({ pod: "shop/cart-1" })`. */
export function eventOf(traits: EventTraits = {}): FalcoEvent {
  const { pod, podUid, fields, ...rest } = traits;
  const receivedAt = new Date().toISOString();
  const sent = {
    uuid: crypto.randomUUID(),
    rule: "Terminal shell in container",
    priority: "Notice",
    source: "syscall",
    hostname: "node-1",
    output: "A shell was spawned in a container with an attached terminal",
    tags: ["container", "shell"],
    time: receivedAt,
    ...rest,
    output_fields: { ...podFields(pod, podUid), ...fields },
  };
  const { event, fault } = decodeEvent(JSON.stringify(sent), { id: crypto.randomUUID(), receivedAt });
  if (event === undefined) {
    throw new Error(fault.message);
  }
  return event;
}

/** A Kubernetes audit event about an object: `auditEventOf("configmaps", "shop/settings")`, or a bare name. */
export function auditEventOf(resource: string, object: string): FalcoEvent {
  const [name, namespace] = object.split("/").reverse();
  return eventOf({
    rule: "K8s object changed",
    source: "k8s_audit",
    fields: {
      "ka.target.resource": resource,
      "ka.target.name": name ?? "",
      ...(namespace === undefined ? {} : { "ka.target.namespace": namespace }),
    },
  });
}

function podFields(pod: string | undefined, uid: string | undefined): Record<string, string> {
  const [namespace = "", name = ""] = pod?.split("/") ?? [];
  return {
    ...(pod === undefined ? {} : { "k8s.ns.name": namespace, "k8s.pod.name": name }),
    ...(uid === undefined ? {} : { "k8s.pod.uid": uid }),
  };
}
