import { randomUUID } from "node:crypto";
import { namespaces, nodes, serviceAccounts } from "./resources.ts";
import type { Store } from "./store.ts";
import { timestamp } from "./wire.ts";

/** What every cluster has: the system namespaces, and nodes labelled as a cloud would. */
export function bootstrap(store: Store, nodeCount: number): void {
  for (const name of ["default", "kube-node-lease", "kube-public", "kube-system"]) {
    createNamespace(store, name);
  }
  for (let number = 1; number <= nodeCount; number += 1) {
    createNode(store, number);
  }
}

export function createNamespace(store: Store, name: string): void {
  const metadata = { name, uid: randomUUID(), creationTimestamp: timestamp() };
  store.put(namespaces, namespaces.complete({ apiVersion: "v1", kind: "Namespace", metadata }));
}

/** Every namespace has a service account from the start: the real API server admits no pods before. */
export function furnishNamespaces(store: Store): void {
  store.subscribe(({ type, resource, object }) => {
    if (type === "ADDED" && resource === namespaces) {
      const metadata = {
        name: "default",
        namespace: object.metadata.name,
        uid: randomUUID(),
        creationTimestamp: timestamp(),
      };
      store.put(serviceAccounts, { apiVersion: "v1", kind: "ServiceAccount", metadata });
    }
  });
}

function createNode(store: Store, number: number): void {
  const name = `node-${number}`;
  const zone = `test-1${"abc"[(number - 1) % 3]}`;
  const now = timestamp();
  const resources = { cpu: "8", memory: "32Gi", pods: "110" };
  store.put(nodes, {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name,
      uid: randomUUID(),
      creationTimestamp: now,
      labels: {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "node.kubernetes.io/instance-type": "test.large",
        "topology.kubernetes.io/region": "test-1",
        "topology.kubernetes.io/zone": zone,
        "node-role.kubernetes.io/worker": "",
      },
    },
    spec: { providerID: `test:///${zone}/i-${number.toString(16).padStart(17, "0")}` },
    status: {
      capacity: resources,
      allocatable: resources,
      addresses: [
        { type: "InternalIP", address: "127.0.0.1" },
        { type: "Hostname", address: name },
      ],
      conditions: [
        { type: "Ready", status: "True", reason: "KubeletReady", lastHeartbeatTime: now, lastTransitionTime: now },
      ],
      nodeInfo: {
        kubeletVersion: "v1.36.3",
        operatingSystem: "linux",
        architecture: "amd64",
        containerRuntimeVersion: "containerd://2.0.0",
        osImage: "playground",
      },
    },
  });
}
