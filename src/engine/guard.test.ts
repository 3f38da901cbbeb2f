import { describe, expect, it } from "vitest";
import { auditEventOf, eventOf } from "../../test/support/events.ts";
import type { Actionner } from "../catalogue/catalogue.ts";
import { type PodTarget, type ResourceTarget, type Target, targetOf } from "../events/target.ts";
import type { Action } from "../rules/rule.ts";
import { protectNamespaces, protectSystemRoles, refuseMirrorPods } from "./guard.ts";

const destructive = { actionner: { destructive: true } as Actionner } as Action;
const harmless = { actionner: { destructive: false } as Actionner } as Action;
const seen = undefined;

function pod(name: string): Target {
  return targetOf("pod", eventOf({ pod: name })) as PodTarget;
}

function resource(kind: string, name: string): Target {
  return targetOf("resource", auditEventOf(kind, name)) as ResourceTarget;
}

describe("protectNamespaces", () => {
  const guard = protectNamespaces(["kube-system"]);

  it.each([
    ["a pod in one", pod("kube-system/coredns-1")],
    ["an object in one", resource("secrets", "kube-system/token")],
    ["one itself", resource("namespaces", "kube-system")],
  ])("keeps destructive actions from %s", (_, target) => {
    expect(guard({ action: destructive, target, seen })).toContain("kube-system is protected");
    expect(guard({ action: harmless, target, seen })).toBeUndefined();
  });

  it.each([
    ["a pod elsewhere", pod("shop/cart-1")],
    ["another namespace", resource("namespaces", "shop")],
    ["an object of the whole cluster", resource("clusterroles", "reader")],
    ["nothing in the cluster", { kind: "none" } as const],
  ])("has nothing against %s", (_, target) => {
    expect(guard({ action: destructive, target, seen })).toBeUndefined();
  });
});

describe("protectSystemRoles", () => {
  it.each(["system:node", "cluster-admin", "admin", "edit", "view"])("keeps destructive actions from %s", (name) => {
    const target = resource("clusterroles", name);

    expect(protectSystemRoles({ action: destructive, target, seen })).toBe(`${name} is a role of Kubernetes itself`);
  });

  it("has nothing against a role of the user's, nor against another object of such a name", () => {
    const role = resource("roles", "shop/reader");
    const configmap = resource("configmaps", "shop/admin");

    expect(protectSystemRoles({ action: destructive, target: role, seen })).toBeUndefined();
    expect(protectSystemRoles({ action: destructive, target: configmap, seen })).toBeUndefined();
  });
});

describe("refuseMirrorPods", () => {
  it("keeps destructive actions from them, however they are named", () => {
    const mirror = { uid: "uid-1", createdAt: undefined, mirror: true, owner: undefined };

    const asPod = refuseMirrorPods({ action: destructive, target: pod("shop/static-1"), seen: mirror });
    const asObject = refuseMirrorPods({ action: destructive, target: resource("pods", "shop/static-1"), seen: mirror });

    expect(asPod).toContain("mirror pod");
    expect(asObject).toContain("mirror pod");
    expect(refuseMirrorPods({ action: destructive, target: pod("shop/cart-1"), seen })).toBeUndefined();
  });
});
