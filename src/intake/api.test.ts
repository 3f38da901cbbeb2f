import type { IncomingMessage, ServerResponse } from "node:http";
import { describe, expect, it } from "vitest";
import { Secret } from "../schema/secret.ts";
import { anEvent, exchange, startIntake } from "./testing.ts";

describe("what is asked below /api/", () => {
  it.each([
    ["GET", "/api/v1/responses?limit=1"],
    ["POST", "/api/v1/responses"],
    ["DELETE", "/api/"],
    ["GET", "/api/../healthz"],
  ])("is the API's to answer, and never an event: %s %s", async (method, path) => {
    const { port, events, counted } = await startIntake({ peers: { api: echo } });

    const headers = `Host: h\r\nConnection: close\r\nContent-Length: ${anEvent.length}`;
    const answer = await exchange(port, `${method} ${path} HTTP/1.1\r\n${headers}\r\n\r\n${anEvent}`);

    expect(answer).toContain(`api: ${method} ${path}`);
    expect({ events, counted }).toEqual({ events: [], counted: [] });
  });

  it.each(["/api", "/Api/v1/responses", "//api/v1/responses", "/x/../api/v1/responses"])(
    "does not begin so elsewhere: %s",
    async (path) => {
      const { port } = await startIntake({ peers: { api: echo } });

      const answer = await exchange(port, `GET ${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);

      expect(answer).toMatch(/^HTTP\/1\.1 404 /);
      expect(answer).not.toContain("api: ");
    },
  );

  it("is nothing where there is no API", async () => {
    const { url } = await startIntake();

    const response = await fetch(`${url}/api/v1/responses`);

    expect(response.status).toBe(404);
  });

  it("needs none of what senders prove themselves with, and proves nothing for them", async () => {
    const auth = { bearerToken: new Secret("of the senders"), pathSecret: new Secret("api") };
    const { url, events } = await startIntake({ settings: { auth }, peers: { api: echo } });

    const asked = await fetch(`${url}/api/v1/responses`);
    const sent = await fetch(`${url}/api/`, { method: "POST", body: anEvent });
    const sentBySecret = await fetch(`${url}/api`, { method: "POST", body: anEvent });

    expect([await asked.text(), await sent.text()]).toEqual(["api: GET /api/v1/responses", "api: POST /api/"]);
    expect(sentBySecret.status).toBe(202);
    expect(events).toHaveLength(1);
  });
});

function echo({ method, url }: IncomingMessage, response: ServerResponse): void {
  response.end(`api: ${method} ${url}`);
}
