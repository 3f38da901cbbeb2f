/**
 * An embedded Kubernetes API for the demo and the tests: plain HTTP on 127.0.0.1, everything in memory, good enough for
 * kubectl and @kubernetes/client-node. It never ships.
 *
 * Nothing is isolated: `kubectl exec` runs the command ON THIS MACHINE, as the user of this process, as a child process in
 * an empty temporary directory with an environment that holds only PATH. Do not expose the playground to anyone whom you
 * would not give a shell.
 */
import { randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import { ServerSideApply } from "./apply.ts";
import { bootstrap, furnishNamespaces } from "./bootstrap.ts";
import { collectGarbage } from "./controllers/garbage.ts";
import { Kubelet } from "./controllers/kubelet.ts";
import { WorkQueue } from "./controllers/queue.ts";
import { keepWorkloads } from "./controllers/workloads.ts";
import { Executor } from "./exec.ts";
import { remove } from "./deletion.ts";
import { Faults } from "./faults.ts";
import { kubeconfigOf } from "./kubeconfig.ts";
import { Logs } from "./logs.ts";
import type { ApiRequest } from "./request.ts";
import type { Resource } from "./resources.ts";
import { type Seed, seedObjects } from "./seed.ts";
import { type Context, createApiServer } from "./server.ts";
import { Store } from "./store.ts";
import { Upgrades } from "./upgrade.ts";
import type { KubeObject } from "./wire.ts";

export type { Fault, RequestMatch } from "./faults.ts";
export type { ApiRequest } from "./request.ts";
export type { Seed } from "./seed.ts";
export type { KubeObject } from "./wire.ts";

export interface PlaygroundOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** `node-1` … `node-N`; default 2. */
  readonly nodes?: number;
  /** How long a pod takes to stop, or its grace period where that is shorter; default 100. */
  readonly podStopMs?: number;
  /** Whether Deployments, ReplicaSets, StatefulSets and DaemonSets keep their pods and status; default true. */
  readonly controllers?: boolean;
  /** How many changes watches may lag behind before they get 410; default 10 000. */
  readonly history?: number;
}

export interface Playground {
  readonly url: string;
  readonly token: string;
  /** YAML. */
  readonly kubeconfig: string;
  /**
   * Every request on a resource so far, in the order of arrival; discovery and access reviews are not among them. An exec
   * over WebSocket needs two permissions and shows twice, as `get` and as `create`.
   */
  readonly requests: readonly ApiRequest[];
  clearRequests(): void;
  readonly faults: Faults;
  /**
   * Puts objects in place without validation, their namespaces too where missing, and resolves with them as stored once the
   * controllers have nothing left to do (pods are running). What is given stays: uid, ownerReferences, status.
   */
  seed(objects: readonly Seed[]): Promise<readonly KubeObject[]>;
  /** Resolves when the controllers have nothing left to do. */
  settled(): Promise<void>;
  /** Appends lines to a container's log, or to that of its crashed predecessor. */
  log(
    namespace: string,
    pod: string,
    container: string,
    lines: readonly string[],
    options?: { readonly previous?: boolean },
  ): void;
  /** Forgets what changed: watches that start from an older version get 410. */
  compact(): void;
  close(): Promise<void>;
}

export async function startPlayground(options: PlaygroundOptions = {}): Promise<Playground> {
  const store = new Store(options.history ?? 10_000);
  const queue = new WorkQueue();
  const kubelet = new Kubelet(store, queue, options.podStopMs ?? 100);
  const deleteAsClient = (resource: Resource, { metadata }: KubeObject) => {
    remove(
      store,
      { resource, namespace: metadata.namespace, name: metadata.name },
      { gracePeriodSeconds: undefined, preconditions: {}, propagationPolicy: undefined, dryRun: false },
    );
  };
  collectGarbage(store, queue, deleteAsClient);
  if (options.controllers !== false) {
    keepWorkloads(store, queue, deleteAsClient);
  }
  const logs = new Logs(store);
  const faults = new Faults();
  const token = randomBytes(16).toString("hex");
  const requests: ApiRequest[] = [];
  const context: Context = {
    store,
    apply: new ServerSideApply(store),
    logs,
    faults,
    users: new Map([[token, "playground"]]),
    record: (request) => requests.push(request),
  };
  const server = createApiServer(context);
  const executor = new Executor(store, process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin");
  const upgrades = new Upgrades(server, context, executor);
  furnishNamespaces(store);
  bootstrap(store, options.nodes ?? 2);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    token,
    kubeconfig: kubeconfigOf(url, token),
    requests,
    clearRequests: () => requests.splice(0),
    faults,
    async seed(objects) {
      const seeded = seedObjects(store, objects);
      await queue.settled();
      return seeded();
    },
    settled: () => queue.settled(),
    log(...[namespace, pod, container, lines, options]) {
      logs.write({ namespace, pod, container }, lines, options?.previous === true);
    },
    compact: () => store.compact(),
    close: async () => {
      queue.stop();
      kubelet.close();
      logs.close();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      executor.close();
      upgrades.close();
      await closed;
    },
  };
}
