import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { V1Node, V1ObjectMeta, V1Pod } from "@kubernetes/client-node";
import { onTestFinished } from "vitest";
import type { Actionner } from "../../src/catalogue/catalogue.ts";
import type { FalcoEvent } from "../../src/events/event.ts";
import { eventually, podTemplate, takesCommands, type TestCluster } from "./cluster.ts";
import { eventOf } from "./events.ts";

/** What the examples of the catalogue take for granted: a workload, its files and processes, an attacker, files of Hallux's own. */
export interface ExampleStage {
  readonly namespace: string;
  /** It names all that an entry can be about: a pod, an audit event's object, a remote IP, a file, a process. */
  readonly event: FalcoEvent;
  /** The example's parameters, with the files that they name in a place that the test may write to. */
  placed<T>(parameters: T): T;
  /** All that actionners can change, without what every write and the passing of time change. */
  objects(): Promise<readonly StagedObject[]>;
  /** Whether the workload has all of its pods, and they are ready. */
  isComplete(): Promise<boolean>;
}

export interface StagedObject {
  readonly metadata: V1ObjectMeta;
  readonly spec: unknown;
  readonly data: unknown;
}

/** Whether the actionner works on the pod's node too: then the pod gets one that no other test uses. */
function worksOnNodes({ rbac }: Actionner): boolean {
  return rbac.some(({ resources, verbs }) => resources.includes("nodes") && verbs.includes("patch"));
}

export async function exampleStage(cluster: TestCluster, actionner: Actionner): Promise<ExampleStage> {
  const namespace = await cluster.namespace();
  const node = worksOnNodes(actionner)
    ? await cluster.node({ labels: { "kubernetes.io/hostname": "cart" } })
    : undefined;
  const pod = node === undefined ? await podOfDeployment(cluster, namespace) : await podOn(cluster, namespace, node);
  await cluster.api.core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "settings" } } });
  const found =
    node === undefined ? await evidenceIn(cluster, pod) : { directory: "/nonexistent", process: "999999999" };
  const halluxFiles = filesOfHallux();
  const moved: Readonly<Record<string, string>> = {
    "/etc/hallux/": `${halluxFiles}/`,
    "/var/lib/hallux/": `${halluxFiles}/`,
    "/var/log/": `${found.directory}/`,
  };

  return {
    namespace,
    event: eventOf({
      pod: `${namespace}/${pod.metadata?.name}`,
      podUid: pod.metadata?.uid ?? "",
      fields: {
        "ka.target.resource": "configmaps",
        "ka.target.name": "settings",
        "ka.target.namespace": namespace,
        "fd.rip": "192.0.2.7",
        "fd.name": `${found.directory}/app.log`,
        "proc.vpid": found.process,
      },
    }),
    placed: (parameters) => withPlaces(parameters, moved),
    objects: () => objectsIn(cluster, namespace, node),
    isComplete: () => isComplete(cluster, namespace),
  };
}

const replicas = 3;

async function podOfDeployment({ api: { apps, core } }: TestCluster, namespace: string): Promise<V1Pod> {
  const metadata = { name: "cart" };
  const selector = { matchLabels: { app: "cart" } };
  const body = { metadata, spec: { replicas, selector, template: podTemplate("cart") } };
  await apps.createNamespacedDeployment({ namespace, body });
  return eventually(async () => {
    const { status } = await apps.readNamespacedDeployment({ namespace, ...metadata });
    const { items } = await core.listNamespacedPod({ namespace });
    // Which its controller says after all else that it writes down.
    return status?.readyReplicas === replicas && items.filter(isReady).length === replicas && items[0];
  });
}

async function isComplete({ api: { apps, core } }: TestCluster, namespace: string): Promise<boolean> {
  const deployments = await apps.listNamespacedDeployment({ namespace });
  const pods = await core.listNamespacedPod({ namespace, labelSelector: "app=cart" });
  const ready = pods.items.filter((pod) => isReady(pod) && pod.metadata?.deletionTimestamp === undefined);
  return deployments.items.length === 0 || ready.length === replicas;
}

function isReady({ status }: V1Pod): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") ?? false;
}

function podOn(cluster: TestCluster, namespace: string, nodeName: string): Promise<V1Pod> {
  return cluster.pod(namespace, { name: "cart", nodeName, wait: !cluster.real });
}

/** A file and a process that examples may do away with. */
async function evidenceIn({ api, kubernetes: { real }, playground }: TestCluster, made: V1Pod) {
  const { name = "", namespace = "", uid } = made.metadata ?? {};
  await (playground === undefined ? takesCommands(api, made) : undefined);
  const signal = AbortSignal.timeout(60_000);
  const pod = await real.getPod({ kind: "pod", namespace, name, uid }, signal);
  playground?.log(namespace, name, "main", ["started"]);
  // On the playground process 1 is this machine's.
  const log = playground === undefined ? "echo started > /proc/1/fd/1; " : "";
  const prepare = "mkdir -p evidence; cd evidence; echo kept > app.log; sleep 120 > /dev/null 2>&1 & echo $!; pwd";
  const command = ["/bin/sh", "-c", log + prepare];
  const { stdout } = await real.exec(pod, { container: "main", command, maxOutputBytes: 1024 }, signal);
  const [process = "", directory = ""] = stdout.trim().split("\n");
  onTestFinished(async () => {
    const stop = { container: "main", command: ["kill", "-KILL", process], maxOutputBytes: 1024 };
    await real.exec(pod, stop, AbortSignal.timeout(60_000)).catch(() => undefined);
  });
  return { process, directory };
}

function filesOfHallux(): string {
  const directory = mkdtempSync(join(tmpdir(), "hallux-examples-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

function withPlaces<T>(value: T, moved: Readonly<Record<string, string>>): T {
  const [from, to] = Object.entries(moved).find(([prefix]) => String(value).startsWith(prefix)) ?? [];
  if (typeof value === "string" && from !== undefined && to !== undefined) {
    return made(value, from, to) as T;
  }
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withPlaces(one, moved)])) as T)
    : value;
}

/** A file of Hallux's: a script that does nothing, and as good a secret as any; or a directory of its own. */
function made(path: string, from: string, to: string): string {
  const place = path.replace(from, to);
  if (from === "/etc/hallux/") {
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, "true\n");
  }
  if (from === "/var/lib/hallux/") {
    mkdirSync(place, { recursive: true });
  }
  return place;
}

async function objectsIn({ api }: TestCluster, namespace: string, node: string | undefined): Promise<StagedObject[]> {
  const { core, apps, batch, networking, custom } = api;
  const customs = ["projectcalico.org/v3/networkpolicies", "cilium.io/v2/ciliumnetworkpolicies"].map((kind) => {
    const [group = "", version = "", plural = ""] = kind.split("/");
    return custom.listNamespacedCustomObject({ group, version, plural, namespace }).catch(() => ({ items: [] }));
  });
  const lists = await Promise.all([
    core.listNamespacedPod({ namespace }),
    core.listNamespacedConfigMap({ namespace }),
    apps.listNamespacedDeployment({ namespace }),
    apps.listNamespacedReplicaSet({ namespace }),
    batch.listNamespacedJob({ namespace }),
    networking.listNamespacedNetworkPolicy({ namespace }),
    ...customs,
  ]);
  const objects = lists.flatMap(({ items }: { items: object[] }) => items).map(stripped);
  return node === undefined ? objects : [...objects, strippedNode(await core.readNode({ name: node }))];
}

/** The control plane taints and annotates nodes that it hears nothing of. */
function strippedNode(node: V1Node): StagedObject {
  const { metadata } = stripped(node);
  const { "node.alpha.kubernetes.io/ttl": _ttl, ...annotations } = metadata.annotations ?? {};
  return { metadata: { ...metadata, annotations }, spec: node.spec?.unschedulable ?? false, data: undefined };
}

function stripped(object: { metadata?: V1ObjectMeta; spec?: unknown; data?: unknown }): StagedObject {
  const { resourceVersion: _version, managedFields: _fields, ...metadata } = object.metadata ?? {};
  return { metadata, spec: object.spec, data: object.data };
}
