import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import type { Context } from "../../src/catalogue/catalogue.ts";
import { describeEntries } from "../../src/catalogue/describe.ts";
import {
  clusterWide,
  type NeededPermission,
  neededPermissions,
  type Permission,
  permissionText,
} from "../../src/catalogue/permissions.ts";
import type { Outcome } from "../../src/catalogue/outcome.ts";
import { loadRules } from "../../src/rules/load.ts";
import type { Rule } from "../../src/rules/rule.ts";
import { accountWith, type TestAccount } from "../support/account.ts";
import { cloudPorts } from "../support/cloud-ports.ts";
import { useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { lackingIn } from "../support/lacking.ts";
import { patient } from "../support/patient.ts";
import { type PermissionStage, permissionStage } from "../support/permission-stage.ts";
import { realCatalogue } from "../support/real-catalogue.ts";
import { respondBy } from "../support/respond.ts";

vi.setConfig({ testTimeout: 150_000 });

const cluster = await useCluster();
const lacks = await lackingIn(cluster);

/** One use of an entry of the catalogue: the rule of an example, or one that asks for the context's facts. */
interface Case {
  readonly id: string;
  readonly title: string;
  readonly rule: Rule;
  readonly needed: readonly NeededPermission[];
}

const cases = [...realCatalogue.actionners.values()].flatMap(({ id }) => differing(examplesOf(id)));
const contextCases = [...realCatalogue.contexts.values()].map(contextCase).filter(({ needed }) => needed.length > 1);
const all = [...cases, ...contextCases].filter(({ needed }) => needed.length > 0);
const runnable = all.filter(({ id }) => lacks[id] === undefined);
const skipped = all.filter(({ id }) => lacks[id] !== undefined);

function examplesOf(actionner: string): Case[] {
  const described = describeEntries("actionners", realCatalogue).find(({ id }) => id === actionner);
  return (described?.examples ?? []).map(({ title, rule }) => caseOf(actionner, title, rule));
}

/** What needs the same does not show more. */
function differing(found: readonly Case[]): Case[] {
  return [...Map.groupBy(found, ({ needed }) => needed.map(permissionText).join()).values()].flatMap(
    ([one]) => one ?? [],
  );
}

function contextCase({ id }: Context): Case {
  const action = `{ action: Mark, actionner: "kubernetes:label", parameters: { labels: { a: b } }, additional_contexts: [${id}] }`;
  return caseOf(id, "its facts", `[{ rule: Facts, match: {}, actions: [${action}] }]`);
}

function caseOf(id: string, title: string, text: string): Case {
  const rule = ruleIn(text);
  return { id, title, rule, needed: neededBy(rule) };
}

function ruleIn(text: string): Rule {
  const { rules, problems } = loadRules([{ path: "rules.yaml", text }], realCatalogue);
  const [rule] = rules?.rules ?? [];
  if (rule === undefined) {
    throw new Error(JSON.stringify(problems));
  }
  return rule;
}

function neededBy(rule: Rule): readonly NeededPermission[] {
  return neededPermissions({ rules: [rule], defaultNotifiers: [], catalogue: realCatalogue });
}

/** By user: what its roles allow. */
const accounts = new Map<string, readonly Permission[]>();

/** As whoever has the permissions, on the stage. */
async function respond({ rule, event }: PermissionStage, { kubernetes }: TestAccount): Promise<Outcome> {
  const clients = { kubernetes: patient(kubernetes), ...cloudPorts().clients };
  const [outcome] = await respondBy([rule], { clients, events: [event] });
  if (outcome === undefined) {
    throw new Error("there is no outcome");
  }
  return outcome;
}

function isSame(one: Permission, other: Permission): boolean {
  return one.verb === other.verb && one.apiGroup === other.apiGroup && one.resource === other.resource;
}

function qualified({ apiGroup, resource }: Permission): string {
  return apiGroup === "" ? resource : `${resource}.${apiGroup}`;
}

/** Where another outcome than `forbidden` is right, and why. */
const exceptions: readonly { readonly id: string; readonly permission: RegExp; readonly outcome: object }[] = [
  // Calico's own API server asks for these; here a CustomResourceDefinition stands for it.
  { id: "calico:networkpolicy", permission: / tiers| tier\.networkpolicies/, outcome: { status: "success" } },
  // The capture is there, and the Job goes by itself.
  {
    id: "kubernetes:sysdig",
    permission: /^delete jobs/,
    outcome: { status: "success", message: expect.stringContaining("not permitted to delete jobs.batch") },
  },
];

describe("the generated role", () => {
  it.each(runnable)("is enough: $id, $title", async ({ rule }) => {
    const stage = await permissionStage(cluster, rule);
    const needed = neededBy(stage.rule);
    const account = await accountWith(cluster, needed);
    accounts.set(account.user, needed);

    const outcome = await respond(stage, account);

    expect(outcome).toMatchObject({ status: "success" });
  });

  // Of a container without programs; on the playground containers have those of this machine.
  const isArrangeable = ({ id, permission }: Case & { readonly permission: Permission }) =>
    cluster.real || id !== "kubernetes:download" || permission.resource !== "pods/ephemeralcontainers";
  const removals = runnable.flatMap((one) =>
    one.needed.map((permission) => ({ ...one, permission, what: `${permission.verb} ${qualified(permission)}` })),
  );

  it.each(removals.filter(isArrangeable))(
    "is not too much: $id, $title, without $what",
    async ({ id, rule, permission, what }) => {
      const stage = await permissionStage(cluster, rule, permission);
      const needed = neededBy(stage.rule);
      const account = await accountWith(
        cluster,
        needed.filter((one) => !isSame(one, permission)),
        needed,
      );

      const outcome = await respond(stage, account);

      const exception = exceptions.find((one) => one.id === id && one.permission.test(what));
      const message = expect.stringContaining(`not permitted to ${what}`);
      expect(outcome).toMatchObject(exception?.outcome ?? { status: "failure", code: "forbidden", message });
    },
  );

  it.skip.each(skipped.map((one) => ({ ...one, why: lacks[one.id] })))("$id, $title: $why", () => undefined);
});

describe("a rule that is for one namespace", () => {
  it("needs a Role there, and no ClusterRole", async () => {
    const [shop, other] = [await cluster.namespace(), await cluster.namespace()];
    const action = `{ action: End, actionner: "kubernetes:terminate", parameters: { ignore_standalone_pods: false } }`;
    const rule = ruleIn(`[{ rule: End, match: { output_fields: ["k8s.ns.name=${shop}"] }, actions: [${action}] }]`);
    const needed = neededBy(rule);
    const account = await accountWith(cluster, needed);
    const { metadata } = await cluster.pod(shop);

    const event = eventOf({ pod: `${shop}/${metadata?.name}` });
    const outcome = await respond({ rule, event }, account);
    const elsewhere = await Promise.all(needed.map((one) => mayIn(other, one, account)));

    expect(needed.map(permissionText)).toEqual([`get pods in namespace ${shop}`, `delete pods in namespace ${shop}`]);
    expect(outcome).toMatchObject({ status: "success" });
    // The playground knows no roles.
    expect(elsewhere).toEqual(cluster.real ? [false, false] : [true, true]);
  });
});

async function mayIn(namespace: string, permission: Permission, { kubernetes }: TestAccount): Promise<boolean> {
  const { allowed } = await kubernetes.reviewAccess({ ...permission, namespace }, AbortSignal.timeout(60_000));
  return allowed;
}

describe("k8sevents", () => {
  const notifier = realCatalogue.notifiers.get("k8sevents");
  const needed = neededPermissions({ rules: [], defaultNotifiers: ["k8sevents"], catalogue: realCatalogue });

  async function notifyWith(granted: readonly NeededPermission[]): Promise<unknown> {
    const { kubernetes } = await accountWith(cluster, granted, needed);
    const namespace = await cluster.namespace();
    const { metadata } = await cluster.pod(namespace);
    const target = { kind: "pod", namespace, name: metadata?.name ?? "", uid: undefined } as const;
    return notifier
      ?.notify({
        notification: {
          event: eventOf({ pod: `${namespace}/${target.name}` }),
          response: crypto.randomUUID(),
          rule: { name: "a rule", description: undefined },
          action: { name: "act", actionner: "kubernetes:label" },
          outcome: outcomeOf(target),
          at: new Date().toISOString(),
        },
        settings: {},
        clients: { kubernetes, ...cloudPorts().clients },
        signal: AbortSignal.timeout(60_000),
      })
      .then(() => "told")
      .catch((error: unknown) => error);
  }

  it("tells with the generated role", async () => {
    expect(await notifyWith(needed)).toBe("told");
  });

  it("cannot without permission to create events", async () => {
    const error = await notifyWith(needed.filter(({ resource }) => resource !== "events"));

    expect(error).toMatchObject({
      code: "forbidden",
      message: expect.stringContaining("not permitted to create events"),
    });
  });

  it("tells without permission to get pods, but not with the UID by which kubectl describe finds it", async () => {
    expect(await notifyWith(needed.filter(({ resource }) => resource !== "pods"))).toBe("told");
  });
});

function outcomeOf(target: Outcome["target"]): Outcome {
  return {
    status: "success",
    message: "pod labelled",
    code: undefined,
    would: undefined,
    target,
    objects: {},
    text: undefined,
    artifact: undefined,
    undo: undefined,
    durationMs: 1,
  };
}

describe("the resources of the catalogue", () => {
  const groups = new Map(all.flatMap(({ needed }) => needed.map(({ apiGroup, resource }) => [resource, apiGroup])));

  it.each([...groups])("are cluster-wide where the API server has them so: %s", async (resource, apiGroup) => {
    const served = await namespacedResources(apiGroup);
    // Of a plugin that is not there, or a word of its own for what is no resource.
    const namespaced = served.get(resource) ?? !clusterWide.has(resource);

    expect(clusterWide.has(resource)).toBe(!namespaced);
  });
});

async function namespacedResources(apiGroup: string): Promise<ReadonlyMap<string, boolean>> {
  const { core, apps, batch, networking, rbac } = cluster.api;
  const apis = { "": core, apps, batch, "networking.k8s.io": networking, "rbac.authorization.k8s.io": rbac };
  const { resources } = (await apis[apiGroup as keyof typeof apis]?.getAPIResources()) ?? { resources: [] };
  return new Map(resources.map(({ name, namespaced }) => [name, namespaced]));
}

const kubeconfig = process.env["HALLUX_TEST_KUBECONFIG"] || process.env["KUBECONFIG"] || "";
const auditLog = join(dirname(kubeconfig), "audit.log");
const audited = cluster.real && existsSync(auditLog);

interface AuditEntry {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef?: { readonly apiGroup?: string; readonly resource?: string; readonly subresource?: string };
  readonly responseStatus?: { readonly code?: number };
}

function asPermission({ verb, objectRef = {} }: AuditEntry): Permission {
  const { apiGroup = "", resource = "", subresource } = objectRef;
  return {
    verb,
    apiGroup,
    resource: subresource === undefined ? resource : `${resource}/${subresource}`,
    namespace: undefined,
  };
}

describe("the audit log", () => {
  it.runIf(audited)("shows that nothing outside of the roles was asked for", () => {
    const entries = readFileSync(auditLog, "utf8")
      .split("\n")
      // Other tests go on: the last line may be half written.
      .slice(0, -1)
      .map((line): AuditEntry => JSON.parse(line))
      .filter(({ user }) => accounts.has(user.username));

    const outside = entries.filter((entry) => {
      const asked = asPermission(entry);
      const allowed = accounts.get(entry.user.username) ?? [];
      return asked.resource !== "selfsubjectaccessreviews" && !allowed.some((one) => isSame(one, asked));
    });

    expect(new Set(entries.map(({ user }) => user.username)).size).toBe(accounts.size);
    expect(outside).toEqual([]);
    expect(entries.filter(({ responseStatus }) => responseStatus?.code === 403)).toEqual([]);
  });

  if (!audited) {
    it.skip("skipped: the cluster was not started with --audit");
  }
});
