import type { V1Job } from "@kubernetes/client-node";
import { untilAborted } from "../../src/catalogue/abort.ts";
import { type Call, defineActionner } from "../../src/catalogue/catalogue.ts";
import { ActionError, TargetGone } from "../../src/catalogue/errors.ts";
import { ignored, success } from "../../src/catalogue/outcome.ts";
import type { Job, Kubernetes, Pod } from "../../src/clients/kubernetes/port.ts";
import { choice, integer, text } from "../../src/schema/field.ts";
import { captured, forSeconds, spareSeconds } from "./capture.ts";
import { namespaceName } from "./namespace-name.ts";
import { podTarget } from "./pod-target.ts";
import { untilRunning } from "./starting.ts";
import { storeOf } from "./store-of.ts";

const mebibyte = 1024 * 1024;
/** From the request until sysdig's container runs: its image is large. */
const startSeconds = 120;
/** After the capture, for what has not been stored yet. */
const storeSeconds = 30;
/** Of the deletion, when the action itself may have run out of time. */
const removalMs = 10_000;
/** sysdig looks at the time only when something happens in the pod. */
const quietSeconds = 5;

/** In the namespace of the Job. */
const jobRules = [
  { apiGroups: [""], resources: ["pods"], verbs: ["list"] },
  { apiGroups: [""], resources: ["pods/exec"], verbs: ["get", "create"] },
  { apiGroups: [""], resources: ["events"], verbs: ["list"] },
  { apiGroups: ["batch"], resources: ["jobs"], verbs: ["create", "delete"] },
];

const captureLabel = "hallux.dev/capture";
const labels = { "app.kubernetes.io/managed-by": "hallux", [captureLabel]: "sysdig" };
const container = "sysdig";
/** Of the node: its processes, and the sockets of its container runtime, for the names of the containers. */
const hostPaths = ["proc", "run"];

export const sysdig = defineActionner({
  id: "kubernetes:sysdig",
  summary: "Capture the system calls of the pod that raised the event, or of its node",
  description: [
    "A Job starts a privileged pod on the pod's node, whatever its taints, and `sysdig` runs in it with its modern eBPF probe.",
    "What it writes is streamed to the output, compressed (`sysdig.scap.gz`). The Job is deleted afterwards, however the capture",
    "ended. Where Hallux itself ends in between, the Job ends by itself and Kubernetes deletes it, within a few minutes.",
    "",
    "The Job is made in the pod's namespace unless `namespace` names another. One for captures alone is better: a namespace that",
    "enforces the Pod Security level `baseline` or `restricted` admits no privileged pod, and who may run commands in the pods of",
    "a namespace is root on the node while a privileged one is there.",
    "",
    "The image must have `sysdig` (0.31 or later), `timeout` and `sleep`; the node a kernel with BTF (5.8 or later).",
  ].join("\n"),
  target: "pod",
  params: {
    duration: integer("Seconds the capture takes", { default: 5, minimum: 1, maximum: 30 }),
    buffer_size: integer("Bytes kept of the data of each read and write", { default: 2048, minimum: 128 }),
    scope: choice("What is captured: the pod's containers, or all of its node", ["pod", "node"], { default: "pod" }),
    image: text("The image of the Job's container", { default: "issif/sysdig:latest", minLength: 1 }),
    namespace: text("The namespace of the Job, unless it is the pod's", namespaceName),
    max_bytes: integer("A capture that is larger than this is a failure", { default: 512 * mebibyte, minimum: 1024 }),
  },
  uses: ["kubernetes"],
  rbac: [
    { apiGroups: [""], resources: ["pods"], verbs: ["get", "list"] },
    { apiGroups: [""], resources: ["pods/exec"], verbs: ["get", "create"] },
    { apiGroups: [""], resources: ["events"], verbs: ["list"] },
    { apiGroups: ["batch"], resources: ["jobs"], verbs: ["create", "delete"] },
  ],
  rbacFor: ({ namespace }) => [
    { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
    ...jobRules.map((rule) => (namespace === undefined ? rule : { ...rule, namespace })),
  ],
  destructive: true,
  idempotent: true,
  concurrency: 8,
  continues: false,
  output: "required",
  undo: "There is nothing to undo: the Job is deleted when the capture has ended.",
  timeoutSeconds: ({ duration }) => startSeconds + duration + quietSeconds + storeSeconds,
  examples: [
    { title: "The system calls of the pod for five seconds", parameters: {} },
    {
      title: "Those of its whole node, in a namespace for captures",
      parameters: { scope: "node", namespace: "captures" },
    },
  ],

  async run({ target, params, clients: { kubernetes }, store, rule, dryRun, signal }) {
    const pod = await kubernetes.getPod(target, signal);
    const found = aimOf(pod, params.scope);
    if ("reason" in found) {
      return ignored(found.reason);
    }

    const plan = { ...params, ...found, pod, rule, job: nameOf(pod, params.namespace) };
    const course: Course = { asked: false };
    const remove = () => (course.asked ? removed(kubernetes, plan.job) : undefined);
    const storing = storeOf(store)({
      name: "sysdig.scap.gz",
      contentType: "application/gzip",
      body: capture({ kubernetes, dryRun, signal }, plan, course),
    });
    const artifact = await untilAborted(storing, signal, "the capture").catch(async (error: unknown) => {
      throw noted(error, await remove());
    });
    const left = await remove();

    const objects = { namespace: pod.namespace, pod: pod.name, node: plan.nodeName };
    if (dryRun) {
      return success("the system calls can be captured", { target: podTarget(pod), objects, artifact });
    }
    const done = `system calls captured for ${params.duration} s`;
    return success(left === undefined ? done : `${done}; ${left}`, {
      target: podTarget(pod),
      objects: { ...objects, job: plan.job.name },
      artifact,
    });
  },
});

interface Course {
  /** The Job may be there. */
  asked: boolean;
}

type JobName = Pick<Job, "namespace" | "name">;

interface Plan {
  readonly pod: Pod;
  readonly nodeName: string;
  /** At most one argument. */
  readonly filter: readonly string[];
  readonly job: JobName;
  readonly rule: string;
  readonly image: string;
  readonly duration: number;
  readonly buffer_size: number;
  readonly max_bytes: number;
}

/** Where to capture what, or why nowhere. */
function aimOf(
  { labels, owner, nodeName, containers }: Pod,
  scope: "pod" | "node",
): Pick<Plan, "nodeName" | "filter"> | { readonly reason: string } {
  if (labels[captureLabel] !== undefined && owner?.kind === "Job") {
    return { reason: "the pod is Hallux's own, made for a capture" };
  }
  if (nodeName === undefined) {
    return { reason: "the pod is not on a node yet" };
  }
  if (scope === "node") {
    return { nodeName, filter: [] };
  }
  const ids = containers.flatMap(({ id = "" }) => /^[0-9a-f]{12}/.exec(id) ?? []);
  return ids.length === 0
    ? { reason: "no container of the pod has started" }
    : { nodeName, filter: [`container.id in (${ids.join(", ")})`] };
}

function nameOf(pod: Pod, namespace: string | undefined): JobName {
  return { namespace: namespace ?? pod.namespace, name: `hallux-sysdig-${crypto.randomUUID().slice(0, 8)}` };
}

/** Begins when the output begins to read it, so that no Job is made where the output is not there. */
async function* capture(
  { kubernetes, dryRun, signal }: Pick<Call, "dryRun" | "signal"> & { readonly kubernetes: Kubernetes },
  plan: Plan,
  course: Course,
): AsyncGenerator<Uint8Array, undefined> {
  const { pod, filter, duration, buffer_size, max_bytes } = plan;
  course.asked = !dryRun;
  const job = await kubernetes.createJob(jobOf(plan), signal);
  const options = ["--modern-bpf", "-M", String(duration), "-s", String(buffer_size), "-z", "-w", "-"];
  const command = forSeconds(duration + quietSeconds, ["sysdig", ...options, ...filter]);
  if (dryRun) {
    yield* captured(kubernetes, { ...pod, ...plan.job }, { container, command }, signal);
    return;
  }
  const capturing = await runningPod(kubernetes, job, plan, signal);
  yield* limited(captured(kubernetes, capturing, { container, command }, signal), max_bytes);
}

/** Its pod is on the pod's node at once, without a scheduler that could object to taints or to a node that is cordoned. */
function jobOf({ job, pod, nodeName, rule, image, duration }: Plan): V1Job {
  const annotations = { "hallux.dev/rule": rule, "hallux.dev/pod": `${pod.namespace}/${pod.name}` };
  const lifetimeSeconds = duration + spareSeconds;
  return {
    metadata: { ...job, labels, annotations },
    spec: {
      backoffLimit: 0,
      activeDeadlineSeconds: startSeconds + lifetimeSeconds,
      ttlSecondsAfterFinished: 10,
      template: {
        metadata: { labels, annotations },
        spec: {
          nodeName,
          tolerations: [{ operator: "Exists" }],
          restartPolicy: "Never",
          terminationGracePeriodSeconds: 0,
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          hostPID: true,
          containers: [
            {
              name: container,
              image,
              imagePullPolicy: "IfNotPresent",
              command: ["sleep", String(lifetimeSeconds)],
              env: [{ name: "HOST_ROOT", value: "/host" }],
              securityContext: { privileged: true, runAsUser: 0, runAsNonRoot: false },
              volumeMounts: hostPaths.map((name) => ({ name, mountPath: `/host/${name}`, readOnly: true })),
            },
          ],
          volumes: hostPaths.map((name) => ({ name, hostPath: { path: `/${name}` } })),
        },
      },
    },
  };
}

/** Throws where the Job gets no pod, or its pod does not run. */
function runningPod(kubernetes: Kubernetes, job: Job, { image, nodeName }: Plan, signal: AbortSignal): Promise<Pod> {
  const what = `Job ${job.namespace}/${job.name} for node ${nodeName}`;
  return untilRunning(
    {
      what,
      image,
      withinSeconds: startSeconds,
      async find() {
        const [pod] = await kubernetes.podsOfJob(job, signal);
        const [warning] = pod === undefined ? await kubernetes.warningsOfJob(job, signal) : [];
        if (warning !== undefined) {
          throw new ActionError("forbidden", `${what} gets no pod: ${warning}`);
        }
        return pod;
      },
      container({ phase, containers }) {
        const found = containers.find(({ name }) => name === container);
        if (phase === "Failed" && found?.state.kind === "waiting") {
          throw new ActionError("unavailable", `${what}: the node does not take its pod`);
        }
        return found;
      },
    },
    signal,
  );
}

async function* limited(capture: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array, undefined> {
  let bytes = 0;
  for await (const chunk of capture) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) {
      const advice = "capture for less time, capture only the pod, or allow more";
      throw new ActionError("invalid", `the capture is larger than max_bytes (${maxBytes}): ${advice}`);
    }
    yield chunk;
  }
  if (bytes === 0) {
    throw new ActionError("internal", "sysdig wrote no capture");
  }
}

/** Has a time of its own, for the action's may be over. Gives what is left where that fails. */
function removed(kubernetes: Kubernetes, job: JobName): Promise<string | undefined> {
  return kubernetes.deleteJob(job, AbortSignal.timeout(removalMs)).then(
    () => undefined,
    ({ message }) => `Job ${job.namespace}/${job.name} is left, and Kubernetes deletes it later: ${message}`,
  );
}

/** The error with what is left. Not `TargetGone`: what is gone is the Job's pod, the target is looked at before. */
function noted(error: unknown, left: string | undefined): unknown {
  if (!(error instanceof ActionError)) {
    return error;
  }
  const message = left === undefined ? error.message : `${error.message}; ${left}`;
  const code = error instanceof TargetGone ? "unavailable" : error.code;
  return new ActionError(code, message, { cause: error, retryAfterMs: error.retryAfterMs });
}
