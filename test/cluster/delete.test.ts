import type { V1ObjectMeta } from "@kubernetes/client-node";
import { describe, expect, it } from "vitest";
import { deleteResource } from "../../actionners/kubernetes/delete.ts";
import { TargetGone } from "../../src/catalogue/errors.ts";
import { createKubernetes } from "../../src/clients/kubernetes/adapter.ts";
import type { FalcoEvent } from "../../src/events/event.ts";
import { eventually, podTemplate, uniqueName, useCluster } from "../support/cluster.ts";
import { auditEventOf, eventOf } from "../support/events.ts";
import { respondWith } from "../support/respond.ts";
import { runActionner } from "../support/run-actionner.ts";

const cluster = await useCluster();
const { core, apps, rbac } = cluster.api;
const selector = { matchLabels: { app: "cart" } };
const template = podTemplate("cart");

interface Named {
  readonly namespace: string;
  readonly name: string;
}

interface Kind {
  readonly namespaced: boolean;
  create(place: Named): Promise<unknown>;
  read(place: Named): Promise<{ readonly metadata?: V1ObjectMeta }>;
}

/** Every kind of the table in the documentation. */
const kinds: Readonly<Record<string, Kind>> = {
  namespaces: {
    namespaced: false,
    create: ({ name }) => core.createNamespace({ body: { metadata: { name } } }),
    read: (place) => core.readNamespace(place),
  },
  configmaps: {
    namespaced: true,
    create: ({ namespace, name }) => core.createNamespacedConfigMap({ namespace, body: { metadata: { name } } }),
    read: (place) => core.readNamespacedConfigMap(place),
  },
  secrets: {
    namespaced: true,
    create: ({ namespace, name }) => core.createNamespacedSecret({ namespace, body: { metadata: { name } } }),
    read: (place) => core.readNamespacedSecret(place),
  },
  services: {
    namespaced: true,
    create: ({ namespace, name }) =>
      core.createNamespacedService({ namespace, body: { metadata: { name }, spec: { ports: [{ port: 80 }] } } }),
    read: (place) => core.readNamespacedService(place),
  },
  serviceaccounts: {
    namespaced: true,
    create: ({ namespace, name }) => core.createNamespacedServiceAccount({ namespace, body: { metadata: { name } } }),
    read: (place) => core.readNamespacedServiceAccount(place),
  },
  pods: {
    namespaced: true,
    create: ({ namespace, name }) => cluster.pod(namespace, { name }),
    read: (place) => core.readNamespacedPod(place),
  },
  deployments: {
    namespaced: true,
    create: ({ namespace, name }) =>
      apps.createNamespacedDeployment({
        namespace,
        body: { metadata: { name }, spec: { replicas: 0, selector, template } },
      }),
    read: (place) => apps.readNamespacedDeployment(place),
  },
  daemonsets: {
    namespaced: true,
    create: ({ namespace, name }) =>
      apps.createNamespacedDaemonSet({ namespace, body: { metadata: { name }, spec: { selector, template } } }),
    read: (place) => apps.readNamespacedDaemonSet(place),
  },
  statefulsets: {
    namespaced: true,
    create: ({ namespace, name }) =>
      apps.createNamespacedStatefulSet({
        namespace,
        body: { metadata: { name }, spec: { replicas: 0, selector, template, serviceName: name } },
      }),
    read: (place) => apps.readNamespacedStatefulSet(place),
  },
  replicasets: {
    namespaced: true,
    create: ({ namespace, name }) =>
      apps.createNamespacedReplicaSet({
        namespace,
        body: { metadata: { name }, spec: { replicas: 0, selector, template } },
      }),
    read: (place) => apps.readNamespacedReplicaSet(place),
  },
  roles: {
    namespaced: true,
    create: ({ namespace, name }) => rbac.createNamespacedRole({ namespace, body: { metadata: { name }, rules: [] } }),
    read: (place) => rbac.readNamespacedRole(place),
  },
  clusterroles: {
    namespaced: false,
    create: ({ name }) => rbac.createClusterRole({ body: { metadata: { name }, rules: [] } }),
    read: (place) => rbac.readClusterRole(place),
  },
};

/** An audit event that tells the request's URI. */
function auditEventAt(uri: string, place: Named & { readonly resource?: string }): FalcoEvent {
  const { namespace, name, resource = "services" } = place;
  const fields = { "ka.target.resource": resource, "ka.target.name": name, "ka.target.namespace": namespace };
  return eventOf({ source: "k8s_audit", fields: { ...fields, "ka.uri": uri } });
}

async function stateOf(kind: Kind, place: Named): Promise<"there" | "going" | "gone"> {
  const object = await kind.read(place).catch(() => undefined);
  if (object === undefined) {
    return "gone";
  }
  return object.metadata?.deletionTimestamp === undefined ? "there" : "going";
}

describe("kubernetes:delete", () => {
  it.each(Object.entries(kinds))(
    "deletes the %s that the audit event is about, and in a dry run does not",
    async (resource, kind) => {
      const place = { namespace: await cluster.namespace(), name: uniqueName("settings") };
      const event = auditEventOf(resource, kind.namespaced ? `${place.namespace}/${place.name}` : place.name);
      await kind.create(place);

      const dry = await runActionner(deleteResource, { cluster, event, dryRun: true });
      const between = await stateOf(kind, place);
      const result = await runActionner(deleteResource, { cluster, event });

      expect(dry).toMatchObject({ status: "success" });
      expect(between).toBe("there");
      expect(result).toMatchObject({
        status: "success",
        summary: `${resource} ${place.name} deleted`,
        objects: { resource, name: place.name },
      });
      await eventually(async () => (await stateOf(kind, place)) !== "there");
    },
  );

  it.each([
    ["by its URI", "/apis/serving.knative.dev/v1/namespaces/shop/services/cart"],
    ["by a URI that hides its group", "/%61pis/serving.knative.dev/v1/namespaces/shop/services/cart"],
  ])("leaves an object alone whose plural a custom resource shares, %s", async (_how, uri) => {
    const place = { namespace: await cluster.namespace(), name: "cart" };
    await kinds["services"]?.create(place);

    const result = await runActionner(deleteResource, { cluster, event: auditEventAt(uri, place) });

    expect(result).toEqual({
      status: "ignored",
      reason: `the event is not about services of Kubernetes' own: its ka.uri is ${uri}`,
    });
    expect(await kinds["services"]?.read(place)).toBeDefined();
  });

  it.each([
    ["services", (namespace: string) => `/api/v1/namespaces/${namespace}/services/cart`],
    ["deployments", (namespace: string) => `/apis/apps/v1/namespaces/${namespace}/deployments/cart?timeout=5s`],
    ["roles", (namespace: string) => `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/roles/cart`],
    ["configmaps", () => "<NA>"],
  ])("deletes the %s where the event's URI shows no other group", async (resource, uri) => {
    const place = { namespace: await cluster.namespace(), name: "cart" };
    await kinds[resource]?.create(place);
    const event = auditEventAt(uri(place.namespace), { ...place, resource });

    const result = await runActionner(deleteResource, { cluster, event });

    expect(result).toMatchObject({ status: "success", summary: `${resource} cart deleted` });
  });

  it("is refused where the audit event names a mirror pod", async () => {
    const place = { namespace: await cluster.namespace(), name: "static-1" };
    await core.createNamespacedPod({
      namespace: place.namespace,
      body: {
        metadata: { name: place.name, annotations: { "kubernetes.io/config.mirror": "0123456789abcdef" } },
        spec: { ...template.spec, nodeName: await cluster.node() },
      },
    });

    const outcomes = await respondWith(deleteResource, {
      cluster,
      events: [auditEventOf("pods", `${place.namespace}/${place.name}`)],
    });

    expect(outcomes).toMatchObject([{ status: "refused", message: expect.stringContaining("mirror pod") }]);
    expect(await core.readNamespacedPod(place)).not.toHaveProperty("metadata.deletionTimestamp", expect.anything());
  });

  it("deletes the pods of a workload with it", async () => {
    const namespace = await cluster.namespace();
    await apps.createNamespacedReplicaSet({
      namespace,
      body: { metadata: { name: "cart" }, spec: { replicas: 1, selector, template } },
    });
    const pods = async () => (await core.listNamespacedPod({ namespace, labelSelector: "app=cart" })).items;
    await eventually(async () => (await pods()).length === 1);

    await runActionner(deleteResource, { cluster, event: auditEventOf("replicasets", `${namespace}/cart`) });

    await eventually(async () => (await pods()).length === 0);
  });

  it("finds the object gone", async () => {
    const namespace = await cluster.namespace();

    const error = await runActionner(deleteResource, { cluster, event: auditEventOf("secrets", `${namespace}/token`) });

    expect(error).toBeInstanceOf(TargetGone);
  });

  it("refuses what is not in the table before it asks the API server", async () => {
    const nowhere = createKubernetes({ kubeconfig: { from: "text", text: deadKubeconfig } });

    const error = await runActionner(deleteResource, {
      cluster,
      clients: { kubernetes: nowhere.real },
      event: auditEventOf("persistentvolumes", "disk-1"),
    });

    expect(error).toMatchObject({
      code: "invalid",
      message: expect.stringMatching(/^persistentvolumes are not deleted/),
    });
    await nowhere.close();
  });

  it("fails where the event does not say in which namespace the object is", async () => {
    const error = await runActionner(deleteResource, { cluster, event: auditEventOf("configmaps", "settings") });

    expect(error).toMatchObject({
      code: "invalid",
      message: "the event names no namespace (ka.target.namespace) for configmaps settings",
    });
  });

  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(deleteResource)).toEqual([]);
  });
});

/** Of an API server that is not there. */
const deadKubeconfig = JSON.stringify({
  clusters: [{ name: "none", cluster: { server: "https://127.0.0.1:1" } }],
  users: [{ name: "none", user: {} }],
  contexts: [{ name: "none", context: { cluster: "none", user: "none" } }],
  "current-context": "none",
});
