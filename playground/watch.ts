import type { ServerResponse } from "node:http";
import { ApiError, expired } from "./errors.ts";
import { groupVersionOf, type Resource } from "./resources.ts";
import type { Matches } from "./selectors.ts";
import type { Change, Store } from "./store.ts";
import type { JsonObject, KubeObject } from "./wire.ts";

export interface Watch {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly matches: Matches;
  /** Where to start; undefined and "0": from the objects as they are. */
  readonly resourceVersion: string | undefined;
  /** `sendInitialEvents`: the objects first, then a bookmark that says so. */
  readonly initialEvents: boolean;
  readonly bookmarks: boolean;
  readonly timeoutSeconds: number | undefined;
  /** How an object is written: itself, or as a table. */
  readonly render: (object: KubeObject, first: boolean) => object;
}

const bookmarkEveryMs = 60_000;

/** Streams changes, one JSON document a line, until the client leaves, the time is up or the server stops. */
export function serveWatch(store: Store, watch: Watch, response: ServerResponse): void {
  const start = startOf(store, watch);
  response.writeHead(200, { "Content-Type": "application/json", "Cache-Control": "no-cache, private" });
  response.flushHeaders();
  const stream = new WatchStream(watch, response);
  if (start === "expired") {
    stream.fail(expired(`too old resource version: ${watch.resourceVersion} (${store.version})`));
    return;
  }
  stream.initial(store, start);
  const stop = store.subscribe((change) => stream.send(change));
  const bookmarks = setInterval(() => stream.bookmark(store.version, false), bookmarkEveryMs);
  const end =
    watch.timeoutSeconds === undefined ? undefined : setTimeout(() => response.end(), watch.timeoutSeconds * 1000);
  response.once("close", () => {
    stop();
    clearInterval(bookmarks);
    clearTimeout(end);
  });
}

type Start = readonly Change[] | "objects" | "expired";

function startOf(store: Store, { resourceVersion, initialEvents }: Watch): Start {
  if (initialEvents || resourceVersion === undefined || resourceVersion === "" || resourceVersion === "0") {
    return "objects";
  }
  if (!/^\d+$/.test(resourceVersion)) {
    const fault = `strconv.ParseUint: parsing "${resourceVersion}": invalid syntax`;
    throw new ApiError(500, undefined, `resourceVersion: Invalid value: "${resourceVersion}": ${fault}`);
  }
  return store.since(Number(resourceVersion)) ?? "expired";
}

class WatchStream {
  readonly #watch: Watch;
  readonly #response: ServerResponse;
  #first = true;

  constructor(watch: Watch, response: ServerResponse) {
    this.#watch = watch;
    this.#response = response;
  }

  initial(store: Store, start: "objects" | readonly Change[]): void {
    if (start !== "objects") {
      for (const change of start) {
        this.send(change);
      }
      return;
    }
    const { resource, namespace, matches, initialEvents } = this.#watch;
    for (const object of store.list(resource, namespace).filter(matches)) {
      this.#write("ADDED", object);
    }
    if (initialEvents) {
      this.bookmark(store.version, true);
    }
  }

  send({ resource, type, object, previous }: Change): void {
    const { namespace, matches } = this.#watch;
    if (resource !== this.#watch.resource || (namespace !== undefined && object.metadata.namespace !== namespace)) {
      return;
    }
    const seen = type === "DELETED" ? seenAfterDeletion(previous, matches) : seenAfterWrite(object, previous, matches);
    if (seen !== undefined) {
      this.#write(seen, object);
    }
  }

  bookmark(version: number, afterInitial: boolean): void {
    const { resource, bookmarks } = this.#watch;
    if (!bookmarks && !afterInitial) {
      return;
    }
    const annotations = afterInitial ? { annotations: { "k8s.io/initial-events-end": "true" } } : {};
    const metadata = { resourceVersion: String(version), creationTimestamp: null, ...annotations };
    const object: JsonObject = { kind: resource.kind, apiVersion: groupVersionOf(resource), metadata };
    this.#line({ type: "BOOKMARK", object: this.#watch.render(object as unknown as KubeObject, this.#first) });
  }

  fail({ status }: ApiError): void {
    this.#line({ type: "ERROR", object: status });
    this.#response.end();
  }

  #write(type: Change["type"], object: KubeObject): void {
    this.#line({ type, object: this.#watch.render(object, this.#first) });
    this.#first = false;
  }

  #line(event: object): void {
    this.#response.write(`${JSON.stringify(event)}\n`);
  }
}

function seenAfterDeletion(previous: KubeObject | undefined, matches: Matches): "DELETED" | undefined {
  return previous !== undefined && matches(previous) ? "DELETED" : undefined;
}

/** An object may come into the selection and leave it without being created or deleted. */
function seenAfterWrite(object: KubeObject, previous: KubeObject | undefined, matches: Matches) {
  const before = previous !== undefined && matches(previous);
  if (matches(object)) {
    return before ? "MODIFIED" : "ADDED";
  }
  return before ? "DELETED" : undefined;
}
