import { describe, expect, it } from "vitest";
import { fieldsMatch, labelsMatch, selects } from "./selectors.ts";
import type { KubeObject } from "./wire.ts";

const pod: KubeObject = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web-1", uid: "1", creationTimestamp: "", labels: { app: "web", tier: "front", n: "5" } },
  status: { phase: "Running" },
};

describe("label selectors", () => {
  it.each([
    ["", true],
    ["app", true],
    ["!app", false],
    ["!canary", true],
    ["app=web", true],
    ["app==web,tier=front", true],
    ["app=web,tier=back", false],
    ["app!=web", false],
    ["canary!=yes", true],
    ["tier in (front, back)", true],
    ["tier notin (front)", false],
    ["canary notin (x)", true],
    ["canary in (x)", false],
    ["n>4", true],
    ["n gt 5", false],
    ["n<6", true],
    ["app=", false],
    ["constructor", false],
  ])("%j matches: %s", (selector, expected) => {
    const matches = labelsMatch(selector);

    expect(matches(pod)).toBe(expected);
  });

  it.each(["a b c", "a===b", "a in (x", "a in x", ",", "a=b,,c", "!", "=x"])("refuses %j", (selector) => {
    expect(() => labelsMatch(selector)).toThrow(/found '.*',? expected: /);
  });

  it("of a workload take expressions too, and an empty one everything", () => {
    const expressions = [
      { key: "app", operator: "In", values: ["web"] },
      { key: "canary", operator: "DoesNotExist" },
    ];

    expect(selects({ matchExpressions: expressions }, { app: "web" })).toBe(true);
    expect(selects({ matchExpressions: expressions }, { app: "web", canary: "" })).toBe(false);
    expect(selects({}, {})).toBe(true);
  });
});

describe("field selectors", () => {
  it.each([
    ["metadata.name=web-1", true],
    ["metadata.name!=web-1", false],
    ["status.phase=Running,metadata.name=web-1", true],
    ["status.phase==Pending", false],
  ])("%j matches: %s", (selector, expected) => {
    const matches = fieldsMatch(selector, ["status.phase"]);

    expect(matches(pod)).toBe(expected);
  });

  it("refuse a field that the resource does not offer", () => {
    expect(() => fieldsMatch("spec.x=1", ["status.phase"])).toThrow("field label not supported: spec.x");
  });
});
