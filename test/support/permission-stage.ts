import { KubernetesObjectApi, type V1Pod } from "@kubernetes/client-node";
import type { Permission } from "../../src/catalogue/permissions.ts";
import { Connection } from "../../src/clients/kubernetes/connection.ts";
import type { FalcoEvent } from "../../src/events/event.ts";
import type { Action, Rule } from "../../src/rules/rule.ts";
import { cloudPorts } from "./cloud-ports.ts";
import { eventually, idle, podTemplate, type TestCluster, uniqueName } from "./cluster.ts";
import { auditEventOf, eventOf } from "./events.ts";
import { type ExampleStage, exampleStage } from "./example-stage.ts";
import { giveImagesPrograms } from "./images.ts";
import { enforceLevel } from "./pod-security.ts";
import { respondBy } from "./respond.ts";

/** A rule of one action, and an event to which it responds. */
export interface PermissionStage {
  readonly rule: Rule;
  readonly event: FalcoEvent;
}

/** Where the rule's action needs the permission; anywhere it works where none is given. */
export async function permissionStage(cluster: TestCluster, rule: Rule, permission?: Asked): Promise<PermissionStage> {
  const [action] = rule.actions;
  if (action === undefined) {
    throw new Error(`rule "${rule.name}" has no action`);
  }
  const stage = await exampleStage(cluster, action.actionner);
  if (cluster.real && action.actionner.output === "required") {
    await giveImagesPrograms(cluster, stage.namespace);
  }
  const staged = { ...rule, actions: [await placed(cluster, stage, action)] };
  const event = await eventFor({ cluster, stage, rule: staged, action }, permission);
  return { rule: staged, event };
}

type Asked = Pick<Permission, "verb" | "resource">;

interface Staging {
  readonly cluster: TestCluster;
  readonly stage: ExampleStage;
  readonly rule: Rule;
  readonly action: Action;
}

/** Short, in files that the test may write, and in a namespace of its own where it names one. */
async function placed(cluster: TestCluster, stage: ExampleStage, action: Action): Promise<Action> {
  const { parameters, output } = action;
  const own = "namespace" in parameters && parameters["namespace"] !== undefined;
  const namespace = own ? await cluster.namespace() : undefined;
  if (namespace !== undefined && cluster.real) {
    await giveImagesPrograms(cluster, namespace);
  }
  return {
    ...action,
    parameters: {
      ...stage.placed(parameters),
      ...("duration" in parameters && { duration: 1 }),
      ...("max_wait_period" in parameters && { max_wait_period: 0 }),
      ...(namespace !== undefined && { namespace }),
    },
    output: output && { ...output, parameters: stage.placed(output.parameters) },
  };
}

async function eventFor(staging: Staging, permission: Asked | undefined): Promise<FalcoEvent> {
  const { cluster, stage, action } = staging;
  if (permission === undefined) {
    return stage.event;
  }
  const { verb, resource } = permission;
  if (action.actionner.target === "resource") {
    return eventAbout(cluster, stage.namespace, resource);
  }
  if (resource in workloads && verb === "get") {
    return eventOfPodOf(staging, resource);
  }
  if (verb === "patch" && resource === "pods" && action.parameters["scope"] === "workload") {
    return eventOfPod(await cluster.pod(stage.namespace));
  }
  await prepare(staging, permission);
  return stage.event;
}

/** So that what the event is about takes the permission. */
async function prepare({ cluster, ...staging }: Staging, { verb, resource }: Asked): Promise<void> {
  switch (`${verb} ${resource}`) {
    case "update networkpolicies":
    case "update ciliumnetworkpolicies":
      return respondedBefore({ cluster, ...staging });
    case "get pods":
    case "get nodes":
    case "patch nodes":
      return otherwiseBefore({ cluster, ...staging });
    case "patch pods/ephemeralcontainers":
      return takePrograms(cluster, staging.stage.event);
    case "list events":
      // What asks for a privileged pod there learns of its refusal by an event.
      return enforceLevel(cluster.api, namespaceOfJob(staging), "baseline");
  }
}

function namespaceOfJob({ stage, rule }: Omit<Staging, "cluster">): string {
  return String(rule.actions[0]?.parameters["namespace"] ?? stage.namespace);
}

function eventOfPod({ metadata }: V1Pod): FalcoEvent {
  return eventOf({ pod: `${metadata?.namespace}/${metadata?.name}`, fields: { "fd.rip": "192.0.2.7" } });
}

const selector = { matchLabels: { app: "owned" } };
const template = podTemplate("owned");

/** What makes a pod whose owner, or owner's owner, is one. */
const workloads: Readonly<
  Record<string, { readonly apiVersion: string; readonly kind: string; readonly spec: object }>
> = {
  replicasets: { apiVersion: "apps/v1", kind: "Deployment", spec: { selector, template } },
  deployments: { apiVersion: "apps/v1", kind: "Deployment", spec: { selector, template } },
  statefulsets: { apiVersion: "apps/v1", kind: "StatefulSet", spec: { selector, template, serviceName: "owned" } },
  daemonsets: { apiVersion: "apps/v1", kind: "DaemonSet", spec: { selector, template } },
  replicationcontrollers: {
    apiVersion: "v1",
    kind: "ReplicationController",
    spec: { replicas: 1, selector: selector.matchLabels, template },
  },
  jobs: {
    apiVersion: "batch/v1",
    kind: "Job",
    spec: { template: { ...template, spec: { ...template.spec, restartPolicy: "Never" } } },
  },
};

/** On the stage's node, where that is its own. */
async function eventOfPodOf({ cluster, stage, action }: Staging, resource: string): Promise<FalcoEvent> {
  const { core } = cluster.api;
  const { namespace } = stage;
  const cart = await core.readNamespacedPod({ namespace, name: String(stage.event.fields["k8s.pod.name"]) });
  const onNode = action.actionner.rbac.some(({ resources }) => resources.includes("nodes"));
  const owned = structuredClone(workloads[resource]) as { spec: { template: { spec: { nodeName?: string } } } };
  if (onNode && cart.spec?.nodeName !== undefined) {
    owned.spec.template.spec.nodeName = cart.spec.nodeName;
  }
  await create(cluster, { ...owned, metadata: { name: "owned", namespace } });
  const pod = await eventually(async () => {
    const { items } = await core.listNamespacedPod({ namespace, labelSelector: "app=owned" });
    // A DaemonSet's pod for another test's node, where none runs, goes with that.
    return items.find(({ spec }) => spec?.nodeName !== undefined);
  });
  return eventOfPod(pod);
}

const bodies: Readonly<
  Record<string, { readonly apiVersion: string; readonly kind: string; readonly [key: string]: unknown }>
> = {
  namespaces: { apiVersion: "v1", kind: "Namespace" },
  configmaps: { apiVersion: "v1", kind: "ConfigMap" },
  secrets: { apiVersion: "v1", kind: "Secret" },
  services: { apiVersion: "v1", kind: "Service", spec: { ports: [{ port: 80 }] } },
  serviceaccounts: { apiVersion: "v1", kind: "ServiceAccount" },
  pods: { apiVersion: "v1", kind: "Pod", spec: { containers: [idle] } },
  deployments: { apiVersion: "apps/v1", kind: "Deployment", spec: { replicas: 0, selector, template } },
  daemonsets: { apiVersion: "apps/v1", kind: "DaemonSet", spec: { selector, template } },
  statefulsets: {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    spec: { replicas: 0, selector, template, serviceName: "owned" },
  },
  replicasets: { apiVersion: "apps/v1", kind: "ReplicaSet", spec: { replicas: 0, selector, template } },
  roles: { apiVersion: "rbac.authorization.k8s.io/v1", kind: "Role", rules: [] },
  clusterroles: { apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", rules: [] },
};

async function eventAbout(cluster: TestCluster, namespace: string, resource: string): Promise<FalcoEvent> {
  const body = bodies[resource];
  if (body === undefined) {
    throw new Error(`no test knows how to make ${resource}`);
  }
  const name = uniqueName("settings");
  const everywhere = ["namespaces", "clusterroles"].includes(resource);
  await create(cluster, { ...body, metadata: { name, ...(everywhere ? {} : { namespace }) } });
  return auditEventOf(resource, everywhere ? name : `${namespace}/${name}`);
}

async function create(cluster: TestCluster, body: object): Promise<void> {
  const connection = Connection.from({ from: "text", text: cluster.kubeconfig });
  try {
    await KubernetesObjectApi.makeApiClient(connection).create(body);
  } finally {
    await connection.close();
  }
}

/** To another address, and allowing something else: there is something to update. */
async function respondedBefore({ cluster, stage, rule, action }: Staging): Promise<void> {
  const clients = { kubernetes: cluster.kubernetes.real, ...cloudPorts().clients };
  const parameters = { ...action.parameters, allow_cidr: ["203.0.113.0/24"] };
  const before = { ...rule, actions: [{ ...action, parameters }] };
  const pod = `${stage.namespace}/${stage.event.fields["k8s.pod.name"]}`;
  const event = eventOf({ pod, fields: { "fd.rip": "198.51.100.9" } });
  await respondBy([before], { clients, events: [event] });
}

/** What the action sets has another value: that is read, and then overwritten. */
async function otherwiseBefore({ cluster: { kubernetes }, stage, action }: Staging): Promise<void> {
  const { labels, annotations, level } = action.parameters;
  const change = { labels: otherwise(labels), annotations: otherwise(annotations) };
  const name = String(stage.event.fields["k8s.pod.name"]);
  const target = { kind: "pod", namespace: stage.namespace, name, uid: undefined } as const;
  const signal = AbortSignal.timeout(60_000);
  if (level !== "node") {
    await kubernetes.real.patchPod(target, change, signal);
    return;
  }
  const { nodeName = "" } = await kubernetes.real.getPod(target, signal);
  await kubernetes.real.patchNode(nodeName, change, signal);
}

function otherwise(values: unknown): Record<string, string> {
  return Object.fromEntries(Object.keys(values ?? {}).map((key) => [key, "before"]));
}

/** From the container: it has no shell and no cat any more. */
async function takePrograms({ kubernetes: { real } }: TestCluster, { fields }: FalcoEvent): Promise<void> {
  const signal = AbortSignal.timeout(60_000);
  const target = {
    kind: "pod",
    namespace: String(fields["k8s.ns.name"]),
    name: String(fields["k8s.pod.name"]),
  } as const;
  const pod = await real.getPod({ ...target, uid: undefined }, signal);
  const command = ["/bin/sh", "-c", "mount -t tmpfs none /usr/bin"];
  await real.exec(pod, { container: "main", command, maxOutputBytes: 1024 }, signal);
}
