import type { Actionner, Catalogue, Context, Grant, Output, PolicyRule } from "./catalogue.ts";

/** One thing that Hallux may or may not do, as Kubernetes grants and checks it. */
export interface Permission {
  readonly verb: string;
  /** Empty for the core group. */
  readonly apiGroup: string;
  /** With its subresource: `pods`, `pods/log`. */
  readonly resource: string;
  /** Undefined: in all of them, or cluster-wide. */
  readonly namespace: string | undefined;
}

/** Who needs it. */
export interface Need {
  /** Undefined for the configuration's `default_notifiers`. */
  readonly rule: string | undefined;
  /** Undefined for notifiers. */
  readonly action: string | undefined;
  /** The entry of the catalogue. */
  readonly entry: string;
}

export interface NeededPermission extends Permission {
  readonly neededBy: readonly Need[];
}

/** What of a rule decides what it needs. */
export interface Asking {
  readonly name: string;
  /** See `Rule`. */
  readonly pinned: readonly ReadonlyMap<string, string>[];
  readonly actions: readonly {
    readonly name: string;
    readonly actionner: Actionner;
    readonly parameters: Readonly<Record<string, unknown>>;
    readonly contexts: readonly Context[];
    readonly output: { readonly output: Output } | undefined;
  }[];
  readonly notifiers: readonly string[];
}

export interface Use {
  readonly rules: readonly Asking[];
  readonly defaultNotifiers: readonly string[];
  readonly catalogue: Pick<Catalogue, "notifiers">;
}

/** All that these rules need of Kubernetes, each once, in an order of its own. What all namespaces have, none has again. */
export function neededPermissions({ rules, defaultNotifiers, catalogue }: Use): readonly NeededPermission[] {
  const asked = [
    ...rules.flatMap((rule) => neededByRule(rule, catalogue)),
    ...neededByNotifiers(defaultNotifiers, undefined, catalogue),
  ];
  const everywhere = new Set(asked.filter(({ namespace }) => namespace === undefined).map(keyOf));
  const widened = asked.map((one) => (everywhere.has(wide(one)) ? { ...one, namespace: undefined } : one));
  return [...Map.groupBy(widened, keyOf).values()].flatMap(joined).sort(inOrder);
}

/** Of a Role, or where there is no namespace of a ClusterRole. */
export interface Role {
  readonly namespace: string | undefined;
  readonly rules: readonly RoleRule[];
}

export interface RoleRule extends PolicyRule {
  /** What it is made of. */
  readonly permissions: readonly NeededPermission[];
}

/** As few rules as there can be with one API group each. */
export function rolesOf(permissions: readonly NeededPermission[]): readonly Role[] {
  return [...Map.groupBy(permissions, ({ namespace }) => namespace)].map(([namespace, members]) => ({
    namespace,
    rules: rulesOf(members),
  }));
}

/** `get pods in namespace shop`, `create networkpolicies.networking.k8s.io in all namespaces`, `patch nodes`. */
export function permissionText({ verb, apiGroup, resource, namespace }: Permission): string {
  const qualified = apiGroup === "" ? resource : `${resource}.${apiGroup}`;
  if (namespace !== undefined) {
    return `${verb} ${qualified} in namespace ${namespace}`;
  }
  return clusterWide.has(resource) ? `${verb} ${qualified}` : `${verb} ${qualified} in all namespaces`;
}

/** `rule "Cut off", action "Deny egress" (kubernetes:networkpolicy)`. */
export function needText({ rule, action, entry }: Need): string {
  if (rule === undefined) {
    return `default notifier ${entry}`;
  }
  return action === undefined ? `rule "${rule}", notifier ${entry}` : `rule "${rule}", action "${action}" (${entry})`;
}

/** Resources of the catalogue that are in no namespace. */
export const clusterWide: ReadonlySet<string> = new Set(["nodes", "namespaces", "clusterroles", "tiers"]);

const verbs = ["get", "list", "watch", "create", "update", "patch", "delete"];
const everyNamespace = "*";
const namespaceName = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
/** The field that tells the target's namespace before any other does. */
const namespaceFields = { pod: "k8s.ns.name", resource: "ka.target.namespace", none: undefined } as const;
/** The engine looks at it before a destructive action, which may not look by itself. */
const look: Grant = { apiGroups: [""], resources: ["pods"], verbs: ["get"] };

function neededByRule(rule: Asking, catalogue: Use["catalogue"]): NeededPermission[] {
  return [
    ...rule.actions.flatMap((action) => neededByAction(action, rule)),
    ...neededByNotifiers(rule.notifiers, rule.name, catalogue),
  ];
}

function neededByAction(
  { name, actionner, parameters, contexts, output }: Asking["actions"][number],
  rule: Asking,
): NeededPermission[] {
  const grants = [...(actionner.rbacFor?.(parameters) ?? actionner.rbac), ...(looksFirst(actionner) ? [look] : [])];
  const uses = [
    { entry: actionner.id, target: actionner.target, grants },
    ...contexts.map(({ id, target, rbac }) => ({ entry: id, target, grants: rbac })),
    ...(output === undefined ? [] : [{ entry: output.output.id, target: "none" as const, grants: output.output.rbac }]),
  ];
  return uses.flatMap(({ entry, target, grants }) => {
    const need = { rule: rule.name, action: name, entry };
    return grants.flatMap((grant) => permissionsOf(grant, placesOf(target, rule), need));
  });
}

function looksFirst({ destructive, target }: Actionner): boolean {
  return destructive && target === "pod";
}

/** An outcome may be about anything: wherever that is. */
function neededByNotifiers(
  ids: readonly string[],
  rule: string | undefined,
  { notifiers }: Use["catalogue"],
): NeededPermission[] {
  return ids.flatMap((entry) =>
    (notifiers.get(entry)?.rbac ?? []).flatMap((grant) =>
      permissionsOf(grant, anywhere, { rule, action: undefined, entry }),
    ),
  );
}

/** Where the target can be, and what it can be there; undefined where that is anything. */
interface Place {
  readonly namespace: string | undefined;
  readonly resource: string | undefined;
}

const anywhere: readonly Place[] = [{ namespace: undefined, resource: undefined }];

function placesOf(target: Actionner["target"], { pinned }: Asking): readonly Place[] {
  return pinned.length === 0 ? anywhere : pinned.map((fields) => placeIn(fields, target));
}

function placeIn(fields: ReadonlyMap<string, string>, target: Actionner["target"]): Place {
  const field = namespaceFields[target];
  const namespace = field === undefined ? undefined : fields.get(field);
  return {
    // Of what is no namespace's name (<NA>), another field may tell the namespace.
    namespace: namespace !== undefined && namespaceName.test(namespace) ? namespace : undefined,
    resource: target === "resource" ? fields.get("ka.target.resource") : undefined,
  };
}

function permissionsOf(grant: Grant, places: readonly Place[], need: Need): NeededPermission[] {
  return places.flatMap((place) =>
    grant.resources
      .filter((resource) => place.resource === undefined || place.resource === resource)
      .flatMap((resource) => permissionsIn(namespaceOf(grant, resource, place), { ...grant, resource }, need)),
  );
}

function permissionsIn(
  namespace: string | undefined,
  { apiGroups, verbs, resource }: Grant & { readonly resource: string },
  need: Need,
): NeededPermission[] {
  return apiGroups.flatMap((apiGroup) =>
    verbs.map((verb) => ({ verb, apiGroup, resource, namespace, neededBy: [need] })),
  );
}

function namespaceOf({ namespace }: Grant, resource: string, place: Place): string | undefined {
  const isEverywhere = clusterWide.has(resource) || namespace === everyNamespace;
  return isEverywhere ? undefined : (namespace ?? place.namespace);
}

function keyOf({ verb, apiGroup, resource, namespace }: Permission): string {
  return JSON.stringify([namespace ?? null, apiGroup, resource, verb]);
}

function wide(permission: Permission): string {
  return keyOf({ ...permission, namespace: undefined });
}

function joined(same: readonly NeededPermission[]): NeededPermission[] {
  const needs = new Map(same.flatMap(({ neededBy }) => neededBy).map((need) => [needText(need), need]));
  return same.slice(0, 1).map((one) => ({ ...one, neededBy: [...needs.values()] }));
}

/** Cluster-wide ones first; then by namespace, API group, resource and verb. */
function inOrder(a: Permission, b: Permission): number {
  return (
    compare(a.namespace ?? "", b.namespace ?? "") ||
    compare(a.apiGroup, b.apiGroup) ||
    compare(a.resource, b.resource) ||
    verbs.indexOf(a.verb) - verbs.indexOf(b.verb)
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function rulesOf(permissions: readonly NeededPermission[]): readonly RoleRule[] {
  const resources = [
    ...Map.groupBy(permissions, ({ apiGroup, resource }) => JSON.stringify([apiGroup, resource])).values(),
  ];
  const alike = Map.groupBy(resources, (members) =>
    JSON.stringify([members[0]?.apiGroup, members.map(({ verb }) => verb)]),
  );
  return [...alike.values()].map((groups) => ruleOf(groups.flat()));
}

/** Of permissions of one API group, that give each resource the same verbs. */
function ruleOf(permissions: readonly NeededPermission[]): RoleRule {
  const once = (values: readonly string[]) => [...new Set(values)];
  return {
    apiGroups: once(permissions.map(({ apiGroup }) => apiGroup)),
    resources: once(permissions.map(({ resource }) => resource)),
    verbs: once(permissions.map(({ verb }) => verb)),
    permissions,
  };
}
