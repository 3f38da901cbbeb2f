import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Kubernetes, Pod } from "../../src/clients/kubernetes/port.ts";
import { bytesOfFile, type FileCommand, NoTools, readForeignFile, readOwnFile } from "./read-file.ts";

const shells = [
  { name: "dash", path: "/bin/dash", before: [] },
  { name: "bash", path: "/bin/bash", before: [] },
  { name: "busybox ash", path: "/bin/busybox", before: ["sh"] },
];

const everyByte = Buffer.from(Array.from({ length: 1024 }, (_, index) => index % 256));
const owner = "f".repeat(64);

/** A directory with these files, and links where the value is one. */
function directoryWith(entries: Readonly<Record<string, Buffer | { readonly link: string }>>): string {
  const directory = mkdtempSync(join(tmpdir(), "hallux-read-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const [name, entry] of Object.entries(entries)) {
    const path = join(directory, name);
    mkdirSync(dirname(path), { recursive: true });
    if ("link" in entry) {
      symlinkSync(entry.link, path);
    } else {
      writeFileSync(path, entry);
    }
  }
  return directory;
}

/** What `/proc` looks like where the process 20 is the owner's. */
function procWith(root: string): string {
  return directoryWith({
    "1/cgroup": Buffer.from("0::/../cri-containerd-0000.scope\n"),
    "1/root": { link: "/" },
    "20/cgroup": Buffer.from(`0::/../cri-containerd-${owner}.scope\n`),
    "20/root": { link: root },
    "20/cwd": { link: "/work" },
    "3/stat": Buffer.from("without a cgroup"),
  });
}

/** Kubernetes, where containers are processes of this machine. */
function kubernetesOf(run: (argv: readonly string[]) => { stdout: Buffer; stderr: Buffer; status: number | null }) {
  return {
    execStream: (_pod, { command }) => {
      const { stdout, stderr, status } = run(command);
      // One byte, then the rest: what stands before the file comes in pieces, too.
      const chunks = [stdout.subarray(0, 1), stdout.subarray(1)];
      const ended = Promise.resolve({ exitCode: status ?? -1, stderr: stderr.toString() });
      return {
        stdout: (async function* () {
          yield* chunks;
        })(),
        ended,
      };
    },
  } as Partial<Kubernetes> as Kubernetes;
}

async function readWith(kubernetes: Kubernetes, command: FileCommand): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(bytesOfFile(kubernetes, {} as Pod, command, AbortSignal.timeout(25_000))));
}

describe.each(shells)("in $name, where this machine has it", ({ path: shell, before }) => {
  const test = it.skipIf(!existsSync(shell));

  function kubernetesIn(cwd: string): Kubernetes {
    return kubernetesOf(([, ...rest]) => {
      const options = { cwd, env: { PATH: "/usr/bin:/bin", HOME: cwd }, timeout: 25_000, maxBuffer: 1e8 };
      return spawnSync(shell, [...before, ...rest], options);
    });
  }

  const names = [
    "plain",
    "with blanks  ",
    "$(touch pwned)",
    "`touch pwned`",
    `'"; touch pwned; "`,
    "-n",
    "--",
    "a\nb\n",
    "é漢",
    "*",
    "!",
    "(",
    "\\\\0",
  ];

  test.each(names)("a file named %j is read as it is", async (name) => {
    const directory = directoryWith({ [`sub/${name}`]: everyByte });

    const [absolute, relative] = await Promise.all(
      [join(directory, "sub", name), name].map((path) =>
        readWith(kubernetesIn(join(directory, "sub")), readOwnFile("main", path)),
      ),
    );

    expect(absolute).toEqual(everyByte);
    expect(relative).toEqual(everyByte);
    expect(readdirSync(join(directory, "sub"))).toHaveLength(1);
  });

  test.each(names)("a file named %j of another container is read as it is", async (name) => {
    const root = directoryWith({ [`work/${name}`]: everyByte });
    const proc = procWith(root);

    const [absolute, relative] = await Promise.all(
      [`/work/${name}`, name].map((path) => readWith(kubernetesIn(root), readForeignFile("debug", path, owner, proc))),
    );

    expect(absolute).toEqual(everyByte);
    expect(relative).toEqual(everyByte);
    expect(readdirSync(join(root, "work"))).toHaveLength(1);
  });

  test("an empty file is read", async () => {
    const directory = directoryWith({ empty: Buffer.alloc(0) });

    expect(await readWith(kubernetesIn(directory), readOwnFile("main", "empty"))).toHaveLength(0);
  });

  test.each([
    ["an absolute link", "/sub/a", { "sub/a": { link: "/etc/file" } }],
    ["a relative link", "/sub/a", { "sub/a": { link: "../etc/file" } }],
    ["a link that goes out", "/sub/a", { "sub/a": { link: "../../../../../etc/file" } }],
    ["a link to a directory", "/sub/etc/file", { "sub/etc": { link: "/etc" } }],
    ["links that lead to links", "/a", { a: { link: "b" }, b: { link: "/c/file" }, c: { link: "etc" } }],
    ["a link whose target has odd characters", "/a", { a: { link: "/ $(x)\n" }, " $(x)\n": { link: "etc/./file" } }],
    ["a path that goes out", "/../../../etc/file", {}],
    ["a path with steps that lead nowhere", "//etc/.//../etc/./file", {}],
    ["a path back from a linked directory", "/sub/../etc/file", { sub: { link: "/etc" } }],
  ])("%s of another container does not leave it", async (_what, path, links) => {
    const root = directoryWith({ "etc/file": Buffer.from("inside"), ...links });

    const read = await readWith(kubernetesIn(root), readForeignFile("debug", path, owner, procWith(root)));

    expect(read.toString()).toBe("inside");
  });

  test.each([
    ["is a directory", "/dir", "invalid", "it is a directory"],
    ["is the root", "/", "invalid", "it is a directory"],
    ["is a FIFO", "/fifo", "invalid", "a device, a pipe or a socket"],
    ["is a socket", "/socket", "invalid", "a device, a pipe or a socket"],
    ["is a link to a FIFO", "/to-fifo", "invalid", "a device, a pipe or a socket"],
    ["is missing", "/missing", "not_found", "there is no such file"],
    ["is a link to nothing", "/to-missing", "not_found", "there is no such file"],
    ["is a link to itself", "/loop", "not_found", "there is no such file"],
    ["stands below a file", "/file/below", "not_found", "there is no such file"],
    ["has too long a name", `/${"x".repeat(3000)}`, "not_found", "there is no such file"],
  ])("what %s is told, and not read", async (_what, path, code, reason) => {
    const root = directoryWith({
      "dir/x": Buffer.from("x"),
      file: Buffer.from("x"),
      "to-fifo": { link: "fifo" },
      "to-missing": { link: "missing" },
      loop: { link: "loop" },
    });
    execFileSync("mkfifo", [join(root, "fifo")]);
    const server = createServer().listen(join(root, "socket"));
    onTestFinished(() => void server.close());

    const own = readWith(kubernetesIn(root), readOwnFile("main", path === "/" ? root : join(root, path)));
    const foreign = readWith(kubernetesIn(root), readForeignFile("debug", path, owner, procWith(root)));

    for (const reading of [own, foreign]) {
      await expect(reading).rejects.toMatchObject({ code, message: expect.stringContaining(reason) });
    }
  });

  test("a device is not read", async () => {
    const reading = readWith(kubernetesIn("/"), readOwnFile("main", "/dev/zero"));

    await expect(reading).rejects.toMatchObject({ code: "invalid" });
  });

  test("the first process is taken for the owner's where none has its id", async () => {
    const root = directoryWith({ file: Buffer.from("inside") });
    const proc = directoryWith({ "1/cgroup": Buffer.from("0::/\n"), "1/root": { link: root } });

    for (const id of [owner, undefined]) {
      expect((await readWith(kubernetesIn(root), readForeignFile("debug", "/file", id, proc))).toString()).toBe(
        "inside",
      );
    }
  });

  test("a container that may not be looked into is told from a file that is missing", async () => {
    const proc = directoryWith({ "1/cgroup": Buffer.from("0::/\n") });

    const reading = readWith(kubernetesIn(proc), readForeignFile("debug", "/file", owner, proc));

    await expect(reading).rejects.toMatchObject({ code: "forbidden", message: expect.stringContaining("SYS_PTRACE") });
  });
});

describe("what a container says that has no shell or no cat", () => {
  it.each([
    ["nothing", "", 127],
    ["what its runtime says", 'exec: "/bin/sh": stat /bin/sh: no such file or directory', 126],
    ["more than that", "x".repeat(100_000), 0],
    ["almost what is expected", "hallux files\nx", 0],
    ["that there is no cat", "hallux toolless\n", 0],
  ])("is not taken for the file: %s", async (_what, said, status) => {
    const kubernetes = kubernetesOf(() => ({ stdout: Buffer.from(said), stderr: Buffer.alloc(0), status }));

    const reading = readWith(kubernetes, readOwnFile("main", "/file"));

    const error = await reading.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(NoTools);
    expect(error).toMatchObject({ message: 'container main has no shell, or no cat: "/file" cannot be read there' });
  });
});

describe("a file that could not be read to its end", () => {
  it("is a failure with what cat said", async () => {
    const answer = {
      stdout: Buffer.from("hallux file\nhalf"),
      stderr: Buffer.from("cat: Input/output error\n"),
      status: 1,
    };

    const reading = readWith(
      kubernetesOf(() => answer),
      readOwnFile("main", "/file"),
    );

    await expect(reading).rejects.toMatchObject({
      code: "internal",
      message: expect.stringContaining("Input/output error"),
    });
  });
});
