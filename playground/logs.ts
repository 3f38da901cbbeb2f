import type { ServerResponse } from "node:http";
import { badRequest, invalid } from "./errors.ts";
import { existing } from "./objects.ts";
import { flagIn, numberIn } from "./read.ts";
import type { Routed } from "./request.ts";
import { pods } from "./resources.ts";
import type { Store } from "./store.ts";
import type { Pod } from "./wire.ts";

export interface ContainerName {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
}

interface Line {
  readonly at: string;
  readonly text: string;
}

interface ContainerLog {
  readonly lines: Line[];
  readonly followers: Set<(line: Line) => void>;
}

interface LogOptions {
  readonly container: string;
  readonly previous: boolean;
  readonly follow: boolean;
  readonly timestamps: boolean;
  readonly tailLines: number | undefined;
  readonly limitBytes: number | undefined;
  /** RFC 3339; only later lines. */
  readonly since: string | undefined;
}

/** The containers' logs, which hold what was written to them through the playground. */
export class Logs {
  readonly #store: Store;
  /** By the pod's UID, container and `previous`. */
  readonly #logs = new Map<string, ContainerLog>();
  readonly #stop: () => void;

  constructor(store: Store) {
    this.#store = store;
    this.#stop = store.subscribe(({ type, object }) => {
      if (type === "DELETED") {
        this.#forget(object.metadata.uid);
      }
    });
  }

  /** Appends lines to a container's log, or to its crashed predecessor's. Throws where the pod is not there. */
  write(container: ContainerName, lines: readonly string[], previous: boolean) {
    const { metadata } = this.#pod(container.namespace, container.pod);
    const log = this.#log(metadata.uid, container.container, previous);
    for (const text of lines) {
      const line = { at: new Date().toISOString(), text };
      log.lines.push(line);
      for (const follower of log.followers) {
        follower(line);
      }
    }
  }

  /** Answers GET …/pods/NAME/log. Throws 400, 404 and 422. */
  serve({ address, query }: Routed, response: ServerResponse): void {
    const name = address.name ?? "";
    const options = optionsOf(name, query);
    const pod = this.#pod(address.namespace ?? "", name);
    const container = containerOf(pod, options.container);
    const key = [pod.metadata.uid, container, options.previous] as const;
    refuseWaiting(pod, container);
    if (options.previous && !this.#logs.has(key.join("/")) && !crashed(pod, container)) {
      throw badRequest(`previous terminated container "${container}" in pod "${name}" not found`);
    }
    response.writeHead(200, { "Content-Type": "text/plain", "Cache-Control": "no-cache, private" });
    const log = this.#log(...key);
    const writer = new LogWriter(response, options);
    for (const line of tail(log.lines, options)) {
      writer.write(line);
    }
    if (options.follow) {
      this.#follow(log, writer, response);
    } else {
      response.end();
    }
  }

  close(): void {
    this.#stop();
    this.#logs.clear();
  }

  #follow(log: ContainerLog, writer: LogWriter, response: ServerResponse): void {
    const follower = (line: Line) => writer.write(line);
    const ended = () => response.end();
    log.followers.add(follower);
    const stop = this.#store.subscribe((change) => {
      if (change.type === "DELETED" && change.resource === pods && !this.#holds(log)) {
        ended();
      }
    });
    response.flushHeaders();
    response.once("close", () => {
      log.followers.delete(follower);
      stop();
    });
  }

  #holds(log: ContainerLog): boolean {
    return [...this.#logs.values()].includes(log);
  }

  #pod(namespace: string, name: string): Pod {
    return existing(this.#store, { resource: pods, namespace, name }) as Pod;
  }

  #log(uid: string, container: string, previous: boolean): ContainerLog {
    const key = [uid, container, previous].join("/");
    const log = this.#logs.get(key) ?? { lines: [], followers: new Set() };
    this.#logs.set(key, log);
    return log;
  }

  #forget(uid: string): void {
    for (const key of this.#logs.keys()) {
      if (key.startsWith(`${uid}/`)) {
        this.#logs.delete(key);
      }
    }
  }
}

/** Writes lines up to the limit of bytes; what is beyond is cut, in the middle of a line too. */
class LogWriter {
  readonly #response: ServerResponse;
  readonly #timestamps: boolean;
  #left: number;

  constructor(response: ServerResponse, { limitBytes, timestamps }: LogOptions) {
    this.#response = response;
    this.#timestamps = timestamps;
    this.#left = limitBytes ?? Number.POSITIVE_INFINITY;
  }

  write({ at, text }: Line): void {
    if (this.#left === 0) {
      return;
    }
    const bytes = Buffer.from(this.#timestamps ? `${at} ${text}\n` : `${text}\n`);
    const fitting = bytes.subarray(0, Math.min(bytes.length, this.#left));
    this.#left -= fitting.length;
    this.#response.write(fitting);
    if (this.#left === 0) {
      this.#response.end();
    }
  }
}

function optionsOf(pod: string, query: URLSearchParams): LogOptions {
  const tailLines = numberIn(query, "tailLines");
  const limitBytes = numberIn(query, "limitBytes");
  const sinceSeconds = numberIn(query, "sinceSeconds");
  if (tailLines !== undefined && tailLines < 0) {
    throw outOfRange(pod, "tailLines", tailLines, "must be greater than or equal to 0");
  }
  if (limitBytes !== undefined && limitBytes < 1) {
    throw outOfRange(pod, "limitBytes", limitBytes, "must be greater than 0");
  }
  return {
    container: query.get("container") ?? "",
    previous: flagIn(query, "previous"),
    follow: flagIn(query, "follow"),
    timestamps: flagIn(query, "timestamps"),
    tailLines,
    limitBytes,
    since:
      sinceSeconds === undefined
        ? (query.get("sinceTime") ?? undefined)
        : new Date(Date.now() - sinceSeconds * 1000).toISOString(),
  };
}

function outOfRange(pod: string, field: string, value: number, rule: string) {
  const cause = { reason: "FieldValueInvalid", message: `Invalid value: ${value}: ${rule}`, field };
  return invalid({ kind: "PodLogOptions", group: "" }, pod, [cause]);
}

/** The container asked for, or the only one. Throws 400. */
export function containerOf({ metadata, spec }: Pod, asked: string): string {
  const names = [...(spec.initContainers ?? []), ...spec.containers].map(({ name }) => name);
  if (asked !== "") {
    if (!names.includes(asked)) {
      throw badRequest(`container ${asked} is not valid for pod ${metadata.name}`);
    }
    return asked;
  }
  const [first] = spec.containers;
  if (first === undefined || spec.containers.length > 1) {
    const choices = spec.containers.map(({ name }) => name).join(" ");
    throw badRequest(`a container name must be specified for pod ${metadata.name}, choose one of: [${choices}]`);
  }
  return first.name;
}

function refuseWaiting({ metadata, status }: Pod, container: string): void {
  const found = status?.containerStatuses?.find(({ name }) => name === container);
  if (found === undefined || (found.containerID === undefined && found.state?.waiting !== undefined)) {
    const reason = found?.state?.waiting?.reason ?? "ContainerCreating";
    throw badRequest(`container "${container}" in pod "${metadata.name}" is waiting to start: ${reason}`);
  }
}

function crashed({ status }: Pod, container: string): boolean {
  return (status?.containerStatuses ?? []).some(
    ({ name, lastState }) => name === container && lastState?.terminated !== undefined,
  );
}

function tail(lines: readonly Line[], { tailLines, since }: LogOptions): readonly Line[] {
  const recent = since === undefined ? lines : lines.filter(({ at }) => Date.parse(at) >= Date.parse(since));
  return tailLines === undefined ? recent : recent.slice(Math.max(0, recent.length - tailLines));
}
