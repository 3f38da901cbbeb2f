import { describe, expect, it } from "vitest";
import { jsonPatch, mergePatch } from "./patch.ts";
import { strategicMerge } from "./strategic.ts";
import type { Json, JsonObject } from "./wire.ts";

describe("merge patch", () => {
  it("merges objects, removes by null and replaces lists", () => {
    const result = mergePatch({ a: { b: 1, c: 2 }, list: [1, 2] }, { a: { b: null, d: 3 }, list: [9] });

    expect(result).toEqual({ a: { c: 2, d: 3 }, list: [9] });
  });

  it("takes `__proto__` as a key like any other", () => {
    const result = mergePatch({}, JSON.parse('{"__proto__": {"polluted": "yes"}}') as Json) as JsonObject;

    expect(Object.keys(result)).toEqual(["__proto__"]);
    expect({}).not.toHaveProperty("polluted");
  });
});

describe("JSON patch", () => {
  const target = { labels: { "a/b": "1" }, list: ["x", "z"] };

  it.each<[string, JsonObject[], JsonObject]>([
    ["adds a key", [{ op: "add", path: "/labels/c", value: "2" }], { ...target, labels: { "a/b": "1", c: "2" } }],
    ["unescapes the path", [{ op: "remove", path: "/labels/a~1b" }], { ...target, labels: {} }],
    ["inserts into a list", [{ op: "add", path: "/list/1", value: "y" }], { ...target, list: ["x", "y", "z"] }],
    ["appends to a list", [{ op: "add", path: "/list/-", value: "!" }], { ...target, list: ["x", "z", "!"] }],
    ["replaces", [{ op: "replace", path: "/list/0", value: "y" }], { ...target, list: ["y", "z"] }],
    ["moves", [{ op: "move", from: "/list/0", path: "/first" }], { ...target, list: ["z"], first: "x" }],
    ["copies", [{ op: "copy", from: "/list/0", path: "/first" }], { ...target, first: "x" }],
    ["goes on after a test that holds", [{ op: "test", path: "/list/0", value: "x" }], target],
    ["takes what is not there for null", [{ op: "test", path: "/labels/none", value: null }], target],
  ])("%s", (_name, operations, expected) => {
    const result = jsonPatch(target, operations);

    expect(result).toEqual(expected);
    expect(target.list).toEqual(["x", "z"]);
  });

  it.each<[string, JsonObject]>([
    ["a test that fails", { op: "test", path: "/list/0", value: "y" }],
    ["a test below what is not there", { op: "test", path: "/none/x", value: null }],
    ["a test below what is text", { op: "test", path: "/labels/a~1b/x", value: null }],
    ["a path that is not there", { op: "remove", path: "/labels/none" }],
    ["a parent that is not there", { op: "add", path: "/none/x", value: 1 }],
    ["an index beyond the list", { op: "add", path: "/list/7", value: 1 }],
    ["an unknown operation", { op: "what", path: "/list" }],
  ])("refuses %s", (_name, operation) => {
    expect(() => jsonPatch(target, [operation])).toThrow("the server rejected our request");
  });
});

describe("strategic merge patch", () => {
  const containers = [
    { name: "web", image: "nginx", env: [{ name: "A", value: "1" }] },
    { name: "log", image: "fluent" },
  ];

  it("merges containers by name and their env by name", () => {
    const patch = { containers: [{ name: "web", image: "nginx:2", env: [{ name: "B", value: "2" }] }] };

    const result = strategicMerge({ containers }, patch);

    expect(result).toEqual({
      containers: [
        {
          name: "web",
          image: "nginx:2",
          env: [
            { name: "A", value: "1" },
            { name: "B", value: "2" },
          ],
        },
        { name: "log", image: "fluent" },
      ],
    });
  });

  it.each<[string, JsonObject, JsonObject]>([
    [
      "deletes an element",
      { containers: [{ name: "log", $patch: "delete" }] },
      { containers: [containers[0] as Json] },
    ],
    ["replaces a list", { containers: [{ name: "x" }, { $patch: "replace" }] }, { containers: [{ name: "x" }] }],
    [
      "orders elements",
      { $setElementOrder: null, "$setElementOrder/containers": [{ name: "log" }, { name: "web" }] },
      { containers: containers.toReversed() },
    ],
    ["removes by null", { containers: null }, {}],
  ])("%s", (_name, patch, expected) => {
    const result = strategicMerge({ containers }, patch);

    expect(result).toEqual(expected);
  });

  it("joins finalizers as a set and takes single ones out", () => {
    const added = strategicMerge({ finalizers: ["a"] }, { finalizers: ["a", "b"] });
    const removed = strategicMerge(added, { "$deleteFromPrimitiveList/finalizers": ["a"] });

    expect(added).toEqual({ finalizers: ["a", "b"] });
    expect(removed).toEqual({ finalizers: ["b"] });
  });

  it("keeps only the keys told to be kept, when a union changes its kind", () => {
    const target = { strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1 } } };

    const result = strategicMerge(target, { strategy: { $retainKeys: ["type"], type: "Recreate" } });

    expect(result).toEqual({ strategy: { type: "Recreate" } });
  });

  it("replaces lists that have no key", () => {
    const result = strategicMerge({ taints: [{ key: "a" }] }, { taints: [{ key: "b" }] });

    expect(result).toEqual({ taints: [{ key: "b" }] });
  });
});
