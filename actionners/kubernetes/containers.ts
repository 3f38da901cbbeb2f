import { ActionError } from "../../src/catalogue/errors.ts";
import type { Container, Pod } from "../../src/clients/kubernetes/port.ts";
import { type FalcoEvent, fieldOf } from "../../src/events/event.ts";

/** As kubectl honours it. */
const defaultContainer = "kubectl.kubernetes.io/default-container";

/**
 * The container that raised the event: the one with Falco's `container.id`, else with its `container.name`. Where the event
 * names none of the pod's, the pod's default container, else its first.
 */
export function containerOf(event: FalcoEvent, pod: Pod): Container {
  const name = pod.annotations[defaultContainer];
  const container =
    byId(event, pod) ?? byName(event, pod) ?? pod.containers.find((one) => one.name === name) ?? pod.containers[0];
  if (container === undefined) {
    throw new ActionError("invalid", `pod ${pod.namespace}/${pod.name} has no containers`);
  }
  return container;
}

/** Falco sends the first 12 characters. */
function byId(event: FalcoEvent, { containers }: Pod): Container | undefined {
  const id = fieldOf(event, "container.id");
  return typeof id === "string" && /^[0-9a-f]{12,}$/.test(id)
    ? containers.find((container) => container.id?.startsWith(id))
    : undefined;
}

/** The name itself, or Docker's `k8s_<container>_<pod>_<namespace>_<uid>_<attempt>`. */
function byName(event: FalcoEvent, { containers }: Pod): Container | undefined {
  const name = fieldOf(event, "container.name");
  return typeof name === "string"
    ? containers.find((container) => container.name === name || name.startsWith(`k8s_${container.name}_`))
    : undefined;
}
