import type { Pod } from "../../src/clients/kubernetes/port.ts";
import type { PodTarget } from "../../src/events/target.ts";

/** Which pod it was, for an outcome. Not the pod itself: outcomes leave the house, and annotations may hold secrets. */
export function podTarget({ namespace, name, uid }: Pod): PodTarget {
  return { kind: "pod", namespace, name, uid };
}
