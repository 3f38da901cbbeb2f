import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Playground, startPlayground } from "../index.ts";
import { ask, deploymentSeed, podSeed, until } from "../testing.ts";
import { controllerOf } from "../wire.ts";

const merge = "application/merge-patch+json";
const pods = "/api/v1/namespaces/shop/pods";
const sets = "/apis/apps/v1/namespaces/shop/replicasets";
const deployment = "/apis/apps/v1/namespaces/shop/deployments/cart";

let playground: Playground;

beforeEach(async () => {
  playground = await startPlayground({ nodes: 3, podStopMs: 0 });
});

afterEach(() => playground.close());

const listOf = async (path: string) => (await ask(playground, `GET ${path}`)).body.items;
const namesOf = async (path: string) => (await listOf(path)).map(({ metadata }) => metadata.name);

async function gone(path: string): Promise<void> {
  await until(
    () => ask(playground, `GET ${path}`),
    ({ code, body }) => code === 404 || body.items?.length === 0,
  );
}

describe("a Deployment", () => {
  beforeEach(() => playground.seed([deploymentSeed("cart", 3)]));

  it("has its pods, by a ReplicaSet, and counts them", async () => {
    const [set] = await listOf(sets);
    const owned = await listOf(pods);

    expect(set).toMatchObject({ status: { readyReplicas: 3 } });
    expect(set && controllerOf(set)).toMatchObject({ kind: "Deployment", name: "cart" });
    expect(owned.map((pod) => controllerOf(pod)?.uid)).toEqual(Array(3).fill(set?.metadata.uid));
    expect((await ask(playground, `GET ${deployment}`)).body.status).toMatchObject({ replicas: 3, readyReplicas: 3 });
  });

  it("replaces a pod that is deleted", async () => {
    const before = await namesOf(pods);

    await ask(playground, `DELETE ${pods}/${before[0]}`, { gracePeriodSeconds: 0 });
    await playground.settled();

    const after = await namesOf(pods);
    expect(after).toHaveLength(3);
    expect(after).not.toContain(before[0]);
  });

  it("lets go of a pod whose labels no longer match, and makes another", async () => {
    const [first] = await namesOf(pods);

    await ask(playground, `PATCH ${pods}/${first}`, { metadata: { labels: { app: "quarantine" } } }, merge);
    await playground.settled();

    expect(await namesOf(pods)).toHaveLength(4);
    expect((await ask(playground, `GET ${pods}/${first}`)).body.metadata.ownerReferences).toEqual([]);
  });

  it("rolls out a new template and scales", async () => {
    const containers = [{ name: "web", image: "nginx:2" }];
    const change = { spec: { replicas: 2, template: { spec: { containers } } } };

    await ask(playground, `PATCH ${deployment}`, change, merge);
    await until(
      () => ask(playground, `GET ${pods}`),
      ({ body }) =>
        body.items.length === 2 && body.items.every((pod) => JSON.stringify(pod["spec"]).includes("nginx:2")),
    );

    expect(await listOf(sets)).toHaveLength(2);
  });

  it("takes everything with it when it is deleted", async () => {
    await ask(playground, `DELETE ${deployment}`);

    await gone(pods);
    await gone(sets);
  });

  it("waits for its pods when it is deleted in the foreground", async () => {
    const answer = await ask(playground, `DELETE ${deployment}`, { propagationPolicy: "Foreground" });

    expect(answer.body.metadata).toMatchObject({ finalizers: ["foregroundDeletion"] });
    await gone(deployment);
    expect(await listOf(sets)).toEqual([]);
  });

  it("leaves its ReplicaSet behind when it is deleted as an orphan's parent", async () => {
    await ask(playground, `DELETE ${deployment}`, { propagationPolicy: "Orphan" });
    await gone(deployment);

    const [set] = await listOf(sets);
    expect(set?.metadata.ownerReferences).toEqual([]);
    expect(await listOf(pods)).toHaveLength(3);
  });
});

describe("other workloads", () => {
  const workload = (kind: string, replicas: object, apiVersion = "apps/v1") => {
    const { spec, metadata } = deploymentSeed("cart", 0);
    return { apiVersion, kind, metadata, spec: { ...(spec as object), replicas: undefined, ...replicas } };
  };

  it("number their pods, if StatefulSets", async () => {
    await playground.seed([workload("StatefulSet", { replicas: 2 })]);

    expect(await namesOf(pods)).toEqual(["cart-0", "cart-1"]);
  });

  it("have a pod on every node, if DaemonSets, and one back after it was deleted", async () => {
    await playground.seed([workload("DaemonSet", {})]);
    const [first] = await namesOf(pods);

    await ask(playground, `DELETE ${pods}/${first}`, { gracePeriodSeconds: 0 });
    await playground.settled();

    const nodes = (await listOf(pods)).map(({ spec }) => (spec as { nodeName: string }).nodeName);
    expect(nodes.toSorted()).toEqual(["node-1", "node-2", "node-3"]);
  });

  it("keep their pods, if ReplicationControllers and Jobs", async () => {
    const controller = workload("ReplicationController", { replicas: 1, selector: { app: "cart" } }, "v1");
    const job = {
      ...workload("Job", { parallelism: 1, selector: undefined }, "batch/v1"),
      metadata: { name: "job", namespace: "shop" },
    };

    await playground.seed([controller, job]);

    const owners = (await listOf(pods)).map((pod) => controllerOf(pod)?.kind);
    expect(owners.toSorted()).toEqual(["Job", "ReplicationController"]);
  });

  it("do nothing where the controllers are switched off", async () => {
    const still = await startPlayground({ controllers: false });

    await still.seed([deploymentSeed("cart", 3)]);

    expect((await ask(still, `GET ${pods}`)).body.items).toEqual([]);
    await still.close();
  });
});

describe("a namespace", () => {
  it("takes its content with it, and nothing new meanwhile", async () => {
    await playground.seed([podSeed("web-1", { finalizers: ["hallux.dev/hold"] }), deploymentSeed("cart", 2)]);

    const deleted = await ask(playground, "DELETE /api/v1/namespaces/shop");
    const created = await ask(playground, "POST /api/v1/namespaces/shop/configmaps", { metadata: { name: "x" } });

    expect(deleted.body.status).toMatchObject({ phase: "Terminating" });
    expect(created).toMatchObject({ code: 403, body: { details: { causes: [{ reason: "NamespaceTerminating" }] } } });
    await until(
      () => ask(playground, `GET ${pods}`),
      ({ body }) => body.items.length === 1,
    );
    await ask(playground, `PATCH ${pods}/web-1`, { metadata: { finalizers: null } }, merge);
    await gone("/api/v1/namespaces/shop");
  });
});
