import { parse } from "yaml";

/** What the rules say of events, worked out a second time, straight from the YAML: nothing here is shared with src. */

export interface ReplayedEvent {
  readonly rule: string;
  readonly priority: string;
  readonly source?: string;
  readonly tags?: readonly string[];
  /** Numbers as their digits. */
  readonly output_fields?: Readonly<Record<string, string | null>>;
}

export interface PodModel {
  readonly namespace: string;
  readonly name: string;
  /** Its own, where the rules change nodes: else who comes first would decide who finds the node changed. */
  readonly node: string | undefined;
  /** Of the node that it runs on. */
  readonly hostname: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  alive: boolean;
  egress: readonly object[] | undefined;
  /** What the commands wrote down, line by line. */
  readonly seen: string[];
}

export interface NodeModel {
  labels: Record<string, string>;
  unschedulable: boolean;
}

export interface World {
  /** By `namespace/name`. */
  readonly pods: Map<string, PodModel>;
  /** `configmaps payments/nginx`, `namespaces nginx`. */
  readonly objects: Set<string>;
  /** By name. */
  readonly nodes: Map<string, NodeModel>;
  /** `payments_nginx`: the pods whose logs are kept. */
  readonly evidence: string[];
  /** The payloads; of their context, the name of the node's host. */
  readonly invocations: object[];
}

/** How one action ended, and the Kubernetes event that tells of it. */
export interface Ended {
  readonly line: string;
  readonly event: string;
}

interface Parameters {
  readonly labels?: Readonly<Record<string, unknown>>;
  readonly annotations?: Readonly<Record<string, unknown>>;
  readonly level?: string;
  readonly allow_cidr?: readonly string[];
  readonly allow_namespaces?: readonly string[];
  readonly ignore_standalone_pods?: boolean | string;
}

interface ActionBlock {
  readonly action: string;
  readonly actionner: string;
  readonly parameters?: Parameters;
  readonly continue?: boolean;
  readonly ignore_errors?: boolean;
}

interface RuleBlock {
  readonly rule: string;
  readonly match: Readonly<Record<"rules" | "tags" | "output_fields", readonly string[] | undefined>> & {
    readonly priority?: string;
    readonly source?: string;
  };
  readonly continue?: boolean;
  readonly dry_run?: boolean | string;
  readonly actions: readonly ActionBlock[];
}

type Status = "success" | "ignored" | "refused" | "failure";
type Ending = readonly [Status, code?: string];

export function readEvent(line: string): ReplayedEvent {
  const digits = (_key: string, value: unknown, { source }: { source?: string }) =>
    typeof value === "number" ? source : value;
  return JSON.parse(line, digits as (key: string, value: unknown) => unknown);
}

/** The rules of the files, the later over the earlier, with the shared actions put in. */
export function readRules(texts: readonly string[]): readonly RuleBlock[] {
  const shared = new Map<string, object>();
  const rules = new Map<string, RuleBlock>();
  for (const block of texts.flatMap((text) => parse(text))) {
    const [blocks, name] = "rule" in block ? [rules, block.rule] : [shared, block.action];
    blocks.set(name, merged(blocks.get(name) ?? {}, block));
  }
  return [...rules.values()].map((rule) => ({
    ...rule,
    actions: rule.actions.map((action) => merged(shared.get(action.action) ?? {}, action) as ActionBlock),
  }));
}

/** Applies the rules to the events, one after another. */
export function respond(rules: readonly RuleBlock[], events: readonly ReplayedEvent[], world: World): readonly Ended[] {
  return events.flatMap((event) => {
    const matched = rules.filter((rule) => matches(rule, event));
    const last = matched.findIndex((rule) => rule.continue === false);
    return matched.slice(0, last < 0 ? undefined : last + 1).flatMap((rule) => respondTo(rule, event, world));
  });
}

// biome-ignore lint/suspicious/noExplicitAny: YAML, whatever it holds
function merged(base: any, over: any): any {
  if (Array.isArray(base) && Array.isArray(over)) {
    return [...base, ...over];
  }
  if (typeof base !== "object" || typeof over !== "object") {
    return over;
  }
  const both = Object.keys(over).map((key) => [key, key in base ? merged(base[key], over[key]) : over[key]]);
  return { ...base, ...Object.fromEntries(both) };
}

const priorities = ["debug", "informational", "notice", "warning", "error", "critical", "alert", "emergency"];

function matches({ match }: RuleBlock, event: ReplayedEvent): boolean {
  const { rules, priority, source, tags, output_fields: fields } = match;
  return (
    (rules === undefined || rules.includes(event.rule)) &&
    (priority === undefined || priorityFits(priority, event.priority)) &&
    (source === undefined || singular(source) === singular(event.source ?? "syscall")) &&
    (tags === undefined || tags.some((group) => parts(group).every((tag) => event.tags?.includes(tag)))) &&
    (fields === undefined || fields.some((group) => parts(group).every((test) => fieldFits(test, event))))
  );
}

function priorityFits(wanted: string, given: string): boolean {
  const [, operator = "", name = ""] = /^([<>=]*)(.*)$/.exec(wanted) ?? [];
  const difference = priorities.indexOf(given.toLowerCase()) - priorities.indexOf(name.toLowerCase());
  const equal = operator !== "<" && operator !== ">";
  return (
    (difference < 0 && operator.includes("<")) ||
    (difference > 0 && operator.includes(">")) ||
    (difference === 0 && equal)
  );
}

function singular(source: string): string {
  return source.replace(/^syscalls$/, "syscall");
}

function parts(group: string): string[] {
  return group.split(",").map((part) => part.trim());
}

function fieldFits(test: string, event: ReplayedEvent): boolean {
  const [name = "", value] = test.split(/!?=/);
  const given = field(event, name);
  return given !== undefined && (given === value) !== test.includes("!=");
}

/** Undefined where Falco did not know it. */
function field({ output_fields: fields }: ReplayedEvent, name: string): string | undefined {
  const value = fields?.[name];
  return value === null || value === "" || value === "<NA>" ? undefined : value;
}

export function podOf(event: ReplayedEvent): { namespace: string; name: string } | undefined {
  const resource = field(event, "ka.target.resource");
  const about = resource === undefined || resource === "pods" ? field(event, "ka.target.name") : undefined;
  const made = resource === "pods" ? field(event, "ka.resp.name") : undefined;
  const name = field(event, "k8s.pod.name") ?? about ?? made;
  const namespace = field(event, "k8s.ns.name") ?? field(event, "ka.target.namespace");
  return name === undefined || namespace === undefined || !isName(name) ? undefined : { namespace, name };
}

export interface ObjectRef {
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly name: string;
}

export function objectOf(event: ReplayedEvent): ObjectRef | undefined {
  const resource = field(event, "ka.target.resource");
  const name = field(event, "ka.target.name") ?? field(event, "ka.resp.name");
  return resource === undefined || name === undefined || name.includes("/")
    ? undefined
    : { resource, namespace: field(event, "ka.target.namespace"), name };
}

/** By which the world knows it. */
export function keyOf({ resource, namespace, name }: ObjectRef): string {
  return resource === "namespaces" ? `namespaces ${name}` : `${resource} ${namespace}/${name}`;
}

export function isName(text: string): boolean {
  return /^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/.test(text);
}

function respondTo(rule: RuleBlock, event: ReplayedEvent, world: World): readonly Ended[] {
  const dryRun = String(rule.dry_run) === "true";
  const ended: Ended[] = [];
  for (const action of rule.actions) {
    const [status, code] = run(action, event, dryRun ? structuredClone(world) : world);
    const shown = dryRun ? "dry_run" : status;
    const names = `rule "${rule.rule}", action "${action.action}"`;
    ended.push({
      line: [names, shown, ...(code === undefined ? [] : [code])].join(" "),
      event: `${placeOf(action, event)} ${reasonOf(action)}${endings[shown]} ${names}`,
    });
    if (isLast(action, status)) {
      break;
    }
  }
  return ended;
}

function isLast({ actionner, continue: goesOn, ignore_errors }: ActionBlock, status: Status): boolean {
  const failed = status === "failure" && ignore_errors !== true;
  return failed || !(goesOn ?? !endsByItself.has(actionner));
}

/** `kubernetes:label` → `HalluxLabel` */
function reasonOf({ actionner }: ActionBlock): string {
  return `Hallux${actionner.replace(/^.*:(.)/, (_, letter: string) => letter.toUpperCase())}`;
}

const endings = {
  success: "Succeeded",
  ignored: "Ignored",
  refused: "Refused",
  failure: "Failed",
  dry_run: "DryRun",
} as const;

const endsByItself = new Set(["kubernetes:terminate", "kubernetes:delete"]);
const destructive = new Set([...endsByItself, "kubernetes:networkpolicy", "kubernetes:exec"]);
const protectedNamespaces = ["kube-system", "kube-public", "kube-node-lease"];
export const kinds: Readonly<Record<string, string>> = {
  namespaces: "Namespace",
  pods: "Pod",
  configmaps: "ConfigMap",
  serviceaccounts: "ServiceAccount",
  deployments: "Deployment",
};

/** What the Kubernetes event is about. */
function placeOf({ actionner }: ActionBlock, event: ReplayedEvent): string {
  const object = actionner === "kubernetes:delete" ? objectOf(event) : undefined;
  const pod = podOf(event);
  if (object !== undefined) {
    return `${object.namespace ?? "default"} ${kinds[object.resource]} ${object.name}`;
  }
  return pod === undefined ? "default Namespace default" : `${pod.namespace} Pod ${pod.name}`;
}

function run(action: ActionBlock, event: ReplayedEvent, world: World): Ending {
  if (action.actionner === "kubernetes:delete") {
    return deleteObject(objectOf(event), world);
  }
  const found = podOf(event);
  if (found === undefined) {
    return ["ignored"];
  }
  if (destructive.has(action.actionner) && protectedNamespaces.includes(found.namespace)) {
    return ["refused"];
  }
  const pod = world.pods.get(`${found.namespace}/${found.name}`);
  return pod?.alive ? onPod(pod, action, { event, world }) : ["ignored"];
}

function deleteObject(object: ObjectRef | undefined, world: World): Ending {
  if (object === undefined) {
    return ["ignored"];
  }
  const { resource, namespace, name } = object;
  if (protectedNamespaces.includes((resource === "namespaces" ? name : namespace) ?? "")) {
    return ["refused"];
  }
  if (kinds[resource] === undefined || (namespace === undefined && resource !== "namespaces")) {
    return ["failure", "invalid"];
  }
  return [resource === "pods" ? killed(world.pods.get(`${namespace}/${name}`)) : gone(keyOf(object), world)];
}

function gone(key: string, { objects }: World): Status {
  return objects.delete(key) ? "success" : "ignored";
}

function killed(pod: PodModel | undefined): Status {
  if (!pod?.alive) {
    return "ignored";
  }
  pod.alive = false;
  return "success";
}

interface Circumstances {
  readonly event: ReplayedEvent;
  readonly world: World;
}

function onPod(pod: PodModel, { actionner, parameters = {} }: ActionBlock, { event, world }: Circumstances): Ending {
  const { labels, annotations, level, allow_cidr, allow_namespaces, ignore_standalone_pods } = parameters;
  const node = world.nodes.get(pod.node ?? "");
  const text = (name: string) => event.output_fields?.[name] ?? "";
  switch (actionner) {
    case "kubernetes:label":
      return level === "node" ? put(node?.labels, labels) : put(pod.labels, labels);
    case "kubernetes:annotation":
      return put(pod.annotations, annotations);
    case "kubernetes:networkpolicy":
      return isolate(pod, allow_cidr, allow_namespaces);
    case "kubernetes:cordon":
      return cordon(node);
    case "kubernetes:terminate":
      return terminate(pod, String(ignore_standalone_pods ?? true) === "true");
    case "kubernetes:log":
      world.evidence.push(`${pod.namespace}_${pod.name}`);
      return ["success"];
    case "kubernetes:exec":
      pod.seen.push([text("fd.name"), text("proc.cmdline"), event.priority, pod.hostname].join("|"));
      return ["success"];
    case "aws:lambda":
      world.invocations.push({ ...event, context: pod.hostname });
      return ["success"];
    default:
      throw new Error(`the replay does not know ${actionner}`);
  }
}

/** Of all annotations of an object. */
const annotationBytes = 262_144;

/** Kubernetes refuses it. */
export const tooLong = "x".repeat(annotationBytes);

/** An empty value takes the key away. */
function put(texts: Record<string, string> | undefined, change: Readonly<Record<string, unknown>> = {}): Ending {
  if (texts === undefined || Object.values(change).includes(tooLong)) {
    return ["failure", "invalid"];
  }
  for (const [key, value] of Object.entries(change)) {
    if (value === "") {
      delete texts[key];
    } else {
      texts[key] = String(value);
    }
  }
  return ["success"];
}

function isolate(pod: PodModel, cidrs: readonly string[] = [], namespaces: readonly string[] = []): Ending {
  if (pod.egress !== undefined) {
    return ["ignored"];
  }
  const to = [
    ...cidrs.map((cidr) => ({ ipBlock: { cidr } })),
    ...namespaces.map((name) => ({ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": name } } })),
  ];
  pod.egress = [{ to }];
  return ["success"];
}

function cordon(node: NodeModel | undefined): Ending {
  if (node === undefined || node.unschedulable) {
    return ["ignored"];
  }
  node.unschedulable = true;
  return ["success"];
}

/** No pod of the replay has an owner. */
function terminate(pod: PodModel, ignoreStandalone: boolean): Ending {
  return [ignoreStandalone ? "ignored" : killed(pod)];
}
