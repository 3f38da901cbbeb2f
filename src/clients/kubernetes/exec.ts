import { ActionError } from "../../catalogue/errors.ts";
import { accessCalls } from "./access.ts";
import type { Api } from "./api.ts";
import { type Asked, refusalError, Unauthenticated } from "./errors.ts";
import { BoundedText, converse, type Ending, type Order } from "./exec-socket.ts";
import { streamOf } from "./exec-stream.ts";
import type { CommandOptions, ExecOptions, ExecResult, Kubernetes, Pod } from "./port.ts";

const verbs = ["create", "get"];
/** Of a stream's standard error. */
const maxErrorBytes = 8 * 1024;

type Run = (pod: Pod, order: Order, signal: AbortSignal) => AsyncGenerator<Uint8Array, Ending>;

export function execCalls(api: Api): Pick<Kubernetes, "exec" | "execStream"> {
  const run = api.dryRun === undefined ? runOver(api) : reviewOf(api);
  return {
    exec: (pod, options, signal) =>
      collect(run(pod, orderOf(api, pod, { ...options, maxErrorBytes: options.maxOutputBytes }), signal), options),
    execStream: (pod, options, signal) => streamOf(run(pod, orderOf(api, pod, { ...options, maxErrorBytes }), signal)),
  };
}

/** Over a WebSocket of our own: client-node's Exec can be neither cancelled nor asked why it was refused. */
function runOver(api: Api): Run {
  const { connection } = api;
  return async function* (pod, order, signal) {
    const options = await connection.webSocketOptions();
    try {
      return yield* converse(order, options, signal);
    } catch (error) {
      await nameMissing(api, pod, error, signal);
      // Nothing has run: with a 401 there is not even a connection.
      const renewed = error instanceof Unauthenticated ? await connection.renewOptions(options) : undefined;
      if (renewed === undefined) {
        throw error;
      }
      return yield* converse(order, renewed, signal);
    }
  };
}

/** Asks whether it would be permitted. */
function reviewOf(api: Api): Run {
  return async function* (pod, _order, signal) {
    await mustBePermitted(api, pod, signal);
    yield* [];
    return { exitCode: 0, stderr: "", truncated: false };
  };
}

/** Throws `forbidden` with the first permission that is missing. */
async function mustBePermitted(api: Api, pod: Pod, signal: AbortSignal): Promise<void> {
  for (const verb of verbs) {
    const asked = { ...askedOf(pod), verb };
    const { allowed, reason } = await accessCalls(api).reviewAccess(asked, signal);
    if (!allowed) {
      throw refusalError(asked, { status: 403, body: reason });
    }
  }
}

/** Of a 403 only this tells which of the two permissions is missing, or that it is neither of them. */
async function nameMissing(api: Api, pod: Pod, error: unknown, signal: AbortSignal): Promise<void> {
  if (!(error instanceof ActionError) || error.code !== "forbidden") {
    return;
  }
  await mustBePermitted(api, pod, signal).catch((review: unknown) => {
    throw review instanceof ActionError && review.code === "forbidden" ? review : error;
  });
}

/** Reads to the end, and keeps the start. */
async function collect(
  running: AsyncGenerator<Uint8Array, Ending>,
  { maxOutputBytes }: ExecOptions,
): Promise<ExecResult> {
  const stdout = new BoundedText(maxOutputBytes);
  let step = await running.next();
  while (!step.done) {
    stdout.add(step.value);
    step = await running.next();
  }
  const { exitCode, stderr, truncated } = step.value;
  return { exitCode, stdout: stdout.toString(), stderr, truncated: truncated || stdout.truncated };
}

/** The API server checks `create` and, for a WebSocket, `get`. */
function askedOf({ namespace, name }: Pod): Asked {
  return { verb: "create", apiGroup: "", resource: "pods/exec", namespace, name, aboutTarget: true };
}

function orderOf(
  { connection }: Api,
  pod: Pod,
  options: CommandOptions & Pick<ExecOptions, "stdin"> & Pick<Order, "maxErrorBytes">,
): Order {
  const { stdin, maxErrorBytes } = options;
  return { asked: askedOf(pod), url: urlOf(connection.server, pod, options), stdin, maxErrorBytes };
}

/** Each argument travels as a parameter of its own: no shell comes near it. */
function urlOf(
  server: string,
  { namespace, name }: Pod,
  { container, command, stdin }: CommandOptions & Pick<ExecOptions, "stdin">,
): URL {
  const url = new URL(`${server.replace(/^http/, "ws")}/api/v1/namespaces/${namespace}/pods/${name}/exec`);
  url.search = new URLSearchParams([
    ["container", container],
    ...(stdin === undefined ? [] : [["stdin", "true"]]),
    ["stdout", "true"],
    ["stderr", "true"],
    ...command.map((argument) => ["command", argument]),
  ]).toString();
  return url;
}
