import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { download } from "../../actionners/kubernetes/download.ts";
import type { Facts, Store } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import { laterStream } from "../../src/clients/kubernetes/exec-stream.ts";
import { CommandNotStarted, type Kubernetes } from "../../src/clients/kubernetes/port.ts";
import { eventually, useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { memoryHeld } from "../support/memory.ts";
import { enforceLevel } from "../support/pod-security.ts";
import { runActionner } from "../support/run-actionner.ts";
import { memoryStore } from "../support/stored.ts";

const cluster = await useCluster();
const namespace = await cluster.namespace();
const { core } = cluster.api;
/** Whether containers are processes of this machine, which a test can do to as a runtime would. */
const standIns =
  cluster.real &&
  (await core.listNode()).items.every(({ status }) => status?.nodeInfo?.containerRuntimeVersion.startsWith("process:"));
const mebibyte = 1024 * 1024;
const token = `\${FD_NAME}`;

interface Traits {
  readonly fields?: Readonly<Record<string, string>>;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly facts?: Facts;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
  readonly store?: Store;
  readonly kubernetes?: Kubernetes;
}

/** Downloads the file that the event names, unless told otherwise. */
async function downloadFrom(pod: string, traits: Traits = {}) {
  const { fields = {}, params = {}, kubernetes, store, ...rest } = traits;
  const memory = memoryStore();
  const event = eventOf({ pod: `${namespace}/${pod}`, fields });
  const outcome = await runActionner(download, {
    event,
    cluster,
    params: { file: token, ...params },
    store: store ?? memory.store,
    ...(kubernetes === undefined ? {} : { clients: { kubernetes } }),
    ...rest,
  });
  return { outcome, stored: memory.stored };
}

/** A pod, and a directory of its container's own. */
async function newPod(...containers: readonly string[]): Promise<{ pod: string; directory: string }> {
  const named = containers.map((name) => ({ name }));
  const { metadata } = await cluster.pod(namespace, named.length === 0 ? {} : { containers: named });
  const pod = metadata?.name ?? "";
  const workdir = await shell(pod, "pwd", { container: containers[0] ?? "main" });
  return { pod, directory: workdir === "/" ? "/tmp" : workdir };
}

async function shell(pod: string, script: string, { container = "main", args = [] as readonly string[] } = {}) {
  const target = await cluster.kubernetes.real.getPod(
    { kind: "pod", namespace, name: pod, uid: undefined },
    AbortSignal.timeout(60_000),
  );
  const command = ["/bin/sh", "-c", script, "sh", ...args];
  const options = { container, command, maxOutputBytes: 1000 };
  const { stdout } = await cluster.kubernetes.real.exec(target, options, AbortSignal.timeout(60_000));
  return stdout.trimEnd();
}

const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
const octal = Array.from(everyByte, (byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");

/** Puts all 256 bytes into a file of the container's. */
function writeFile(pod: string, path: string, container = "main"): Promise<string> {
  return shell(pod, `printf '${octal}' > "$1"`, { container, args: [path] });
}

const names: readonly (readonly [string, string])[] = [
  ["blanks", "a  file with blanks "],
  ["a command substitution", "$(touch pwned);x"],
  ["backticks", "`touch pwned`"],
  ["quotes and the end of a command", `'"; touch pwned; "'`],
  ["a leading dash", "-n"],
  ["line breaks", "a\nb\n"],
  ["what looks like a token", `\${PROC_NAME} $1 $HOME`],
  ["what looks like a URL's parameters", "&command=touch&stdin=true#%00%2f+"],
  ["characters of other scripts", "é漢🦅"],
  ["globs and a backslash", "*?[a-z]\\n\\"],
];

describe("kubernetes:download", () => {
  it("stores the file as it is, under its path", async () => {
    const { pod, directory } = await newPod();
    const path = `${directory}/evidence.bin`;
    await writeFile(pod, path);

    const { outcome, stored } = await downloadFrom(pod, { fields: { "fd.name": path } });

    expect(stored).toEqual([{ name: path, contentType: "application/octet-stream", bytes: everyByte }]);
    expect(outcome).toMatchObject({
      status: "success",
      summary: "file downloaded, 256 bytes",
      objects: { namespace, pod, container: "main", file: path },
      target: { kind: "pod", name: pod, uid: expect.stringMatching(/./) },
      artifact: { bytes: 256 },
    });
  });

  it.each(names)("downloads a file whose path has %s, and runs nothing of it", async (_what, name) => {
    const { pod, directory } = await newPod();
    await writeFile(pod, `${directory}/${name}`);

    const { stored } = await downloadFrom(pod, { fields: { "fd.name": `${directory}/${name}`, "proc.name": "pwned" } });

    expect(stored).toMatchObject([{ name: `${directory}/${name}`, bytes: everyByte }]);
    expect(await shell(pod, 'cd "$1"; ls pwned 2>/dev/null; ls /pwned 2>/dev/null', { args: [directory] })).toBe("");
  });

  it.each(names)("finds no file whose path has %s", async (_what, name) => {
    const { pod, directory } = await newPod();

    const { outcome, stored } = await downloadFrom(pod, { fields: { "fd.name": `${directory}/no/${name}` } });

    expect(outcome).toMatchObject({ code: "not_found", message: expect.stringContaining("there is no such file") });
    expect(stored).toEqual([]);
  });

  it("puts fields and facts into the path, each once", async () => {
    const { pod, directory } = await newPod();
    await shell(pod, 'mkdir "$1"', { args: [`${directory}/\${RULE}`] });
    await writeFile(pod, `${directory}/\${RULE}/node-1.log`);

    const { stored } = await downloadFrom(pod, {
      params: { file: `${directory}/$FD_DIRECTORY/\${NODE_HOSTNAME}.log` },
      fields: { "fd.directory": `\${RULE}` },
      facts: { "node.hostname": "node-1" },
    });

    expect(stored).toMatchObject([{ name: `${directory}/\${RULE}/node-1.log`, bytes: everyByte }]);
  });

  it.each([
    ["has no such field", {}],
    ["does not know it", { "fd.name": "<NA>" }],
    ["has it empty", { "fd.name": "" }],
  ])("is of no use where the event %s", async (_what, fields) => {
    const { pod } = await newPod();

    const { outcome } = await downloadFrom(pod, { fields });

    expect(outcome).toEqual({ status: "ignored", reason: `the event has no value for ${token}` });
  });

  it("reads a relative path from the working directory, a leading dash too", async () => {
    const { pod } = await newPod();
    const name = `-n ${crypto.randomUUID()}`;
    await writeFile(pod, `./${name}`);

    const { stored } = await downloadFrom(pod, { fields: { "fd.name": name } });
    await shell(pod, 'rm "./$1"', { args: [name] });

    expect(stored).toMatchObject([{ name, bytes: everyByte }]);
  });

  it("stores an empty file", async () => {
    const { pod, directory } = await newPod();
    await shell(pod, ': > "$1"', { args: [`${directory}/empty`] });

    const { outcome, stored } = await downloadFrom(pod, { fields: { "fd.name": `${directory}/empty` } });

    expect(stored).toMatchObject([{ bytes: Buffer.alloc(0) }]);
    expect(outcome).toMatchObject({ summary: "file downloaded, 0 bytes" });
  });

  it.each([
    ["a directory", 'mkdir "$1"', "invalid", "it is a directory"],
    ["a FIFO that nobody writes to", 'mkfifo "$1"', "invalid", "a device, a pipe or a socket"],
    ["a link to a device that never ends", 'ln -s /dev/zero "$1"', "invalid", "a device, a pipe or a socket"],
    ["a link to nothing", 'ln -s nothing "$1"', "not_found", "there is no such file"],
    ["a link to itself", 'ln -s "$1" "$1"', "not_found", "there is no such file"],
  ])("refuses %s, and keeps nothing", async (_what, make, code, reason) => {
    const { pod, directory } = await newPod();
    const path = `${directory}/odd`;
    await shell(pod, make, { args: [path] });

    const { outcome, stored } = await downloadFrom(pod, { fields: { "fd.name": path } });
    await shell(pod, 'rm -rf "$1"', { args: [path] });

    expect(outcome).toMatchObject({ code, message: expect.stringContaining(reason) });
    expect(outcome).toMatchObject({ message: expect.stringContaining(`"${path}" in container main`) });
    expect(stored).toEqual([]);
  });

  it.each([
    ["a NUL", "/tmp/a\0b"],
    ["more bytes than a path can have", `/${"é/".repeat(2000)}`],
  ])("refuses a path with %s", async (_what, path) => {
    const { pod } = await newPod();

    const { outcome } = await downloadFrom(pod, { fields: { "fd.name": path } });

    expect(outcome).toMatchObject({ code: "invalid", message: expect.stringContaining("no file can have this path") });
  });

  it("keeps nothing of a file that is larger than it may be, and all of one that is as large", async () => {
    const { pod, directory } = await newPod();
    const path = `${directory}/file`;
    await writeFile(pod, path);
    const fields = { "fd.name": path };

    const larger = await downloadFrom(pod, { fields, params: { max_bytes: 255 } });
    const asLarge = await downloadFrom(pod, { fields, params: { max_bytes: 256 } });

    expect(larger.outcome).toMatchObject({ code: "invalid", message: expect.stringContaining("max_bytes (255)") });
    expect(larger.stored).toEqual([]);
    expect(asLarge.stored).toMatchObject([{ bytes: everyByte }]);
  });

  it("reads in the container that raised the event", async () => {
    const { pod } = await newPod("app", "proxy");
    const { status } = await core.readNamespacedPod({ namespace, name: pod });
    const proxy = status?.containerStatuses?.find(({ name }) => name === "proxy");
    const id = proxy?.containerID?.replace(/^.*:\/\//, "").slice(0, 12) ?? "";
    const name = crypto.randomUUID();
    await writeFile(pod, `./${name}`, "proxy");

    const { outcome, stored } = await downloadFrom(pod, { fields: { "fd.name": name, "container.id": id } });
    const elsewhere = await downloadFrom(pod, { fields: { "fd.name": name, "container.name": "app" } });

    expect(outcome).toMatchObject({ objects: { container: "proxy" } });
    expect(stored).toMatchObject([{ bytes: everyByte }]);
    expect(elsewhere.outcome).toMatchObject({ code: "not_found" });
  });

  it("fails as the output does, and leaves no command running", async () => {
    const { pod, directory } = await newPod();
    const path = `${directory}/file`;
    await shell(pod, 'dd if=/dev/zero of="$1" bs=1M count=0 seek=64 2>/dev/null', { args: [path] });
    const store: Store = async ({ body }) => {
      for await (const _ of body) {
        throw new Error("the disk is full");
      }
      throw new Error("nothing came");
    };

    const failing = downloadFrom(pod, { fields: { "fd.name": path }, store });

    await expect(failing).rejects.toThrow("the disk is full");
    await eventually(
      async () => (await shell(pod, 'ps ax 2>/dev/null | grep -c "[c]at -- $1" || true', { args: [path] })) === "0",
    );
  });

  it("stops at its deadline", async () => {
    const { pod, directory } = await newPod();
    const path = `${directory}/file`;
    await shell(pod, 'dd if=/dev/zero of="$1" bs=1M count=0 seek=2000 2>/dev/null', { args: [path] });
    const slow: Store = async ({ body }) => {
      for await (const _ of body) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      throw new Error("it ended");
    };

    const { outcome } = await downloadFrom(pod, {
      fields: { "fd.name": path },
      params: { max_bytes: 4000 * mebibyte },
      store: slow,
      signal: AbortSignal.timeout(1000),
    });

    expect(outcome).toMatchObject({ code: "timeout" });
  });

  it("gets a deadline that grows with what it may read", () => {
    const seconds = (max_bytes: number) => download.timeoutSeconds?.({ file: token, max_bytes, image: "x" });

    expect([seconds(mebibyte), seconds(1024 * mebibyte)]).toEqual([91, 346]);
  });

  it("stores nothing in a dry run", async () => {
    const { pod, directory } = await newPod();

    const { outcome, stored } = await downloadFrom(pod, {
      fields: { "fd.name": `${directory}/missing` },
      dryRun: true,
    });

    expect(outcome).toMatchObject({
      status: "success",
      summary: "the file can be downloaded where it is there",
      objects: { file: `${directory}/missing` },
    });
    expect(stored).toMatchObject([{ bytes: Buffer.alloc(0) }]);
  });

  it("is of no use on a pod that is gone", async () => {
    const { outcome } = await downloadFrom("gone", { fields: { "fd.name": "/etc/passwd" } });

    expect(outcome.constructor.name).toBe("TargetGone");
  });

  it("is tried again where the container does not run", async () => {
    const spec = { nodeSelector: { "hallux.dev/no-such": "node" }, containers: [{ name: "main", image: "busybox" }] };
    await core.createNamespacedPod({ namespace, body: { metadata: { name: "pending" }, spec } });

    const { outcome } = await downloadFrom("pending", { fields: { "fd.name": "/etc/passwd" } });

    expect(outcome).toMatchObject({ code: "unavailable", message: expect.stringContaining("does not run") });
  });

  it("holds no more of a large file than is on its way", { timeout: 180_000 }, async () => {
    const megabytes = cluster.real ? 500 : 100;
    const { pod, directory } = await newPod();
    const path = `${directory}/large`;
    await shell(pod, 'dd if=/dev/zero of="$1" bs=1M count=0 seek="$2" 2>/dev/null', { args: [path, `${megabytes}`] });
    const before = held();
    const growth: number[] = [];
    const store: Store = async ({ body }) => {
      let bytes = 0;
      let chunks = 0;
      for await (const chunk of body) {
        bytes += chunk.byteLength;
        chunks += 1;
        if (chunks % 512 === 0) {
          growth.push(held() - before);
        }
      }
      return { output: "local:file", location: path, bytes, sha256: "00" };
    };

    const signal = AbortSignal.timeout(170_000);
    const { outcome } = await downloadFrom(pod, { fields: { "fd.name": path }, store, signal });

    expect(outcome).toMatchObject({ artifact: { bytes: megabytes * mebibyte } });
    expect(growth.length).toBeGreaterThan(1);
    expect(Math.max(...growth) / mebibyte).toBeLessThan(16);
  });
});

function held(): number {
  const { heapUsed, arrayBuffers } = memoryHeld();
  return heapUsed + arrayBuffers;
}

describe.runIf(standIns)("kubernetes:download from a container without shell and cat", () => {
  /** A pod whose only container has no programs any more, with these files. */
  async function podWithoutPrograms(prepare: string): Promise<string> {
    const { pod } = await newPod();
    // It, too, is a program that has to be there when it is started.
    await processOf(pod, "3600");
    await shell(pod, `${prepare}; mount -t tmpfs none /usr/bin`);
    return pod;
  }

  /** Containers here see only their own processes: does what a runtime does for an ephemeral one that is aimed at another. */
  function sharingProcesses(pod: string): Kubernetes {
    const { real } = cluster.kubernetes;
    return {
      ...real,
      execStream(target, options, signal) {
        return laterStream(async () => {
          if (options.container.startsWith("hallux-download-")) {
            const [owner, reader] = await Promise.all([processOf(pod, "3600"), processOf(pod, "286")]);
            const mount = ["mount", "-t", "proc", "proc", "/proc"];
            const intoReader = ["nsenter", "--target", reader, "--mount", "--root", "--", ...mount];
            execFileSync("nsenter", ["--target", owner, "--pid", "--", ...intoReader]);
          }
          return real.execStream(target, options, signal);
        });
      },
    };
  }

  /** The process of this machine that is the pod's container, which sleeps for so long. */
  function processOf(pod: string, seconds: string): Promise<string> {
    return eventually(async () =>
      readdirSync("/proc").find((pid) => /^\d+$/.test(pid) && isContainer(pid, pod, seconds)),
    );
  }

  function isContainer(pid: string, pod: string, seconds: string): boolean {
    try {
      const [command, environment] = [
        readFileSync(`/proc/${pid}/cmdline`, "utf8"),
        readFileSync(`/proc/${pid}/environ`, "utf8"),
      ];
      return command === `sleep\0${seconds}\0` && environment.includes(`HOSTNAME=${pod}\0`);
    } catch {
      // It has ended meanwhile.
      return false;
    }
  }

  it("reads through an ephemeral container, and says so", async () => {
    const pod = await podWithoutPrograms(`printf '${octal}' > '/tmp/a $(b)'`);

    const { outcome, stored } = await downloadFrom(pod, {
      fields: { "fd.name": "/tmp/a $(b)" },
      kubernetes: sharingProcesses(pod),
    });

    expect(stored).toMatchObject([{ name: "/tmp/a $(b)", bytes: everyByte }]);
    expect(outcome).toMatchObject({
      status: "success",
      summary: expect.stringMatching(
        /^file downloaded, 256 bytes; the container has no shell, or no cat: it was read through ephemeral container hallux-download-/,
      ),
      objects: { container: "main", ephemeral_container: expect.stringMatching(/^hallux-download-/) },
    });
    const { spec } = await core.readNamespacedPod({ namespace, name: pod });
    expect(spec?.ephemeralContainers).toMatchObject([
      {
        image: "busybox:1.37",
        targetContainerName: "main",
        securityContext: { runAsUser: 0, capabilities: { add: ["SYS_PTRACE"] } },
      },
    ]);
  });

  it("follows links within the container's own files", async () => {
    const pod = await podWithoutPrograms("echo inside > /etc/secret; ln -s /etc/secret /tmp/link");

    const { stored } = await downloadFrom(pod, {
      fields: { "fd.name": "/tmp/link" },
      kubernetes: sharingProcesses(pod),
    });

    expect(stored.map(({ bytes }) => bytes.toString())).toEqual(["inside\n"]);
  });

  it("tells there, too, that the file is missing", async () => {
    const pod = await podWithoutPrograms("true");

    const { outcome, stored } = await downloadFrom(pod, {
      fields: { "fd.name": "/tmp/missing" },
      kubernetes: sharingProcesses(pod),
    });

    expect(outcome).toMatchObject({
      code: "not_found",
      message: expect.stringContaining("in container hallux-download-"),
    });
    expect(stored).toEqual([]);
  });

  it("reads through one with fewer capabilities where the namespace admits no more", async () => {
    await enforceLevel(cluster.api, namespace, "baseline");
    const pod = await podWithoutPrograms("echo inside > /tmp/file");

    const { stored } = await downloadFrom(pod, {
      fields: { "fd.name": "/tmp/file" },
      kubernetes: sharingProcesses(pod),
    });

    expect(stored.map(({ bytes }) => bytes.toString())).toEqual(["inside\n"]);
    const { spec } = await core.readNamespacedPod({ namespace, name: pod });
    expect(spec?.ephemeralContainers?.[0]?.securityContext).toEqual({ runAsUser: 0, runAsNonRoot: false });
    await enforceLevel(cluster.api, namespace, null);
  });

  it.each([
    ["reads through one where the runtime could not start the shell", CommandNotStarted, { status: "success" }, 1],
    ["adds none where the node could not be reached", ActionError, { code: "unavailable" }, 0],
  ])("%s", async (_what, Fault, expected, added) => {
    const { pod, directory } = await newPod();
    await writeFile(pod, `${directory}/file`);
    const sharing = sharingProcesses(pod);
    const execStream: Kubernetes["execStream"] = (target, options, signal) =>
      options.container === "main"
        ? laterStream(async () => {
            throw new Fault("unavailable", "it did not work");
          })
        : sharing.execStream(target, options, signal);

    const { outcome } = await downloadFrom(pod, {
      fields: { "fd.name": `${directory}/file` },
      kubernetes: { ...sharing, execStream },
    });

    expect(outcome).toMatchObject(expected);
    const { spec } = await core.readNamespacedPod({ namespace, name: pod });
    expect(spec?.ephemeralContainers ?? []).toHaveLength(added);
  });

  it("adds none where the file's own container answers, whatever it says", async () => {
    const { pod } = await newPod();

    await downloadFrom(pod, { fields: { "fd.name": "/tmp/missing" } });

    const { spec } = await core.readNamespacedPod({ namespace, name: pod });
    expect(spec?.ephemeralContainers ?? []).toEqual([]);
  });

  it("adds none in a dry run, nor where the output cannot be written", async () => {
    const pod = await podWithoutPrograms("true");
    const fields = { "fd.name": "/tmp/file" };
    const store: Store = async () => {
      throw new Error("there is no such bucket");
    };

    await downloadFrom(pod, { fields, dryRun: true });
    await expect(downloadFrom(pod, { fields, store })).rejects.toThrow("bucket");

    const { spec } = await core.readNamespacedPod({ namespace, name: pod });
    expect(spec?.ephemeralContainers ?? []).toEqual([]);
  });

  it("uses every permission that it declares", () => {
    expect(cluster.permissions.unused(download)).toEqual([]);
  });
});
