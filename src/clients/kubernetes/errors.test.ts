import { describe, expect, it } from "vitest";
import { TargetGone } from "../../catalogue/errors.ts";
import { type Asked, DisruptionRefused, lostError, refusalError } from "./errors.ts";

const asked: Asked = {
  verb: "patch",
  apiGroup: "",
  resource: "pods",
  namespace: "shop",
  name: "cart-1",
  aboutTarget: true,
};

function statusBody(message: string, details: object = {}): string {
  return JSON.stringify({ kind: "Status", status: "Failure", message, details });
}

describe("refusalError", () => {
  it.each([
    [400, "invalid"],
    [403, "forbidden"],
    [409, "conflict"],
    [422, "invalid"],
    [429, "throttled"],
    [500, "unavailable"],
    [503, "unavailable"],
  ])("gives %i the code %s and keeps the server's words", (status, code) => {
    const error = refusalError(asked, { status, body: statusBody("the server's words") });

    expect(error).not.toBeInstanceOf(TargetGone);
    expect(error).toMatchObject({ code, message: expect.stringContaining("the server's words") });
  });

  it("names the permission of a 403, though the server may not", () => {
    const error = refusalError(asked, { status: 403, body: statusBody('pods "cart-1" is forbidden: ') });

    expect(error.message).toBe('not permitted to patch pods in namespace shop: pods "cart-1" is forbidden: ');
  });

  it.each([
    ["404", asked, 404, { name: "cart-1" }],
    ["the 409 of a deletion with precondition", { ...asked, verb: "delete" }, 409, {}],
    ["the 409 of an eviction with precondition", { ...asked, verb: "create", resource: "pods/eviction" }, 409, {}],
    ["a UID that cannot be changed", asked, 422, { causes: [{ field: "metadata.uid" }] }],
  ])("finds the target gone by %s", (_, request, status, details) => {
    const refusal = { status, body: statusBody("gone", details) };

    expect(refusalError(request, refusal)).toBeInstanceOf(TargetGone);
    expect(refusalError({ ...request, aboutTarget: false }, refusal)).not.toBeInstanceOf(TargetGone);
  });

  it("tells a disruption budget's refusal from the API server's own throttling", () => {
    const eviction = { ...asked, verb: "create", resource: "pods/eviction" };
    const cause = { reason: "DisruptionBudget", message: "cart needs 2 healthy pods and has 2 currently" };

    const budget = refusalError(eviction, {
      status: 429,
      body: statusBody("Cannot evict pod.", { causes: [cause] }),
      retryAfter: "10",
    });
    const throttled = refusalError(eviction, { status: 429, body: "Too many requests, please try again later." });

    expect(budget).toBeInstanceOf(DisruptionRefused);
    expect(budget).toMatchObject({
      message: "Cannot evict pod. cart needs 2 healthy pods and has 2 currently",
      retryAfterMs: 10_000,
    });
    expect(throttled).not.toBeInstanceOf(DisruptionRefused);
    expect(throttled.code).toBe("throttled");
  });

  it.each([
    ["what stands before the API server", "404 page not found"],
    ["an API server that does not serve this API", statusBody("the server could not find the requested resource")],
  ])("does not take the target for gone by the 404 of %s", (_who, body) => {
    const error = refusalError(asked, { status: 404, body });

    expect(error).not.toBeInstanceOf(TargetGone);
    expect(error.code).toBe("not_found");
  });

  it.each([
    ["", "HTTP status 500"],
    ["<h1>oops</h1>", "<h1>oops</h1>"],
    ["null", "null"],
    ['{"message":{"text":"oops"}}', '{"message":{"text":"oops"}}'],
    ["x".repeat(5000), "x".repeat(1024)],
  ])("has words for a body that is no Status", (body, message) => {
    expect(refusalError(asked, { status: 500, body }).message).toBe(message);
  });
});

describe("lostError", () => {
  it("gives the words of the first address that could not be reached", () => {
    const cause = new AggregateError([new Error("connect ECONNREFUSED ::1:6443"), new Error("another")]);

    const error = lostError(asked, cause, new AbortController().signal);

    expect(error).toMatchObject({
      code: "unavailable",
      message: "no answer from the API server to patch pods in namespace shop: connect ECONNREFUSED ::1:6443",
    });
  });
});
