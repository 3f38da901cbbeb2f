import { describe, expect, it } from "vitest";
import { exec } from "../../actionners/kubernetes/exec.ts";
import { useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { runActionner } from "../support/run-actionner.ts";

const cluster = await useCluster();
const namespace = await cluster.namespace();

/** Runs the command in a pod of its own, with these fields in the event. */
async function runIn(
  pod: string,
  command: string,
  {
    fields = {},
    ...rest
  }: { readonly fields?: Record<string, string>; readonly signal?: AbortSignal; readonly dryRun?: boolean } = {},
) {
  const event = eventOf({ pod: `${namespace}/${pod}`, fields });
  return runActionner(exec, { event, cluster, params: { command }, ...rest });
}

async function newPod(...containers: readonly string[]): Promise<string> {
  const named = containers.map((name) => ({ name }));
  const pod = await cluster.pod(namespace, named.length === 0 ? {} : { containers: named });
  return pod.metadata?.name ?? "";
}

describe("kubernetes:exec", () => {
  it("gives the exit code and what the command wrote", async () => {
    const pod = await newPod();

    const outcome = await runIn(pod, "echo to stdout; echo to stderr >&2");

    expect(outcome).toMatchObject({
      status: "success",
      summary: "command exited with code 0",
      objects: { namespace, pod, container: "main", exit_code: "0" },
      text: "to stdout\nto stderr\n",
      target: { kind: "pod", name: pod, uid: expect.stringMatching(/./) },
    });
  });

  it("fails with the exit code and what the command said", async () => {
    const pod = await newPod();

    const outcome = await runIn(pod, "echo fine; echo 'no such thing' >&2; exit 7");

    expect(outcome).toMatchObject({
      code: "internal",
      message: "command exited with code 7 in container main: no such thing",
      text: "fine\nno such thing\n",
    });
  });

  it("keeps 8 KiB of each stream, and says that there was more", async () => {
    const pod = await newPod();

    const outcome = await runIn(pod, "head -c 100000 /dev/zero | tr '\\0' x; echo end >&2");

    expect(outcome).toMatchObject({
      summary: "command exited with code 0; only the start of its output is kept",
      text: `${"x".repeat(8192)}end\n`,
    });
  });

  it.each([
    ["a command substitution", "/tmp/$(touch pwned);x"],
    ["quotes and the end of a command", `'"; touch pwned; "'`],
    ["line breaks and backticks", "a\n`touch pwned`\n"],
    ["what looks like an option", "-n"],
    ["what looks like a URL's parameters", "&command=touch&command=pwned#%00%2f+"],
  ])("hands %s to the command as data", async (_name, value) => {
    const pod = await newPod();

    const outcome = await runIn(pod, 'printf "%s" "$FD_NAME"; ls pwned 2>/dev/null; true', {
      fields: { "fd.name": value },
    });

    expect(outcome).toMatchObject({ status: "success", text: value });
  });

  it("removes NUL, which no argument can hold", async () => {
    const pod = await newPod();

    const outcome = await runIn(pod, 'printf "%s" "$FD_NAME"', { fields: { "fd.name": "a\0b" } });

    expect(outcome).toMatchObject({ text: "ab" });
  });

  it("hands over 100 kB whole", async () => {
    const pod = await newPod();
    const value = "$(x)é".repeat(17_000);

    const outcome = await runIn(pod, `printf "%s" "$FD_NAME" | wc -c`, { fields: { "fd.name": value } });

    expect(Buffer.byteLength(value)).toBe(102_000);
    expect(outcome).toMatchObject({
      summary: "command exited with code 0",
      text: expect.stringMatching(/^\s*102000\s*$/),
    });
  });

  it("says that it cut what is too long for an argument", async () => {
    const pod = await newPod();

    const outcome = await runIn(pod, `printf "%s" "$FD_NAME" | wc -c`, { fields: { "fd.name": "x".repeat(900_000) } });

    expect(outcome).toMatchObject({
      summary: "command exited with code 0; too long and cut: FD_NAME",
      text: expect.stringMatching(/^\s*122880\s*$/),
    });
  });

  it("runs in the container that raised the event", async () => {
    const pod = await newPod("app", "proxy");
    const found = await cluster.api.core.readNamespacedPod({ namespace, name: pod });
    const proxy = found.status?.containerStatuses?.find(({ name }) => name === "proxy");
    const id = proxy?.containerID?.replace(/^.*:\/\//, "").slice(0, 12) ?? "";

    const outcome = await runIn(pod, "true", { fields: { "container.id": id } });

    expect(outcome).toMatchObject({ objects: { container: "proxy" } });
  });

  it("stops waiting at its deadline and kills nothing else", async () => {
    const pod = await newPod();
    const started = await runIn(pod, "sleep 300 >/dev/null 2>&1 & echo $!");
    const bystander = "text" in started ? started.text?.trim() : "";

    const outcome = await runIn(pod, "sleep 300", { signal: AbortSignal.timeout(1500) });

    expect(outcome).toMatchObject({ code: "timeout" });
    const killed = await runIn(pod, `kill ${bystander}`);
    expect(killed).toMatchObject({ status: "success" });
    const after = await cluster.api.core.readNamespacedPod({ namespace, name: pod });
    expect(after.status?.containerStatuses?.[0]).toMatchObject({ restartCount: 0, ready: true });
  });

  it("says that the container has no such shell", async () => {
    const pod = await newPod();
    const event = eventOf({ pod: `${namespace}/${pod}` });

    const outcome = await runActionner(exec, { event, cluster, params: { command: "true", shell: "/no/such/shell" } });

    expect(outcome).toMatchObject({ message: expect.stringContaining("/no/such/shell") });
  });

  it("runs nothing in a dry run", async () => {
    const pod = await newPod();

    const dry = await runIn(pod, "touch /tmp/touched", { dryRun: true });

    expect(dry).toMatchObject({ status: "success", summary: "the command can be run" });
    const after = await runIn(pod, "ls /tmp/touched");
    expect(after).toMatchObject({ code: "internal" });
  });

  it("is of no use on a pod that is gone", async () => {
    const outcome = await runIn("gone", "true");

    expect(outcome).toMatchObject({ name: "ActionError", code: "not_found" });
    expect(outcome.constructor.name).toBe("TargetGone");
  });

  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(exec)).toEqual([]);
  });
});
