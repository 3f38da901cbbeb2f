import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import type { V1Job, V1Pod } from "@kubernetes/client-node";
import { describe, expect, it } from "vitest";
import { sysdig } from "../../actionners/kubernetes/sysdig.ts";
import type { Store } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import { eventually, useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { giveImagesPrograms, hasImages, withoutImages } from "../support/images.ts";
import { enforceLevel } from "../support/pod-security.ts";
import { runActionner } from "../support/run-actionner.ts";
import { memoryStore } from "../support/stored.ts";
import { workplace } from "../support/workplace.ts";

const cluster = await useCluster();
const { batch, core } = cluster.api;
const namespace = await cluster.namespace();
const images = await hasImages(cluster);
if (images) {
  await giveImagesPrograms(cluster, namespace);
}

interface Capture {
  readonly params?: Readonly<Record<string, unknown>>;
  readonly store?: Store;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

/** Captures for a second, unless told otherwise. */
function capture(pod: V1Pod, { params, store = memoryStore().store, ...rest }: Capture = {}) {
  const event = eventOf({ pod: `${pod.metadata?.namespace}/${pod.metadata?.name}` });
  return runActionner(sysdig, { event, cluster, params: { duration: 1, ...params }, store, ...rest });
}

async function jobs(where = namespace): Promise<V1Job[]> {
  return (await batch.listNamespacedJob({ namespace: where })).items;
}

/** The pods of captures. */
async function capturing(where = namespace): Promise<V1Pod[]> {
  return (await core.listNamespacedPod({ namespace: where, labelSelector: "hallux.dev/capture" })).items;
}

function runningCapture(): Promise<V1Pod> {
  return eventually(async () => (await capturing()).find(({ status }) => status?.phase === "Running"));
}

/** Keeps as the store does, but has ended only when it is told to: until then the capture's Job is there. */
function lasting(store: Store) {
  const { promise: told, resolve: end } = Promise.withResolvers<void>();
  const lasts: Store = async (artifact) => {
    const kept = await store(artifact);
    await told;
    return kept;
  };
  return { store: lasts, end };
}

/** The Job at once, its pods as soon as Kubernetes has ended them. */
async function expectNothingLeft(seconds?: number): Promise<void> {
  await eventually(async () => (await jobs()).length === 0 && (await capturing()).length === 0, seconds);
}

/** Of a container, as Falco gives it. */
function idOf(pod: V1Pod, container: number): string {
  const id = pod.status?.containerStatuses?.[container]?.containerID ?? "";
  return id.replace(/^.*:\/\//, "").slice(0, 12);
}

describe.runIf(images)("kubernetes:sysdig, where the cluster has the images of test/cluster/fixtures", () => {
  it("stores a capture of the pod's containers, made on its node", async () => {
    const pod = await cluster.pod(namespace, { nodeName: "node-2", containers: [{ name: "app" }, { name: "proxy" }] });
    const { store, stored } = memoryStore();
    const lasts = lasting(store);

    const running = capture(pod, { store: lasts.store, params: { buffer_size: 4096 } });
    const capturer = await runningCapture();
    const [job] = await jobs();
    lasts.end();
    const outcome = await running;

    expect(outcome).toMatchObject({
      status: "success",
      summary: "system calls captured for 1 s",
      objects: { namespace, pod: pod.metadata?.name, node: "node-2", job: job?.metadata?.name },
      target: { kind: "pod", name: pod.metadata?.name, uid: pod.metadata?.uid },
      artifact: { location: "/evidence/sysdig.scap.gz" },
    });
    expect(stored).toMatchObject([{ name: "sysdig.scap.gz", contentType: "application/gzip" }]);
    expect(
      gunzipSync(stored[0]?.bytes ?? "")
        .toString()
        .trim()
        .split("\n"),
    ).toEqual([
      "--modern-bpf",
      ...["-M", "1", "-s", "4096", "-z", "-w", "-"],
      `container.id in (${idOf(pod, 0)}, ${idOf(pod, 1)})`,
    ]);
    expect(capturer.spec).toMatchObject({ nodeName: "node-2", hostPID: true, restartPolicy: "Never" });
    expect(job?.metadata).toMatchObject({
      labels: { "app.kubernetes.io/managed-by": "hallux", "hallux.dev/capture": "sysdig" },
      annotations: { "hallux.dev/rule": "a rule", "hallux.dev/pod": `${namespace}/${pod.metadata?.name}` },
    });
    await expectNothingLeft();
  });

  it("stores a capture of the whole node", async () => {
    const { store, stored } = memoryStore();

    const outcome = await capture(await cluster.pod(namespace), { store, params: { scope: "node" } });

    expect(outcome).toMatchObject({ status: "success" });
    expect(gunzipSync(stored[0]?.bytes ?? "").toString()).not.toContain("container.id");
    await expectNothingLeft();
  });

  it("ends the capture of a pod in which nothing happens", async () => {
    const { store, stored } = memoryStore();

    const outcome = await capture(await cluster.pod(namespace), { store, params: { image: "quiet" } });

    expect(outcome).toMatchObject({ status: "success" });
    expect(gunzipSync(stored[0]?.bytes ?? "").toString()).toBe("quiet\n");
  });

  it("captures twice at once on one node", async () => {
    const pod = await cluster.pod(namespace);

    const outcomes = await Promise.all([capture(pod), capture(pod, { params: { scope: "node" } })]);

    expect(outcomes).toMatchObject([{ status: "success" }, { status: "success" }]);
    await expectNothingLeft();
  });

  it("leaves the pod of a capture alone", async () => {
    const { store, end } = lasting(memoryStore().store);
    const running = capture(await cluster.pod(namespace), { store });
    const capturer = await runningCapture();

    const outcome = await capture(capturer);

    expect(outcome).toEqual({ status: "ignored", reason: "the pod is Hallux's own, made for a capture" });
    end();
    await running;
  });

  it("fails where sysdig does, keeps no half capture and leaves no Job", async () => {
    const { store, stored } = memoryStore();

    const outcome = await capture(await cluster.pod(namespace), { store, params: { image: "failing" } });

    expect(outcome).toMatchObject({
      code: "internal",
      message: "the capture in container sysdig ended with exit code 1: error opening device: no eBPF here",
    });
    expect(stored).toEqual([]);
    await expectNothingLeft();
  });

  it("leaves no Job where the capture cannot be stored", async () => {
    const store: Store = async ({ body }) => {
      await body[Symbol.asyncIterator]().next();
      throw new ActionError("unavailable", "no space is left");
    };

    const outcome = await capture(await cluster.pod(namespace), { store });

    expect(outcome).toMatchObject({ code: "unavailable", message: "no space is left" });
    await expectNothingLeft();
  });

  it.each([
    ["it is cancelled", () => new DOMException("enough", "AbortError"), "cancelled"],
    ["its time is over", () => new ActionError("timeout", "it did not end within 2 s"), "timeout"],
  ])("leaves no Job when %s", async (_when, reason, code) => {
    const controller = new AbortController();
    const running = capture(await cluster.pod(namespace), { params: { duration: 30 }, signal: controller.signal });
    await runningCapture();

    controller.abort(reason());

    expect(await running).toMatchObject({ code });
    await expectNothingLeft();
  });

  it("leaves no Job after its process was killed", { timeout: 120_000 }, async () => {
    using files = workplace({ kubeconfig: cluster.kubeconfig });
    const pod = await cluster.pod(namespace);
    const script = fileURLToPath(new URL("../support/capture-child.ts", import.meta.url));
    const args = [script, files.path("kubeconfig"), `${namespace}/${pod.metadata?.name}`];
    const child = spawn(process.execPath, args, { stdio: "ignore" });
    const exited = once(child, "exit");
    await runningCapture();

    child.kill("SIGKILL");

    expect(await exited).toEqual([null, "SIGKILL"]);
    expect(await jobs()).toHaveLength(1);
    await expectNothingLeft(90);
  });

  it("uses another namespace where the pod's admits no privileged pod", async () => {
    const restricted = await cluster.namespace();
    const pod = await cluster.pod(restricted);
    await enforceLevel(cluster.api, restricted, "baseline");

    const refused = await capture(pod);
    const elsewhere = await capture(pod, { params: { namespace } });

    expect(refused).toMatchObject({
      code: "forbidden",
      message: expect.stringMatching(/ gets no pod: .*violates PodSecurity "baseline:latest"/),
    });
    expect(elsewhere).toMatchObject({ status: "success" });
    await eventually(async () => (await jobs(restricted)).length === 0);
    await expectNothingLeft();
  });

  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(sysdig)).toEqual([]);
  });
});

if (!images) {
  it.skip(withoutImages);
}

describe("kubernetes:sysdig", () => {
  it("makes no Job where its output cannot be written", async () => {
    const store: Store = () => Promise.reject(new ActionError("not_found", "there is no such directory"));

    const outcome = await capture(await cluster.pod(namespace), { store });

    expect(outcome).toMatchObject({ code: "not_found", message: "there is no such directory" });
  });

  it("asks for the Job in a dry run, and makes none", async () => {
    const { store, stored } = memoryStore();

    const outcome = await capture(await cluster.pod(namespace), { store, dryRun: true });

    expect(outcome).toMatchObject({ status: "success", summary: "the system calls can be captured" });
    expect(stored[0]?.bytes).toHaveLength(0);
    expect(await jobs()).toEqual([]);
  });

  it("is of no use on a pod without a node", async () => {
    const pod = await cluster.pod(namespace, { nodeSelector: { "hallux.dev/no-such": "node" }, wait: false });

    const outcome = await capture(pod);

    expect(outcome).toEqual({ status: "ignored", reason: "the pod is not on a node yet" });
  });

  it("is of no use on a pod that is gone", async () => {
    const outcome = await capture({ metadata: { namespace, name: "gone" } });

    expect(outcome.constructor.name).toBe("TargetGone");
  });
});
