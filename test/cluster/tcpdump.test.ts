import type { V1Pod } from "@kubernetes/client-node";
import { describe, expect, it, onTestFinished } from "vitest";
import { tcpdump } from "../../actionners/kubernetes/tcpdump.ts";
import type { Store } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import { eventually, useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { giveImagesPrograms, hasImages, withoutImages } from "../support/images.ts";
import { podOfNoNode, sayOfEphemeral } from "../support/kubelet.ts";
import { enforceLevel } from "../support/pod-security.ts";
import { runActionner } from "../support/run-actionner.ts";
import { memoryStore } from "../support/stored.ts";

const cluster = await useCluster();
const namespace = await cluster.namespace();
const images = await hasImages(cluster);
if (images) {
  await giveImagesPrograms(cluster, namespace);
}

interface Capture {
  readonly params?: Readonly<Record<string, unknown>>;
  readonly fields?: Readonly<Record<string, string>>;
  readonly store?: Store;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

/** Captures for three seconds, unless told otherwise: of a single one a container that stands still may miss all. */
function capture(pod: string, { params, fields = {}, store = memoryStore().store, ...rest }: Capture = {}) {
  const event = eventOf({ pod: pod.includes("/") ? pod : `${namespace}/${pod}`, fields });
  return runActionner(tcpdump, { event, cluster, params: { duration: 3, ...params }, store, ...rest });
}

async function newPod(...containers: readonly string[]): Promise<string> {
  const named = containers.map((name) => ({ name }));
  const pod = await cluster.pod(namespace, named.length === 0 ? {} : { containers: named });
  return pod.metadata?.name ?? "";
}

function read(pod: string): Promise<V1Pod> {
  return cluster.api.core.readNamespacedPod({ namespace, name: pod });
}

async function ephemeralContainers(pod: string) {
  return (await read(pod)).spec?.ephemeralContainers ?? [];
}

/** For the rest of the test. */
async function enforce(level: "baseline" | "restricted"): Promise<void> {
  onTestFinished(() => enforceLevel(cluster.api, namespace, null));
  await enforceLevel(cluster.api, namespace, level);
}

/** The lengths of a capture's packets; throws where it ends within one. */
function packetsIn(bytes: Buffer): number[] {
  expect(bytes.readUInt32LE(0)).toBe(0xa1b2c3d4);
  const lengths: number[] = [];
  for (let at = 24; at < bytes.length; at += 16 + (lengths.at(-1) ?? 0)) {
    lengths.push(bytes.readUInt32LE(at + 8));
    expect(at + 16 + (lengths.at(-1) ?? 0)).toBeLessThanOrEqual(bytes.length);
  }
  return lengths;
}

describe.runIf(images)("kubernetes:tcpdump, where the cluster has the images of test/cluster/fixtures", () => {
  it("stores a capture of the container's pod", async () => {
    const pod = await newPod("app", "proxy");
    const { store, stored } = memoryStore();
    const proxy = (await read(pod)).status?.containerStatuses?.find(({ name }) => name === "proxy");
    const id = proxy?.containerID?.replace(/^.*:\/\//, "").slice(0, 12) ?? "";

    const outcome = await capture(pod, { store, params: { snaplen: 512 }, fields: { "container.id": id } });

    const [added] = await ephemeralContainers(pod);
    expect(outcome).toMatchObject({
      status: "success",
      summary: expect.stringMatching(/^\d+ packets captured in 3 s$/),
      objects: { namespace, pod, container: "proxy", ephemeral_container: added?.name },
      target: { kind: "pod", name: pod, uid: expect.stringMatching(/./) },
      artifact: { location: "/evidence/tcpdump.pcap" },
    });
    expect(added).toMatchObject({
      name: expect.stringMatching(/^hallux-tcpdump-[0-9a-f]{8}$/),
      image: "issif/tcpdump:latest",
      targetContainerName: "proxy",
    });
    expect(stored).toMatchObject([{ name: "tcpdump.pcap", contentType: "application/vnd.tcpdump.pcap" }]);
    const bytes = stored[0]?.bytes ?? Buffer.alloc(0);
    expect(packetsIn(bytes).length).toBeGreaterThan(2);
    expect(bytes.readUInt32LE(16)).toBe(512);
  });

  it("stores a capture without packets, too", async () => {
    const pod = await newPod();
    const { store, stored } = memoryStore();

    const outcome = await capture(pod, { store, params: { image: "example.com/tools/quiet:1" } });

    expect(outcome).toMatchObject({ status: "success", summary: "0 packets captured in 3 s" });
    expect(stored[0]?.bytes).toHaveLength(24);
  });

  it("captures again on the same pod, and side by side", async () => {
    const pod = await newPod();

    const first = await capture(pod);
    const others = await Promise.all([capture(pod), capture(pod)]);

    const statuses = [first, ...others].map((outcome) => "status" in outcome && outcome.status);
    expect(statuses).toEqual(["success", "success", "success"]);
    expect(new Set((await ephemeralContainers(pod)).map(({ name }) => name)).size).toBe(3);
  });

  it("fails where tcpdump does, and keeps no half capture", async () => {
    const pod = await newPod();
    const { store, stored } = memoryStore();

    const outcome = await capture(pod, { store, params: { image: "failing", duration: 60 } });

    expect(outcome).toMatchObject({
      code: "internal",
      message: expect.stringMatching(
        /^the capture in container hallux-tcpdump-\w+ ended with exit code 1: tcpdump: any: the interface went down$/,
      ),
    });
    expect(stored).toEqual([]);
  });

  it("fails where what comes is no capture", async () => {
    const outcome = await capture(await newPod(), { params: { image: "textual", duration: 60 } });

    expect(outcome).toMatchObject({ code: "internal", message: expect.stringContaining("no capture") });
  });

  it("ends with a whole packet at the limit of its size", async () => {
    const pod = await newPod();
    const { store, stored } = memoryStore();

    const outcome = await capture(pod, { store, params: { image: "flooding", max_bytes: 1_000_000, duration: 60 } });

    expect(outcome).toMatchObject({ status: "success", summary: expect.stringContaining("max_bytes (1000000)") });
    const bytes = stored[0]?.bytes ?? Buffer.alloc(0);
    expect(bytes.length).toBeLessThanOrEqual(1_000_000);
    expect(bytes.length).toBeGreaterThan(1_000_000 - 20);
    expect(packetsIn(bytes).every((length) => length === 4)).toBe(true);
  });

  it("goes without a capability that its namespace does not admit", async () => {
    const pod = await newPod();
    await enforce("baseline");

    const outcome = await capture(pod);

    expect(outcome).toMatchObject({ status: "success" });
    const [added] = await ephemeralContainers(pod);
    expect(added?.securityContext).toEqual({ runAsUser: 0, runAsNonRoot: false });
  });

  it("ends by itself when nobody waits for it any more", async () => {
    const pod = await newPod();
    const controller = new AbortController();
    const running = capture(pod, { params: { duration: 10 }, signal: controller.signal });
    await eventually(async () => (await read(pod)).status?.ephemeralContainerStatuses?.[0]?.state?.running);

    controller.abort();

    expect(await running).toMatchObject({ code: "cancelled" });
    await eventually(async () => (await read(pod)).status?.ephemeralContainerStatuses?.[0]?.state?.terminated);
  });
});

if (!images) {
  it.skip(withoutImages);
}

describe("kubernetes:tcpdump", () => {
  it("does nothing to the pod where its output cannot be written", async () => {
    const pod = await newPod();
    const store: Store = () => Promise.reject(new ActionError("not_found", "there is no such directory"));

    const outcome = await capture(pod, { store });

    expect(outcome).toMatchObject({ code: "not_found", message: "there is no such directory" });
    expect(await ephemeralContainers(pod)).toEqual([]);
  });

  it("may begin again where its output failed before anything was done to the pod", async () => {
    const store: Store = () => Promise.reject(new ActionError("unavailable", "no space is left"));

    const outcome = await capture(await newPod(), { store });

    expect(outcome).toMatchObject({ code: "unavailable", notBegun: true });
  });

  it("is of no use on a pod that does not run", async () => {
    const pod = await cluster.pod(namespace, { nodeSelector: { "hallux.dev/no-such": "node" }, wait: false });

    const outcome = await capture(pod.metadata?.name ?? "");

    expect(outcome).toEqual({ status: "ignored", reason: "the pod does not run (Pending)" });
  });

  it("is of no use on a pod that is gone", async () => {
    const outcome = await capture("gone");

    expect(outcome.constructor.name).toBe("TargetGone");
  });
});

describe.runIf(cluster.real)("kubernetes:tcpdump, on a real control plane", () => {
  it("fails with the node's words where the image cannot be pulled", async () => {
    const pod = await podOfNoNode(cluster, namespace);
    const { store, stored } = memoryStore();

    const running = capture(pod, { store });
    const waiting = { reason: "ErrImagePull", message: "registry.example.com/tcpdump: not found" };
    await sayOfEphemeral(cluster, { namespace, name: pod }, { waiting });

    expect(await running).toMatchObject({
      code: "not_found",
      message: expect.stringMatching(
        /^ephemeral container hallux-tcpdump-\w+ of pod .* \(image issif\/tcpdump:latest\) does not run: ErrImagePull: registry.example.com\/tcpdump: not found$/,
      ),
      notBegun: false,
    });
    expect(stored).toEqual([]);
  });

  it("fails at once where no waiting helps", async () => {
    const pod = await podOfNoNode(cluster, namespace);

    const running = capture(pod, { params: { image: "Not An Image" } });
    await sayOfEphemeral(cluster, { namespace, name: pod }, { waiting: { reason: "InvalidImageName" } });

    expect(await running).toMatchObject({ code: "invalid", message: expect.stringContaining("InvalidImageName") });
  });

  it("says that the namespace does not admit it", async () => {
    const pod = await newPod();
    await enforce("restricted");

    const outcome = await capture(pod);

    expect(outcome).toMatchObject({
      code: "forbidden",
      message: expect.stringContaining('violates PodSecurity "restricted:latest"'),
    });
    expect(await ephemeralContainers(pod)).toEqual([]);
  });

  it("leaves what its own container does alone", async () => {
    const pod = await podOfNoNode(cluster, namespace);
    const running = capture(pod, { params: { image: "Not An Image" } });
    const waiting = { reason: "InvalidImageName" };
    const { name } = await sayOfEphemeral(cluster, { namespace, name: pod }, { waiting });
    await running;

    const outcome = await capture(pod, { fields: { "container.name": name } });

    expect(outcome).toEqual({ status: "ignored", reason: `Hallux's own container ${name} raised the event` });
  });

  it("asks for the container in a dry run, and adds none", async () => {
    const pod = await newPod();
    const { store, stored } = memoryStore();

    const outcome = await capture(pod, { store, dryRun: true });
    await enforce("restricted");
    const refused = await capture(pod, { dryRun: true });

    expect(outcome).toMatchObject({ status: "success", summary: "the traffic can be captured" });
    expect(stored[0]?.bytes).toHaveLength(0);
    expect(refused).toMatchObject({ code: "forbidden" });
    expect(await ephemeralContainers(pod)).toEqual([]);
  });
});

describe.runIf(images)("the permissions of kubernetes:tcpdump", () => {
  it("are all used", () => {
    expect(cluster.permissions.unused(tcpdump)).toEqual([]);
  });
});
