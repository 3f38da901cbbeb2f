import type { V1SecurityContext } from "@kubernetes/client-node";
import { type Call, defineActionner } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import { ignored, type Success, success } from "../../src/catalogue/outcome.ts";
import { CommandNotStarted, type Container, type Pod } from "../../src/clients/kubernetes/port.ts";
import { integer, text } from "../../src/schema/field.ts";
import { containerOf } from "./containers.ts";
import { aimAt, isOwnEphemeral, startEphemeral, startSeconds } from "./ephemeral.ts";
import { podTarget } from "./pod-target.ts";
import { bytesOfFile, type FileCommand, NoTools, readForeignFile, readOwnFile } from "./read-file.ts";
import { storeOf } from "./store-of.ts";
import { tokensOf, withTokenValues } from "./tokens.ts";

const gibibyte = 1024 ** 3;
/** A slow one, for the deadline. */
const bytesPerSecond = 4 * 1024 * 1024;
const spareSeconds = 30;
/** Linux takes no longer paths. */
const maxPathBytes = 4095;

/**
 * Another user's processes show their files only to who has SYS_PTRACE, which is admitted where the namespace enforces no Pod
 * Security level; those of root show them to root, and those of the pod's user to this user.
 */
const root = { runAsUser: 0, runAsNonRoot: false };
const securityContexts: readonly [V1SecurityContext, ...V1SecurityContext[]] = [
  { ...root, capabilities: { add: ["SYS_PTRACE"] } },
  root,
  {
    runAsNonRoot: true,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    seccompProfile: { type: "RuntimeDefault" },
  },
];

export const download = defineActionner({
  id: "kubernetes:download",
  summary: "Download a file from the container that raised the event",
  description: [
    "The file is streamed to the output as it is, with the container's own shell and `cat`, and never held in Hallux's memory as a",
    "whole. Only regular files are downloaded: no directories, devices, pipes. A file that grows meanwhile is read to the end that",
    "it has when the reading gets there.",
    "",
    `Tokens in \`file\` are replaced by the event's fields and the contexts' facts: \`fd.name\` by \`\${FD_NAME}\`, \`proc.args[0]\` by`,
    `\`\${PROC_ARGS_0}\`, and \`\${PRIORITY}\`, \`\${HOSTNAME}\`, \`\${RULE}\`, \`\${SOURCE}\`, \`\${TAGS}\`. Where one of them has no value the`,
    "action is ignored. No shell parses the path. A relative path counts from the container's working directory.",
    "",
    "A container without shell or `cat` is read through an ephemeral container, whose `image` has `sh`, `cat`, `readlink` and",
    "`sleep`. Kubernetes cannot remove it: it ends by itself and stays in the pod's description. It runs as root with the",
    "capability SYS_PTRACE, or with less where the namespace does not admit that. Another attempt adds another one.",
    "",
    "Falco sees the reading, too: a rule that downloads what was read raises its own event again.",
  ].join("\n"),
  target: "pod",
  params: {
    file: text("The file's path in the container; may hold tokens", {
      required: true,
      minLength: 1,
      format: "tokens",
    }),
    max_bytes: integer("A larger file is not kept", { default: gibibyte, minimum: 1, maximum: 1024 * gibibyte }),
    image: text("The image of the ephemeral container, for containers without shell or `cat`", {
      default: "busybox:1.37",
      minLength: 1,
    }),
  },
  uses: ["kubernetes"],
  rbac: [
    { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
    { apiGroups: [""], resources: ["pods/exec"], verbs: ["get", "create"] },
    { apiGroups: [""], resources: ["pods/ephemeralcontainers"], verbs: ["patch"] },
  ],
  destructive: false,
  idempotent: true,
  concurrency: 8,
  continues: true,
  output: "required",
  undo: "It only reads. An ephemeral container ends by itself and goes with the pod: `kubectl delete pod POD -n NAMESPACE`",
  timeoutSeconds: ({ max_bytes }) => startSeconds + secondsFor(max_bytes),
  examples: [
    { title: "The file that raised the event", parameters: { file: `\${FD_NAME}` } },
    { title: "A log of at most 10 MiB", parameters: { file: "/var/log/app.log", max_bytes: 10_485_760 } },
  ],

  async run(call) {
    const { event, target, params, facts, clients, store, dryRun, signal } = call;
    const { value: path, missing } = withTokenValues(params.file, tokensOf(event, facts));
    if (missing.length > 0) {
      return ignored(`the event has no value for ${missing.join(", ")}`);
    }
    mustBePath(path);
    const pod = await clients.kubernetes.getPod(target, signal);
    const container = containerOf(event, pod);
    const reason = exemption(pod, container);
    if (reason !== undefined) {
      return ignored(reason);
    }
    mustRun(pod, container);

    const course: Course = { ephemeral: undefined };
    const body = upTo(params.max_bytes, contentOf(call, { pod, container, path, params }, course));
    const artifact = await storeOf(store)({ name: path, contentType: "application/octet-stream", body });

    const objects = { namespace: pod.namespace, pod: pod.name, container: container.name, file: path };
    if (dryRun) {
      return success("the file can be downloaded where it is there", { target: podTarget(pod), objects, artifact });
    }
    return success(...tellOf(course, artifact.bytes, { target: podTarget(pod), objects, artifact }));
  },
});

/** What was learnt on the way. */
interface Course {
  /** The container through which the file was read, where that is not its own. */
  ephemeral: string | undefined;
}

interface Order {
  readonly pod: Pod;
  readonly container: Container;
  readonly path: string;
  readonly params: { readonly image: string; readonly max_bytes: number };
}

function secondsFor(maxBytes: number): number {
  return spareSeconds + Math.ceil(maxBytes / bytesPerSecond);
}

function mustBePath(path: string): void {
  if (path.includes("\0") || Buffer.byteLength(path) > maxPathBytes) {
    throw new ActionError("invalid", `no file can have this path: it holds NUL, or more than ${maxPathBytes} bytes`);
  }
}

function exemption(pod: Pod, container: Container): string | undefined {
  if (isOwnEphemeral(pod, container)) {
    return `Hallux's own container ${container.name} raised the event`;
  }
  return pod.phase === "Succeeded" || pod.phase === "Failed" ? `the pod has ended (${pod.phase})` : undefined;
}

function mustRun({ namespace, name }: Pod, container: Container): void {
  if (!container.running) {
    const place = `container ${container.name} of pod ${namespace}/${name}`;
    throw new ActionError("unavailable", `${place} does not run: its files cannot be read`);
  }
}

/** Begins when the output begins to read it: nothing is done to the pod where the output is not there. */
async function* contentOf(
  call: Pick<Call, "clients" | "dryRun" | "signal">,
  order: Order,
  course: Course,
): AsyncGenerator<Uint8Array, undefined> {
  const { pod, container, path } = order;
  const { clients, dryRun, signal } = call;
  const read = (command: FileCommand) => bytesOfFile(clients.kubernetes, pod, command, signal);
  const own = readOwnFile(container.name, path);
  if (dryRun) {
    yield* clients.kubernetes.execStream(pod, own, signal).stdout;
    return;
  }
  try {
    yield* read(own);
  } catch (error) {
    course.ephemeral = await substituteFor(error, call, order);
    yield* read(readForeignFile(course.ephemeral, path, container.id));
  }
}

/** The name of a container that has what the file's own has not. Throws the error where it is another one, or none can be had. */
async function substituteFor(
  error: unknown,
  call: Pick<Call, "clients" | "dryRun" | "signal">,
  { pod, container, params }: Order,
): Promise<string> {
  const target = aimAt(pod, container);
  if (target === undefined || !(error instanceof NoTools || error instanceof CommandNotStarted)) {
    throw error;
  }
  const lifetimeSeconds = secondsFor(params.max_bytes);
  return startEphemeral(call, pod, {
    purpose: "download",
    image: params.image,
    target,
    lifetimeSeconds,
    securityContexts,
  });
}

async function* upTo(maxBytes: number, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, undefined> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) {
      throw new ActionError("invalid", `the file is larger than max_bytes (${maxBytes}): nothing of it is kept`);
    }
    yield chunk;
  }
}

type Details = Omit<Success, "status" | "summary">;

function tellOf({ ephemeral }: Course, bytes: number, details: Details): [string, Details] {
  const summary = `file downloaded, ${bytes} bytes`;
  if (ephemeral === undefined) {
    return [summary, details];
  }
  const objects = { ...details.objects, ephemeral_container: ephemeral };
  const reason = `the container has no shell, or no cat: it was read through ephemeral container ${ephemeral}`;
  return [`${summary}; ${reason}`, { ...details, objects }];
}
