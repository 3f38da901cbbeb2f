import { describe, expect, it } from "vitest";
import { codeOfStatus, neverSent, refusedBefore, retryAfterMs, startOfBody, unsent } from "./http.ts";

describe("the code of an HTTP status", () => {
  it.each([
    [301, "invalid"],
    [400, "invalid"],
    [401, "forbidden"],
    [403, "forbidden"],
    [404, "not_found"],
    [408, "unavailable"],
    [409, "conflict"],
    [410, "not_found"],
    [412, "conflict"],
    [413, "invalid"],
    [422, "invalid"],
    [429, "throttled"],
    [500, "unavailable"],
    [503, "unavailable"],
  ])("%i is %s", (status, code) => {
    const found = codeOfStatus(status);

    expect(found).toBe(code);
  });
});

describe("what was asked", () => {
  it.each([
    [200, false],
    [401, true],
    [404, true],
    [408, false],
    [409, true],
    [429, true],
    [500, false],
    [503, false],
  ])("has certainly not been begun where the status is %i: %s", (status, certain) => {
    expect(refusedBefore(status)).toBe(certain);
  });

  const refused = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED", syscall: "connect" });
  const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET", syscall: "read" });

  it.each<[string, unknown, boolean]>([
    ["the host has no address", Object.assign(new Error(), { code: "ENOTFOUND", syscall: "getaddrinfo" }), true],
    ["nobody listens", refused, true],
    ["nobody listens at any address", new AggregateError([refused, refused]), true],
    ["one address may have got it", new AggregateError([refused, reset]), false],
    ["there was no connection in time", Object.assign(new Error(), { code: "UND_ERR_CONNECT_TIMEOUT" }), true],
    ["the connection was not ready to send", unsent(new Error("reset")), true],
    ["the connection broke", reset, false],
    ["nothing is known", undefined, false],
  ])("was never sent where %s", (_, error, certain) => {
    expect(neverSent(error)).toBe(certain);
  });
});

describe("Retry-After", () => {
  const now = Date.parse("2026-11-21T08:00:00Z");

  it.each([
    ["3", 3000],
    ["0", 0],
    ["1.5", 1500],
    ["Sat, 21 Nov 2026 08:00:10 GMT", 10_000],
    ["Sat, 21 Nov 2026 07:00:00 GMT", 0],
    ["soon", undefined],
    ["-1", undefined],
    ["", undefined],
    [null, undefined],
    [undefined, undefined],
  ])("%j means %j ms", (header, expected) => {
    const wait = retryAfterMs(header, now);

    expect(wait).toBe(expected);
  });
});

describe("the start of a body", () => {
  it("is all of a short one", async () => {
    const text = await startOfBody(new Response("short"), 100);

    expect(text).toBe("short");
  });

  it("reads no further than asked, and breaks no character", async () => {
    let pulled = 0;
    const endless = new ReadableStream({
      pull(controller) {
        pulled += 1;
        controller.enqueue(new TextEncoder().encode("é".repeat(5)));
      },
    });

    const text = await startOfBody(new Response(endless), 15);

    expect(text).toBe("é".repeat(7));
    expect(pulled).toBeLessThan(10);
  });

  it("is empty where there is none", async () => {
    const text = await startOfBody(new Response(null), 100);

    expect(text).toBe("");
  });
});
