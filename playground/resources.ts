import * as columns from "./columns.ts";
import * as defaults from "./defaults.ts";
import type { Cause } from "./errors.ts";
import type { KubeObject } from "./wire.ts";
import * as validation from "./validation.ts";

/** One kind of object. Discovery, routing, tables, validation and OpenAPI all come from this table. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  /** Besides apiVersion, kind, metadata: what a strict decoder knows. */
  readonly fields: readonly string[];
  /** Field selectors besides metadata.name and metadata.namespace. */
  readonly selectable: readonly string[];
  readonly names: validation.NameForm;
  /** `status` is written by its own path only. */
  readonly status: boolean;
  /** `metadata.generation` counts changes of the spec. */
  readonly generation: boolean;
  /** A deletion answers with the object even when it is gone at once. */
  readonly returnsDeleted: boolean;
  readonly subresources: readonly Subresource[];
  readonly columns: readonly columns.Column[];
  complete(object: KubeObject): KubeObject;
  validate(object: KubeObject, previous: KubeObject | undefined): readonly Cause[];
}

export interface Subresource {
  readonly name: string;
  readonly kind: string;
  readonly verbs: readonly string[];
  readonly group?: string;
  readonly version?: string;
}

type Declared = Pick<Resource, "group" | "plural" | "kind"> & Partial<Resource>;

function resource(declared: Declared): Resource {
  const status: Subresource = { name: "status", kind: declared.kind, verbs: ["get", "patch", "update"] };
  return {
    version: "v1",
    singular: declared.kind.toLowerCase(),
    namespaced: true,
    shortNames: [],
    categories: [],
    fields: declared.status === true ? ["spec", "status"] : ["spec"],
    selectable: [],
    names: "subdomain",
    status: false,
    generation: false,
    returnsDeleted: false,
    columns: columns.plainColumns,
    complete: (object) => object,
    validate: () => [],
    ...declared,
    subresources: [...(declared.subresources ?? []), ...(declared.status === true ? [status] : [])],
  };
}

const podSubresources: readonly Subresource[] = [
  { name: "eviction", kind: "Eviction", verbs: ["create"], group: "policy", version: "v1" },
  { name: "exec", kind: "PodExecOptions", verbs: ["create", "get"] },
  { name: "log", kind: "Pod", verbs: ["get"] },
];

const rbac = { group: "rbac.authorization.k8s.io", names: "path" } as const;
const running = { status: true, generation: true, categories: ["all"] } as const;

export const pods = resource({
  group: "",
  plural: "pods",
  kind: "Pod",
  shortNames: ["po"],
  ...running,
  returnsDeleted: true,
  selectable: [
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
  ],
  subresources: podSubresources,
  columns: columns.podColumns,
  complete: defaults.podDefaults,
  validate: validation.podCauses,
});

export const nodes = resource({
  group: "",
  plural: "nodes",
  kind: "Node",
  shortNames: ["no"],
  namespaced: false,
  status: true,
  selectable: ["spec.unschedulable"],
  columns: columns.nodeColumns,
  complete: defaults.nodeDefaults,
  validate: validation.nodeCauses,
});

export const namespaces = resource({
  group: "",
  plural: "namespaces",
  kind: "Namespace",
  shortNames: ["ns"],
  namespaced: false,
  status: true,
  names: "label",
  selectable: ["status.phase"],
  columns: columns.namespaceColumns,
  complete: defaults.namespaceDefaults,
});

export const events = resource({
  group: "",
  plural: "events",
  kind: "Event",
  shortNames: ["ev"],
  fields: [
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "series",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
  ],
  selectable: [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
  ],
  columns: columns.eventColumns,
  complete: defaults.eventDefaults,
  validate: validation.eventCauses,
});

export const serviceAccounts = resource({
  group: "",
  plural: "serviceaccounts",
  kind: "ServiceAccount",
  shortNames: ["sa"],
  returnsDeleted: true,
  fields: ["secrets", "imagePullSecrets", "automountServiceAccountToken"],
});

export const deployments = resource({
  group: "apps",
  plural: "deployments",
  kind: "Deployment",
  shortNames: ["deploy"],
  ...running,
  columns: columns.deploymentColumns,
  complete: defaults.workloadDefaults({
    replicas: 1,
    strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: "25%", maxSurge: "25%" } },
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
  }),
  validate: validation.workloadCauses,
});

export const replicaSets = resource({
  group: "apps",
  plural: "replicasets",
  kind: "ReplicaSet",
  shortNames: ["rs"],
  ...running,
  selectable: ["status.replicas"],
  columns: columns.replicaSetColumns,
  complete: defaults.workloadDefaults({ replicas: 1 }),
  validate: validation.workloadCauses,
});

export const statefulSets = resource({
  group: "apps",
  plural: "statefulsets",
  kind: "StatefulSet",
  shortNames: ["sts"],
  ...running,
  columns: columns.statefulSetColumns,
  complete: defaults.workloadDefaults({ replicas: 1, podManagementPolicy: "OrderedReady", revisionHistoryLimit: 10 }),
  validate: validation.workloadCauses,
});

export const daemonSets = resource({
  group: "apps",
  plural: "daemonsets",
  kind: "DaemonSet",
  shortNames: ["ds"],
  ...running,
  columns: columns.daemonSetColumns,
  complete: defaults.workloadDefaults({ revisionHistoryLimit: 10 }),
  validate: validation.workloadCauses,
});

export const jobs = resource({
  group: "batch",
  plural: "jobs",
  kind: "Job",
  ...running,
  selectable: ["status.successful"],
  columns: columns.jobColumns,
  complete: defaults.jobDefaults,
  validate: validation.jobCauses,
});

export const replicationControllers = resource({
  group: "",
  plural: "replicationcontrollers",
  kind: "ReplicationController",
  shortNames: ["rc"],
  ...running,
  columns: columns.replicaSetColumns,
  complete: defaults.replicationControllerDefaults,
});

export const resources: readonly Resource[] = [
  resource({
    group: "",
    plural: "configmaps",
    kind: "ConfigMap",
    shortNames: ["cm"],
    fields: ["data", "binaryData", "immutable"],
    columns: columns.configMapColumns,
  }),
  events,
  namespaces,
  nodes,
  pods,
  replicationControllers,
  resource({
    group: "",
    plural: "secrets",
    kind: "Secret",
    fields: ["data", "stringData", "immutable", "type"],
    selectable: ["type"],
    columns: columns.secretColumns,
    complete: defaults.secretDefaults,
  }),
  serviceAccounts,
  resource({
    group: "",
    plural: "services",
    kind: "Service",
    shortNames: ["svc"],
    categories: ["all"],
    returnsDeleted: true,
    status: true,
    names: "label",
    columns: columns.serviceColumns,
    complete: defaults.serviceDefaults,
  }),
  daemonSets,
  deployments,
  replicaSets,
  statefulSets,
  jobs,
  resource({
    group: "coordination.k8s.io",
    plural: "leases",
    kind: "Lease",
    columns: columns.leaseColumns,
  }),
  resource({
    group: "networking.k8s.io",
    plural: "networkpolicies",
    kind: "NetworkPolicy",
    shortNames: ["netpol"],
    generation: true,
    columns: columns.networkPolicyColumns,
    complete: defaults.networkPolicyDefaults,
    validate: validation.networkPolicyCauses,
  }),
  resource({
    ...rbac,
    plural: "clusterrolebindings",
    kind: "ClusterRoleBinding",
    namespaced: false,
    fields: ["roleRef", "subjects"],
    columns: columns.bindingColumns,
  }),
  resource({
    ...rbac,
    plural: "clusterroles",
    kind: "ClusterRole",
    namespaced: false,
    fields: ["rules", "aggregationRule"],
    columns: columns.createdColumns,
  }),
  resource({
    ...rbac,
    plural: "rolebindings",
    kind: "RoleBinding",
    fields: ["roleRef", "subjects"],
    columns: columns.bindingColumns,
  }),
  resource({
    ...rbac,
    plural: "roles",
    kind: "Role",
    fields: ["rules"],
    columns: columns.createdColumns,
  }),
];

export function groupVersionOf({ group, version }: Pick<Resource, "group" | "version">): string {
  return group === "" ? version : `${group}/${version}`;
}

export function resourceOf(apiVersion: string, kind: string): Resource | undefined {
  return resources.find((candidate) => groupVersionOf(candidate) === apiVersion && candidate.kind === kind);
}

export function resourceAt(path: { readonly group: string; readonly version: string; readonly plural: string }) {
  return resources.find(
    ({ group, version, plural }) => group === path.group && version === path.version && plural === path.plural,
  );
}
