import type { V1Job } from "@kubernetes/client-node";
import { describe, expect, it } from "vitest";
import type { Call, Store } from "../../src/catalogue/catalogue.ts";
import { ActionError, TargetGone } from "../../src/catalogue/errors.ts";
import type { Container, ContainerState, ExecStream, Kubernetes, Pod } from "../../src/clients/kubernetes/port.ts";
import { eventOf } from "../../test/support/events.ts";
import { memoryStore } from "../../test/support/stored.ts";
import { sysdig } from "./sysdig.ts";

const target = { kind: "pod", namespace: "shop", name: "cart-1", uid: "uid-1" } as const;
const params = {
  duration: 5,
  buffer_size: 2048,
  scope: "pod",
  image: "tools/sysdig",
  namespace: undefined,
  max_bytes: 100,
} as const;

const cart = {
  ...target,
  nodeName: "node-1",
  phase: "Running",
  labels: {},
  owner: undefined,
  containers: [{ name: "app", id: "0123456789abcdef", running: true }],
} as unknown as Pod;

/** The Job's pod, with its container in this state. */
function capturer(state: ContainerState, traits: Partial<Pod> = {}): Pod {
  return { ...cart, name: "hallux-sysdig-1-x", containers: [{ name: "sysdig", state } as Container], ...traits };
}

interface World {
  readonly pods?: readonly Pod[];
  readonly warnings?: readonly string[];
  readonly stream?: ExecStream;
  readonly deletion?: Error;
}

function streamOf(text: string): ExecStream {
  async function* stdout() {
    yield Buffer.from(text);
  }
  return { stdout: stdout(), ended: Promise.resolve({ exitCode: 0, stderr: "" }) };
}

/** Runs in a cluster that answers so; gives what it ended with, the Jobs made and the names of those deleted. */
async function run({
  pods = [capturer({ kind: "running" })],
  warnings = [],
  stream = streamOf("scap"),
  deletion,
}: World) {
  const made: V1Job[] = [];
  const deleted: string[] = [];
  const kubernetes = {
    getPod: async () => cart,
    async createJob(job: V1Job) {
      made.push(job);
      return { namespace: "shop", name: job.metadata?.name ?? "", uid: "uid-2" };
    },
    podsOfJob: async () => pods,
    warningsOfJob: async () => warnings,
    execStream: () => stream,
    async deleteJob({ name }: { readonly name: string }) {
      deleted.push(name);
      if (deletion !== undefined) {
        throw deletion;
      }
    },
  } as Partial<Kubernetes>;
  const call = {
    event: eventOf({ pod: "shop/cart-1" }),
    target,
    params,
    clients: { kubernetes } as Call["clients"],
    store: memoryStore().store as Store,
    rule: "a rule",
    dryRun: false,
    signal: AbortSignal.timeout(20_000),
  };
  const ending = await sysdig.run(call as unknown as Parameters<typeof sysdig.run>[0]).catch((error: unknown) => error);
  return { ending, made, deleted };
}

describe("kubernetes:sysdig", () => {
  it("makes a Job that nothing keeps off the node and that does not last", async () => {
    const { made, deleted } = await run({});

    const [job] = made;
    expect(deleted).toEqual([job?.metadata?.name]);
    expect(job?.spec).toMatchObject({
      backoffLimit: 0,
      activeDeadlineSeconds: expect.any(Number),
      ttlSecondsAfterFinished: expect.any(Number),
      template: {
        spec: {
          nodeName: "node-1",
          tolerations: [{ operator: "Exists" }],
          restartPolicy: "Never",
          automountServiceAccountToken: false,
          containers: [{ image: "tools/sysdig", securityContext: { privileged: true } }],
        },
      },
    });
  });

  it.each([
    [
      "the image is none",
      { pods: [capturer({ kind: "waiting", reason: "InvalidImageName", message: "bad tag" })] },
      { code: "invalid", message: expect.stringMatching(/^Job shop\/hallux-sysdig-\w+ for node node-1 .*bad tag$/) },
    ],
    [
      "its pod is not admitted",
      { pods: [], warnings: ["Error creating: violates PodSecurity"] },
      { code: "forbidden", message: expect.stringContaining("gets no pod: Error creating: violates PodSecurity") },
    ],
    [
      "the node does not take its pod",
      { pods: [capturer({ kind: "waiting", reason: "", message: "" }, { phase: "Failed" })] },
      { code: "unavailable", message: expect.stringContaining("for node node-1: the node does not take its pod") },
    ],
    ["sysdig writes nothing", { stream: streamOf("") }, { code: "internal", message: "sysdig wrote no capture" }],
    [
      "the capture is too large",
      { stream: streamOf("x".repeat(101)) },
      { code: "invalid", message: expect.stringContaining("larger than max_bytes (100)") },
    ],
  ])("fails where %s, and deletes the Job", async (_where, world: World, failure) => {
    const { ending, deleted } = await run(world);

    expect(ending).toBeInstanceOf(ActionError);
    expect(ending).toMatchObject(failure);
    expect(deleted).toHaveLength(1);
  });

  it("does not take the end of its own pod for that of the target", async () => {
    const gone = Promise.reject(new TargetGone('pods "hallux-sysdig-1-x" not found'));
    gone.catch(() => undefined);
    async function* stdout(): AsyncGenerator<Uint8Array> {
      yield* [];
      await gone;
    }

    const { ending } = await run({ stream: { stdout: stdout(), ended: gone } });

    expect(ending).not.toBeInstanceOf(TargetGone);
    expect(ending).toMatchObject({ code: "unavailable" });
  });

  it("tells of a Job that it could not delete", async () => {
    const deletion = new ActionError("forbidden", "not permitted to delete jobs");

    const captured = await run({ deletion });
    const failed = await run({ deletion, stream: streamOf("") });

    const left = / Job shop\/hallux-sysdig-\w+ is left, and Kubernetes deletes it later: not permitted to delete jobs$/;
    expect(captured.ending).toMatchObject({ status: "success", summary: expect.stringMatching(left) });
    expect(failed.ending).toMatchObject({ code: "internal", message: expect.stringMatching(left) });
  });
});
