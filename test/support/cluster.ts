import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { PassThrough } from "node:stream";
import { Exec, type V1Container, type V1Pod, type V1Status } from "@kubernetes/client-node";
import { afterAll } from "vitest";
import { parse, stringify } from "yaml";
import type { ApiRequest, Playground } from "../../playground/index.ts";
import type { PolicyRule } from "../../src/catalogue/catalogue.ts";
import { createKubernetes, type KubernetesClients } from "../../src/clients/kubernetes/adapter.ts";
import { type Api, createApi } from "../../src/clients/kubernetes/api.ts";
import { Connection } from "../../src/clients/kubernetes/connection.ts";
import { PermissionLog } from "./permissions.ts";

/** A Kubernetes to work on, and the means to arrange what is in it. */
export interface TestCluster {
  /** Hallux's own clients. */
  readonly kubernetes: KubernetesClients;
  /** For arranging and asserting. */
  readonly api: Api;
  /** Whether it is a control plane of Kubernetes' own, with controllers and nodes, or the playground. */
  readonly real: boolean;
  /** What the tests run against where it is not real: containers there write no logs of their own. */
  readonly playground: Playground | undefined;
  readonly kubeconfig: string;
  readonly permissions: PermissionLog;
  /** A namespace of this test's own. */
  namespace(name?: string): Promise<string>;
  /** A pod that runs and takes commands, unless told not to wait for that. */
  pod(namespace: string, traits?: PodTraits): Promise<V1Pod>;
  /** A node of this test's own, without a kubelet: pods put there stay pending. */
  node(traits?: NodeTraits): Promise<string>;
  /** A kubeconfig text of a user who has these permissions and no others. */
  userWith(rules: readonly PolicyRule[]): Promise<string>;
}

export interface PodTraits {
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly nodeName?: string;
  readonly hostNetwork?: boolean;
  /** One that no node fits leaves the pod without a node. */
  readonly nodeSelector?: Readonly<Record<string, string>>;
  /** 0 unless given. */
  readonly terminationGracePeriodSeconds?: number;
  readonly finalizers?: readonly string[];
  readonly containers?: readonly Partial<V1Container>[];
  /** Until it runs; true unless given. */
  readonly wait?: boolean;
}

export interface NodeTraits {
  readonly labels?: Readonly<Record<string, string>>;
  readonly providerId?: string;
  readonly unschedulable?: boolean;
}

/**
 * The cluster of `HALLUX_TEST_KUBECONFIG` or `KUBECONFIG`, else a playground. `npm test` is for the playground alone: a
 * `KUBECONFIG` that happens to be set there stands for a cluster that nobody meant to test on.
 */
export async function useCluster(): Promise<TestCluster> {
  const { kubeconfig, playground } = await kubeconfigToUse();
  const kubernetes = createKubernetes({ kubeconfig: { from: "text", text: kubeconfig } });
  const connection = Connection.from({ from: "text", text: kubeconfig });
  const api = createApi(connection, { dryRun: false });
  const made = new Cleanup(api);

  afterAll(async () => {
    await made.undo();
    await Promise.all([kubernetes.close(), connection.close()]);
    await playground?.close();
  });

  return {
    kubernetes,
    api,
    real: playground === undefined,
    playground,
    kubeconfig,
    permissions: new PermissionLog(connection.server),
    async namespace(name = uniqueName("hallux-test")) {
      await makeNamespace(api, made, name);
      if (playground === undefined) {
        await furnished(api, name);
      }
      return name;
    },
    async pod(namespace, traits = {}) {
      const pod = await makePod(api, namespace, traits);
      if (playground === undefined && traits.wait !== false) {
        await takesCommands(api, pod);
      }
      return pod;
    },
    async node(traits = {}) {
      const name = await makeNode(api, made, traits);
      if (playground === undefined) {
        await settledNode(api, name);
      }
      return name;
    },
    async userWith(rules) {
      const name = uniqueName("hallux-test");
      await (playground === undefined ? bindUser(api, made, name, rules) : denyOthers(playground, name, rules));
      return impersonating(kubeconfig, name);
    },
  };
}

/** Polls until the check gives something other than undefined or false. */
export async function eventually<T>(check: () => Promise<T | undefined | false>, seconds = 60): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await check();
    if (found !== undefined && found !== false) {
      return found;
    }
    if (Date.now() > deadline) {
      throw new Error(`it did not happen within ${seconds} s: ${check}`);
    }
    await pause(50);
  }
}

/** Of a container that stays up and does nothing. */
export const idle: V1Container = { name: "main", image: "busybox", command: ["sleep", "3600"] };

/** What the pods of a workload look like. */
export function podTemplate(app: string) {
  return { metadata: { labels: { app } }, spec: { containers: [idle], terminationGracePeriodSeconds: 0 } };
}

export function uniqueName(stem: string): string {
  return `${stem}-${crypto.randomUUID().slice(0, 8)}`;
}

async function kubeconfigToUse(): Promise<{ kubeconfig: string; playground: Playground | undefined }> {
  const { HALLUX_TEST_KUBECONFIG, KUBECONFIG, npm_lifecycle_event } = process.env;
  const path = HALLUX_TEST_KUBECONFIG || (npm_lifecycle_event === "test" ? undefined : KUBECONFIG);
  if (path) {
    return { kubeconfig: await readFile(path, "utf8"), playground: undefined };
  }
  const { startPlayground } = await import("../../playground/index.ts");
  const playground = await startPlayground();
  return { kubeconfig: playground.kubeconfig, playground };
}

/** What must not outlive the tests, last made first. */
class Cleanup {
  readonly #steps: (() => Promise<unknown>)[] = [];
  readonly api: Api;

  constructor(api: Api) {
    this.api = api;
  }

  add(step: () => Promise<unknown>): void {
    this.#steps.unshift(step);
  }

  async undo(): Promise<void> {
    for (const step of this.#steps) {
      await step().catch(() => undefined);
    }
  }
}

async function makeNamespace({ core }: Api, made: Cleanup, name: string): Promise<void> {
  await core.createNamespace({ body: { metadata: { name } } });
  made.add(() => core.deleteNamespace({ name }));
}

/** Controllers put these into every namespace. Before the service account is there, the API server admits no pods. */
async function furnished({ core }: Api, namespace: string): Promise<void> {
  await eventually(() => core.readNamespacedServiceAccount({ namespace, name: "default" }).catch(() => undefined));
  await eventually(() => core.readNamespacedConfigMap({ namespace, name: "kube-root-ca.crt" }).catch(() => undefined));
}

/** A container is told to run when its process is there, which sets it up first: of that a command waits for a second, and fails. */
export async function takesCommands({ connection }: Api, { metadata, spec }: V1Pod): Promise<void> {
  const { namespace = "", name = "" } = metadata ?? {};
  const exec = new Exec(connection);
  const fault = (container: string) =>
    new Promise<string | undefined>((resolve) => {
      const ended = ({ message }: V1Status) => resolve(message);
      exec.exec(namespace, name, container, ["true"], new PassThrough().resume(), null, null, false, ended).then(
        (socket) => socket.on("close", () => resolve(undefined)),
        () => resolve(undefined),
      );
    });
  for (const container of spec?.containers ?? []) {
    await eventually(async () => !(await fault(container.name))?.includes("did not start"));
  }
}

async function makePod({ core }: Api, namespace: string, traits: PodTraits): Promise<V1Pod> {
  const {
    name = uniqueName("pod"),
    labels,
    annotations,
    finalizers = [],
    nodeSelector,
    containers = [{}],
    wait = true,
    ...spec
  } = traits;
  const pod = await core.createNamespacedPod({
    namespace,
    body: {
      metadata: {
        name,
        labels: { ...labels },
        annotations: { ...annotations },
        finalizers: [...finalizers],
      },
      spec: {
        terminationGracePeriodSeconds: 0,
        nodeSelector: { ...nodeSelector },
        ...spec,
        containers: containers.map((container) => ({ ...idle, ...container })),
      },
    },
  });
  return wait ? eventually(() => runningPod({ core }, namespace, name)) : pod;
}

async function runningPod({ core }: Pick<Api, "core">, namespace: string, name: string): Promise<V1Pod | undefined> {
  const pod = await core.readNamespacedPod({ namespace, name });
  return pod.status?.phase === "Running" ? pod : undefined;
}

async function makeNode({ core }: Api, made: Cleanup, traits: NodeTraits): Promise<string> {
  const { labels, providerId: providerID, unschedulable } = traits;
  const name = uniqueName("node");
  await core.createNode({ body: { metadata: { name, labels: { ...labels } }, spec: { providerID, unschedulable } } });
  made.add(() => core.deleteNode({ name }));
  return name;
}

/** Controllers annotate a node that is new and take its taint away: whoever changes it meanwhile meets a conflict. */
async function settledNode({ core }: Api, name: string): Promise<void> {
  await eventually(async () => {
    const { metadata, spec } = await core.readNode({ name });
    const annotated = metadata?.annotations?.["node.alpha.kubernetes.io/ttl"] !== undefined;
    return annotated && !spec?.taints?.some(({ key }) => key === "node.kubernetes.io/not-ready");
  });
}

async function bindUser(api: Api, made: Cleanup, name: string, rules: readonly PolicyRule[]): Promise<void> {
  const { rbac } = api;
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name };
  const subjects = [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name }];
  await rbac.createClusterRole({ body: { metadata: { name }, rules: rules.map(mutable) } });
  made.add(() => rbac.deleteClusterRole({ name }));
  await rbac.createClusterRoleBinding({ body: { metadata: { name }, roleRef, subjects } });
  made.add(() => rbac.deleteClusterRoleBinding({ name }));
  await eventually(() => isInForce(api, name, rules));
}

/** The authorizer hears of a role and its binding a little later. */
async function isInForce({ authorization }: Api, user: string, [rule]: readonly PolicyRule[]): Promise<boolean> {
  if (rule === undefined) {
    return true;
  }
  const [group] = rule.apiGroups;
  const [verb] = rule.verbs;
  const [resource, subresource] = rule.resources[0]?.split("/") ?? [];
  const resourceAttributes = { verb, group, resource, subresource };
  const { status } = await authorization.createSubjectAccessReview({ body: { spec: { user, resourceAttributes } } });
  return status?.allowed ?? false;
}

/** The playground knows no roles. */
function denyOthers(playground: Playground, name: string, rules: readonly PolicyRule[]): void {
  const allows = ({ verb, group, resource, subresource }: ApiRequest) =>
    rules.some(
      ({ verbs, apiGroups, resources }) =>
        verbs.includes(verb) &&
        apiGroups.includes(group) &&
        resources.includes(subresource === undefined ? resource : `${resource}/${subresource}`),
    );
  playground.faults.inject({ when: (request) => request.user === name && !allows(request), answer: 403 });
}

function mutable({ apiGroups, resources, verbs }: PolicyRule) {
  return { apiGroups: [...apiGroups], resources: [...resources], verbs: [...verbs] };
}

function impersonating(kubeconfig: string, user: string): string {
  const config = parse(kubeconfig);
  for (const entry of config.users) {
    entry.user.as = user;
  }
  return stringify(config);
}
