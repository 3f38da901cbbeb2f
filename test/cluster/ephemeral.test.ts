import { describe, expect, it } from "vitest";
import { type Ephemeral, startEphemeral } from "../../actionners/kubernetes/ephemeral.ts";
import type { Call } from "../../src/catalogue/catalogue.ts";
import { ActionError, TargetGone } from "../../src/catalogue/errors.ts";
import type { Pod } from "../../src/clients/kubernetes/port.ts";
import { useCluster } from "../support/cluster.ts";
import { podOfNoNode, sayOfEphemeral } from "../support/kubelet.ts";
import { patient } from "../support/patient.ts";

const cluster = await useCluster();
const { core } = cluster.api;
const namespace = await cluster.namespace();
const { real } = cluster.kubernetes;

const tool: Ephemeral = {
  purpose: "tool",
  image: "busybox",
  target: "main",
  lifetimeSeconds: 30,
  securityContexts: [{}],
};

function start(pod: Pod, signal = inTime(), ephemeral = tool): Promise<string> {
  return startEphemeral({ clients: { kubernetes: real } as Call["clients"], dryRun: false, signal }, pod, ephemeral);
}

function inTime(): AbortSignal {
  return AbortSignal.timeout(60_000);
}

function read(name: string): Promise<Pod> {
  return real.getPod({ kind: "pod", namespace, name, uid: undefined }, inTime());
}

async function newPod(): Promise<Pod> {
  const pod = await cluster.pod(namespace);
  return read(pod.metadata?.name ?? "");
}

async function podThatWaits(): Promise<Pod> {
  return read(await podOfNoNode(cluster, namespace));
}

async function thrownBy(call: Promise<unknown>): Promise<ActionError> {
  const error = await call.catch((thrown: unknown) => thrown);
  if (error instanceof ActionError) {
    return error;
  }
  throw error;
}

describe.runIf(cluster.real)("an ephemeral container of Hallux's", () => {
  it("can run commands as soon as its name is given", async () => {
    const pod = await newPod();

    const name = await start(pod);

    const options = { container: name, command: ["echo", "here"], maxOutputBytes: 100 };
    expect(await patient(real).exec(pod, options, inTime())).toMatchObject({ exitCode: 0, stdout: "here\n" });
    expect((await read(pod.name)).ephemeralContainers).toMatchObject([{ name, image: "busybox", running: true }]);
  });

  it("is added beside those that are added at the same time", async () => {
    const pod = await newPod();

    const names = await Promise.all(Array.from({ length: 5 }, () => start(pod)));

    const { ephemeralContainers } = await read(pod.name);
    expect(ephemeralContainers.map(({ name }) => name).sort()).toEqual(names.sort());
  });

  it("fails with what its node says", async () => {
    const pod = await podThatWaits();

    const starting = thrownBy(start(pod));
    const waiting = { reason: "CreateContainerError", message: "no space left on device" };
    const { name } = await sayOfEphemeral(cluster, pod, { waiting });

    const what = `ephemeral container ${name} of pod ${namespace}/${pod.name}`;
    expect(await starting).toMatchObject({
      code: "internal",
      message: `${what} (image busybox) does not run: CreateContainerError: no space left on device`,
    });
  });

  it("is not waited for after the signal", async () => {
    const controller = new AbortController();
    const pod = await podThatWaits();
    const starting = thrownBy(start(pod, controller.signal));
    await sayOfEphemeral(cluster, pod, { waiting: { reason: "ContainerCreating" } });

    controller.abort(new ActionError("timeout", "it did not end within 1 s"));

    expect(await starting).toMatchObject({ code: "timeout", message: "it did not end within 1 s" });
  });

  it("goes with its pod", async () => {
    const pod = await podThatWaits();
    const starting = thrownBy(start(pod));
    await sayOfEphemeral(cluster, pod, { waiting: { reason: "ContainerCreating" } });

    await core.deleteNamespacedPod({ namespace, name: pod.name, gracePeriodSeconds: 0 });

    expect(await starting).toBeInstanceOf(TargetGone);
  });

  it("is not added to a pod that took the name of the target", async () => {
    const pod = await podThatWaits();

    const error = await thrownBy(start({ ...pod, uid: crypto.randomUUID() }));

    expect(error).toBeInstanceOf(TargetGone);
    expect((await read(pod.name)).ephemeralContainers).toEqual([]);
  });

  it("is the last of 50 of its pod", async () => {
    const pod = await podThatWaits();
    for (let number = 1; number <= 50; number += 1) {
      await real.addEphemeralContainer(pod, { name: `hallux-tool-${number}`, image: "busybox" }, inTime());
    }

    const error = await thrownBy(start(await read(pod.name)));

    expect(error).toMatchObject({ code: "invalid", message: expect.stringContaining("50 ephemeral containers") });
  });
});

if (!cluster.real) {
  it.skip("skipped: the playground has no ephemeral containers");
}
