import { copyFileSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it, vi } from "vitest";
import { useCluster } from "../support/cluster.ts";
import {
  type Fault,
  type FaultProxy,
  faultProxy,
  type Identity,
  kubeconfigVia,
  peerOf,
} from "../support/fault-proxy.ts";
import { until } from "../support/until.ts";
import { type Workplace, workplace } from "../support/workplace.ts";
import { allLabelled, faultMs, floodCount, makePods, podCount, stage } from "./stage.ts";

vi.setConfig({ testTimeout: 600_000 });

const cluster = await useCluster();
const ageing = fileURLToPath(new URL("../../src/intake/fixtures/", import.meta.url));
const renewed = fileURLToPath(new URL("../../src/clients/kubernetes/fixtures/renewed-", import.meta.url));

function identity(path: string): Identity {
  return { cert: readFileSync(`${path}server.pem`, "utf8"), key: readFileSync(`${path}server-key.pem`, "utf8") };
}

async function proxied(): Promise<FaultProxy> {
  return faultProxy(peerOf(cluster.kubeconfig));
}

/** At once, as a kubelet does it: half a file is no part of these tests. */
function replace(files: Workplace, name: string, write: (path: string) => void): void {
  write(files.path("next"));
  renameSync(files.path("next"), files.path(name));
}

describe.concurrent("every accepted event is acted on, though the API server", () => {
  it.for<[string, Fault]>([
    ["is down", "refuse"],
    ["takes connections and answers nothing", "hang"],
    ["resets connections before it reads a request", { strike: "reset" }],
    ["does what it is asked and resets connections instead of answering", { strike: "drop", share: 0.7 }],
    ["breaks off in the middle of its answers", { strike: "truncate", share: 0.7 }],
    ["throttles most requests", { strike: { status: 429, retryAfterSeconds: 1 }, share: 0.8 }],
    ["fails", { strike: { status: 500 } }],
    ["finds conflicts", { strike: { status: 409 }, share: 0.8 }],
    ["lets nobody in: its own token review fails", { strike: { status: 401 } }],
  ])("%s for a while", async ([, fault], { annotate }) => {
    await using proxy = await proxied();
    const [before, during, after] = [await makePods(cluster), await makePods(cluster), await makePods(cluster)];
    await using scene = await stage(kubeconfigVia(cluster.kubeconfig, proxy.url));

    const uuids = await scene.attack("Chaos label", before);
    await proxy.fault(fault);
    uuids.push(...(await scene.attack("Chaos label", during)));
    await pause(faultMs);
    await until("a request meets the fault", () => fault === "refuse" || proxy.struck > 0);
    await proxy.heal();
    uuids.push(...(await scene.attack("Chaos label", after)));
    const outcomes = await scene.outcomes(uuids);

    expect(new Set(outcomes)).toEqual(new Set(["success"]));
    await Promise.all([before, during, after].map((pods) => allLabelled(cluster, pods)));
    await annotate(await scene.endured());
  });

  it("is down in a flood of events: they wait on disk, not in memory", async ({ annotate }) => {
    await using proxy = await proxied();
    const pods = await makePods(cluster);
    const room = { LEDGER_BACKLOG_BYTES: "1000000000" };
    // Less than the flood of the long form.
    const heap = ["--max-old-space-size=128"];
    await using scene = await stage(kubeconfigVia(cluster.kubeconfig, proxy.url), room, heap);

    await proxy.fault("refuse");
    const uuids: string[] = [];
    while (uuids.length < floodCount) {
      uuids.push(...(await scene.attack("Chaos label", pods, { bytes: 10_000 })));
    }
    await pause(faultMs);
    await proxy.heal();
    const outcomes = await scene.outcomes(uuids);

    expect(new Set(outcomes)).toEqual(new Set(["success"]));
    await allLabelled(cluster, pods);
    await annotate(await scene.endured());
  });
});

describe.concurrent("every accepted event is acted on, while", () => {
  it("the token of the service account is replaced, late", async ({ annotate }) => {
    await using proxy = await proxied();
    using files = workplace({ token: "first" });
    proxy.admit("first");
    const user = { tokenFile: files.path("token") };
    await using scene = await stage(kubeconfigVia(cluster.kubeconfig, proxy.url, { user }));
    const [before, during] = [await makePods(cluster), await makePods(cluster)];

    const uuids = await scene.attack("Chaos label", before);
    await scene.outcomes(uuids);
    proxy.admit("second");
    uuids.push(...(await scene.attack("Chaos label", during)));
    await pause(1000);
    replace(files, "token", (path) => writeFileSync(path, "second"));
    const outcomes = await scene.outcomes(uuids);

    expect(new Set(outcomes)).toEqual(new Set(["success"]));
    await Promise.all([before, during].map((pods) => allLabelled(cluster, pods)));
    await annotate(await scene.endured());
  });

  it("the API server's authority is replaced, and its file late", async ({ annotate }) => {
    await using proxy = await faultProxy({ ...peerOf(cluster.kubeconfig), identity: identity(ageing) });
    using files = workplace({});
    const authority = { "certificate-authority": files.path("ca") };
    copyFileSync(`${ageing}ca.pem`, files.path("ca"));
    await using scene = await stage(kubeconfigVia(cluster.kubeconfig, proxy.url, { cluster: authority }));
    const [before, during] = [await makePods(cluster), await makePods(cluster)];

    const uuids = await scene.attack("Chaos label", before);
    await scene.outcomes(uuids);
    proxy.use(identity(renewed));
    uuids.push(...(await scene.attack("Chaos label", during)));
    await pause(1000);
    replace(files, "ca", (path) => copyFileSync(`${renewed}ca.pem`, path));
    const outcomes = await scene.outcomes(uuids);

    expect(new Set(outcomes)).toEqual(new Set(["success"]));
    await Promise.all([before, during].map((pods) => allLabelled(cluster, pods)));
    await annotate(await scene.endured());
  });
});

describe.concurrent("what was accepted before Hallux stopped is acted on by the next one", () => {
  it.for<[string, number, number, number]>([
    ["in order", 1, 2, 0],
    // Longer than it takes to tell it again, on any machine.
    ["at once, told twice", 2, 60, 1],
  ])("%s", async ([, signals, graceSeconds, code], { annotate }) => {
    await using proxy = await proxied();
    using files = workplace({});
    const env = { LEDGER_PATH: files.path("ledger"), SHUTDOWN_GRACE_SECONDS: String(graceSeconds) };
    const kubeconfig = kubeconfigVia(cluster.kubeconfig, proxy.url);
    const [running, waiting] = [await makePods(cluster), await makePods(cluster)];
    await using first = await stage(kubeconfig, { ...env, CONCURRENCY: String(podCount) });

    await proxy.fault("hang");
    await first.attack("Chaos label", running);
    await first.attack("Chaos label", waiting);
    await annotate(await first.endured());
    for (let sent = 0; sent < signals; sent++) {
      first.hallux.signal("SIGTERM");
      await first.hallux.logged(({ msg }) => msg === "hallux is stopping");
    }
    const exit = await first.hallux.exited;
    await proxy.heal();
    await using next = await stage(kubeconfig, env);
    await Promise.all([running, waiting].map((pods) => allLabelled(cluster, pods)));

    expect(exit).toEqual({ code, signal: null });
    await annotate(await next.endured());
  });
});
