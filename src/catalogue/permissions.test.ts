import { describe, expect, it } from "vitest";
import { realCatalogue } from "../../test/support/real-catalogue.ts";
import { sampleCatalogue } from "../../test/support/sample-catalogue.ts";
import { loadRules } from "../rules/load.ts";
import { compileFields } from "../schema/read.ts";
import { neededPermissions, needText, permissionText, rolesOf } from "./permissions.ts";

function neededBy(text: string, defaultNotifiers: readonly string[] = []) {
  const { rules, problems } = loadRules([{ path: "rules.yaml", text }], realCatalogue);
  if (rules === undefined) {
    throw new Error(JSON.stringify(problems));
  }
  return neededPermissions({ rules: rules.rules, defaultNotifiers, catalogue: realCatalogue });
}

/** A rule of one action. */
function ruleOf(action: string, match = "{}"): string {
  return `[{ rule: R, match: ${match}, actions: [{ action: A, actionner: ${action} }] }]`;
}

function textsOf(...asked: Parameters<typeof neededBy>): readonly string[] {
  return neededBy(...asked).map(permissionText);
}

const annotate = '"kubernetes:annotation", parameters: { annotations: { a: b } }';
const annotateNode = '"kubernetes:annotation", parameters: { annotations: { a: b }, level: node }';
const terminate = '"kubernetes:terminate"';
const sysdig =
  '"kubernetes:sysdig", output: { target: "local:file", parameters: { destination: /tmp } }, parameters: { namespace: captures }';

describe("neededPermissions", () => {
  it.each([
    [annotate, ["patch pods in all namespaces"]],
    [annotateNode, ["patch nodes", "get pods in all namespaces"]],
    [terminate, ["get pods in all namespaces", "delete pods in all namespaces"]],
    ['"http:call", parameters: { url: "https://example.org" }', []],
  ])("is what the parameters need: %s", (action, expected) => {
    expect(textsOf(ruleOf(action))).toEqual(expected);
  });

  it("counts replicas only of owners whose pods are not left alone", () => {
    const parameters = "{ min_healthy_replicas: '1', ignore_daemonsets: true, ignore_statefulsets: true }";

    const texts = textsOf(ruleOf(`${terminate}, parameters: ${parameters}`));

    expect(texts).toContain("get replicasets.apps in all namespaces");
    expect(texts.filter((text) => /daemonsets|statefulsets/.test(text))).toEqual([]);
  });

  it("has a look at the pod first where the action is destructive, whatever the actionner asks for by itself", () => {
    const actionners = [...sampleCatalogue().actionners.values()].filter(({ destructive }) => destructive);
    const rest = { name: "A", parameters: {}, contexts: [], output: undefined };
    const actions = actionners.map((actionner) => ({ ...rest, actionner }));
    const rules = [{ name: "R", pinned: [], actions, notifiers: [] }];

    const needed = neededPermissions({ rules, defaultNotifiers: [], catalogue: realCatalogue });

    expect(needed.map(permissionText)).toEqual(["get pods in all namespaces"]);
  });

  it("holds contexts and notifiers, the configuration's too, each once", () => {
    const texts = textsOf(ruleOf(`${annotate}, additional_contexts: [k8snode]`), ["k8sevents", "webhook"]);

    expect(texts).toEqual([
      "create events in all namespaces",
      "get nodes",
      "get pods in all namespaces",
      "patch pods in all namespaces",
    ]);
  });

  it("says who needs it", () => {
    const needed = neededBy(ruleOf(`${annotate}, additional_contexts: [k8snode]`), ["k8sevents"]);

    const pods = needed.find(({ verb, resource }) => verb === "get" && resource === "pods");
    expect(pods?.neededBy.map(needText)).toEqual(['rule "R", action "A" (k8snode)', "default notifier k8sevents"]);
  });

  it.each([
    ['{ output_fields: ["k8s.ns.name=shop", "k8s.ns.name=pay,proc.name!=sh"] }', ["pay", "shop"]],
    ['{ output_fields: ["k8s.ns.name=shop", "proc.name=sh"] }', undefined],
    ['{ output_fields: ["k8s.ns.name!=shop"] }', undefined],
    // Of these the namespace may stand in another field.
    ['{ output_fields: ["k8s.ns.name=<NA>"] }', undefined],
    ['{ output_fields: ["ka.target.namespace=shop"] }', undefined],
  ])("is in the namespaces that the rule is for: %s", (match, namespaces) => {
    const needed = neededBy(ruleOf(annotate, match));

    expect(needed.map(({ namespace }) => namespace)).toEqual(namespaces ?? [undefined]);
  });

  it("needs of an audit event's objects only the kinds, and the namespaces, that the rule is for", () => {
    const match =
      '{ output_fields: ["ka.target.resource=secrets, ka.target.namespace=shop", "ka.target.resource=namespaces, ka.target.namespace=shop"] }';

    expect(textsOf(ruleOf('"kubernetes:delete"', match))).toEqual([
      "get namespaces",
      "delete namespaces",
      "get secrets in namespace shop",
      "delete secrets in namespace shop",
    ]);
  });

  it("needs each kind only in the namespaces that the same item names with it", () => {
    const match =
      '{ output_fields: ["ka.target.resource=secrets, ka.target.namespace=shop", "ka.target.resource=services, ka.target.namespace=pay", ka.target.resource=pods] }';

    expect(textsOf(ruleOf('"kubernetes:delete"', match))).toEqual([
      "get pods in all namespaces",
      "delete pods in all namespaces",
      "get services in namespace pay",
      "delete services in namespace pay",
      "get secrets in namespace shop",
      "delete secrets in namespace shop",
    ]);
  });

  it("is in the namespace that a parameter names, and everywhere where the action goes beyond its target", () => {
    const inShop = '{ output_fields: ["k8s.ns.name=shop"] }';

    expect(textsOf(ruleOf(sysdig, inShop))).toEqual([
      "list events in namespace captures",
      "list pods in namespace captures",
      "get pods/exec in namespace captures",
      "create pods/exec in namespace captures",
      "create jobs.batch in namespace captures",
      "delete jobs.batch in namespace captures",
      "get pods in namespace shop",
    ]);
    expect(textsOf(ruleOf('"kubernetes:drain"', inShop))).toEqual([
      "get nodes",
      "patch nodes",
      "list pods in all namespaces",
      "create pods/eviction in all namespaces",
      "get pods in namespace shop",
    ]);
  });

  it("has nothing in one namespace that it has in all", () => {
    const needed = neededBy(
      `[{ rule: One, match: { output_fields: ["k8s.ns.name=shop"] }, actions: [{ action: A, actionner: ${terminate} }] },
        { rule: All, match: {}, actions: [{ action: B, actionner: "kubernetes:log" }] }]`,
    );

    expect(needed.map(permissionText)).toEqual([
      "get pods in all namespaces",
      "get pods/log in all namespaces",
      "delete pods in namespace shop",
    ]);
    expect(needed[0]?.neededBy.map(({ rule }) => rule)).toEqual(["One", "All"]);
  });
});

describe("rolesOf", () => {
  it("groups by API group and verbs, one role for each namespace", () => {
    const roles = rolesOf(
      neededBy(
        `[{ rule: R, match: { output_fields: ["k8s.ns.name=shop"] }, actions: [
          { action: A, actionner: "kubernetes:delete" }, { action: B, actionner: "kubernetes:exec", parameters: { command: id } }] }]`,
      ),
    );

    const plain = roles.map(({ namespace, rules }) => [namespace, rules.map(({ permissions: _, ...rule }) => rule)]);
    expect(plain).toEqual([
      [
        undefined,
        [
          {
            apiGroups: [""],
            resources: ["configmaps", "namespaces", "pods", "secrets", "serviceaccounts", "services"],
            verbs: ["get", "delete"],
          },
          {
            apiGroups: ["apps"],
            resources: ["daemonsets", "deployments", "replicasets", "statefulsets"],
            verbs: ["get", "delete"],
          },
          { apiGroups: ["rbac.authorization.k8s.io"], resources: ["clusterroles", "roles"], verbs: ["get", "delete"] },
        ],
      ],
      ["shop", [{ apiGroups: [""], resources: ["pods/exec"], verbs: ["get", "create"] }]],
    ]);
  });

  it("does not depend on the order of the rules", () => {
    const rules = [annotate, annotateNode, terminate].map((action, index) =>
      ruleOf(action).replace("R,", `R${index},`).slice(1, -1),
    );

    const roles = [rules, rules.toReversed()].map((list) =>
      rolesOf(neededBy(`[${list.join()}]`)).map(({ rules: found }) => found.map(({ permissions: _, ...rule }) => rule)),
    );

    expect(roles[0]).toEqual(roles[1]);
  });
});

describe("rbacFor", () => {
  const actionners = [...realCatalogue.actionners.values()].filter(({ rbacFor }) => rbacFor !== undefined);
  const permissionsOf = (
    rules: readonly { apiGroups: readonly string[]; resources: readonly string[]; verbs: readonly string[] }[],
  ) =>
    rules.flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`)),
      ),
    );

  it.each(actionners)("asks for nothing that rbac does not have: $id", (actionner) => {
    const declared = permissionsOf(actionner.rbac);

    const asked = actionner.examples.map(({ parameters }) => {
      const { values } = compileFields(actionner.params).read(parameters);
      return permissionsOf(actionner.rbacFor?.(values ?? {}) ?? []);
    });

    expect(asked.flat().filter((permission) => !declared.includes(permission))).toEqual([]);
    expect(asked.every((permissions) => permissions.length > 0)).toBe(true);
  });
});
