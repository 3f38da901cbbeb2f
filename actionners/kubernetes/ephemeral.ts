import type { V1SecurityContext } from "@kubernetes/client-node";
import type { Call } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import type { Container, Kubernetes, Pod } from "../../src/clients/kubernetes/port.ts";
import { untilRunning } from "./starting.ts";

const prefix = "hallux-";
/** Of one pod: it keeps the ephemeral containers that have ended, too. */
const maxContainers = 50;
/** From the request until it runs, the pull of its image included. */
export const startSeconds = 60;

/** A container to be added to a running pod. */
export interface Ephemeral {
  /** What it is for, as a part of its name: `tcpdump`. */
  readonly purpose: string;
  readonly image: string;
  /** The container whose processes it sees; undefined where those of the pod's network are enough. */
  readonly target: string | undefined;
  /** It sleeps for so long and ends: nothing can remove it. */
  readonly lifetimeSeconds: number;
  /** From the one that is best to one that is admitted in more places. */
  readonly securityContexts: readonly [V1SecurityContext, ...V1SecurityContext[]];
}

/**
 * Adds a container of its own name to the pod, in which commands can then be run, and gives its name when it runs. Throws why it does
 * not run (its image cannot be pulled, it is not admitted). A dry run gives the name as soon as the API server would take it.
 */
export async function startEphemeral(
  { clients: { kubernetes }, dryRun, signal }: Pick<Call, "clients" | "dryRun" | "signal">,
  pod: Pod,
  ephemeral: Ephemeral,
): Promise<string> {
  mustHaveRoom(pod);
  const name = `${prefix}${ephemeral.purpose}-${crypto.randomUUID().slice(0, 8)}`;
  await add(kubernetes, pod, { ...ephemeral, name }, signal);
  if (!dryRun) {
    await untilRunning(
      {
        what: `ephemeral container ${name} of pod ${pod.namespace}/${pod.name}`,
        image: ephemeral.image,
        withinSeconds: startSeconds,
        find: () => kubernetes.getPod(pod, signal),
        container: ({ ephemeralContainers }) => ephemeralContainers.find((one) => one.name === name),
      },
      signal,
    ).catch((error: unknown) => {
      throw begun(error);
    });
  }
  return name;
}

/** The same error, after something was done that the same call would do a second time. */
export function begun(error: unknown): unknown {
  if (!(error instanceof ActionError) || !error.notBegun) {
    return error;
  }
  const { code, message, retryAfterMs } = error;
  return new ActionError(code, message, { cause: error, retryAfterMs });
}

/** Whether Hallux added it. What happens in it is Hallux's own doing. */
export function isOwnEphemeral({ ephemeralContainers }: Pod, { name }: Container): boolean {
  return name.startsWith(prefix) && ephemeralContainers.some((one) => one.name === name);
}

/** The container at which an ephemeral one can be aimed: one of the pod's own that runs. */
export function aimAt({ ephemeralContainers }: Pod, { name, running }: Container): string | undefined {
  return running && ephemeralContainers.every((one) => one.name !== name) ? name : undefined;
}

function mustHaveRoom({ namespace, name, ephemeralContainers }: Pod): void {
  const own = ephemeralContainers.filter((one) => one.name.startsWith(prefix));
  if (own.length >= maxContainers) {
    const many = `pod ${namespace}/${name} has had ${own.length} ephemeral containers of Hallux's`;
    throw new ActionError("invalid", `${many}: it gets no more, and keeps them until it is replaced`);
  }
}

/** With the next security context where one is not admitted: nothing has been done then. */
async function add(
  kubernetes: Kubernetes,
  pod: Pod,
  { name, image, target, lifetimeSeconds, securityContexts }: Ephemeral & { readonly name: string },
  signal: AbortSignal,
): Promise<void> {
  const container = {
    name,
    image,
    imagePullPolicy: "IfNotPresent",
    command: ["sleep", String(lifetimeSeconds)],
    ...(target === undefined ? {} : { targetContainerName: target }),
  };
  for (const securityContext of securityContexts) {
    const admitted = await kubernetes
      .addEphemeralContainer(pod, { ...container, securityContext }, signal)
      .then(() => true)
      .catch((error: unknown) => falseIfRefused(error, securityContext === securityContexts.at(-1)));
    if (admitted) {
      return;
    }
  }
}

function falseIfRefused(error: unknown, last: boolean): false {
  if (last || !(error instanceof ActionError) || error.code !== "forbidden") {
    throw error;
  }
  return false;
}
