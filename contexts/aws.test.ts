import { describe, expect, it } from "vitest";
import { createInstanceMetadata } from "../src/clients/aws/metadata.ts";
import type { Clients } from "../src/clients/clients.ts";
import { eventOf } from "../test/support/events.ts";
import { httpPeer } from "../test/support/http-peer.ts";
import { aws } from "./aws.ts";

function fetchFrom(endpoint: string) {
  const instanceMetadata = createInstanceMetadata({ endpoint, deadlineMs: 20_000 });
  return aws.fetch({
    event: eventOf(),
    target: { kind: "none" },
    clients: { aws: { instanceMetadata } } as unknown as Clients,
    signal: new AbortController().signal,
  });
}

function instanceWith(paths: Readonly<Record<string, string>>) {
  return httpPeer(({ method, url }, response) => {
    const value = method === "PUT" ? "session" : paths[url];
    response.writeHead(value === undefined ? 404 : 200).end(value);
  });
}

describe("the aws context", () => {
  it("gives the instance profile and the region", async () => {
    await using instance = await instanceWith({
      "/latest/meta-data/placement/region": "eu-west-1",
      "/latest/meta-data/iam/info":
        '{"Code":"Success","InstanceProfileArn":"arn:aws:iam::1:x","InstanceProfileId":"AIPA"}',
    });

    const facts = await fetchFrom(instance.url);

    expect(facts).toEqual({
      "aws.instance_profile_arn": "arn:aws:iam::1:x",
      "aws.instance_profile_id": "AIPA",
      "aws.region": "eu-west-1",
    });
    expect(Object.keys(facts).sort()).toEqual([...aws.elements].sort());
  });

  it("gives the region of an instance without a profile", async () => {
    await using instance = await instanceWith({ "/latest/meta-data/placement/region": "eu-west-1" });

    const facts = await fetchFrom(instance.url);

    expect(facts).toEqual({ "aws.region": "eu-west-1" });
  });

  it("gives nothing outside AWS", async () => {
    await using elsewhere = await httpPeer((_request, response) => response.writeHead(403).end());

    const facts = await fetchFrom(elsewhere.url);

    expect(facts).toEqual({});
  });
});
