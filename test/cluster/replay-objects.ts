import type { V1NetworkPolicy, V1Pod } from "@kubernetes/client-node";
import { eventually, idle, podTemplate, type TestCluster, uniqueName } from "../support/cluster.ts";
import {
  isName,
  keyOf,
  kinds,
  type NodeModel,
  type ObjectRef,
  objectOf,
  type PodModel,
  podOf,
  type ReplayedEvent,
  type World,
} from "./replay-model.ts";

/** The objects that events name, made for the replay, as they are at its start. */
export interface Stage {
  readonly world: World;
  /** UIDs, by the keys of the world. */
  readonly uids: ReadonlyMap<string, string>;
  readonly namespaces: readonly string[];
}

const given = ["default", "kube-system"];
/** The pods here get a node each, because the rules change nodes. */
const withOwnNodes = "team-a";
/** What each pod logs. */
export const logLine = "the shop is open";

/** Makes every pod and object that an event names. Rejects where one is there already: the cluster must be one for tests. */
export async function setStage(cluster: TestCluster, events: readonly ReplayedEvent[]): Promise<Stage> {
  const pods = distinct(
    events.flatMap((event) => podOf(event) ?? []),
    ({ namespace, name }) => `${namespace}/${name}`,
  );
  const objects = distinct(events.flatMap((event) => objectOf(event) ?? []).filter(canBeMade), keyOf);
  const namespaces = distinct(
    [...pods, ...objects].flatMap(({ namespace }) => namespace ?? []),
    String,
  );
  const uids = new Map<string, string>();

  await Promise.all(namespaces.filter((name) => !given.includes(name)).map((name) => makeNamespace(cluster, name)));
  for (const object of objects) {
    uids.set(keyOf(object), await makeObject(cluster, object));
  }
  const nodes = new Map<string, NodeModel>();
  const made = await Promise.all(pods.map((pod) => makePod(cluster, pod, nodes)));
  for (const { uid, model } of made) {
    uids.set(`pods ${model.namespace}/${model.name}`, uid);
  }
  const models = made.map(({ model }) => [`${model.namespace}/${model.name}`, model] as const);
  const world = { pods: new Map(models), objects: new Set(objects.map(keyOf)), nodes, evidence: [], invocations: [] };
  return { world, uids, namespaces };
}

/** Takes everything away again, and waits until it is gone. */
export async function clearStage({ api: { core, apps } }: TestCluster, { uids, namespaces }: Stage): Promise<void> {
  const made = namespaces.filter((name) => !given.includes(name));
  const names = [...uids.keys()].map((key) => key.split(/[ /]/));
  const own = [...made, ...names.flatMap(([resource, name = ""]) => (resource === "namespaces" ? [name] : []))];
  const remove: Record<string, (place: { namespace: string; name: string }) => Promise<unknown>> = {
    pods: (place) => core.deleteNamespacedPod({ ...place, gracePeriodSeconds: 0 }),
    configmaps: (place) => core.deleteNamespacedConfigMap(place),
    serviceaccounts: (place) => core.deleteNamespacedServiceAccount(place),
    deployments: (place) => apps.deleteNamespacedDeployment(place),
  };

  for (const [resource = "", namespace = "", name = ""] of names.filter(([, place = ""]) => given.includes(place))) {
    await remove[resource]?.({ namespace, name }).catch(() => undefined);
  }
  await Promise.all(own.map((name) => core.deleteNamespace({ name }).catch(() => undefined)));
  await eventually(async () => {
    const { items } = await core.listNamespace();
    return !items.some(({ metadata }) => own.includes(metadata?.name ?? ""));
  }, 400);
}

/** The state of the stage as the API server tells it, in the model's words. */
export async function stateOf(cluster: TestCluster, stage: Stage) {
  const { core, networking } = cluster.api;
  const [pods, policies, nodes] = await Promise.all([
    core.listPodForAllNamespaces(),
    networking.listNetworkPolicyForAllNamespaces(),
    core.listNode(),
  ]);
  const present = new Set([...(await uidsOfObjects(cluster, stage)), ...pods.items.map(uidOf)]);
  const own = policies.items.filter(({ metadata }) => stage.namespaces.includes(metadata?.namespace ?? ""));

  return {
    existing: [...stage.uids].flatMap(([key, uid]) => (present.has(uid) ? [key] : [])).sort(),
    policies: own.length,
    pods: pods.items
      .filter((pod) => present.has(uidOf(pod)) && [...stage.uids.values()].includes(uidOf(pod)))
      .map((pod) => podState(pod, own))
      .sort(byName),
    nodes: nodes.items
      .filter(({ metadata }) => stage.world.nodes.has(metadata?.name ?? ""))
      .map(({ metadata, spec }) => ({
        name: metadata?.name ?? "",
        marked: metadata?.labels?.["suspicious-pods"],
        unschedulable: spec?.unschedulable ?? false,
      }))
      .sort(byName),
  };
}

/** The same, of what the model made of it. */
export function expectedState({ world, uids }: Stage): Awaited<ReturnType<typeof stateOf>> {
  const alive = [...world.pods.values()].filter((pod) => pod.alive);
  const livePods = new Set(alive.map(({ namespace, name }) => `pods ${namespace}/${name}`));
  return {
    existing: [...uids.keys()].filter((key) => livePods.has(key) || world.objects.has(key)).sort(),
    policies: alive.filter(({ egress }) => egress !== undefined).length,
    pods: alive
      .map(({ namespace, name, labels, annotations, egress }) => ({
        name: `${namespace}/${name}`,
        labels,
        annotations,
        egress,
      }))
      .sort(byName),
    nodes: [...world.nodes]
      .map(([name, { labels, unschedulable }]) => ({ name, marked: labels["suspicious-pods"], unschedulable }))
      .sort(byName),
  };
}

/** The Kubernetes events that name one of these rules, in the model's words. */
export async function recordedEvents({ api: { core } }: TestCluster, rules: ReadonlySet<string>): Promise<string[]> {
  const { items } = await core.listEventForAllNamespaces();
  return items
    .filter(({ reportingComponent, message = "" }) => {
      const [, rule = ""] = /^rule "(.*?)"/.exec(message) ?? [];
      return reportingComponent === "hallux" && rules.has(rule);
    })
    .map(({ metadata, involvedObject: { kind, name }, reason, message = "" }) => {
      const [names] = /^rule ".*?", action ".*?"/.exec(message) ?? [];
      return `${metadata.namespace} ${kind} ${name} ${reason} ${names}`;
    })
    .sort();
}

/** Of each live pod in which commands ran: what they wrote. */
export async function writtenIn({ kubernetes }: TestCluster, { world }: Stage): Promise<Record<string, string[]>> {
  const written = [...world.pods.values()]
    .filter(({ alive, seen }) => alive && seen.length > 0)
    .map(async ({ namespace, name }) => {
      const signal = AbortSignal.timeout(60_000);
      const pod = await kubernetes.real.getPod({ kind: "pod", namespace, name, uid: undefined }, signal);
      const command = { container: "main", command: ["cat", "seen.txt"], maxOutputBytes: 65_536 };
      const { stdout } = await kubernetes.real.exec(pod, command, signal);
      return [`${namespace}/${name}`, stdout.trim().split("\n")] as const;
    });
  return Object.fromEntries(await Promise.all(written));
}

export function expectedWriting({ world }: Stage): Record<string, string[]> {
  const written = [...world.pods].filter(([, { alive, seen }]) => alive && seen.length > 0);
  return Object.fromEntries(written.map(([key, { seen }]) => [key, seen]));
}

function distinct<T>(items: readonly T[], keyOfItem: (item: T) => string): T[] {
  return [...new Map(items.map((item) => [keyOfItem(item), item])).values()];
}

function canBeMade({ resource, namespace, name }: ObjectRef): boolean {
  const placed = resource === "namespaces" || namespace !== undefined;
  return resource !== "pods" && kinds[resource] !== undefined && placed && isName(name);
}

async function makeNamespace({ api: { core }, real }: TestCluster, name: string): Promise<string> {
  const { metadata } = await core.createNamespace({ body: { metadata: { name } } });
  if (real) {
    // Before it is there, the API server admits no pods.
    const account = { namespace: name, name: "default" };
    await eventually(() => core.readNamespacedServiceAccount(account).catch(() => undefined));
  }
  return metadata?.uid ?? "";
}

async function makeObject(cluster: TestCluster, { resource, namespace = "", name }: ObjectRef): Promise<string> {
  const { core, apps } = cluster.api;
  const metadata = { name };
  switch (resource) {
    case "namespaces":
      return makeNamespace(cluster, name);
    case "configmaps":
      return uidOf(await core.createNamespacedConfigMap({ namespace, body: { metadata } }));
    case "serviceaccounts":
      return uidOf(await core.createNamespacedServiceAccount({ namespace, body: { metadata } }));
    default: {
      const spec = { replicas: 0, selector: { matchLabels: { app: name } }, template: podTemplate(name) };
      return uidOf(await apps.createNamespacedDeployment({ namespace, body: { metadata, spec } }));
    }
  }
}

async function makePod(
  cluster: TestCluster,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  nodes: Map<string, NodeModel>,
): Promise<{ readonly uid: string; readonly model: PodModel }> {
  const node = namespace === withOwnNodes ? await makeNode(cluster, nodes) : undefined;
  const command = ["sh", "-c", `echo ${logLine}; exec ${idle.command?.join(" ")}`];
  const pod = await cluster.pod(namespace, {
    name,
    labels: { app: "shop", trusted: "true" },
    annotations: { "security/owner": "nobody" },
    containers: [{ command }],
    ...(node === undefined ? {} : { nodeName: node, wait: false }),
  });
  cluster.playground?.log(namespace, name, "main", [logLine]);
  await (node === undefined ? eventually(() => hasLogged(cluster, { namespace, name })) : undefined);
  const hostname = await hostnameOf(cluster, pod);
  // What the API server puts there itself (the zone of the node) is the pod's as well.
  const { labels = {}, annotations = {} } = pod.metadata ?? {};
  const model = { namespace, name, node, hostname, labels, annotations, alive: true, egress: undefined, seen: [] };
  return { uid: uidOf(pod), model };
}

/** A container that runs may not have written anything yet. */
async function hasLogged({ api: { core } }: TestCluster, pod: { readonly namespace: string; readonly name: string }) {
  return (await core.readNamespacedPodLog(pod)).includes(logLine);
}

async function makeNode(cluster: TestCluster, nodes: Map<string, NodeModel>): Promise<string> {
  const hostname = uniqueName("replay");
  const name = await cluster.node({ labels: { "kubernetes.io/hostname": hostname } });
  nodes.set(name, { labels: {}, unschedulable: false });
  return name;
}

async function hostnameOf({ api: { core } }: TestCluster, { spec }: V1Pod): Promise<string> {
  const { metadata } = await core.readNode({ name: spec?.nodeName ?? "" });
  return metadata?.labels?.["kubernetes.io/hostname"] ?? "";
}

async function uidsOfObjects({ api: { core, apps } }: TestCluster, { namespaces }: Stage): Promise<string[]> {
  const lists = await Promise.all([
    core.listNamespace(),
    core.listConfigMapForAllNamespaces(),
    core.listServiceAccountForAllNamespaces(),
    apps.listDeploymentForAllNamespaces(),
  ]);
  const objects = lists.flatMap(({ items }): readonly { metadata?: { namespace?: string; uid?: string } }[] => items);
  return objects
    .filter(({ metadata }) => metadata?.namespace === undefined || namespaces.includes(metadata.namespace))
    .map(uidOf);
}

function uidOf({ metadata }: { readonly metadata?: { readonly uid?: string } }): string {
  return metadata?.uid ?? "";
}

const isolatedLabel = "hallux.dev/isolated";

/** A policy counts only where it is Hallux's, belongs to this very pod and selects it by a label that the pod has. */
function podState({ metadata }: V1Pod, policies: readonly V1NetworkPolicy[]) {
  const { [isolatedLabel]: isolated, ...labels } = metadata?.labels ?? {};
  const policy = policies.find(
    (candidate) =>
      candidate.metadata?.namespace === metadata?.namespace &&
      candidate.metadata?.labels?.["app.kubernetes.io/managed-by"] === "hallux" &&
      candidate.metadata?.ownerReferences?.some(({ uid }) => uid === metadata?.uid) &&
      isolated !== undefined &&
      candidate.spec?.podSelector?.matchLabels?.[isolatedLabel] === isolated &&
      candidate.spec.policyTypes?.join() === "Egress",
  );
  return {
    name: `${metadata?.namespace}/${metadata?.name}`,
    labels,
    annotations: metadata?.annotations ?? {},
    egress: policy && (plain(policy.spec?.egress ?? []) as readonly object[]),
  };
}

/** As JSON has it: without classes, and without what is undefined. */
function plain(value: object): unknown {
  return JSON.parse(JSON.stringify(value));
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
