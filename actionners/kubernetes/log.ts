import { defineActionner, type Store } from "../../src/catalogue/catalogue.ts";
import { ActionError, TargetGone } from "../../src/catalogue/errors.ts";
import { ignored, type Success, success } from "../../src/catalogue/outcome.ts";
import type { Container, Kubernetes, Pod } from "../../src/clients/kubernetes/port.ts";
import { integer } from "../../src/schema/field.ts";
import { isOwnEphemeral } from "./ephemeral.ts";
import { podTarget } from "./pod-target.ts";

/** Of one log, which is in memory until it is stored. */
const maxLogBytes = 4 * 1024 * 1024;
const atOnce = 8;
/** Of all logs together, where there is no output: what an outcome keeps. */
const maxTextBytes = 16 * 1024;

export const log = defineActionner({
  id: "kubernetes:log",
  summary: "Read the last lines of the logs of all containers of the pod",
  description: [
    "Of a container that has been restarted, the log of its predecessor is read too. With an output the logs are stored as one",
    "artifact; without, the outcome holds their ends, 16 KiB in all. Hallux's own ephemeral containers, which write none, are left out.",
  ].join("\n"),
  target: "pod",
  params: {
    tail_lines: integer("Lines of each log", { default: 20, minimum: 1, maximum: 100_000 }),
  },
  uses: ["kubernetes"],
  rbac: [
    { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
    { apiGroups: [""], resources: ["pods/log"], verbs: ["get"] },
  ],
  destructive: false,
  idempotent: true,
  concurrency: atOnce,
  continues: true,
  output: "optional",
  undo: "There is nothing to undo: it only reads.",
  examples: [
    { title: "The last 20 lines of each container", parameters: {} },
    { title: "The last 1000", parameters: { tail_lines: 1000 } },
  ],

  async run({ target, params, clients, store, signal }) {
    const pod = await clients.kubernetes.getPod(target, signal);
    const containers = pod.containers.filter((container) => !isOwnEphemeral(pod, container));
    if (containers.every(({ id }) => id === undefined)) {
      return ignored("no container of the pod has started");
    }

    const logs: Summary[] = [];
    const read = { kubernetes: clients.kubernetes, pod, containers, tailLines: params.tail_lines, signal };
    const details = await kept(readLogs(read, logs), store);

    return success(summaryOf(logs), {
      target: podTarget(pod),
      objects: { namespace: pod.namespace, pod: pod.name },
      ...details,
    });
  },
});

interface Reading {
  readonly kubernetes: Kubernetes;
  readonly pod: Pod;
  readonly containers: readonly Container[];
  readonly tailLines: number;
  readonly signal: AbortSignal;
}

/** The end of a log, or why there is none. */
interface Log {
  readonly title: string;
  readonly bytes: Uint8Array;
  readonly fault: string | undefined;
}

/** What is left of a log when it has been stored. */
interface Summary {
  readonly title: string;
  readonly cut: boolean;
  readonly fault: string | undefined;
}

/** With what stands above it. */
interface Section extends Log {
  readonly heading: string;
}

/** One container after another, so that no more than one container's logs are in memory. Throws at the end where there was none. */
async function* readLogs(reading: Reading, read: Summary[]): AsyncGenerator<Section> {
  const { containers } = reading;
  for (const container of containers) {
    const logs = await logsOf(container, reading);
    const alone = containers.length === 1 && logs.length === 1;
    for (const log of logs) {
      const { title, bytes, fault } = log;
      read.push({ title, fault, cut: bytes.length >= maxLogBytes });
      yield { ...log, heading: headingOf(log, alone) };
    }
  }
  mustHoldOne(read);
}

/** In the order they were written: the predecessor's first. */
async function logsOf(container: Container, reading: Reading): Promise<readonly Log[]> {
  const { name, id, running, restartCount } = container;
  if (id === undefined) {
    return [{ title: name, bytes: new Uint8Array(), fault: "it has not started" }];
  }
  if (restartCount === 0) {
    return [await readLog(name, false, reading)];
  }
  const previous = await readLog(name, true, reading);
  const current = await readLog(name, false, reading);
  // While a crashed container waits for its restart, Kubernetes gives the same log for both.
  return !running && Buffer.compare(previous.bytes, current.bytes) === 0 ? [current] : [previous, current];
}

async function readLog(container: string, previous: boolean, reading: Reading): Promise<Log> {
  const { kubernetes, pod, tailLines, signal } = reading;
  const title = previous ? `${container} (previous)` : container;
  try {
    const options = { container, tailLines, previous, limitBytes: maxLogBytes };
    return { title, bytes: await kubernetes.podLog(pod, options, signal), fault: undefined };
  } catch (error) {
    return { title, bytes: new Uint8Array(), fault: absence(error) };
  }
}

/** That one log is not there (rotated away, not begun) keeps no other from being read; any other error ends the action. */
function absence(error: unknown): string {
  if (error instanceof ActionError && !(error instanceof TargetGone) && error.code === "invalid") {
    return error.message;
  }
  throw error;
}

function mustHoldOne(logs: readonly Summary[]): void {
  if (logs.every(({ fault }) => fault !== undefined)) {
    throw new ActionError("not_found", logs.map(({ title, fault }) => `no log of ${title}: ${fault}`).join("; "));
  }
}

function summaryOf(logs: readonly Summary[]): string {
  const read = logs.filter(({ fault }) => fault === undefined).map(titleOf);
  const unread = logs.filter(({ fault }) => fault !== undefined).map(({ title, fault }) => `${title} (${fault})`);
  return `logs read: ${read.join(", ")}${unread.length === 0 ? "" : `; not read: ${unread.join(", ")}`}`;
}

/** Kubernetes counts the bytes from the first of the lines asked for: what it leaves out is the newest. */
function titleOf({ title, cut }: Summary): string {
  return cut ? `${title} (cut after ${maxLogBytes / 1024 / 1024} MiB, without its newest lines)` : title;
}

/** As `tail` writes it; a log that is alone needs none. */
function headingOf({ title, fault }: Log, alone: boolean): string {
  const heading = alone ? "" : `==> ${title} <==\n`;
  return fault === undefined ? heading : `${heading}(${fault})\n`;
}

async function kept(
  logs: AsyncIterable<Section>,
  store: Store | undefined,
): Promise<Pick<Success, "text" | "artifact">> {
  if (store === undefined) {
    return { text: await textOf(logs) };
  }
  const contentType = "text/plain; charset=utf-8";
  return { artifact: await store({ name: "log", contentType, body: bytesOf(logs) }) };
}

async function* bytesOf(logs: AsyncIterable<Section>): AsyncGenerator<Uint8Array> {
  for await (const { heading, bytes } of logs) {
    yield Buffer.from(heading);
    yield bytes;
    yield Buffer.from(bytes.length === 0 || bytes.at(-1) === newline ? "" : "\n");
  }
}

const newline = 10;

async function textOf(logs: AsyncIterable<Section>): Promise<string> {
  const ends: Section[] = [];
  for await (const log of logs) {
    // A copy of more than fits: a view would keep all of the log, and `endOf` is to see that there was more.
    ends.push({ ...log, bytes: Uint8Array.from(log.bytes.subarray(-2 * maxTextBytes)) });
  }
  const share = Math.floor(maxTextBytes / ends.length);
  return ends.map(({ heading, bytes }) => heading + endOf(bytes, share - Buffer.byteLength(heading))).join("");
}

/** The last bytes as text, from the start of a line, with a line break at the end. */
function endOf(bytes: Uint8Array, maxBytes: number): string {
  const text = Buffer.from(bytes).toString();
  const whole = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  if (Buffer.byteLength(whole) <= maxBytes) {
    return whole;
  }
  const end = Buffer.from(whole).subarray(-maxBytes).toString();
  const lineStart = end.indexOf("\n") + 1;
  return lineStart < end.length ? end.slice(lineStart) : end.replace(/^\uFFFD+/, "");
}
