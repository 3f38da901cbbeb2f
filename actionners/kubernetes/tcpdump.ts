import type { V1SecurityContext } from "@kubernetes/client-node";
import { type Call, defineActionner } from "../../src/catalogue/catalogue.ts";
import { ActionError, notBegun } from "../../src/catalogue/errors.ts";
import { ignored, success } from "../../src/catalogue/outcome.ts";
import type { Container, Pod } from "../../src/clients/kubernetes/port.ts";
import { integer, text } from "../../src/schema/field.ts";
import { captured, forSeconds, spareSeconds } from "./capture.ts";
import { containerOf } from "./containers.ts";
import { aimAt, begun, isOwnEphemeral, startEphemeral, startSeconds } from "./ephemeral.ts";
import { type PcapReading, wholePackets } from "./pcap.ts";
import { podTarget } from "./pod-target.ts";
import { storeOf } from "./store-of.ts";

const mebibyte = 1024 * 1024;
/** After the capture, for what has not been stored yet. */
const storeSeconds = 30;

/**
 * Only root may capture, whatever user the pod runs as. NET_RAW is among what containerd grants, and not among what CRI-O does; a
 * namespace of the level `baseline` does not admit that it is asked for.
 */
const root = { runAsUser: 0, runAsNonRoot: false };
const securityContexts: [V1SecurityContext, V1SecurityContext] = [
  { ...root, capabilities: { add: ["NET_RAW"] } },
  root,
];

export const tcpdump = defineActionner({
  id: "kubernetes:tcpdump",
  summary: "Capture the network traffic of the pod that raised the event",
  description: [
    "An ephemeral container is added to the pod, aimed at the container that raised the event. `tcpdump` runs in it on all",
    "interfaces, and what it writes is streamed to the output as a capture in the format pcap. A capture without packets is a",
    "success, too. That of a pod in the node's network (`hostNetwork`) holds the traffic of the node.",
    "",
    "Kubernetes cannot remove an ephemeral container: it ends by itself, at the latest half a minute after the capture, and",
    "stays in the pod's description. Each capture adds its own, so several may run at once; a pod gets at most 50 of them.",
    "",
    "The image must have `tcpdump`, `timeout` and `sleep`. tcpdump runs as root: a namespace that enforces the Pod Security level",
    "`restricted` does not admit it. Falco sees the capture as well (`Packet socket created in container`); an event that",
    "Hallux's own container raised starts no other capture.",
  ].join("\n"),
  target: "pod",
  params: {
    duration: integer("Seconds the capture takes", { default: 5, minimum: 1, maximum: 3600 }),
    snaplen: integer("Bytes kept of each packet; 0 keeps all", { default: 4096, minimum: 0, maximum: 262_144 }),
    image: text("The image of the ephemeral container", { default: "issif/tcpdump:latest", minLength: 1 }),
    max_bytes: integer("The capture ends before it is larger than this", { default: 512 * mebibyte, minimum: 1024 }),
  },
  uses: ["kubernetes"],
  rbac: [
    { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
    { apiGroups: [""], resources: ["pods/ephemeralcontainers"], verbs: ["patch"] },
    { apiGroups: [""], resources: ["pods/exec"], verbs: ["get", "create"] },
  ],
  destructive: true,
  idempotent: false,
  concurrency: 8,
  continues: false,
  output: "required",
  undo: "The ephemeral container ends by itself. It goes with the pod: `kubectl delete pod POD -n NAMESPACE`",
  timeoutSeconds: ({ duration }) => startSeconds + duration + storeSeconds,
  examples: [
    { title: "The pod's traffic for five seconds", parameters: {} },
    { title: "Whole packets, for a minute", parameters: { duration: 60, snaplen: 0 } },
    { title: "With an image of your own registry", parameters: { image: "registry.example.com/tools/tcpdump:4.99" } },
  ],

  async run(call) {
    const { event, target, params, clients, store, dryRun, signal } = call;
    const pod = await clients.kubernetes.getPod(target, signal);
    const container = containerOf(event, pod);
    const reason = exemption(pod, container);
    if (reason !== undefined) {
      return ignored(reason);
    }

    const course: Course = { asked: false, name: undefined, maxBytes: params.max_bytes, packets: 0, cut: false };
    const { image, duration, snaplen } = params;
    const body = capture(call, { pod, container, image, duration, snaplen }, course);
    const artifact = await storeOf(store)({
      name: "tcpdump.pcap",
      contentType: "application/vnd.tcpdump.pcap",
      body,
    }).catch((error: unknown) => {
      throw asFarAs(course, error);
    });

    return success(dryRun ? "the traffic can be captured" : summaryOf(course, duration), {
      target: podTarget(pod),
      objects: {
        namespace: pod.namespace,
        pod: pod.name,
        container: container.name,
        ...(course.name === undefined ? {} : { ephemeral_container: course.name }),
      },
      artifact,
    });
  },
});

interface Course extends PcapReading {
  /** The ephemeral container may be there. */
  asked: boolean;
  /** Of the ephemeral container, once it runs. */
  name: string | undefined;
}

/** The error, which tells whether the capture may begin again. */
function asFarAs({ asked, name }: Course, error: unknown): unknown {
  if (!asked && error instanceof ActionError) {
    return notBegun(error);
  }
  return name === undefined ? error : begun(error);
}

function exemption(pod: Pod, container: Container): string | undefined {
  if (isOwnEphemeral(pod, container)) {
    return `Hallux's own container ${container.name} raised the event`;
  }
  return pod.phase === "Running" ? undefined : `the pod does not run (${pod.phase})`;
}

interface Plan {
  readonly pod: Pod;
  readonly container: Container;
  readonly image: string;
  readonly duration: number;
  readonly snaplen: number;
}

/** Begins when the output begins to read it, so that nothing is done to the pod where the output is not there. */
async function* capture(
  call: Pick<Call, "clients" | "dryRun" | "signal">,
  { pod, container, image, duration, snaplen }: Plan,
  course: Course,
): AsyncGenerator<Uint8Array, undefined> {
  course.asked = true;
  const name = await startEphemeral(call, pod, {
    purpose: "tcpdump",
    image,
    target: aimAt(pod, container),
    lifetimeSeconds: duration + spareSeconds,
    securityContexts,
  });
  course.name = call.dryRun ? undefined : name;
  const command = forSeconds(duration, ["tcpdump", "-i", "any", "-n", "-U", "-s", String(snaplen), "-w", "-"]);
  const written = captured(call.clients.kubernetes, pod, { container: name, command }, call.signal);
  yield* call.dryRun ? written : wholePackets(written, course);
}

function summaryOf({ packets, cut, maxBytes }: Course, duration: number): string {
  return cut
    ? `${packets} packets captured; the capture ended before its time, at max_bytes (${maxBytes})`
    : `${packets} packets captured in ${duration} s`;
}
