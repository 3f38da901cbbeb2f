import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Playground, startPlayground } from "./index.ts";
import { ask, podSeed, until } from "./testing.ts";

const merge = "application/merge-patch+json";
const pod = "/api/v1/namespaces/shop/pods/web-1";

let playground: Playground;

beforeEach(async () => {
  playground = await startPlayground();
});

afterEach(() => playground.close());

describe("the playground", () => {
  it("lets nobody in without its token", async () => {
    const answers = await Promise.all(
      [{}, { Authorization: "Bearer wrong" }].map((headers) => fetch(`${playground.url}/api/v1/pods`, { headers })),
    );

    expect(answers.map(({ status }) => status)).toEqual([401, 401]);
    expect((await fetch(`${playground.url}/token/wrong/api/v1/pods`)).status).toBe(401);
    expect((await fetch(`${playground.url}/token/${playground.token}/api/v1/pods`)).status).toBe(200);
  });

  it("has running pods, on nodes, as soon as they are seeded", async () => {
    const [seeded] = await playground.seed([podSeed("web-1", { uid: "u-1" })]);

    expect(seeded).toMatchObject({
      metadata: { uid: "u-1", namespace: "shop" },
      spec: { nodeName: expect.stringMatching(/^node-[12]$/) },
      status: {
        phase: "Running",
        podIP: expect.stringMatching(/^10\.244\./),
        containerStatuses: [
          { name: "web", ready: true, containerID: expect.stringMatching(/^containerd:\/\/[0-9a-f]{64}$/) },
        ],
      },
    });
  });

  it("leaves a seeded status as it is", async () => {
    const status = { phase: "Failed", reason: "Evicted" };

    const [seeded] = await playground.seed([podSeed("web-1", {}, { status })]);

    expect(seeded?.["status"]).toMatchObject(status);
  });

  it("refuses to seed a kind that it does not hold", async () => {
    await expect(playground.seed([{ apiVersion: "v1", kind: "Nope", metadata: { name: "x" } }])).rejects.toThrow(
      "no Nope",
    );
  });

  it("leaves a pod pending that no node takes", async () => {
    const spec = { nodeSelector: { disk: "ssd" }, containers: [{ name: "web", image: "nginx" }] };

    const [seeded] = await playground.seed([podSeed("web-1", {}, { spec })]);

    expect(seeded?.["status"]).toMatchObject({ phase: "Pending" });
  });

  it("logs requests in the terms of RBAC", async () => {
    await playground.seed([podSeed("web-1")]);

    await ask(playground, `PATCH ${pod}?dryRun=All`, { metadata: { labels: { a: "b" } } }, merge);
    await ask(playground, "GET /apis/apps/v1/deployments");
    await ask(playground, "GET /api/v1/nodes?watch=1&timeoutSeconds=0");
    await ask(playground, "GET /version");

    const common = { user: "playground", version: "v1", dryRun: false, subresource: undefined };
    expect(playground.requests).toEqual([
      { ...common, verb: "patch", group: "", resource: "pods", namespace: "shop", name: "web-1", dryRun: true },
      { ...common, verb: "list", group: "apps", resource: "deployments", namespace: undefined, name: undefined },
      { ...common, verb: "watch", group: "", resource: "nodes", namespace: undefined, name: undefined },
    ]);
    playground.clearRequests();
    expect(playground.requests).toEqual([]);
  });

  it("stores nothing in a dry run", async () => {
    await playground.seed([podSeed("web-1")]);

    const patched = await ask(playground, `PATCH ${pod}?dryRun=All`, { metadata: { labels: { a: "b" } } }, merge);
    const deleted = await ask(playground, `DELETE ${pod}`, { dryRun: ["All"], gracePeriodSeconds: 0 });

    expect([patched.code, deleted.code]).toEqual([200, 200]);
    expect(patched.body.metadata).toMatchObject({ labels: { a: "b" } });
    expect((await ask(playground, `GET ${pod}`)).body.metadata).not.toHaveProperty("labels");
  });

  it("refuses a body beyond three megabytes", async () => {
    const answer = await ask(playground, "POST /api/v1/namespaces/default/configmaps", "x".repeat(3_200_000));

    expect(answer).toMatchObject({ code: 413, body: { reason: "RequestEntityTooLarge" } });
  });

  it("gives a list page by page", async () => {
    await playground.seed(["a", "b", "c"].map((name) => podSeed(name)));
    const path = "GET /api/v1/namespaces/shop/pods?limit=2";

    const first = await ask(playground, path);
    const { continue: token } = first.body.metadata as unknown as { continue: string };
    const second = await ask(playground, `${path}&continue=${token}`);

    expect([...first.body.items, ...second.body.items].map(({ metadata }) => metadata.name)).toEqual(["a", "b", "c"]);
    expect(first.body.metadata).toMatchObject({ remainingItemCount: 1 });
    expect(second.body.metadata).not.toHaveProperty("continue");
  });

  it("does not count a change that changes nothing", async () => {
    const [before] = await playground.seed([podSeed("web-1", { labels: { a: "b" } })]);

    const answer = await ask(playground, `PATCH ${pod}`, { metadata: { labels: { a: "b" } } }, merge);

    expect(answer.body.metadata).toMatchObject({ resourceVersion: before?.metadata.resourceVersion });
  });

  it("gives a pod its grace period and then takes it away", async () => {
    await playground.seed([podSeed("web-1")]);

    const deleted = await ask(playground, `DELETE ${pod}`);

    expect(deleted.body.metadata).toMatchObject({
      deletionGracePeriodSeconds: 30,
      deletionTimestamp: expect.any(String),
    });
    await until(
      () => ask(playground, `GET ${pod}`),
      ({ code }) => code === 404,
    );
  });

  it("keeps what a finalizer holds", async () => {
    await playground.seed([podSeed("web-1", { finalizers: ["hallux.dev/hold"] })]);

    await ask(playground, `DELETE ${pod}`, { gracePeriodSeconds: 0 });
    const held = await ask(playground, `GET ${pod}`);
    await ask(playground, `PATCH ${pod}`, { metadata: { finalizers: null } }, merge);

    expect(held.body.metadata).toMatchObject({ finalizers: ["hallux.dev/hold"] });
    expect((await ask(playground, `GET ${pod}`)).code).toBe(404);
  });

  it("writes the status by its own path only", async () => {
    await playground.seed([podSeed("web-1")]);
    const change = { metadata: { labels: { a: "b" } }, status: { phase: "Failed" } };

    const main = await ask(playground, `PATCH ${pod}`, change, merge);
    const status = await ask(
      playground,
      `PATCH ${pod}/status`,
      { spec: { nodeName: "x" }, status: { phase: "Failed" } },
      merge,
    );

    expect(main.body).toMatchObject({ metadata: { labels: { a: "b" } }, status: { phase: "Running" } });
    expect(status.body).toMatchObject({
      spec: { nodeName: expect.stringMatching(/^node-/) },
      status: { phase: "Failed" },
    });
  });
});

describe("server-side apply", () => {
  const path = "PATCH /api/v1/namespaces/default/configmaps/settings";
  const applied = (data: object) => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "settings" }, data });
  const apply = (manager: string, data: object, more = "") =>
    ask(playground, `${path}?fieldManager=${manager}${more}`, applied(data), "application/apply-patch+yaml");

  it("creates, then takes away what the manager no longer applies", async () => {
    const created = await apply("one", { a: "1", b: "2" });
    const changed = await apply("one", { a: "1" });

    expect([created.code, changed.code]).toEqual([201, 200]);
    expect(changed.body["data"]).toEqual({ a: "1" });
  });

  it("leaves what another manager applies, and conflicts over it unless forced", async () => {
    await apply("one", { a: "1", b: "2" });

    const conflict = await apply("two", { a: "other" });
    const forced = await apply("two", { a: "other" }, "&force=true");

    expect(conflict).toMatchObject({
      code: 409,
      body: { message: 'Apply failed with 1 conflict: conflict with "one": .data.a' },
    });
    expect(forced.body["data"]).toEqual({ a: "other", b: "2" });
  });
});

describe("faults", () => {
  it("answer 403 in the server's words, in access reviews too", async () => {
    playground.faults.inject({ when: { verb: "patch", resource: "pods" }, answer: 403 });
    const spec = { resourceAttributes: { verb: "patch", resource: "pods", namespace: "shop" } };

    const patched = await ask(playground, `PATCH ${pod}`, {}, merge);
    const review = await ask(playground, "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", { spec });

    expect(patched.code).toBe(403);
    expect(patched.body.message).toBe(
      'pods "web-1" is forbidden: User "playground" cannot patch resource "pods" in API group "" in the namespace "shop"',
    );
    expect(review.body.status).toEqual({ allowed: false });
  });

  it("strike as often as asked", async () => {
    playground.faults.inject({ when: { resource: "nodes" }, answer: 429, retryAfterSeconds: 7, times: 2 });

    const codes = [];
    for (let attempt = 0; attempt < 3; attempt += 1) {
      codes.push((await ask(playground, "GET /api/v1/nodes")).code);
    }

    expect(codes).toEqual([429, 429, 200]);
  });

  it("can be chosen by any question about the request, and taken away", async () => {
    const stop = playground.faults.inject({ when: ({ name }) => name === "node-1", answer: 500 });

    const during = await ask(playground, "GET /api/v1/nodes/node-1");
    stop();
    const after = await ask(playground, "GET /api/v1/nodes/node-1");

    expect([during.code, after.code]).toEqual([500, 200]);
  });

  it("hang a request until the client gives up, or the playground closes", async () => {
    playground.faults.inject({ when: { verb: "list" }, hang: true });
    const headers = { Authorization: `Bearer ${playground.token}` };

    const hanging = fetch(`${playground.url}/api/v1/nodes`, { headers, signal: AbortSignal.timeout(50) });

    await expect(hanging).rejects.toThrow("aborted due to timeout");
  });

  it("drop the connection", async () => {
    playground.faults.inject({ when: { verb: "list" }, drop: true });

    await expect(ask(playground, "GET /api/v1/nodes")).rejects.toThrow("fetch failed");
  });
});
