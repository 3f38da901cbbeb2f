import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Playground, startPlayground } from "./index.ts";
import { ask, podSeed } from "./testing.ts";
import type { KubeObject } from "./wire.ts";

interface Event {
  readonly type: string;
  readonly object: KubeObject;
}

const merge = "application/merge-patch+json";
const pods = "/api/v1/namespaces/shop/pods";

let playground: Playground;

beforeEach(async () => {
  playground = await startPlayground();
  await playground.seed([podSeed("web-1", { labels: { app: "web" } })]);
});

afterEach(() => playground.close());

/** The next events of a watch, one at a time. */
async function watch(query: string, accept = "application/json"): Promise<() => Promise<Event>> {
  const headers = { Authorization: `Bearer ${playground.token}`, Accept: accept };
  const response = await fetch(`${playground.url}${pods}?watch=true&${query}`, { headers });
  if (response.body === null) {
    throw new Error("the watch has no body");
  }
  const lines = createInterface({ input: Readable.fromWeb(response.body) })[Symbol.asyncIterator]();
  return async () => JSON.parse((await lines.next()).value ?? "null") as Event;
}

async function version(): Promise<string> {
  return String((await ask(playground, `GET ${pods}`)).body.metadata.resourceVersion);
}

const label = (labels: object) => ask(playground, `PATCH ${pods}/web-1`, { metadata: { labels } }, merge);

describe("a watch", () => {
  it("without a version starts with what is there", async () => {
    const next = await watch("");

    const first = await next();
    await label({ a: "b" });
    const second = await next();

    expect([first.type, second.type]).toEqual(["ADDED", "MODIFIED"]);
    expect(second.object.metadata.labels).toMatchObject({ a: "b" });
  });

  it("from a version replays what came after", async () => {
    const from = await version();
    await label({ a: "b" });
    await ask(playground, `DELETE ${pods}/web-1`, { gracePeriodSeconds: 0 });

    const next = await watch(`resourceVersion=${from}`);
    const events = [await next(), await next()];

    expect(events.map(({ type }) => type)).toEqual(["MODIFIED", "DELETED"]);
    expect(Number(events[1]?.object.metadata.resourceVersion)).toBeGreaterThan(Number(from));
  });

  it("of a selection says ADDED and DELETED when an object comes in and leaves", async () => {
    const next = await watch(`resourceVersion=${await version()}&labelSelector=suspicious`);

    await label({ suspicious: "true" });
    await label({ suspicious: "false" });
    await label({ suspicious: null });
    const events = [await next(), await next(), await next()];

    expect(events.map(({ type }) => type)).toEqual(["ADDED", "MODIFIED", "DELETED"]);
  });

  it("from before the history gets 410 in the stream", async () => {
    const from = await version();
    await label({ a: "b" });
    playground.compact();

    const next = await watch(`resourceVersion=${from}`);
    const event = await next();

    expect(event).toMatchObject({ type: "ERROR", object: { code: 410, reason: "Expired" } });
  });

  it("that asks for initial events gets a bookmark after them", async () => {
    const next = await watch("sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");

    const events = [await next(), await next()];

    expect(events.map(({ type }) => type)).toEqual(["ADDED", "BOOKMARK"]);
    expect(events[1]?.object.metadata.annotations).toEqual({ "k8s.io/initial-events-end": "true" });
  });

  it("as a table has the headings once", async () => {
    const next = await watch("", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");

    const first = await next();
    await label({ a: "b" });
    const second = await next();

    expect(first.object).toMatchObject({
      kind: "Table",
      rows: [{ cells: expect.arrayContaining(["web-1", "Running"]) }],
    });
    expect(first.object["columnDefinitions"]).not.toEqual([]);
    expect(second.object["columnDefinitions"]).toEqual([]);
  });

  it("ends when its time is up", async () => {
    const answer = await ask(playground, `GET ${pods}?watch=true&timeoutSeconds=0`);

    expect(answer.text).toContain('"ADDED"');
  });
});
