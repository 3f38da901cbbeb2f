import { isDeepStrictEqual } from "node:util";
import type { Call, PolicyRule } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import { ignored, type Result, success } from "../../src/catalogue/outcome.ts";
import type { CustomKind, CustomObject, Kubernetes, Workload } from "../../src/clients/kubernetes/port.ts";
import type { PodTarget } from "../../src/events/target.ts";
import { type Decision, establish, type Policies } from "./establish.ts";
import {
  allowCidr,
  allowFault,
  allowNamespaces,
  type Isolation,
  isolationOf,
  labelPod,
  mustBeOurs,
  type PolicyKind,
  policyMetadata,
  ruleOf,
  scope,
  undoOf,
  whoIs,
  workloadRules,
} from "./isolation.ts";
import { podTarget } from "./pod-target.ts";
import { remoteAddressOf } from "./remote-address.ts";

/** In one policy. The oldest do not make room for more: whoever reached so many others would reach the first again. */
export const maxAddresses = 1000;

export type DenyingKind = PolicyKind & CustomKind;

/** How a network plugin's own policies deny the egress to single addresses. */
export interface Denying<Params, Spec> {
  readonly kind: DenyingKind;
  /** A policy that denies no address yet. */
  specOf(selector: Workload["selector"], params: Params): Spec;
  /** The ranges of one address that a policy denies. */
  deniedBy(spec: Spec): readonly string[];
  /** The same policy, denying these. */
  denying(spec: Spec, ranges: readonly string[]): Spec;
}

export const denialParams = { allow_cidr: allowCidr, allow_namespaces: allowNamespaces, scope };

/** Of the descriptor of an actionner that denies addresses. The rules are those that it needs whoever is cut off. */
export function denialTraits(rules: readonly PolicyRule[]) {
  const all = [...rules, ...workloadRules];
  return {
    target: "pod",
    needs: ["fd.rip or fd.sip"],
    check: allowFault,
    uses: ["kubernetes"],
    rbac: all,
    rbacFor: ({ scope }: { readonly scope: "pod" | "workload" }) => (scope === "pod" ? rules : all),
    destructive: true,
    idempotent: true,
    continues: true,
    output: "none",
  } as const;
}

interface Asked<Params> extends Pick<Call, "event" | "rule" | "signal"> {
  readonly target: PodTarget;
  readonly params: Params & { readonly scope: "pod" | "workload" };
  readonly clients: { readonly kubernetes: Kubernetes };
}

/** Denies the pod, or its workload, the event's remote IP, besides those that its policy denies already. */
export async function denyRemote<Params, Spec extends object>(
  plugin: Denying<Params, Spec>,
  { event, target, params, rule, clients: { kubernetes }, signal }: Asked<Params>,
): Promise<Result> {
  const remote = remoteAddressOf(event);
  if (remote.kind === "missing") {
    return ignored(remote.reason);
  }
  const { range } = remote;
  const pod = await kubernetes.getPod(target, signal);
  const isolation = await isolationOf(pod, plugin.kind, { scope: params.scope, kubernetes, signal });
  const wanted = { range, metadata: policyMetadata(isolation, { pod, rule }), params, isolation };

  const policies = policiesOf(plugin.kind, wanted.metadata, { kubernetes, signal });
  const change = await establish(policies, (existing) => decide(plugin, existing, wanted));
  const labelled = await labelPod(pod, isolation, kubernetes, signal);

  const { kind } = plugin.kind;
  if (change === "none" && !labelled) {
    return ignored(`${kind} ${isolation.name} denies ${range} already`);
  }
  return success(summaryOf(isolation, range, change), {
    objects: { namespace: pod.namespace, pod: pod.name, [kind.toLowerCase()]: isolation.name },
    target: podTarget(pod),
    undo: undoOf(isolation, pod),
  });
}

function policiesOf(
  kind: CustomKind,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  { kubernetes, signal }: { readonly kubernetes: Kubernetes; readonly signal: AbortSignal },
): Policies<CustomObject> {
  return {
    get: () => kubernetes.getCustomObject(kind, { namespace, name }, signal),
    create: (policy) => kubernetes.createCustomObject(kind, policy, signal),
    replace: (policy) => kubernetes.replaceCustomObject(kind, policy, signal),
  };
}

interface Wanted<Params> {
  readonly range: string;
  readonly metadata: ReturnType<typeof policyMetadata>;
  readonly params: Params;
  readonly isolation: Isolation;
}

/** `allowed`: the address was denied before, and the rule has come to allow something else. */
type Change = "created" | "added" | "allowed" | "none";

function decide<Params, Spec extends object>(
  plugin: Denying<Params, Spec>,
  existing: CustomObject | undefined,
  { range, metadata, params, isolation }: Wanted<Params>,
): Decision<CustomObject, Change> {
  const { apiVersion, kind } = plugin.kind;
  const fresh = plugin.specOf(isolation.selector, params);
  if (existing === undefined) {
    return { write: { apiVersion, kind, metadata, spec: plugin.denying(fresh, [range]) }, change: "created" };
  }
  mustBeOurs(existing, isolation);
  const current = (existing.spec ?? {}) as Spec;
  const denied = plugin.deniedBy(current);
  const known = denied.includes(range);
  // What another rule has made stays: its event could otherwise open what this one has closed.
  const base = ruleOf(existing) === ruleOf({ metadata }) ? fresh : current;
  const spec = plugin.denying(base, known ? denied : [...denied, range]);
  if (isDeepStrictEqual(essence(spec), essence(current))) {
    return { change: "none" };
  }
  if (!known) {
    mustHaveRoom(denied, existing);
  }
  return { write: { ...existing, spec }, change: known ? "allowed" : "added" };
}

function mustHaveRoom(denied: readonly string[], { kind, metadata: { name } }: CustomObject): void {
  if (denied.length >= maxAddresses) {
    const most = `${kind} ${name} denies ${denied.length} addresses already, the most that Hallux puts into one`;
    throw new ActionError("invalid", `${most}: cut the pod off with kubernetes:networkpolicy`);
  }
}

/** As JSON has it, without what API servers add where nothing was said. */
function essence(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (_key, inner: unknown) => (isEmpty(inner) ? undefined : inner));
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
}

function summaryOf(isolation: Isolation, range: string, change: Change): string {
  const who = isolation.podLabel === undefined ? whoIs(isolation) : "the pod";
  return change === "allowed"
    ? `egress of ${who} to ${range} denied already; what is allowed was replaced`
    : `egress of ${who} to ${range} denied`;
}
