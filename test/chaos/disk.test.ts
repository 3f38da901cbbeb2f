import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { eventually, useCluster } from "../support/cluster.ts";
import { faultProxy, kubeconfigVia, peerOf } from "../support/fault-proxy.ts";
import { allLabelled, makePods, type Pods, type Stage, stage } from "./stage.ts";

vi.setConfig({ testTimeout: 600_000 });

const cluster = await useCluster();

interface Disk extends Disposable {
  readonly path: string;
  grow(size: string): void;
}

/** A file system of its own; undefined where this process may mount none. */
function smallDisk(size: string): Disk | undefined {
  const path = mkdtempSync(join(tmpdir(), "hallux-disk-"));
  const mount = (options: string) =>
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path], { stdio: "ignore" });
  try {
    mount(`size=${size}`);
  } catch {
    rmdirSync(path);
    return undefined;
  }
  return {
    path,
    grow: (more) => mount(`remount,size=${more}`),
    [Symbol.dispose]() {
      execFileSync("umount", ["--lazy", path]);
      rmdirSync(path);
    },
  };
}

const eventBytes = 20_000;

/** Attacks one pod after the other until an event is not accepted; resolves with those whose event was. */
async function attackUntilFull(scene: Stage, { namespace, names }: Pods): Promise<Pods> {
  const accepted: string[] = [];
  for (const name of names) {
    try {
      await scene.attack("Chaos label", { namespace, names: [name] }, { bytes: eventBytes });
    } catch {
      return { namespace, names: accepted };
    }
    accepted.push(name);
  }
  throw new Error("the disk did not get full");
}

describe("a full disk", () => {
  it("makes Hallux refuse events and say why, and costs none of those that it accepted", async (context) => {
    using disk = smallDisk("1m");
    if (disk === undefined) {
      context.skip("needs to mount a file system: run it as root");
      return;
    }
    await using proxy = await faultProxy(peerOf(cluster.kubeconfig));
    await using scene = await stage(kubeconfigVia(cluster.kubeconfig, proxy.url), {
      LEDGER_PATH: disk.path,
      ACTION_RETRY_SECONDS: "600",
    });

    const pods = await makePods(cluster, 100);

    await proxy.fault("hang");
    const accepted = await attackUntilFull(scene, pods);
    const ready = await fetch(`${scene.url}/readyz`);
    const reasons = await ready.text();
    disk.grow("64m");
    await proxy.heal();
    const refused = { ...pods, names: pods.names.slice(accepted.names.length) };
    const again = await eventually(() => scene.attack("Chaos label", refused).catch(() => undefined));

    expect(ready.status).toBe(503);
    expect(reasons).toMatch(/disk|full/);
    expect(accepted.names).not.toEqual([]);
    expect(again).toHaveLength(refused.names.length);
    await allLabelled(cluster, pods);
    await context.annotate(await scene.endured());
  });
});
