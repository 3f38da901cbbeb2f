import { describe, expect, it } from "vitest";
import { decodeEvent } from "./decode.ts";
import type { FalcoEvent } from "./event.ts";
import { describeTarget, podOf, type Target, targetOf } from "./target.ts";

const noPod = { kind: "missing", reason: "the event names no pod (k8s.pod.name, k8s.ns.name)" };
const noPodName = { kind: "missing", reason: "the event's pod or namespace is not a Kubernetes name" };
const noResource = { kind: "missing", reason: "the event names no resource (ka.target.resource, ka.target.name)" };
const noResourceName = {
  kind: "missing",
  reason: "the event's resource, name or namespace is not a Kubernetes name",
};

describe("podOf", () => {
  it("takes the pod, namespace and UID of a syscall event", () => {
    const event = eventWith({
      "k8s.pod.name": "cart-1",
      "k8s.ns.name": "shop",
      "k8s.pod.uid": "9d2f7ed2-38d1-4c0d-8a1c-5d4d53d5e7a2",
      "ka.target.name": "other",
      "ka.target.namespace": "elsewhere",
    });

    expect(podOf(event)).toEqual({
      kind: "pod",
      namespace: "shop",
      name: "cart-1",
      uid: "9d2f7ed2-38d1-4c0d-8a1c-5d4d53d5e7a2",
    });
  });

  it("takes the pod of an audit event, the one it names first", () => {
    const event = eventWith({ "ka.target.pod.name": "cart-1", "ka.target.name": "x", "ka.target.namespace": "shop" });

    expect(podOf(event)).toEqual({ kind: "pod", namespace: "shop", name: "cart-1", uid: undefined });
  });

  it.each([{}, { "ka.target.resource": "pods" }])("takes the target's name where it is about a pod: %j", (fields) => {
    const event = eventWith({ ...fields, "ka.target.name": "cart-1", "ka.target.namespace": "shop" });

    expect(podOf(event)).toMatchObject({ namespace: "shop", name: "cart-1" });
  });

  it("takes the name that the API server made up for a pod", () => {
    const event = eventWith({
      "ka.target.resource": "pods",
      "ka.target.namespace": "shop",
      "ka.resp.name": "cart-x7k2p",
    });

    expect(podOf(event)).toMatchObject({ namespace: "shop", name: "cart-x7k2p" });
  });

  it("does not take a ConfigMap for a pod", () => {
    const event = eventWith({
      "ka.target.resource": "configmaps",
      "ka.target.name": "settings",
      "ka.target.namespace": "shop",
    });

    expect(podOf(event)).toEqual(noPod);
  });

  it.each([
    {},
    { "k8s.pod.name": "cart-1" },
    { "k8s.ns.name": "shop" },
    { "k8s.pod.name": "<NA>", "k8s.ns.name": "shop" },
    { "k8s.pod.name": null, "k8s.ns.name": "shop" },
    { "k8s.pod.name": "cart-1", "k8s.ns.name": "" },
  ])("finds none in %j", (fields) => {
    expect(podOf(eventWith(fields))).toEqual(noPod);
  });

  it.each([
    ["../../nodes/node-1", "shop"],
    ["cart-1/exec", "shop"],
    ["cart-1\n", "shop"],
    ["Cart", "shop"],
    ["-cart", "shop"],
    ["..", "shop"],
    ["a".repeat(254), "shop"],
    ["cart-1", "shop.other"],
    ["cart-1", "shop?x=1"],
    ["cart-1", "a".repeat(64)],
    ["cart-1", "shop\n"],
  ])("does not take what is no Kubernetes name: %j in %j", (name, namespace) => {
    const event = eventWith({ "k8s.pod.name": name, "k8s.ns.name": namespace });

    expect(podOf(event)).toEqual(noPodName);
  });

  it("leaves out a UID that has not the form of one", () => {
    const event = eventWith({ "k8s.pod.name": "cart-1", "k8s.ns.name": "shop", "k8s.pod.uid": "a b" });

    expect(podOf(event)).toMatchObject({ kind: "pod", uid: undefined });
  });

  it("answers at once for names of a megabyte", () => {
    const event = eventWith({ "k8s.pod.name": "a-".repeat(500_000), "k8s.ns.name": "shop" });

    expect(podOf(event)).toEqual(noPodName);
  });
});

describe("targetOf", () => {
  it("finds the object of an audit event", () => {
    const event = eventWith({
      "ka.target.resource": "configmaps",
      "ka.target.name": "settings",
      "ka.target.namespace": "shop",
    });

    expect(targetOf("resource", event)).toEqual({
      kind: "resource",
      resource: "configmaps",
      namespace: "shop",
      name: "settings",
    });
  });

  it("finds a cluster-wide object, whose name may hold colons", () => {
    const event = eventWith({ "ka.target.resource": "clusterroles", "ka.target.name": "system:admin" });

    expect(targetOf("resource", event)).toEqual({
      kind: "resource",
      resource: "clusterroles",
      namespace: undefined,
      name: "system:admin",
    });
  });

  it("finds no object where the event names none", () => {
    expect(targetOf("resource", eventWith({ "ka.target.name": "settings" }))).toEqual(noResource);
    expect(targetOf("resource", eventWith({ "ka.target.resource": "secrets" }))).toEqual(noResource);
  });

  it.each([
    ["secrets", "..", "shop"],
    ["secrets", "a/b", "shop"],
    ["secrets", "a%2fb", "shop"],
    ["secrets", "a b", "shop"],
    ["../secrets", "a", "shop"],
    ["secrets", "a", "../kube-system"],
  ])("does not take what is no name: %s %j in %j", (resource, name, namespace) => {
    const event = eventWith({
      "ka.target.resource": resource,
      "ka.target.name": name,
      "ka.target.namespace": namespace,
    });

    expect(targetOf("resource", event)).toEqual(noResourceName);
  });

  it("needs nothing for an action that works on nothing in the cluster", () => {
    expect(targetOf("none", eventWith({}))).toEqual({ kind: "none" });
  });
});

describe("describeTarget", () => {
  it.each([
    [{ kind: "pod", namespace: "shop", name: "cart-1", uid: undefined }, "pod shop/cart-1"],
    [{ kind: "resource", resource: "configmaps", namespace: "shop", name: "s" }, "configmaps shop/s"],
    [{ kind: "resource", resource: "clusterroles", namespace: undefined, name: "r" }, "clusterroles r"],
    [{ kind: "none" }, "none"],
  ] satisfies [Target, string][])("describes %j as %s", (target, text) => {
    expect(describeTarget(target)).toBe(text);
  });
});

function eventWith(fields: Readonly<Record<string, unknown>>): FalcoEvent {
  const text = JSON.stringify({ rule: "r", priority: "Debug", output_fields: fields });
  return decodeEvent(text, { id: "e-1", receivedAt: "2026-03-01T10:00:00Z" }).event as FalcoEvent;
}
