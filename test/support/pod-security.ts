import { PatchStrategy, setHeaderOptions } from "@kubernetes/client-node";
import type { Api } from "../../src/clients/kubernetes/api.ts";
import { eventually, idle } from "./cluster.ts";

/** Has the namespace enforce a level of Pod Security, or none, from now on. */
export async function enforceLevel(
  api: Api,
  namespace: string,
  level: "baseline" | "restricted" | null,
): Promise<void> {
  await api.core.patchNamespace(
    { name: namespace, body: { metadata: { labels: { "pod-security.kubernetes.io/enforce": level } } } },
    setHeaderOptions("Content-Type", PatchStrategy.MergePatch),
  );
  await eventually(async () => (await admitsPrivileged(api, namespace)) === (level === null));
}

/** The API server goes by what it last heard of a namespace: a label that refuses privileged pods is in force a little later. */
export async function refusesPrivileged(api: Api, namespace: string): Promise<void> {
  await eventually(async () => (await admitsPrivileged(api, namespace)) === false);
}

/** Undefined where the API server does not say. */
function admitsPrivileged({ core }: Api, namespace: string): Promise<boolean | undefined> {
  const container = { ...idle, securityContext: { privileged: true } };
  const body = { metadata: { name: "probe" }, spec: { containers: [container] } };
  return core.createNamespacedPod({ namespace, body, dryRun: "All" }).then(
    () => true,
    ({ code }) => (code === 403 ? false : undefined),
  );
}
