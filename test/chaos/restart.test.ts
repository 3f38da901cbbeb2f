import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import { useCluster } from "../support/cluster.ts";
import { kubeconfigVia, peerOf } from "../support/fault-proxy.ts";
import { freePort } from "../support/free-ports.ts";
import { allLabelled, makePods, stage } from "./stage.ts";

vi.setConfig({ testTimeout: 600_000 });

const cluster = await useCluster();

/** The command line of the API server on this machine that serves the address. */
function apiServerAt(address: string): readonly string[] | undefined {
  const flag = `--secure-port=${new URL(address).port}`;
  const commands = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => commandOf(pid));
  return commands.find((command) => command.includes(flag));
}

function commandOf(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  } catch {
    return [];
  }
}

/** Another replica of the API server, on the same etcd: one that may be killed. */
class Replica implements AsyncDisposable {
  readonly #process: ChildProcess;

  constructor(command: readonly string[], port: number) {
    const own = (argument: string) => (argument.startsWith("--secure-port=") ? `--secure-port=${port}` : argument);
    const [program = "", ...args] = command.map(own);
    this.#process = spawn(program, args, { stdio: "ignore" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill("SIGKILL");
      await once(this.#process, "exit");
    }
  }
}

describe("every accepted event is acted on", () => {
  it("though the API server is killed and started again", async (context) => {
    const { target, ca = "" } = peerOf(cluster.kubeconfig);
    const command = cluster.real ? apiServerAt(target) : undefined;
    if (command === undefined) {
      context.skip("needs a real API server on this machine");
      return;
    }
    const port = await freePort();
    const authority = { "certificate-authority-data": Buffer.from(ca).toString("base64") };
    const kubeconfig = kubeconfigVia(cluster.kubeconfig, `https://127.0.0.1:${port}`, { cluster: authority });
    const [before, during, after] = [await makePods(cluster), await makePods(cluster), await makePods(cluster)];
    await using first = new Replica(command, port);
    await using scene = await stage(kubeconfig);

    const uuids = await scene.attack("Chaos label", before);
    await scene.outcomes(uuids.slice(0, 1));
    uuids.push(...(await scene.attack("Chaos label", during)));
    await first[Symbol.asyncDispose]();
    uuids.push(...(await scene.attack("Chaos label", after)));
    await using _second = new Replica(command, port);
    const outcomes = await scene.outcomes(uuids);

    expect(new Set(outcomes)).toEqual(new Set(["success"]));
    await Promise.all([before, during, after].map((pods) => allLabelled(cluster, pods)));
    await context.annotate(await scene.endured());
  });
});
