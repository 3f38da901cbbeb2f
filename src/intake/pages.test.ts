import { describe, expect, it } from "vitest";
import { exchange, startIntake } from "./testing.ts";

describe("GET /healthz", () => {
  it("says ok, even where no event can be taken", async () => {
    const { url } = await startIntake({ peers: { readiness: () => ["rules are not loaded"] } });

    const response = await fetch(`${url}/healthz`);

    expect(response.status).toBe(200);
    expect(await response.text()).toBe('{"status":"ok"}\n');
  });
});

describe("GET /readyz", () => {
  it("says ready", async () => {
    const { url } = await startIntake();

    const response = await fetch(`${url}/readyz`);

    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ status: "ready" });
  });

  it("says why not: ours and the ledger's reasons", async () => {
    const { url } = await startIntake({
      peers: {
        readiness: () => ["rules are not loaded"],
        ledger: { accept: async () => ({ status: "accepted" }), faults: () => ["the ledger is full"] },
      },
    });

    const response = await fetch(`${url}/readyz`);

    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({
      status: "not ready",
      reasons: ["rules are not loaded", "the ledger is full"],
    });
  });

  it("asks anew each time", async () => {
    const reasons = ["rules are not loaded"];
    const { url } = await startIntake({ peers: { readiness: () => reasons } });

    const before = await fetch(`${url}/readyz`);
    reasons.pop();
    const after = await fetch(`${url}/readyz`);

    expect([before.status, after.status]).toEqual([503, 200]);
  });
});

describe("GET /metrics", () => {
  it("gives what the exporter rendered, as it is", async () => {
    const { url } = await startIntake();

    const response = await fetch(`${url}/metrics`);

    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4");
    expect(await response.text()).toBe("hallux_up 1\n");
  });

  it("is answered 500 without our internals where that failed", async () => {
    const { url, lines } = await startIntake({
      peers: { renderMetrics: () => Promise.reject(new Error("exporter at /var/lib broke")) },
    });

    const response = await fetch(`${url}/metrics`);

    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({ error: { message: "the page could not be made" } });
    expect(lines.at(-1)).toMatchObject({ msg: "page failed", err: { message: "exporter at /var/lib broke" } });
  });
});

describe("every page", () => {
  it.each(["/healthz", "/readyz", "/metrics"])("answers HEAD without a body: %s", async (page) => {
    const { port } = await startIntake();

    const answer = await exchange(port, `HEAD ${page} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);

    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).toMatch(/\r\n\r\n$/);
  });

  it("does not say what serves it", async () => {
    const { url } = await startIntake();

    const response = await fetch(`${url}/healthz`);

    expect(response.headers.get("x-powered-by")).toBeNull();
  });
});

describe("a wrong request", () => {
  it.each([
    ["GET", "/", "POST, PUT"],
    ["DELETE", "/", "POST, PUT"],
    ["OPTIONS", "/", "POST, PUT"],
    ["POST", "/healthz", "GET, HEAD"],
    ["PUT", "/readyz", "GET, HEAD"],
    ["DELETE", "/metrics", "GET, HEAD"],
    ["OPTIONS", "/metrics", "GET, HEAD"],
  ])("is answered 405: %s %s", async (method, path, allow) => {
    const { url, counted } = await startIntake();

    const response = await fetch(url + path, { method });

    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe(allow);
    expect(await response.json()).toMatchObject({ error: { reason: "method_not_allowed", expected: allow } });
    expect(counted).toEqual(["eventRefused method_not_allowed"]);
  });

  it.each([
    ["GET", "/nothing"],
    ["GET", "/%zz"],
    ["GET", "/../etc/passwd"],
    ["POST", "/events"],
    ["PUT", "//"],
  ])("is answered 404: %s %s", async (method, path) => {
    const { port, counted } = await startIntake();

    const answer = await exchange(port, `${method} ${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);

    expect(answer).toMatch(/^HTTP\/1\.1 404 /);
    expect(answer).toContain('"expected":"/, /healthz, /readyz, /metrics"');
    expect(counted).toEqual(["eventRefused not_found"]);
  });
});
