import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { stringify } from "yaml";
import type { ServerSideApply } from "./apply.ts";
import { parseBody } from "./decode.ts";
import { deleteOptions, remove } from "./deletion.ts";
import { discoveryAt } from "./discovery.ts";
import { ApiError, notAcceptable, tooLarge, unauthorized, unknownPath } from "./errors.ts";
import { executionOf } from "./exec.ts";
import { type Faults, faultError } from "./faults.ts";
import type { Logs } from "./logs.ts";
import { openApiAt } from "./openapi.ts";
import { type Format, flagIn, formatOf, listObjects, numberIn, readObject, rendered, selectionOf } from "./read.ts";
import { type Address, type ApiRequest, addressOf, type Routed, resourceNamed, verbOf } from "./request.ts";
import { isReview, review } from "./reviews.ts";
import type { Store } from "./store.ts";
import { serveWatch } from "./watch.ts";
import { type KubeObject, recordAt } from "./wire.ts";
import { createFrom, deleteCollectionFrom, deleteFrom, patchFrom, replaceFrom, type WriteRequest } from "./write.ts";

/** What requests are answered from. */
export interface Context {
  readonly store: Store;
  readonly apply: ServerSideApply;
  readonly logs: Logs;
  readonly faults: Faults;
  /** Whose request it is, by bearer token. */
  readonly users: ReadonlyMap<string, string>;
  record(request: ApiRequest): void;
}

const bodyLimit = 3 * 1024 * 1024;
/** exec commands travel in the query; real servers take some hundred kilobytes. */
const headerLimit = 1024 * 1024;

export function createApiServer(context: Context): Server {
  return createServer({ maxHeaderSize: headerLimit, requestTimeout: 0 }, (request, response) => {
    serve(context, request, response).catch((error: unknown) => answerError(response, error));
  });
}

async function serve(context: Context, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = urlOf(request);
  const user = userOf(context, request);
  const address = addressOf(url.pathname);
  if (address === undefined) {
    return answerNonResource(url, request, response);
  }
  const body = await bodyOf(request);
  if (isReview(address)) {
    return answer(
      response,
      201,
      review(context.faults, { body, contentType: request.headers["content-type"] ?? "" }, user),
    );
  }
  const routed = route(request, { url, address, user, body });
  context.record(routed.request);
  if (await struck(context, routed.request, response)) {
    return;
  }
  dispatch(context, routed, { request, response, body });
}

/** The way in for clients that send no token over plain HTTP, as kubectl does: `/token/<token>` before every path. */
const tokenPath = /^\/token\/([^/]+)(?=\/|$)/;

/** The request's URL, less the token in its path. */
export function urlOf(request: IncomingMessage): URL {
  const url = new URL(request.url ?? "/", "http://playground");
  url.pathname = url.pathname.replace(tokenPath, "");
  return url;
}

/** Throws 401. `Impersonate-User` is believed. */
export function userOf(context: Context, request: IncomingMessage): string {
  const inPath = tokenPath.exec(request.url ?? "")?.[1];
  const inHeader = /^Bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1];
  const user = context.users.get(inPath ?? inHeader ?? "");
  if (user === undefined) {
    throw unauthorized();
  }
  const other = request.headers["impersonate-user"];
  return typeof other === "string" ? other : user;
}

export function route(
  request: IncomingMessage,
  { url, address, user, body }: { url: URL; address: Address; user: string; body: Buffer },
): Routed {
  const resource = resourceNamed(address);
  const query = url.searchParams;
  const { group, version, plural, namespace, name, subresource } = address;
  const verb = verbOf(request.method ?? "GET", address, query);
  const dryRun =
    query.get("dryRun") === "All" || (request.method === "DELETE" && /"dryRun"\s*:\s*\["All"\]/.test(body.toString()));
  return {
    request: { verb, group, version, resource: plural, subresource, namespace, name, user, dryRun },
    resource,
    address,
    query,
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodyLimit) {
      throw tooLarge(bodyLimit);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Whether a fault has taken the request. */
export async function struck(context: Context, request: ApiRequest, response: { destroy(): void }): Promise<boolean> {
  const fault = context.faults.strike(request);
  if (fault === undefined) {
    return false;
  }
  if (fault.delayMs !== undefined) {
    await sleep(fault.delayMs, undefined, { ref: false });
  }
  if (fault.drop === true) {
    response.destroy();
  }
  if (fault.answer !== undefined) {
    throw faultError(fault, request);
  }
  return fault.drop === true || fault.hang === true;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: Buffer;
}

function dispatch(context: Context, routed: Routed, exchange: Exchange): void {
  const { subresource } = routed.address;
  if (subresource === undefined || subresource === "status") {
    dispatchObject(context, routed, exchange);
  } else if (subresource === "log") {
    context.logs.serve(routed, exchange.response);
  } else if (subresource === "eviction") {
    evict(context, routed, exchange);
  } else {
    executionOf(context.store, routed);
    throw new ApiError(400, "BadRequest", "Upgrade request required");
  }
}

/** A request on an object or a collection, with all that its handler needs. */
interface Call {
  readonly context: Context;
  readonly routed: Routed;
  readonly write: WriteRequest;
  readonly format: Format;
  readonly response: ServerResponse;
  readonly yaml: boolean;
}

const handlers: Readonly<Record<string, (call: Call) => void>> = {
  get: (call) => reply(call, 200, readObject(call.context.store, call.write.key, call.format)),
  list: (call) => reply(call, 200, listObjects(call.context.store, call.write.key, call.routed.query, call.format)),
  watch,
  create: (call) => replyObject(call, 201, createFrom(call.context.store, call.write)),
  update: (call) => replyObject(call, 200, replaceFrom(call.context.store, call.write)),
  patch: (call) => {
    const { object, created } = patchFrom(call.context.store, call.context.apply, call.write);
    replyObject(call, created ? 201 : 200, object);
  },
  delete: (call) => reply(call, 200, deleteFrom(call.context.store, call.write)),
  deletecollection: (call) => reply(call, 200, deleteCollectionFrom(call.context.store, call.write)),
};

function dispatchObject(context: Context, routed: Routed, { request, response, body }: Exchange): void {
  const { resource, address, query } = routed;
  const accept = acceptable(request);
  const write: WriteRequest = {
    key: { resource, namespace: address.namespace, name: address.name ?? "" },
    subresource: address.subresource === "status" ? "status" : undefined,
    body,
    contentType: request.headers["content-type"] ?? "",
    query,
  };
  const yaml = accept.startsWith("application/yaml");
  handlers[routed.request.verb]?.({ context, routed, write, format: formatOf(accept, query), response, yaml });
}

function replyObject(call: Call, code: number, object: KubeObject): void {
  reply(call, code, rendered(call.routed.resource, object, call.format));
}

function reply({ response, yaml }: Call, code: number, body: object): void {
  const type = yaml ? "application/yaml" : "application/json";
  response.writeHead(code, { "Content-Type": type }).end(yaml ? stringify(body) : `${JSON.stringify(body)}\n`);
}

function watch({ context, routed, format, response }: Call): void {
  const { resource, address, query } = routed;
  serveWatch(
    context.store,
    {
      resource,
      namespace: address.namespace,
      matches: selectionOf(resource, query),
      resourceVersion: query.get("resourceVersion") ?? undefined,
      initialEvents: flagIn(query, "sendInitialEvents"),
      bookmarks: flagIn(query, "allowWatchBookmarks"),
      timeoutSeconds: numberIn(query, "timeoutSeconds"),
      render: (object, first) => rendered(resource, object, format, first),
    },
    response,
  );
}

/** Disruption budgets are not kept: an eviction is a deletion. */
function evict({ store }: Context, { resource, address, query }: Routed, { response, body, request }: Exchange): void {
  const eviction = parseBody(body, request.headers["content-type"] ?? "", "");
  const key = { resource, namespace: address.namespace, name: address.name ?? "" };
  remove(store, key, deleteOptions(recordAt(eviction, "deleteOptions"), query));
  answer(response, 201, { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 });
}

function acceptable(request: IncomingMessage): string {
  const accept = request.headers.accept ?? "*/*";
  if (!/json|yaml|\*\/\*|application\/\*/.test(accept)) {
    throw notAcceptable();
  }
  return accept;
}

function answerNonResource(url: URL, request: IncomingMessage, response: ServerResponse): void {
  const path = url.pathname.replace(/(?<=.)\/$/, "");
  if (["/healthz", "/livez", "/readyz"].includes(path)) {
    response.writeHead(200, { "Content-Type": "text/plain; charset=utf-8" }).end("ok");
    return;
  }
  const aggregated = (request.headers.accept ?? "").includes("as=APIGroupDiscoveryList");
  const document = discoveryAt(path, aggregated) ?? openApiAt(path);
  if (document === undefined) {
    response.writeHead(404, { "Content-Type": "text/plain; charset=utf-8" }).end("404 page not found\n");
    return;
  }
  const type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  const listed = aggregated && (path === "/api" || path === "/apis");
  response.writeHead(200, { "Content-Type": listed ? type : "application/json" }).end(JSON.stringify(document));
}

function answer(response: ServerResponse, code: number, body: object): void {
  response.writeHead(code, { "Content-Type": "application/json" }).end(`${JSON.stringify(body)}\n`);
}

export function answerError(response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const { code, status } = apiErrorOf(error);
  const seconds = status.details?.retryAfterSeconds;
  const headers = seconds === undefined ? {} : { "Retry-After": String(seconds) };
  response.writeHead(code, { "Content-Type": "application/json", ...headers }).end(`${JSON.stringify(status)}\n`);
}

export function apiErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError) {
    return error;
  }
  if (error instanceof URIError) {
    return unknownPath();
  }
  const message = error instanceof Error ? error.message : String(error);
  return new ApiError(500, "InternalError", `Internal error occurred: ${message}`);
}
