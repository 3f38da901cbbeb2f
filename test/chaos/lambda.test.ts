import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { useCluster } from "../support/cluster.ts";
import { type Fault, faultProxy } from "../support/fault-proxy.ts";
import { type HttpPeer, httpPeer } from "../support/http-peer.ts";
import { until } from "../support/until.ts";
import { allLabelled, faultMs, makePods, podCount, stage } from "./stage.ts";

vi.setConfig({ testTimeout: 600_000 });

const cluster = await useCluster();

function awsAt(url: string): Record<string, string> {
  return {
    AWS_REGION: "eu-west-1",
    AWS_ACCESS_KEY_ID: "AKIDEXAMPLE",
    AWS_SECRET_ACCESS_KEY: "secret",
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_ENDPOINT_URL_LAMBDA: url,
  };
}

function functionThatWorks(): Promise<HttpPeer> {
  return httpPeer((_request, response) => response.end('"done"'));
}

/** A function needs no pod. */
const nobody = { namespace: "shop", names: Array.from({ length: podCount }, (_, index) => `pod-${index}`) };

/** How often the function was called for each of these events. */
function callsOf({ requests }: HttpPeer, uuids: readonly string[]): number[] {
  const called = requests.map(({ body }) => JSON.parse(body).uuid);
  return uuids.map((uuid) => called.filter((one) => one === uuid).length);
}

describe.concurrent("a function is called once for each accepted event, though Lambda", () => {
  it.for<[string, Fault]>([
    ["cannot be reached", "refuse"],
    ["throttles most calls", { strike: { status: 429, retryAfterSeconds: 1 }, share: 0.8 }],
  ])("%s for a while", async ([, fault], { annotate }) => {
    await using lambda = await functionThatWorks();
    await using proxy = await faultProxy({ target: lambda.url });
    // However slow this machine is: a call that takes too long is not made again.
    const patience = { ACTION_TIMEOUT_SECONDS: "60" };
    await using scene = await stage(cluster.kubeconfig, { ...awsAt(proxy.url), ...patience });

    await proxy.fault(fault);
    const uuids = await scene.attack("Chaos function", nobody);
    await pause(faultMs);
    await proxy.heal();
    const outcomes = await scene.outcomes(uuids);

    expect(new Set(outcomes)).toEqual(new Set(["success"]));
    expect(new Set(callsOf(lambda, uuids))).toEqual(new Set([1]));
    await annotate(await scene.endured());
  });

  it.for<[string, Fault]>([
    ["calls the function and breaks off", { strike: "drop" }],
    ["breaks off before it calls the function", { strike: "reset" }],
    ["does not answer", "hang"],
  ])("%s: where nobody knows, it is not called again, and the outcome says so", async ([, fault], { annotate }) => {
    await using lambda = await functionThatWorks();
    await using proxy = await faultProxy({ target: lambda.url });
    await using scene = await stage(cluster.kubeconfig, awsAt(proxy.url));

    await proxy.fault(fault);
    const uuids = await scene.attack("Chaos function", nobody);
    await pause(faultMs);
    await until("a call meets the fault", () => proxy.struck > 0);
    await proxy.heal();
    const outcomes = await scene.outcomes(uuids);

    const calls = callsOf(lambda, uuids);
    expect(calls.filter((times) => times > 1)).toEqual([]);
    expect(outcomes.filter((outcome, index) => outcome === "success" && calls[index] !== 1)).toEqual([]);
    expect(outcomes.filter((outcome) => outcome.startsWith("failure"))).not.toEqual([]);
    await annotate(await scene.endured());
  });
});

describe.concurrent("labels go on", () => {
  it("while all calls of a function hang", async ({ annotate }) => {
    await using lambda = await functionThatWorks();
    await using proxy = await faultProxy({ target: lambda.url });
    const patience = { ACTION_TIMEOUT_SECONDS: "600", CONCURRENCY: "8" };
    await using scene = await stage(cluster.kubeconfig, { ...awsAt(proxy.url), ...patience });
    const [hanging, labelled] = [await makePods(cluster), await makePods(cluster)];

    await proxy.fault("hang");
    await scene.attack("Chaos function", hanging);
    await scene.attack("Chaos label", labelled);
    await allLabelled(cluster, labelled);

    expect(scene.hallux.log().filter(isEndOf("aws:lambda"))).toEqual([]);
    await annotate(await scene.endured());
  });

  it("while commands of minutes run", async ({ annotate }) => {
    const patience = { ACTION_TIMEOUT_SECONDS: "600", CONCURRENCY: "8" };
    await using scene = await stage(cluster.kubeconfig, patience);
    const [namespace, labelled] = [await cluster.namespace(), await makePods(cluster)];
    const names = Array.from({ length: 20 }, (_, index) => `busy-${index}`);
    await Promise.all(names.map((name) => cluster.pod(namespace, { name })));

    await scene.attack("Chaos command", { namespace, names });
    await scene.attack("Chaos label", labelled);
    await allLabelled(cluster, labelled);

    expect(scene.hallux.log().filter(isEndOf("kubernetes:exec"))).toEqual([]);
    await annotate(await scene.endured());
  });
});

function isEndOf(actionner: string) {
  return (line: { readonly msg: string; readonly actionner?: unknown }) =>
    line.msg === "action ended" && line.actionner === actionner;
}
