import { describe, expect, it } from "vitest";
import type { Container, Pod } from "../../src/clients/kubernetes/port.ts";
import { eventOf } from "../../test/support/events.ts";
import { containerOf } from "./containers.ts";

const appId = "3fd0a2b1c9e8d7f6a5b4c3d2e1f00000aaaabbbbccccddddeeeeffff00001111";
const proxyId = "77d0a2b1c9e8d7f6a5b4c3d2e1f00000aaaabbbbccccddddeeeeffff00001111";

function container(name: string, id: string | undefined): Container {
  return { name, image: "busybox", id, running: true, state: { kind: "running" }, restartCount: 0 };
}

function podWith(annotations: Record<string, string> = {}): Pod {
  return {
    kind: "pod",
    namespace: "shop",
    name: "cart-1",
    uid: "uid-1",
    resourceVersion: "1",
    labels: {},
    annotations,
    createdAt: undefined,
    owner: undefined,
    nodeName: "node-1",
    serviceAccount: undefined,
    hostNetwork: false,
    mirror: false,
    phase: "Running",
    terminating: false,
    containers: [
      container("app", appId),
      container("proxy", proxyId),
      { ...container("young", undefined), running: false, state: { kind: "waiting", reason: "", message: "" } },
    ],
    ephemeralContainers: [],
  };
}

describe("the container of an event", () => {
  it.each([
    ["by the start of its id", { "container.id": proxyId.slice(0, 12) }, "proxy"],
    ["by its whole id", { "container.id": proxyId }, "proxy"],
    ["by its id rather than its name", { "container.id": proxyId.slice(0, 12), "container.name": "app" }, "proxy"],
    ["by its name", { "container.name": "proxy" }, "proxy"],
    ["by Docker's name for it", { "container.name": "k8s_proxy_cart-1_shop_uid-1_0" }, "proxy"],
    [
      "by its name where the id is of a container that is gone",
      { "container.id": "0123456789ab", "container.name": "proxy" },
      "proxy",
    ],
    ["as the first where the event names none", {}, "app"],
    ["as the first where the names are unknown", { "container.id": "host", "container.name": "host" }, "app"],
    ["as the first where the id is too short to mean one", { "container.id": "77" }, "app"],
    ["as the first where Falco does not know", { "container.id": "", "container.name": "<NA>" }, "app"],
  ])("is found %s", (_how, fields, expected) => {
    const container = containerOf(eventOf({ fields }), podWith());

    expect(container.name).toBe(expected);
  });

  it("is the pod's default container where the event names none", () => {
    const pod = podWith({ "kubectl.kubernetes.io/default-container": "proxy" });

    const container = containerOf(eventOf(), pod);

    expect(container.name).toBe("proxy");
  });

  it("is the first where the default container does not exist", () => {
    const pod = podWith({ "kubectl.kubernetes.io/default-container": "other" });

    const container = containerOf(eventOf(), pod);

    expect(container.name).toBe("app");
  });

  it("is told not to exist where the pod has none", () => {
    const pod = { ...podWith(), containers: [] };

    expect(() => containerOf(eventOf(), pod)).toThrow("pod shop/cart-1 has no containers");
  });
});
