import { isDeepStrictEqual } from "node:util";
import { type KubernetesObject, KubernetesObjectApi } from "@kubernetes/client-node";
import { afterAll } from "vitest";
import { parse, stringify } from "yaml";
import { type NeededPermission, permissionText, type RoleRule, rolesOf } from "../../src/catalogue/permissions.ts";
import { missingPermissions } from "../../src/catalogue/preflight.ts";
import { manifestsOf } from "../../src/cli/rbac.ts";
import { createKubernetes } from "../../src/clients/kubernetes/adapter.ts";
import type { Kubernetes } from "../../src/clients/kubernetes/port.ts";
import { Connection } from "../../src/clients/kubernetes/connection.ts";
import { eventually, type TestCluster, uniqueName } from "./cluster.ts";

export interface TestAccount {
  /** As the audit log has it. */
  readonly user: string;
  readonly kubernetes: Kubernetes;
}

/**
 * Who has these permissions and no others: a service account bound to the roles that `hallux rbac` prints, with a token of its own;
 * on the playground, which knows no roles, a user who is denied everything else. Resolves once they are in force, which is when
 * of `needed` those that are not `granted` are missing.
 */
export async function accountWith(
  cluster: TestCluster,
  granted: readonly NeededPermission[],
  needed: readonly NeededPermission[] = granted,
): Promise<TestAccount> {
  const { user, kubeconfig } = cluster.real
    ? await serviceAccountWith(cluster, granted)
    : await playgroundUserWith(cluster, granted);
  const clients = createKubernetes({ kubeconfig: { from: "text", text: kubeconfig } });
  afterAll(() => clients.close());
  const lacking = needed.filter((one) => !granted.includes(one)).map(permissionText);
  await eventually(async () => {
    const missing = await missingPermissions(needed, clients.real, AbortSignal.timeout(60_000));
    return isDeepStrictEqual(missing.map(permissionText), lacking);
  });
  return { user, kubernetes: clients.real };
}

interface Login {
  readonly user: string;
  readonly kubeconfig: string;
}

async function playgroundUserWith(cluster: TestCluster, granted: readonly NeededPermission[]): Promise<Login> {
  const rules: readonly RoleRule[] = rolesOf(granted).flatMap((role) => role.rules);
  return { user: "", kubeconfig: await cluster.userWith(rules) };
}

async function serviceAccountWith(cluster: TestCluster, granted: readonly NeededPermission[]): Promise<Login> {
  const { core } = cluster.api;
  const name = uniqueName("hallux-rbac");
  const namespace = await cluster.namespace();
  await core.createNamespacedServiceAccount({ namespace, body: { metadata: { name } } });
  await apply(cluster, manifestsOf(rolesOf(granted), { name, namespace }));
  const { status } = await core.createNamespacedServiceAccountToken({
    namespace,
    name,
    body: { spec: { audiences: [], expirationSeconds: 3600 } },
  });
  return {
    user: `system:serviceaccount:${namespace}:${name}`,
    kubeconfig: withToken(cluster.kubeconfig, status?.token ?? ""),
  };
}

async function apply(cluster: TestCluster, manifests: readonly KubernetesObject[]): Promise<void> {
  const connection = Connection.from({ from: "text", text: cluster.kubeconfig });
  const objects = KubernetesObjectApi.makeApiClient(connection);
  for (const manifest of manifests) {
    await objects.create(manifest);
  }
  afterAll(async () => {
    for (const manifest of manifests) {
      await objects.delete(manifest).catch(() => undefined);
    }
    await connection.close();
  });
}

function withToken(kubeconfig: string, token: string): string {
  const config = parse(kubeconfig);
  for (const entry of config.users) {
    entry.user = { token };
  }
  return stringify(config);
}
