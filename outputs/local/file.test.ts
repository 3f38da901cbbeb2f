import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ActionError } from "../../src/catalogue/errors.ts";
import type { Clients } from "../../src/clients/clients.ts";
import { file } from "./file.ts";

const never = new AbortController().signal;
const key = "2026-11-21T08-15-00Z_shop_cart-1_log";

let directory = "";

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "hallux-file-"));
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

function store(
  body: AsyncIterable<Uint8Array>,
  overrides: { key?: string; destination?: string; signal?: AbortSignal } = {},
) {
  return file.store({
    artifact: { key: overrides.key ?? key, contentType: "text/plain", body },
    params: { destination: overrides.destination ?? directory },
    settings: {},
    clients: {} as Clients,
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
    expect(await readdir(directory)).toEqual([key]);
  });

  it("keeps an artifact with nothing in it", async () => {
    const { location } = await store(chunks());

    expect(await readFile(location, "utf8")).toBe("");
  });

  it("never overwrites: artifacts of the same key get numbers", async () => {
    const [first, second, third] = await Promise.all([store(chunks("a")), store(chunks("b")), store(chunks("c"))]);

    const contents = await Promise.all([first, second, third].map(({ location }) => readFile(location, "utf8")));
    expect(contents).toEqual(["a", "b", "c"]);
    expect((await readdir(directory)).sort()).toEqual([key, `${key}-2`, `${key}-3`]);
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

  it("shortens a key that is too long for a file name", async () => {
    const long = `2026-11-21T08-15-00Z_${"n".repeat(63)}_${"p".repeat(253)}_log`;

    const { location } = await store(chunks("x"), { key: long });

    expect(await readFile(location, "utf8")).toBe("x");
    expect(location).toMatch(/2026-11-21T08-15-00Z_n+_p+_log$/);
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
