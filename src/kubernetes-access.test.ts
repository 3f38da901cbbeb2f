import { pino } from "pino";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { loadedFrom } from "../test/support/loaded.ts";
import { realCatalogue } from "../test/support/real-catalogue.ts";
import type { Kubernetes } from "./clients/kubernetes/port.ts";
import { createKubernetesAccess } from "./kubernetes-access.ts";

const soon = { timeout: 20_000 };
const labelRule = `
- rule: Label
  match: {}
  actions: [{ action: Mark, actionner: "kubernetes:label", parameters: { labels: { a: b } } }]
`;
const terminateRule = `
- rule: Terminate
  match: {}
  actions: [{ action: End, actionner: "kubernetes:terminate" }]
`;

async function settingsWith(rules: string) {
  return (await loadedFrom({ env: {}, rules })).loaded.settings;
}

/** Access to a cluster that allows what is said here. */
function access(load: () => Promise<void>, isAllowed: (verb: string) => boolean = () => false) {
  const unready = new Map<string, string>();
  const missing: number[] = [];
  const asked: string[] = [];
  const reviewAccess = (async (permission: { verb: string }) => {
    asked.push(permission.verb);
    return { allowed: isAllowed(permission.verb), reason: "no" };
  }) as unknown as Kubernetes["reviewAccess"];
  const following = createKubernetesAccess({
    client: { load, real: { reviewAccess } as Kubernetes },
    catalogue: realCatalogue,
    unready,
    metrics: { permissionsMissing: (count) => void missing.push(count) },
    logger: pino({ level: "silent" }),
    againMs: 5,
  });
  onTestFinished(() => following.stop());
  return { following, unready, missing, asked };
}

describe("access to the cluster", () => {
  it("is not asked for by rules that do nothing there", async () => {
    let loads = 0;
    const { following, unready } = access(async () => {
      loads += 1;
    });

    following.follow(await settingsWith("[]"));

    expect([loads, unready.size]).toEqual([0, 0]);
  });

  it("is there before /readyz says yes, where rules newly need it", async () => {
    const loading = Promise.withResolvers<void>();
    const { following, unready, missing } = access(() => loading.promise);
    following.follow(await settingsWith("[]"));

    following.follow(await settingsWith(labelRule));

    expect([...unready.keys()]).toEqual(["kubernetes"]);
    loading.resolve();
    await vi.waitFor(() => expect(missing.length).toBeGreaterThan(0), soon);
    expect(unready.size).toBe(0);
  });

  it("is checked again for other rules, and no more for none", async () => {
    const { following, missing, asked } = access(async () => {});
    following.follow(await settingsWith(labelRule));
    await vi.waitFor(() => expect(missing).toHaveLength(1), soon);
    expect(asked).not.toContain("delete");

    following.follow(await settingsWith(terminateRule));
    await vi.waitFor(() => expect(missing).toHaveLength(2), soon);
    following.follow(await settingsWith("[]"));

    expect(asked).toContain("delete");
    expect(missing.at(-1)).toBe(0);
  });

  it("is not asked for any more once it is stopped", async () => {
    let loads = 0;
    const { following } = access(async () => {
      loads += 1;
    });
    following.stop();

    following.follow(await settingsWith(labelRule));

    expect(loads).toBe(0);
  });

  it("keeps nobody from being ready whose rules need it no more", async () => {
    const { following, unready } = access(() => Promise.reject(new Error("no kubeconfig")));
    following.follow(await settingsWith(labelRule));
    await vi.waitFor(() => expect(unready.get("kubernetes")).toBe("no kubeconfig"), soon);

    following.follow(await settingsWith("[]"));
    await new Promise((resolve) => setTimeout(resolve, 30));

    expect(unready.size).toBe(0);
  });
});
