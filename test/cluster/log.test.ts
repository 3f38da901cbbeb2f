import { describe, expect, it } from "vitest";
import { exec } from "../../actionners/kubernetes/exec.ts";
import { log } from "../../actionners/kubernetes/log.ts";
import type { Store } from "../../src/catalogue/catalogue.ts";
import type { Success } from "../../src/catalogue/outcome.ts";
import { eventually, useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { runActionner } from "../support/run-actionner.ts";

const cluster = await useCluster();
const namespace = await cluster.namespace();

const inTime = { timeout: 60_000 };

interface Writer {
  readonly name: string;
  readonly lines: readonly string[];
  /** Ends with an error once it has written, and is started again. */
  readonly crashes?: boolean;
}

/** A pod whose containers have written these lines. */
async function podWriting(...writers: readonly Writer[]): Promise<string> {
  const crashing = writers.find(({ crashes }) => crashes);
  const pod = await cluster.pod(namespace, {
    annotations: crashing === undefined ? {} : { "playground.hallux.dev/crash": crashing.name },
    containers: writers.map(({ name, lines, crashes }) => ({
      name,
      command: ["/bin/sh", "-c", `printf '${lines.join("\\n")}\\n'; ${crashes ? "exit 1" : "sleep 3600"}`],
    })),
    wait: crashing === undefined,
  });
  const name = pod.metadata?.name ?? "";
  await writeIntoPlayground(name, writers);
  return name;
}

async function writeIntoPlayground(pod: string, writers: readonly Writer[]): Promise<void> {
  const { playground } = cluster;
  await playground?.settled();
  for (const { name, lines, crashes } of writers) {
    playground?.log(namespace, pod, name, lines);
    if (crashes) {
      playground?.log(namespace, pod, name, lines, { previous: true });
    }
  }
}

function read(pod: string, params: Readonly<Record<string, unknown>> = {}, store?: Store) {
  const event = eventOf({ pod: `${namespace}/${pod}` });
  return runActionner(log, { event, cluster, params, ...(store === undefined ? {} : { store }) });
}

/** What is read once each container has written its last line: they write on their own. */
function readWith(
  lasts: string | readonly string[],
  pod: string,
  params: Readonly<Record<string, unknown>> = {},
): Promise<Success> {
  return eventually(async () => {
    const outcome = await read(pod, params);
    const lines = "text" in outcome ? outcome.text?.split("\n") : undefined;
    return lines && [lasts].flat().every((last) => lines.includes(last)) ? (outcome as Success) : undefined;
  });
}

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => String(from + index));
}

describe("kubernetes:log", () => {
  it("gives the last 20 lines of the only container, without a heading", async () => {
    const pod = await podWriting({ name: "main", lines: numbers(1, 100) });

    const outcome = await readWith("100", pod);

    expect(outcome).toMatchObject({
      status: "success",
      summary: "logs read: main",
      objects: { namespace, pod },
      target: { kind: "pod", name: pod, uid: expect.stringMatching(/./) },
    });
    expect(outcome.text).toBe(`${numbers(81, 100).join("\n")}\n`);
  });

  it("gives as many lines as it is told", async () => {
    const pod = await podWriting({ name: "main", lines: numbers(1, 100) });

    const outcome = await readWith("100", pod, { tail_lines: 2 });

    expect(outcome.text).toBe("99\n100\n");
  });

  it("gives the logs of all containers, each under its heading", async () => {
    const pod = await podWriting(
      { name: "app", lines: ["from the app"] },
      { name: "proxy", lines: ["from the proxy"] },
    );

    const outcome = await readWith(["from the app", "from the proxy"], pod);

    expect(outcome.summary).toBe("logs read: app, proxy");
    expect(outcome.text).toMatch(/^==> app <==\n(.*\n)?from the app\n==> proxy <==\n(.*\n)?from the proxy\n$/);
  });

  it("gives what a crashed container has written, once", async () => {
    const pod = await podWriting({ name: "main", lines: ["the end is near"], crashes: true });
    await eventually(async () => {
      const { status } = await cluster.api.core.readNamespacedPod({ namespace, name: pod });
      return (status?.containerStatuses?.[0]?.restartCount ?? 0) > 0;
    });

    // While it is being started again it has a predecessor with a log of its own.
    await expect
      .poll(() => read(pod), inTime)
      .toMatchObject({ summary: "logs read: main", text: expect.stringMatching(/^[^=]*the end is near\n[^=]*$/) });
  });

  it("stores all logs as one artifact where the action has an output", async () => {
    const pod = await podWriting({ name: "app", lines: numbers(1, 3) }, { name: "proxy", lines: numbers(4, 5) });
    await readWith(["3", "5"], pod);
    const stored: { name: string; contentType: string; text: string }[] = [];
    const artifact = { output: "local:file", location: "/evidence/log", bytes: 1, sha256: "00" };
    const store: Store = async ({ name, contentType, body }) => {
      stored.push({ name, contentType, text: Buffer.concat(await Array.fromAsync(body)).toString() });
      return artifact;
    };

    const outcome = await read(pod, {}, store);

    expect(stored).toMatchObject([{ name: "log", contentType: "text/plain; charset=utf-8" }]);
    expect(stored[0]?.text).toMatch(/^==> app <==\n(.*\n)?1\n2\n3\n==> proxy <==\n(.*\n)?4\n5\n$/);
    expect(outcome).toMatchObject({ status: "success", artifact });
    expect(outcome).not.toHaveProperty("text");
  });

  it("has nothing to do on a pod of which nothing has started", async () => {
    const container = { name: "main", image: "busybox" };
    const spec = { nodeSelector: { "hallux.dev/no-such": "node" }, containers: [container] };
    await cluster.api.core.createNamespacedPod({ namespace, body: { metadata: { name: "pending" }, spec } });

    const outcome = await read("pending");

    expect(outcome).toEqual({ status: "ignored", reason: "no container of the pod has started" });
  });

  it("is of no use on a pod that is gone", async () => {
    const outcome = await read("gone");

    expect(outcome.constructor.name).toBe("TargetGone");
  });
});

describe.runIf(cluster.real)("kubernetes:log, where containers run", () => {
  it("gives the predecessor's log before that of a restarted container", async () => {
    const command = 'trap "echo stopped; exit 3" TERM; echo started; while :; do sleep 0.1; done';
    const pod = await cluster.pod(namespace, { containers: [{ name: "main", command: ["/bin/sh", "-c", command] }] });
    const name = pod.metadata?.name ?? "";
    await readWith("started", name);
    const event = eventOf({ pod: `${namespace}/${name}` });
    await runActionner(exec, { event, cluster, params: { command: "kill -TERM 1" } });
    await eventually(async () => {
      const { status } = await cluster.api.core.readNamespacedPod({ namespace, name });
      const [main] = status?.containerStatuses ?? [];
      return main?.restartCount === 1 && main.state?.running !== undefined;
    });

    // What has just been started has yet to write.
    await expect
      .poll(() => read(name), inTime)
      .toMatchObject({
        status: "success",
        summary: "logs read: main (previous), main",
        text: expect.stringMatching(/^==> main \(previous\) <==\n[^=]*stopped\n[^=]*==> main <==\n[^=]*started[^=]*$/),
      });
  });

  it("gives the log of a pod that has failed for good", async () => {
    const container = { name: "main", image: "busybox", command: ["/bin/sh", "-c", "echo last words; exit 1"] };
    const body = { metadata: { name: "failed" }, spec: { restartPolicy: "Never", containers: [container] } };
    await cluster.api.core.createNamespacedPod({ namespace, body });
    await eventually(async () => {
      const { status } = await cluster.api.core.readNamespacedPod({ namespace, name: "failed" });
      return status?.phase === "Failed";
    });

    const outcome = await readWith("last words", "failed");

    expect(outcome).toMatchObject({ status: "success", text: expect.stringMatching(/last words\n$/) });
  });

  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(log)).toEqual([]);
  });
});
