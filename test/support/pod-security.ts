import { PatchStrategy, setHeaderOptions } from "@kubernetes/client-node";
import type { Api } from "../../src/clients/kubernetes/api.ts";
import { admitsPrivileged, eventually } from "./cluster.ts";

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
