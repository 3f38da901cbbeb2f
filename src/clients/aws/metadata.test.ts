import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { blackHole } from "../../../test/support/black-hole.ts";
import { hang, httpPeer } from "../../../test/support/http-peer.ts";
import { createInstanceMetadata } from "./metadata.ts";

const never = new AbortController().signal;
const region = "meta-data/placement/region";
/** For what answers: however slow this machine is. */
const deadlineMs = 20_000;

describe("the instance metadata service", () => {
  it("is asked within a session, and the session is kept", async () => {
    await using imds = await httpPeer(({ method, headers }, response) => {
      const known = method === "PUT" || headers["x-aws-ec2-metadata-token"] === "a session";
      response.writeHead(known ? 200 : 401).end(method === "PUT" ? "a session" : "eu-west-1");
    });
    const metadata = createInstanceMetadata({ endpoint: imds.url, deadlineMs });

    const values = [await metadata(region, never), await metadata(region, never)];

    expect(values).toEqual(["eu-west-1", "eu-west-1"]);
    expect(imds.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
      "PUT /latest/api/token",
      "GET /latest/meta-data/placement/region",
      "GET /latest/meta-data/placement/region",
    ]);
    expect(imds.requests[0]?.headers["x-aws-ec2-metadata-token-ttl-seconds"]).toBe("21600");
  });

  it("knows no value for a path that it does not have", async () => {
    await using imds = await httpPeer(({ method }, response) => {
      response.writeHead(method === "PUT" ? 200 : 404).end("x");
    });
    const metadata = createInstanceMetadata({ endpoint: imds.url, deadlineMs });

    const value = await metadata("meta-data/iam/info", never);

    expect(value).toBeUndefined();
  });

  it("is not asked again for a minute after it did not answer", async () => {
    await using imds = await httpPeer(hang);
    let now = 0;
    const metadata = createInstanceMetadata({ endpoint: imds.url, now: () => now });

    const values = [await metadata(region, never), await metadata(region, never)];
    now = 60_000;
    await metadata(region, never);

    expect(values).toEqual([undefined, undefined]);
    expect(imds.requests).toHaveLength(2);
  });

  it("is absent where its address swallows everything, and nothing waits for it again", async () => {
    await using nowhere = await blackHole();
    const metadata = createInstanceMetadata({ endpoint: nowhere.url });

    const first = await Promise.all([metadata(region, never), metadata("meta-data/iam/info", never)]);
    const later = await Promise.race([metadata(region, never), turn("it waits")]);

    expect(first).toEqual([undefined, undefined]);
    expect(later).toBeUndefined();
  });

  it("is taken for absent where another service answers in its place", async () => {
    await using other = await httpPeer((_request, response) => response.writeHead(404).end("<html>"));
    const metadata = createInstanceMetadata({ endpoint: other.url, deadlineMs });

    const values = [await metadata(region, never), await metadata(region, never)];

    expect(values).toEqual([undefined, undefined]);
    expect(other.requests).toHaveLength(1);
  });

  it("is never followed to another address", async () => {
    await using elsewhere = await httpPeer((_request, response) => response.end("token"));
    await using imds = await httpPeer((_request, response) =>
      response.writeHead(307, { location: `${elsewhere.url}/latest/api/token` }).end(),
    );
    const metadata = createInstanceMetadata({ endpoint: imds.url, deadlineMs });

    const value = await metadata(region, never);

    expect(value).toBeUndefined();
    expect(elsewhere.requests).toEqual([]);
  });

  it("that has forgotten the session is asked for a new one the next time", async () => {
    await using imds = await httpPeer(({ method }, response) => {
      const forgotten = method === "GET" && imds.requests.length === 2;
      response.writeHead(forgotten ? 401 : 200).end("value");
    });
    const metadata = createInstanceMetadata({ endpoint: imds.url, deadlineMs });

    await expect(metadata(region, never)).rejects.toMatchObject({ code: "unavailable" });
    const value = await metadata(region, never);

    expect(value).toBe("value");
    expect(imds.requests.map(({ method }) => method)).toEqual(["PUT", "GET", "PUT", "GET"]);
  });

  it("ends with the deadline of the action, and says so", async () => {
    await using imds = await httpPeer(hang);
    const metadata = createInstanceMetadata({ endpoint: imds.url, deadlineMs });

    const value = metadata(region, AbortSignal.timeout(100));

    await expect(value).rejects.toMatchObject({ code: "timeout" });
  });
});
