import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { script } from "../../actionners/kubernetes/script.ts";
import { createKubernetes } from "../../src/clients/kubernetes/adapter.ts";
import type { Kubernetes } from "../../src/clients/kubernetes/port.ts";
import type { Facts } from "../../src/catalogue/catalogue.ts";
import { useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { olderApiServer } from "../support/exec-server.ts";
import { runActionner } from "../support/run-actionner.ts";

const cluster = await useCluster();
const namespace = await cluster.namespace();

interface Traits {
  readonly fields?: Record<string, string>;
  readonly facts?: Facts;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

/** Runs it in the pod, with these fields in the event. */
function runIn(pod: string, params: Readonly<Record<string, string>>, { fields = {}, ...rest }: Traits = {}) {
  const event = eventOf({ pod: `${namespace}/${pod}`, fields });
  return runActionner(script, { event, cluster, params, ...rest });
}

async function newPod(...containers: readonly string[]): Promise<string> {
  const named = containers.map((name) => ({ name }));
  const pod = await cluster.pod(namespace, named.length === 0 ? {} : { containers: named });
  return pod.metadata?.name ?? "";
}

/** Runs commands by way of an API server that cannot say that standard input ends. */
async function olderKubernetes(): Promise<Kubernetes> {
  const older = createKubernetes({ kubeconfig: { from: "text", text: await olderApiServer(cluster.kubeconfig) } });
  onTestFinished(() => older.close());
  return { ...cluster.kubernetes.real, exec: older.real.exec };
}

/** A directory on Hallux's machine. */
function directory(): string {
  const path = mkdtempSync(join(tmpdir(), "hallux-script-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

function fileWith(content: string | Uint8Array): string {
  const path = join(directory(), "script.sh");
  writeFileSync(path, content);
  return path;
}

const hostile: readonly (readonly [string, string])[] = [
  ["a command substitution", "/tmp/$(touch pwned);x"],
  ["quotes and the end of a command", `'"; touch pwned; "'`],
  ["line breaks and backticks", "a\n`touch pwned`\n"],
  ["what looks like an option", "-n"],
  ["the end of a here-document", "E\ntouch pwned\n"],
  ["what looks like a URL's parameters", "&command=touch&stdin=false#%00%2f+"],
];

describe("kubernetes:script", () => {
  it("gives the exit code and what the script wrote", async () => {
    const pod = await newPod();

    const outcome = await runIn(pod, { script: "#!/bin/sh\nfor n in 1 2; do\n  echo $n\ndone\necho three >&2" });

    expect(outcome).toMatchObject({
      status: "success",
      summary: "script exited with code 0",
      objects: { namespace, pod, container: "main", exit_code: "0" },
      text: "1\n2\nthree\n",
      target: { kind: "pod", name: pod, uid: expect.stringMatching(/./) },
    });
  });

  it("fails with the exit code and what the script said", async () => {
    const pod = await newPod();

    const outcome = await runIn(pod, { script: "echo fine\necho 'no such thing' >&2\nexit 7\necho never" });

    expect(outcome).toMatchObject({
      code: "internal",
      message: "script exited with code 7 in container main: no such thing",
      text: "fine\nno such thing\n",
    });
  });

  it("keeps 8 KiB of each stream, and says that there was more", async () => {
    const pod = await newPod();

    const outcome = await runIn(pod, { script: "head -c 100000 /dev/zero | tr '\\0' x\necho end >&2" });

    expect(outcome).toMatchObject({
      summary: "script exited with code 0; only the start of its output is kept",
      text: `${"x".repeat(8192)}end\n`,
    });
  });

  it.each(hostile)("hands %s to the script as data", async (_name, value) => {
    const pod = await newPod();

    const outcome = await runIn(
      pod,
      { script: 'cat <<E\n$FD_NAME\nE\nprintf "%s" "$FD_NAME" "$NODE_HOSTNAME"\nls pwned 2>/dev/null\ntrue' },
      { fields: { "fd.name": value }, facts: { "node.hostname": value } },
    );

    expect(outcome).toMatchObject({ status: "success", text: `${value}\n${value}${value}` });
  });

  it("runs in the container that raised the event, and in no other", async () => {
    const pod = await newPod("app", "proxy");
    const found = await cluster.api.core.readNamespacedPod({ namespace, name: pod });
    const proxy = found.status?.containerStatuses?.find(({ name }) => name === "proxy");
    const id = proxy?.containerID?.replace(/^.*:\/\//, "").slice(0, 12) ?? "";

    const outcome = await runIn(
      pod,
      { script: "touch $PROC_NAME" },
      { fields: { "container.id": id, "proc.name": pod } },
    );
    const inApp = await runIn(
      pod,
      { script: "ls $PROC_NAME" },
      { fields: { "container.name": "app", "proc.name": pod } },
    );
    const inProxy = await runIn(pod, { script: "ls $PROC_NAME" }, { fields: { "container.id": id, "proc.name": pod } });

    expect(outcome).toMatchObject({ objects: { container: "proxy" } });
    expect(inProxy).toMatchObject({ status: "success" });
    expect(inApp).toMatchObject({ code: "internal" });
  });

  it("starts nothing that could read the script", async () => {
    const pod = await newPod();

    const outcome = await runIn(pod, { script: "cat\nread -r line || echo nothing\necho end" });

    expect(outcome).toMatchObject({ text: "nothing\nend\n" });
  });

  it("runs a script of 1 MB", async () => {
    const pod = await newPod();
    const lines = Array.from({ length: 24_000 }, () => "total=$((total + 1)) # and some more text\n");
    const file = fileWith(`total=0\n${lines.join("")}echo $total`);

    const outcome = await runIn(pod, { file });

    expect(outcome).toMatchObject({ status: "success", text: "24000\n" });
  });

  it("needs no program but the shell", async () => {
    const pod = await newPod();

    const outcome = await runIn(
      pod,
      { script: 'PATH=/nowhere\necho "$FD_NAME"' },
      { fields: { "fd.name": "/etc/shadow" } },
    );

    expect(outcome).toMatchObject({ text: "/etc/shadow\n" });
  });

  it("takes another shell", async () => {
    const pod = await newPod();

    const params = {
      script: '[[ $FD_NAME == b* ]] && words=(a "$FD_NAME")\necho $words "$FD_NAME"',
      shell: "/bin/bash",
    };

    const outcome = await runIn(pod, params, { fields: { "fd.name": "b c" } });

    expect(outcome).toMatchObject({ text: "a b c\n" });
  });

  it("says that the container has no such shell", async () => {
    const pod = await newPod();

    const outcome = await runIn(pod, { script: "true", shell: "/no/such/shell" });

    expect(outcome).toMatchObject({ message: expect.stringContaining("/no/such/shell") });
  });

  it("tells a mistake in the script, by way of an older API server too", async () => {
    const pod = await newPod();
    const older = await olderKubernetes();
    const event = eventOf({ pod: `${namespace}/${pod}` });
    const params = { script: "echo 'never closed" };

    const outcomes = await Promise.all(
      [cluster.kubernetes.real, older].map((kubernetes) =>
        runActionner(script, { event, cluster, params, clients: { kubernetes } }),
      ),
    );

    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({
        code: "internal",
        message: expect.stringMatching(/^script exited with code [12] .*/s),
      });
    }
  });

  it("runs whole by way of an older API server, though it reads and exits", async () => {
    const pod = await newPod();
    const older = await olderKubernetes();
    const event = eventOf({ pod: `${namespace}/${pod}`, fields: { "fd.name": "$(touch pwned)" } });
    const params = { script: 'cat\necho "$FD_NAME"\nexit 0\necho never' };

    const outcome = await runActionner(script, { event, cluster, params, clients: { kubernetes: older } });

    expect(outcome).toMatchObject({ status: "success", text: "$(touch pwned)\n" });
  });

  it("runs nothing in a dry run, but looks whether the file is there", async () => {
    const pod = await newPod();

    const dry = await runIn(pod, { script: "touch touched-dry" }, { dryRun: true });
    const missing = await runIn(pod, { file: "/nowhere/script.sh" }, { dryRun: true });
    const after = await runIn(pod, { script: "ls touched-dry" });

    expect(dry).toMatchObject({ status: "success", summary: "the script can be run" });
    expect(missing).toMatchObject({ code: "invalid" });
    expect(after).toMatchObject({ code: "internal" });
  });

  it("stops waiting at its deadline", async () => {
    const pod = await newPod();

    const outcome = await runIn(pod, { script: "sleep 60" }, { signal: AbortSignal.timeout(1000) });

    expect(outcome).toMatchObject({ code: "timeout" });
  });

  it("is of no use on a pod that is gone", async () => {
    const outcome = await runIn("gone", { script: "true" });

    expect(outcome.constructor.name).toBe("TargetGone");
  });

  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(script)).toEqual([]);
  });
});

describe("a script's file", () => {
  it("may have line ends of Windows, a byte order mark and no last line break", async () => {
    const pod = await newPod();
    const file = fileWith("\ufeffif true; then\r\n  echo a\r\nfi\r\ncat <<E\r\nb\r\nE\r\necho c");

    const outcome = await runIn(pod, { file });

    expect(outcome).toMatchObject({ text: "a\nb\nc\n" });
  });

  it("is read each time", async () => {
    const pod = await newPod();
    const file = fileWith("echo one");

    const before = await runIn(pod, { file });
    writeFileSync(file, "echo two");
    const after = await runIn(pod, { file });

    expect([before, after]).toMatchObject([{ text: "one\n" }, { text: "two\n" }]);
  });

  it.each<[string, () => string, string]>([
    ["is missing", () => join(directory(), "missing.sh"), "there is no such file on the machine that Hallux runs on"],
    ["is a directory", () => directory(), "it is not a regular file"],
    ["is a FIFO that nobody writes to", fifo, "it is not a regular file"],
    ["never ends", () => "/dev/zero", "it is not a regular file"],
    ["is too long", () => fileWith("#".repeat(1024 * 1024 + 1)), "is longer than 1 MiB"],
    ["is a program", () => fileWith(Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0])), "holds a NUL character"],
    ["is in another encoding", () => fileWith(Buffer.from("echo é", "latin1")), "is not UTF-8 text"],
  ])("that %s is a failure that names it, and nothing runs", async (_what, make, reason) => {
    const pod = await newPod();
    const file = make();

    const outcome = await runIn(pod, { file });

    expect(outcome).toMatchObject({ code: "invalid", message: expect.stringContaining(reason) });
    expect(outcome).toMatchObject({ message: expect.stringContaining(`script file ${file} `) });
  });
});

function fifo(): string {
  const path = join(directory(), "fifo");
  execFileSync("mkfifo", [path]);
  return path;
}

describe("the parameters of kubernetes:script", () => {
  const shell = "/bin/sh";

  it.each([
    ["neither script nor file", { script: undefined, file: undefined }, "give script or file"],
    ["both", { script: "true", file: "/x" }, "give script or file, not both"],
    ["a script with NUL", { script: "a\0b", file: undefined }, "script holds a NUL character, which no shell reads"],
    ["a script of more than 1 MiB", { script: "é".repeat(600_000), file: undefined }, "script is longer than 1 MiB"],
  ])("may not be %s", (_what, params, problem) => {
    expect(script.check?.({ shell, ...params })).toBe(problem);
  });

  it.each([
    { script: "true", file: undefined },
    { script: undefined, file: "scripts/x.sh" },
  ])("may be %j", (params) => {
    expect(script.check?.({ shell, ...params })).toBeUndefined();
  });
});
