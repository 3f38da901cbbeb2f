import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { type Content, createReader, digestOf, readAgain } from "./contents.ts";

function place(): string {
  const directory = mkdtempSync(join(tmpdir(), "hallux-contents-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

const contents = (entries: Readonly<Record<string, Content>>) => new Map(Object.entries(entries));

describe("files that are read again", () => {
  it("are as they are now, or at fault", async () => {
    const directory = place();
    const [one, missing, binary] = ["one", "missing", "binary"].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(one, "now");
    writeFileSync(binary, Uint8Array.of(0xff));
    const before = new Map([one, missing, binary].map((path) => [path, { text: "before" }]));

    const found = await readAgain(before);

    expect(found.get(one)).toEqual({ text: "now" });
    expect(found.get(missing)).toMatchObject({ fault: { code: "ENOENT" } });
    expect(found.get(binary)).toMatchObject({ fault: { code: "ERR_ENCODING_INVALID_ENCODED_DATA" } });
  });

  it("keep what came through a pipe, which gives it only once", async () => {
    const pipe = join(place(), "pipe");
    execFileSync("mkfifo", [pipe]);

    const found = await readAgain(contents({ [pipe]: { text: "once" } }));

    expect(found.get(pipe)).toEqual({ text: "once" });
  });
});

describe("while Hallux serves", () => {
  const { readFile } = createReader(() => "text", new Map());

  it("waits for no pipe that newly is to be read, and for no device", () => {
    const pipe = join(place(), "pipe");
    execFileSync("mkfifo", [pipe]);

    expect(() => readFile(pipe)).toThrow("pipe");
    expect(() => readFile("/dev/zero")).toThrow("device");
  });

  it("takes no file into memory that is far too long", async () => {
    const file = join(place(), "file");
    writeFileSync(file, "");
    truncateSync(file, 16 * 1024 * 1024 + 1);

    expect(() => readFile(file)).toThrow("at most");
    expect((await readAgain(contents({ [file]: { text: "" } }))).get(file)).toHaveProperty("fault");
  });
});

describe("the digest of files", () => {
  const gone = { fault: Object.assign(new Error("a"), { code: "ENOENT" }) };

  it("is another for any other text, name or fault", () => {
    const digests = [
      contents({ a: { text: "1" }, b: { text: "2" } }),
      contents({ a: { text: "2" }, b: { text: "1" } }),
      contents({ a: { text: "12" }, b: { text: "" } }),
      contents({ a: { text: "1" }, c: { text: "2" } }),
      contents({ a: { text: "1" }, b: gone }),
      contents({ a: { text: "1" }, b: { fault: Object.assign(new Error("a"), { code: "EACCES" }) } }),
      contents({ a: { text: "1" }, b: { text: "ENOENT" } }),
    ].map(digestOf);

    expect(new Set(digests).size).toBe(digests.length);
  });

  it("does not depend on the order in which they were read", () => {
    const one = contents({ a: { text: "1" }, b: gone });

    expect(digestOf(new Map([...one].toReversed()))).toBe(digestOf(one));
  });
});

it("a reader tells a fault each time, and reads once", () => {
  let reads = 0;
  const { readFile } = createReader(() => {
    reads += 1;
    throw new Error("no");
  });

  expect(() => readFile("a")).toThrow("no");
  expect(() => readFile("a")).toThrow("no");
  expect(reads).toBe(1);
});
