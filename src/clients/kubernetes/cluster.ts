import { accessCalls } from "./access.ts";
import { type Api, createApi } from "./api.ts";
import { Connection, type KubeconfigSource } from "./connection.ts";
import { customObjectCalls } from "./custom-objects.ts";
import { ephemeralContainerCalls } from "./ephemeral-containers.ts";
import { eventCalls } from "./events.ts";
import { evictionCalls } from "./evictions.ts";
import { execCalls } from "./exec.ts";
import { jobCalls } from "./jobs.ts";
import { networkPolicyCalls } from "./network-policies.ts";
import { nodeCalls } from "./nodes.ts";
import { podCalls } from "./pods.ts";
import type { Kubernetes } from "./port.ts";
import { resourceCalls } from "./resources.ts";
import { workloadCalls } from "./workloads.ts";

export interface Cluster {
  readonly real: Kubernetes;
  readonly dryRun: Kubernetes;
  close(): Promise<void>;
}

/**
 * Over one pool of connections. Opens none before the first call. Throws `unavailable` where the source cannot be read.
 * This module is imported lazily: client-node alone takes most of a second.
 */
export function openCluster(source: KubeconfigSource): Cluster {
  const connection = Connection.from(source);
  return {
    real: callsOf(createApi(connection, { dryRun: false })),
    dryRun: callsOf(createApi(connection, { dryRun: true })),
    close: () => connection.close(),
  };
}

function callsOf(api: Api): Kubernetes {
  return {
    ...podCalls(api),
    ...evictionCalls(api),
    ...nodeCalls(api),
    ...workloadCalls(api),
    ...networkPolicyCalls(api),
    ...customObjectCalls(api),
    ...resourceCalls(api),
    ...execCalls(api),
    ...ephemeralContainerCalls(api),
    ...jobCalls(api),
    ...eventCalls(api),
    ...accessCalls(api),
  };
}
