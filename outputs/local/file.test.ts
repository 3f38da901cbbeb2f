import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ActionError } from "../../src/catalogue/errors.ts";
import type { Clients } from "../../src/clients/clients.ts";
import { file } from "./file.ts";

const never = new AbortController().signal;
const key = "2026-11-21T08-15-00Z_shop_cart-1_log";
const digest = { bytes: 13, sha256: "5e23" };

let directory = "";

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "hallux-file-"));
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

interface Overrides {
  readonly key?: string;
  readonly destination?: string;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

function store(body: AsyncIterable<Uint8Array>, overrides: Overrides = {}) {
  return file.store({
    artifact: { key: overrides.key ?? key, contentType: "text/plain", body, digest: () => digest },
    params: { destination: overrides.destination ?? directory },
    clients: {} as Clients,
    dryRun: overrides.dryRun ?? false,
    signal: overrides.signal ?? never,
  });
}

async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) {
    yield new TextEncoder().encode(text);
  }
}

describe("local:file", () => {
  it("keeps the whole artifact under its key, for Hallux's user alone", async () => {
    const { location } = await store(chunks("first\n", "second\n"));

    expect(location).toBe(join(directory, key));
    expect(await readFile(location, "utf8")).toBe("first\nsecond\n");
    expect((await stat(location)).mode & 0o777).toBe(0o600);
    expect((await readdir(directory)).sort()).toEqual([key, `${key}.sha256`]);
  });

  it("keeps beside the artifact a file that sha256sum checks it by", async () => {
    const { location } = await store(chunks("x"));

    expect(await readFile(`${location}.sha256`, "utf8")).toBe(`5e23  ${key}\n`);
    expect((await stat(`${location}.sha256`)).mode & 0o777).toBe(0o600);
  });

  it("gives the artifact another name where only its digest's is taken", async () => {
    await writeFile(join(directory, `${key}.sha256`), "untouched");

    const { location } = await store(chunks("x"));

    expect(location).toBe(join(directory, `${key}-2`));
    expect(await readFile(join(directory, `${key}.sha256`), "utf8")).toBe("untouched");
    expect((await readdir(directory)).sort()).toEqual([`${key}-2`, `${key}-2.sha256`, `${key}.sha256`]);
  });

  it("stores nothing in a dry run, but reads it all", async () => {
    let read = 0;
    async function* counted() {
      for await (const chunk of chunks("first\n", "second\n")) {
        read += chunk.byteLength;
        yield chunk;
      }
    }

    await store(counted(), { dryRun: true });

    expect(read).toBe(13);
    expect(await readdir(directory)).toEqual([]);
  });

  it.each(["missing", "occupied"])("finds out in a dry run that the directory is %s", async (name) => {
    await writeFile(join(directory, "occupied"), "");

    const stored = store(chunks("x"), { dryRun: true, destination: join(directory, name) });

    await expect(stored).rejects.toMatchObject({ code: name === "missing" ? "not_found" : "invalid" });
  });

  it("keeps an artifact with nothing in it", async () => {
    const { location } = await store(chunks());

    expect(await readFile(location, "utf8")).toBe("");
  });

  it("never overwrites: artifacts of the same key get numbers", async () => {
    const [first, second, third] = await Promise.all([store(chunks("a")), store(chunks("b")), store(chunks("c"))]);

    const contents = await Promise.all([first, second, third].map(({ location }) => readFile(location, "utf8")));
    expect(contents).toEqual(["a", "b", "c"]);
    const names = [key, `${key}-2`, `${key}-3`].flatMap((name) => [name, `${name}.sha256`]);
    expect((await readdir(directory)).sort()).toEqual(names.sort());
  });

  it("does not follow a symbolic link that has the key's name", async () => {
    const outside = join(directory, "outside");
    await writeFile(outside, "untouched");
    await symlink(outside, join(directory, key));
    await symlink(outside, join(directory, `${key}.partial`));

    const { location } = await store(chunks("evidence"));

    expect(location).toBe(join(directory, `${key}-2`));
    expect(await readFile(outside, "utf8")).toBe("untouched");
  });

  it.each(["../escaped", "a/b", "..", ".", "", "nul\0"])("refuses the key %j", async (hostile) => {
    const stored = store(chunks("x"), { key: hostile });

    await expect(stored).rejects.toMatchObject({ code: "internal" });
    expect(await readdir(directory)).toEqual([]);
  });

  it("leaves nothing behind when the body fails, and says what the body said", async () => {
    async function* failing() {
      yield* chunks("half");
      throw new ActionError("unavailable", "the API server went away");
    }

    const stored = store(failing());

    await expect(stored).rejects.toMatchObject({ code: "unavailable", message: "the API server went away" });
    expect(await readdir(directory)).toEqual([]);
  });

  it("leaves nothing behind when the body hangs and the action is aborted", async () => {
    async function* hanging() {
      yield* chunks("half");
      await new Promise(() => {});
    }

    const stored = store(hanging(), { signal: AbortSignal.timeout(100) });

    await expect(stored).rejects.toMatchObject({ code: "timeout" });
    expect(await readdir(directory)).toEqual([]);
  });

  it("says that the directory does not exist", async () => {
    const stored = store(chunks("x"), { destination: join(directory, "missing") });

    await expect(stored).rejects.toMatchObject({
      code: "not_found",
      message: `the artifact cannot be kept in ${directory}/missing: there is no such directory; create it, or mount a volume there`,
    });
  });

  it.each([
    ["is too long", "x".repeat(5000), "the path is too long for the file system"],
    ["holds a NUL character", "a\0b", "the path holds a NUL character"],
  ])("says that the destination %s", async (_what, name, reason) => {
    const stored = store(chunks("x"), { destination: `${directory}/${name}` });

    await expect(stored).rejects.toMatchObject({
      name: "ActionError",
      code: "invalid",
      message: expect.stringMatching(new RegExp(`: ${reason}$`)),
    });
  });

  it("says that the destination is not a directory", async () => {
    await writeFile(join(directory, "occupied"), "");

    const stored = store(chunks("x"), { destination: join(directory, "occupied") });

    await expect(stored).rejects.toMatchObject({ code: "invalid" });
  });

  it("says that the disk is full", async () => {
    const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    async function* tooMuch() {
      yield* chunks("half");
      throw full;
    }

    const stored = store(tooMuch());

    await expect(stored).rejects.toMatchObject({ code: "unavailable", cause: full });
    expect(await readdir(directory)).toEqual([]);
  });
});
