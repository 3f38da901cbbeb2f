import { AdmissionregistrationV1Api } from "@kubernetes/client-node";
import { afterAll } from "vitest";
import type { Api } from "../../src/clients/kubernetes/api.ts";
import { eventually, idle, type TestCluster, uniqueName } from "./cluster.ts";

/** What stands for the tools of images, where the cluster was started with it: `cluster up --images test/cluster/fixtures/images`. */
const standIns = "/images/tcpdump";

export const withoutImages = "skipped: the cluster was not started with --images test/cluster/fixtures/images";

/**
 * Whether the cluster has the stand-ins. On the real control plane, of nodes that run processes, each is a file of the directory
 * `/images` in every container.
 */
export async function hasImages(cluster: TestCluster): Promise<boolean> {
  if (!cluster.real) {
    return false;
  }
  const namespace = await cluster.namespace();
  const pod = await cluster.pod(namespace);
  const target = { kind: "pod", namespace, name: pod.metadata?.name ?? "", uid: undefined } as const;
  const signal = AbortSignal.timeout(60_000);
  const { real } = cluster.kubernetes;
  const command = ["test", "-x", standIns];
  const options = { container: "main", command, maxOutputBytes: 1024 };
  const { exitCode } = await real.exec(await real.getPod(target, signal), options, signal);
  return exitCode === 0;
}

/**
 * What an image brings, its own programs, comes here by admission: every container made in the namespace from now on finds the
 * programs of `/images/NAME`, NAME being the last part of its image, and then those of `/images`.
 */
export async function giveImagesPrograms({ api }: TestCluster, namespace: string): Promise<void> {
  const admission = api.connection.makeApiClient(AdmissionregistrationV1Api);
  const name = uniqueName("images");
  const metadata = { name };
  await admission.createMutatingAdmissionPolicy({
    body: {
      metadata,
      spec: {
        failurePolicy: "Fail",
        reinvocationPolicy: "Never",
        matchConstraints: {
          resourceRules: [whenMade("CREATE", "pods"), whenMade("UPDATE", "pods/ephemeralcontainers")],
        },
        mutations: [{ patchType: "ApplyConfiguration", applyConfiguration: { expression: withPaths } }],
      },
    },
  });
  const namespaceSelector = { matchLabels: { "kubernetes.io/metadata.name": namespace } };
  await admission.createMutatingAdmissionPolicyBinding({
    body: { metadata, spec: { policyName: name, matchResources: { namespaceSelector } } },
  });
  afterAll(async () => {
    await admission.deleteMutatingAdmissionPolicyBinding({ name });
    await admission.deleteMutatingAdmissionPolicy({ name });
  });
  // What is at fault with a policy that is new, the API server says of each pod.
  await eventually(() => isInForce(api, namespace).catch(() => false));
}

function whenMade(operation: "CREATE" | "UPDATE", resource: string) {
  return { apiGroups: [""], apiVersions: ["v1"], operations: [operation], resources: [resource] };
}

const withPaths = `Object{spec: Object.spec{
  containers: object.spec.containers.map(c, Object.spec.containers{name: c.name, env: [
    Object.spec.containers.env{name: "PATH", value: ${pathOf("c.image")}}]}),
  ephemeralContainers: has(object.spec.ephemeralContainers)
    ? object.spec.ephemeralContainers.map(c, Object.spec.ephemeralContainers{name: c.name, env: [
        Object.spec.ephemeralContainers.env{name: "PATH", value: ${pathOf("c.image")}}]})
    : []}}`;

function pathOf(image: string): string {
  const last = `${image}.split("/")[size(${image}.split("/")) - 1].split(":")[0]`;
  return `"/images/" + ${last} + ":/images:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"`;
}

async function isInForce({ core }: Api, namespace: string): Promise<boolean> {
  const body = { metadata: { name: "probe" }, spec: { containers: [idle] } };
  const { spec } = await core.createNamespacedPod({ namespace, body, dryRun: "All" });
  return spec?.containers[0]?.env?.some(({ name }) => name === "PATH") ?? false;
}
