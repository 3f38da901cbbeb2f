import type {
  V1Container,
  V1ContainerState,
  V1ContainerStatus,
  V1DeleteOptions,
  V1ObjectMeta,
  V1OwnerReference,
  V1Pod,
} from "@kubernetes/client-node";
import { ActionError, TargetGone } from "../../catalogue/errors.ts";
import type { PodTarget } from "../../events/target.ts";
import type { Api } from "./api.ts";
import type { Container, ContainerState, Kubernetes, Labels, MetadataChange, Owner, Pod } from "./port.ts";

type PodCalls = Pick<Kubernetes, "getPod" | "patchPod" | "addLabelsToPod" | "deletePod" | "podLog">;

export function podCalls(api: Api): PodCalls {
  const { core, dryRun, via } = api;
  const aboutTarget = true;

  return {
    async getPod(target, signal) {
      const pod = await core.readNamespacedPod(placeOf(target), via(signal, { aboutTarget }));
      return sameUid(podFrom(pod), target);
    },

    async patchPod(target, change, signal) {
      const pod = await core.patchNamespacedPod(
        { ...placeOf(target), body: { metadata: metadataPatch(change, target.uid) }, dryRun },
        via(signal, { aboutTarget, patch: "merge" }),
      );
      return podFrom(pod);
    },

    async addLabelsToPod(target, labels, signal) {
      const pod = await undefinedIfInvalid(() =>
        core.patchNamespacedPod(
          { ...placeOf(target), body: labelsPatch(labels, target.uid), dryRun },
          via(signal, { aboutTarget, patch: "json" }),
        ),
      );
      return pod && podFrom(pod);
    },

    async deletePod(pod, { gracePeriodSeconds }, signal) {
      const body = { ...deleteOptions(api, pod.uid), gracePeriodSeconds };
      await core.deleteNamespacedPod({ ...placeOf(pod), body }, via(signal, { aboutTarget }));
    },

    async podLog(pod, { container, tailLines, previous, limitBytes }, signal) {
      const answer = await core.readNamespacedPodLogWithHttpInfo(
        { ...placeOf(pod), container, tailLines, previous, limitBytes },
        via(signal, { aboutTarget }),
      );
      return answer.body.binary();
    },
  };
}

/** A null value removes the key; the UID, where it is known, cannot be changed and so becomes the precondition. */
export function metadataPatch({ labels, annotations, resourceVersion }: MetadataChange, uid?: string): object {
  return { uid, resourceVersion, labels, annotations };
}

/** RFC 6902. To the API server what is absent is null, so that this can be asked for before a label is added. */
export function labelsPatch(labels: Labels, uid?: string): readonly object[] {
  const added = Object.entries(labels).map(([key, value]) => ({ path: `/metadata/labels/${pointerPart(key)}`, value }));
  return [
    ...(uid === undefined ? [] : [{ op: "test", path: "/metadata/uid", value: uid }]),
    ...added.map(({ path }) => ({ op: "test", path, value: null })),
    ...added.map(({ path, value }) => ({ op: "add", path, value })),
  ];
}

function pointerPart(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** The API server answers a test that fails as it answers what is not valid: in both cases nothing was added. */
export async function undefinedIfInvalid<T>(add: () => Promise<T>): Promise<T | undefined> {
  try {
    return await add();
  } catch (error) {
    if (error instanceof ActionError && error.code === "invalid") {
      return undefined;
    }
    throw error;
  }
}

/** As the body only: the API server does not look at the query where a DELETE has a body. */
export function deleteOptions({ dryRun }: Api, uid: string): V1DeleteOptions {
  return { preconditions: { uid }, ...(dryRun === undefined ? {} : { dryRun: [dryRun] }) };
}

/** The owner reference with `controller: true`. */
export function controllerOf(references: readonly V1OwnerReference[] | undefined): Owner | undefined {
  const owner = references?.find(({ controller }) => controller);
  return owner && { apiVersion: owner.apiVersion, kind: owner.kind, name: owner.name, uid: owner.uid };
}

function placeOf({ namespace, name }: PodTarget): { namespace: string; name: string } {
  return { namespace, name };
}

function sameUid(pod: Pod, target: PodTarget): Pod {
  if (target.uid !== undefined && target.uid !== pod.uid) {
    throw new TargetGone(`pod ${pod.namespace}/${pod.name} is gone: another pod has taken its name`);
  }
  return pod;
}

export function podFrom({ metadata, spec, status }: V1Pod): Pod {
  const annotations = metadata?.annotations ?? {};
  const ephemeralContainers = containersFrom(spec?.ephemeralContainers, status?.ephemeralContainerStatuses);
  return {
    kind: "pod",
    namespace: metadata?.namespace ?? "",
    name: metadata?.name ?? "",
    uid: metadata?.uid ?? "",
    resourceVersion: metadata?.resourceVersion ?? "",
    labels: metadata?.labels ?? {},
    annotations,
    createdAt: metadata?.creationTimestamp,
    owner: controllerOf(metadata?.ownerReferences),
    nodeName: spec?.nodeName,
    serviceAccount: spec?.serviceAccountName,
    hostNetwork: spec?.hostNetwork ?? false,
    mirror: isMirror(metadata),
    phase: status?.phase,
    terminating: metadata?.deletionTimestamp !== undefined,
    containers: [...ownContainers(spec, status), ...ephemeralContainers],
    ephemeralContainers,
  };
}

/** The kubelet marks the API's picture of a static pod. */
export function isMirror(metadata: V1ObjectMeta | undefined): boolean {
  return metadata?.annotations?.["kubernetes.io/config.mirror"] !== undefined;
}

/** The containers, then the sidecars: init containers that keep running. */
function ownContainers(spec: V1Pod["spec"], status: V1Pod["status"]): Container[] {
  const sidecars = spec?.initContainers?.filter(({ restartPolicy }) => restartPolicy === "Always");
  return [
    ...containersFrom(spec?.containers, status?.containerStatuses),
    ...containersFrom(sidecars, status?.initContainerStatuses),
  ];
}

function containersFrom(
  containers: readonly Pick<V1Container, "name" | "image">[] = [],
  statuses: readonly V1ContainerStatus[] = [],
): Container[] {
  const byName = new Map(statuses.map((status) => [status.name, status]));
  return containers.map((container) => containerFrom(container, byName.get(container.name)));
}

function containerFrom(
  { name, image }: Pick<V1Container, "name" | "image">,
  status: V1ContainerStatus | undefined,
): Container {
  return {
    name,
    image: image ?? "",
    id: status?.containerID?.replace(/^[^:]*:\/\//, ""),
    running: status?.state?.running !== undefined,
    state: stateFrom(status?.state),
    restartCount: status?.restartCount ?? 0,
  };
}

function stateFrom({ running, terminated, waiting }: V1ContainerState = {}): ContainerState {
  if (running !== undefined) {
    return { kind: "running" };
  }
  if (terminated !== undefined) {
    const { exitCode, reason = "", message = "" } = terminated;
    return { kind: "terminated", exitCode, reason, message };
  }
  const { reason = "", message = "" } = waiting ?? {};
  return { kind: "waiting", reason, message };
}
