import { describe, expect, it } from "vitest";
import { describePermission, permissionOf } from "./permission.ts";

describe("permissionOf", () => {
  it.each([
    ["GET", "/api/v1/namespaces/shop/pods/cart-1", "get", "", "pods", "shop", "cart-1"],
    ["GET", "/api/v1/namespaces/shop/pods/cart-1/log", "get", "", "pods/log", "shop", "cart-1"],
    ["GET", "/api/v1/namespaces/shop/pods", "list", "", "pods", "shop", undefined],
    ["PATCH", "/api/v1/nodes/node-1", "patch", "", "nodes", undefined, "node-1"],
    ["DELETE", "/api/v1/namespaces/shop", "delete", "", "namespaces", undefined, "shop"],
    ["POST", "/api/v1/namespaces/shop/events", "create", "", "events", "shop", undefined],
    ["GET", "/apis/apps/v1/namespaces/shop/deployments/cart", "get", "apps", "deployments", "shop", "cart"],
    [
      "DELETE",
      "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aadmin",
      "delete",
      "rbac.authorization.k8s.io",
      "clusterroles",
      undefined,
      "system:admin",
    ],
    ["GET", "/k8s/clusters/c-1/api/v1/namespaces/shop/pods/cart-1", "get", "", "pods", "shop", "cart-1"],
  ])("reads %s %s", (method, path, verb, apiGroup, resource, namespace, name) => {
    expect(permissionOf(method, path)).toEqual({ verb, apiGroup, resource, namespace, name });
  });
});

describe("describePermission", () => {
  it("names the group but for the core one, and the namespace where there is one", () => {
    const policies = permissionOf("POST", "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies");
    const node = permissionOf("PATCH", "/api/v1/nodes/node-1");

    expect(describePermission(policies)).toBe("create networkpolicies.networking.k8s.io in namespace shop");
    expect(describePermission(node)).toBe("patch nodes");
  });
});
