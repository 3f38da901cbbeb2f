import {
  at,
  isRecord,
  type Json,
  type KubeObject,
  listAt,
  numberAt,
  type Pod,
  recordAt,
  textAt,
  type ContainerState,
} from "./wire.ts";

/** One column of `kubectl get`; priority 1 shows with `-o wide`. */
export interface Column {
  readonly name: string;
  readonly type: string;
  readonly format: string;
  readonly priority: number;
  cell(object: KubeObject): Json;
}

type Cell = (object: KubeObject) => Json;

function column(name: string, cell: Cell, options: Partial<Column> = {}): Column {
  return { name, type: "string", format: "", priority: 0, ...options, cell };
}

const wide = { priority: 1 };
const whole = { type: "integer" };

const name = column("Name", ({ metadata }) => metadata.name, { format: "name" });
const age = column("Age", ({ metadata }) => ageOf(metadata.creationTimestamp));
const created = column("Created At", ({ metadata }) => metadata.creationTimestamp, { type: "date" });

const templates = [
  column("Containers", (object) => namesOf(object, "name"), wide),
  column("Images", (object) => namesOf(object, "image"), wide),
];
const templateColumns = [
  ...templates,
  column("Selector", (object) => selectorText(at(object, "spec", "selector")), wide),
];

export const plainColumns: readonly Column[] = [name, age];
export const createdColumns: readonly Column[] = [name, created];

export const podColumns: readonly Column[] = [
  name,
  column("Ready", (pod) => readyText(pod as Pod)),
  column("Status", (pod) => podStatus(pod as Pod)),
  column("Restarts", (pod) => restarts(pod as Pod)),
  age,
  column("IP", (pod) => textAt(pod, "status", "podIP") ?? "<none>", wide),
  column("Node", (pod) => textAt(pod, "spec", "nodeName") ?? "<none>", wide),
  column("Nominated Node", (pod) => textAt(pod, "status", "nominatedNodeName") ?? "<none>", wide),
  column("Readiness Gates", () => "<none>", wide),
];

export const nodeColumns: readonly Column[] = [
  name,
  column("Status", nodeStatus),
  column("Roles", nodeRoles),
  age,
  column("Version", (node) => textAt(node, "status", "nodeInfo", "kubeletVersion") ?? ""),
  column("Internal-IP", (node) => nodeAddress(node, "InternalIP"), wide),
  column("External-IP", (node) => nodeAddress(node, "ExternalIP"), wide),
  column("OS-Image", (node) => textAt(node, "status", "nodeInfo", "osImage") ?? "<unknown>", wide),
  column("Kernel-Version", (node) => textAt(node, "status", "nodeInfo", "kernelVersion") ?? "<unknown>", wide),
  column(
    "Container-Runtime",
    (node) => textAt(node, "status", "nodeInfo", "containerRuntimeVersion") ?? "<unknown>",
    wide,
  ),
];

export const namespaceColumns: readonly Column[] = [
  name,
  column("Status", (namespace) => textAt(namespace, "status", "phase") ?? ""),
  age,
];

export const eventColumns: readonly Column[] = [
  column("Last Seen", lastSeen),
  column("Type", (event) => textAt(event, "type") ?? ""),
  column("Reason", (event) => textAt(event, "reason") ?? ""),
  column("Object", eventObject),
  column("Subobject", (event) => textAt(event, "involvedObject", "fieldPath") ?? "", wide),
  column("Source", eventSource, wide),
  column("Message", (event) => (textAt(event, "message") ?? "").trim()),
  column("First Seen", firstSeen, wide),
  column("Count", (event) => numberAt(event, "count") ?? 1, wide),
  column("Name", ({ metadata }) => metadata.name, { ...wide, format: "name" }),
];

export const configMapColumns: readonly Column[] = [
  name,
  column("Data", (map) => Object.keys(recordAt(map, "data")).length + Object.keys(recordAt(map, "binaryData")).length),
  age,
];

export const secretColumns: readonly Column[] = [
  name,
  column("Type", (secret) => textAt(secret, "type") ?? ""),
  column("Data", (secret) => Object.keys(recordAt(secret, "data")).length),
  age,
];

export const serviceColumns: readonly Column[] = [
  name,
  column("Type", (service) => textAt(service, "spec", "type") ?? ""),
  column("Cluster-IP", (service) => textAt(service, "spec", "clusterIP") ?? "<none>"),
  column("External-IP", () => "<none>"),
  column("Port(s)", servicePorts),
  age,
  column("Selector", (service) => labelsText(at(service, "spec", "selector")), wide),
];

export const deploymentColumns: readonly Column[] = [
  name,
  column("Ready", readyReplicas),
  column("Up-to-date", (object) => numberAt(object, "status", "updatedReplicas") ?? 0),
  column("Available", (object) => numberAt(object, "status", "availableReplicas") ?? 0),
  age,
  ...templateColumns,
];

export const replicaSetColumns: readonly Column[] = [
  name,
  column("Desired", (object) => numberAt(object, "spec", "replicas") ?? 0, whole),
  column("Current", (object) => numberAt(object, "status", "replicas") ?? 0, whole),
  column("Ready", (object) => numberAt(object, "status", "readyReplicas") ?? 0, whole),
  age,
  ...templateColumns,
];

export const statefulSetColumns: readonly Column[] = [name, column("Ready", readyReplicas), age, ...templates];

export const daemonSetColumns: readonly Column[] = [
  name,
  column("Desired", (object) => numberAt(object, "status", "desiredNumberScheduled") ?? 0, whole),
  column("Current", (object) => numberAt(object, "status", "currentNumberScheduled") ?? 0, whole),
  column("Ready", (object) => numberAt(object, "status", "numberReady") ?? 0, whole),
  column("Up-to-date", (object) => numberAt(object, "status", "updatedNumberScheduled") ?? 0, whole),
  column("Available", (object) => numberAt(object, "status", "numberAvailable") ?? 0, whole),
  column("Node Selector", (object) => labelsText(at(object, "spec", "template", "spec", "nodeSelector"))),
  age,
  ...templateColumns,
];

export const jobColumns: readonly Column[] = [
  name,
  column("Status", (job) => (numberAt(job, "status", "succeeded") === undefined ? "Running" : "Complete")),
  column(
    "Completions",
    (job) => `${numberAt(job, "status", "succeeded") ?? 0}/${numberAt(job, "spec", "completions") ?? 1}`,
  ),
  column("Duration", (job) => ageOf(textAt(job, "status", "startTime"), textAt(job, "status", "completionTime"))),
  age,
  ...templateColumns,
];

export const bindingColumns: readonly Column[] = [
  name,
  column("Role", (binding) => `${textAt(binding, "roleRef", "kind")}/${textAt(binding, "roleRef", "name")}`),
  age,
  column("Users", (binding) => subjects(binding, "User"), wide),
  column("Groups", (binding) => subjects(binding, "Group"), wide),
  column("ServiceAccounts", (binding) => subjects(binding, "ServiceAccount"), wide),
];

export const networkPolicyColumns: readonly Column[] = [
  name,
  column("Pod-Selector", (policy) => selectorText(at(policy, "spec", "podSelector"))),
  age,
];

export const leaseColumns: readonly Column[] = [
  name,
  column("Holder", (lease) => textAt(lease, "spec", "holderIdentity") ?? ""),
  age,
];

function readyText(pod: Pod): string {
  const statuses = pod.status?.containerStatuses ?? [];
  return `${statuses.filter(({ ready }) => ready).length}/${pod.spec.containers.length}`;
}

/** The word in STATUS: the last container that is not running says why, else the phase. */
function podStatus(pod: Pod): string {
  if (pod.metadata.deletionTimestamp !== undefined) {
    return "Terminating";
  }
  const reasons = (pod.status?.containerStatuses ?? []).map(({ state }) => stateReason(state));
  return reasons.find((reason) => reason !== undefined) ?? pod.status?.reason ?? pod.status?.phase ?? "Unknown";
}

function stateReason(state: ContainerState | undefined): string | undefined {
  if (state?.waiting?.reason !== undefined) {
    return state.waiting.reason;
  }
  if (state?.terminated === undefined) {
    return undefined;
  }
  const { reason, signal, exitCode } = state.terminated;
  return reason ?? (signal === undefined ? `ExitCode:${exitCode}` : `Signal:${signal}`);
}

function restarts(pod: Pod): string {
  const statuses = pod.status?.containerStatuses ?? [];
  const total = statuses.reduce((sum, { restartCount }) => sum + restartCount, 0);
  const last = statuses
    .map(({ lastState }) => lastState?.terminated?.finishedAt)
    .filter((time) => time !== undefined)
    .toSorted()
    .at(-1);
  return total > 0 && last !== undefined ? `${total} (${ageOf(last)} ago)` : String(total);
}

function nodeStatus(node: KubeObject): string {
  const ready = listAt(node, "status", "conditions").find((condition) => textAt(condition, "type") === "Ready");
  const word = ready === undefined ? "Unknown" : textAt(ready, "status") === "True" ? "Ready" : "NotReady";
  return at(node, "spec", "unschedulable") === true ? `${word},SchedulingDisabled` : word;
}

function nodeRoles({ metadata }: KubeObject): string {
  const prefix = "node-role.kubernetes.io/";
  const roles = Object.keys(metadata.labels ?? {})
    .filter((key) => key.startsWith(prefix))
    .map((key) => key.slice(prefix.length));
  return roles.length === 0 ? "<none>" : roles.toSorted().join(",");
}

function nodeAddress(node: KubeObject, type: string): string {
  const address = listAt(node, "status", "addresses").find((entry) => textAt(entry, "type") === type);
  return textAt(address, "address") ?? "<none>";
}

function lastSeen(event: KubeObject): string {
  return ageOf(
    textAt(event, "lastTimestamp") ?? textAt(event, "series", "lastObservedTime") ?? textAt(event, "eventTime"),
  );
}

function firstSeen(event: KubeObject): string {
  return ageOf(textAt(event, "firstTimestamp") ?? textAt(event, "eventTime"));
}

function eventObject(event: KubeObject): string {
  const kind = (textAt(event, "involvedObject", "kind") ?? "").toLowerCase();
  return `${kind}/${textAt(event, "involvedObject", "name") ?? ""}`;
}

function eventSource(event: KubeObject): string {
  const component = textAt(event, "source", "component") ?? textAt(event, "reportingComponent") ?? "";
  const host = textAt(event, "source", "host");
  return host === undefined ? component : `${component}, ${host}`;
}

function servicePorts(service: KubeObject): string {
  const ports = listAt(service, "spec", "ports").map((port) => `${numberAt(port, "port")}/${textAt(port, "protocol")}`);
  return ports.length === 0 ? "<none>" : ports.join(",");
}

function readyReplicas(object: KubeObject): string {
  return `${numberAt(object, "status", "readyReplicas") ?? 0}/${numberAt(object, "spec", "replicas") ?? 0}`;
}

function namesOf(object: KubeObject, key: "name" | "image"): string {
  return listAt(object, "spec", "template", "spec", "containers")
    .map((container) => textAt(container, key))
    .join(",");
}

function subjects(binding: KubeObject, kind: string): string {
  return listAt(binding, "subjects")
    .filter((subject) => textAt(subject, "kind") === kind)
    .map((subject) => {
      const namespace = textAt(subject, "namespace");
      return `${namespace === undefined ? "" : `${namespace}/`}${textAt(subject, "name")}`;
    })
    .join(", ");
}

function labelsText(labels: unknown): string {
  const pairs = isRecord(labels) ? Object.entries(labels).map(([key, value]) => `${key}=${value}`) : [];
  return pairs.length === 0 ? "<none>" : pairs.toSorted().join(",");
}

function selectorText(selector: unknown): string {
  const expressions = listAt(selector, "matchExpressions").map(expressionText);
  const labels = Object.entries(recordAt(selector, "matchLabels")).map(([key, value]) => `${key}=${value}`);
  const parts = [...labels.toSorted(), ...expressions];
  return parts.length === 0 ? "<none>" : parts.join(",");
}

function expressionText(expression: unknown): string {
  const key = textAt(expression, "key") ?? "";
  switch (textAt(expression, "operator")) {
    case "Exists":
      return key;
    case "DoesNotExist":
      return `!${key}`;
    default:
      return `${key} ${(textAt(expression, "operator") ?? "").toLowerCase()} (${listAt(expression, "values").join(",")})`;
  }
}

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

/** `47s`, `5m30s`, `3h`, `2d`: kubectl's way to tell a duration. */
export function ageOf(since: string | undefined, until?: string): string {
  if (since === undefined) {
    return "<unknown>";
  }
  const end = until === undefined ? Date.now() : Date.parse(until);
  return duration(Math.max(0, Math.floor((end - Date.parse(since)) / 1000)));
}

function duration(seconds: number): string {
  const steps: readonly (readonly [limit: number, text: () => string])[] = [
    [2 * minute, () => `${seconds}s`],
    [10 * minute, () => two(seconds, [minute, "m"], [1, "s"])],
    [3 * hour, () => `${Math.floor(seconds / minute)}m`],
    [8 * hour, () => two(seconds, [hour, "h"], [minute, "m"])],
    [2 * day, () => `${Math.floor(seconds / hour)}h`],
    [8 * day, () => two(seconds, [day, "d"], [hour, "h"])],
    [730 * day, () => `${Math.floor(seconds / day)}d`],
  ];
  const step = steps.find(([limit]) => seconds < limit);
  return step === undefined ? two(seconds, [365 * day, "y"], [day, "d"]) : step[1]();
}

function two(seconds: number, [large, unit]: [number, string], [small, part]: [number, string]): string {
  const rest = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)}${unit}${rest === 0 ? "" : `${rest}${part}`}`;
}
