import {
  AppsV1Api,
  CoreV1Api,
  Exec,
  KubeConfig,
  PatchStrategy,
  setHeaderOptions,
  Watch,
} from "@kubernetes/client-node";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Playground, startPlayground } from "./index.ts";
import { deploymentSeed, podSeed } from "./testing.ts";

describe("@kubernetes/client-node", () => {
  const config = new KubeConfig();
  let playground: Playground;
  let core: CoreV1Api;

  beforeAll(async () => {
    playground = await startPlayground();
    config.loadFromString(playground.kubeconfig);
    core = config.makeApiClient(CoreV1Api);
    await playground.seed([podSeed("web-1"), deploymentSeed("cart", 1)]);
  });

  afterAll(() => playground.close());

  it("reads, patches and deletes", async () => {
    const web = { namespace: "shop", name: "web-1" };
    const merge = setHeaderOptions("Content-Type", PatchStrategy.MergePatch);

    const read = await core.readNamespacedPod(web);
    const patched = await core.patchNamespacedPod({ ...web, body: { metadata: { labels: { a: "b" } } } }, merge);
    const refused = core.deleteNamespacedPod({ ...web, body: { preconditions: { uid: "other" } } });

    expect(read.status?.phase).toBe("Running");
    expect(patched.metadata?.labels).toEqual({ a: "b" });
    await expect(refused).rejects.toMatchObject({ code: 409 });
  });

  it("lists what other groups hold", async () => {
    const { items } = await config.makeApiClient(AppsV1Api).listNamespacedDeployment({ namespace: "shop" });

    expect(items.map(({ metadata }) => metadata?.name)).toEqual(["cart"]);
  });

  it("watches", async () => {
    const seen = await new Promise<string>((resolve, reject) => {
      new Watch(config).watch(
        "/api/v1/namespaces",
        {},
        (type, { metadata }) => resolve(`${type} ${metadata.name}`),
        reject,
      );
    });

    expect(seen).toBe("ADDED default");
  });

  it("executes", async () => {
    const output = new PassThrough();

    const status = await new Promise((resolve, reject) => {
      const command = ["sh", "-c", "echo hi"];
      new Exec(config).exec("shop", "web-1", "web", command, output, null, null, false, resolve).catch(reject);
    });

    expect(status).toMatchObject({ status: "Success" });
    expect(await text(output.end())).toBe("hi\n");
  });
});
