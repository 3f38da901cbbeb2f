import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { crashAnnotation } from "./controllers/kubelet.ts";
import { type Playground, startPlayground } from "./index.ts";
import { ask, podSeed } from "./testing.ts";

const log = "/api/v1/namespaces/shop/pods/web-1/log";

let playground: Playground;

beforeEach(async () => {
  playground = await startPlayground();
});

afterEach(() => playground.close());

describe("a container's log", () => {
  it.each([
    ["", "one\ntwo\nthree\n"],
    ["tailLines=2", "two\nthree\n"],
    ["tailLines=0", ""],
    ["limitBytes=6", "one\ntw"],
    ["tailLines=1&limitBytes=100", "three\n"],
    ["sinceTime=2999-01-01T00:00:00Z", ""],
  ])("with %j is %j", async (query, expected) => {
    await playground.seed([podSeed("web-1")]);
    playground.log("shop", "web-1", "web", ["one", "two", "three"]);

    const answer = await ask(playground, `GET ${log}?${query}`);

    expect(answer).toMatchObject({ code: 200, text: expected });
  });

  it("goes on while it is followed, until the pod is gone", async () => {
    await playground.seed([podSeed("web-1")]);
    playground.log("shop", "web-1", "web", ["before"]);

    const followed = ask(playground, `GET ${log}?follow=true`);
    await expect.poll(() => playground.requests.length, { timeout: 20_000 }).toBe(1);
    playground.log("shop", "web-1", "web", ["after"]);
    await ask(playground, "DELETE /api/v1/namespaces/shop/pods/web-1", { gracePeriodSeconds: 0 });

    expect((await followed).text).toBe("before\nafter\n");
  });

  it("of a crashed container has a predecessor", async () => {
    await playground.seed([podSeed("web-1", { annotations: { [crashAnnotation]: "web" } })]);
    playground.log("shop", "web-1", "web", ["panic"], { previous: true });

    const answer = await ask(playground, `GET ${log}?previous=true`);

    expect(answer.text).toBe("panic\n");
  });

  it.each([
    ["previous=true", 400, 'previous terminated container "web" in pod "web-1" not found'],
    ["container=nope", 400, "container nope is not valid for pod web-1"],
  ])("with %s is refused in the server's words", async (query, code, message) => {
    await playground.seed([podSeed("web-1")]);

    const answer = await ask(playground, `GET ${log}?${query}`);

    expect(answer).toMatchObject({ code, body: { message } });
  });

  it("of a pod with several containers must be asked for by name", async () => {
    const spec = { containers: ["a", "b"].map((name) => ({ name, image: "nginx" })) };
    await playground.seed([podSeed("web-1", {}, { spec })]);

    const answer = await ask(playground, `GET ${log}`);

    expect(answer.body.message).toBe("a container name must be specified for pod web-1, choose one of: [a b]");
  });
});
