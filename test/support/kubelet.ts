import {
  PatchStrategy,
  setHeaderOptions,
  type V1ContainerState,
  type V1EphemeralContainer,
} from "@kubernetes/client-node";
import { eventually, type TestCluster } from "./cluster.ts";

/** A pod that no node takes, and that is said to run: what becomes of its containers is what the test says. */
export async function podOfNoNode(cluster: TestCluster, namespace: string): Promise<string> {
  const pod = await cluster.pod(namespace, { nodeSelector: { "hallux.dev/no-such": "node" }, wait: false });
  const name = pod.metadata?.name ?? "";
  await report(cluster, { namespace, name }, { phase: "Running" });
  return name;
}

/** Waits for the pod's next ephemeral container and says of it what a kubelet would. */
export async function sayOfEphemeral(
  cluster: TestCluster,
  pod: { readonly namespace: string; readonly name: string },
  state: V1ContainerState,
): Promise<V1EphemeralContainer> {
  const added = await eventually(async () => {
    const { spec } = await cluster.api.core.readNamespacedPod(pod);
    return spec?.ephemeralContainers?.[0];
  });
  const { name, image = "" } = added;
  const status = { name, image, imageID: "", ready: false, restartCount: 0, state };
  await report(cluster, pod, { ephemeralContainerStatuses: [status] });
  return added;
}

function report(
  { api }: TestCluster,
  pod: { readonly namespace: string; readonly name: string },
  status: object,
): Promise<unknown> {
  return api.core.patchNamespacedPodStatus(
    { ...pod, body: { status } },
    setHeaderOptions("Content-Type", PatchStrategy.MergePatch),
  );
}
