import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { Secret } from "../schema/secret.ts";
import { apiToken } from "./token.ts";

describe("apiToken", () => {
  it("is the configured one, and nothing is written", async () => {
    const directory = await aDirectory();

    const { token } = await tokenFor(directory, new Secret("configured"));

    expect(token).toBe("configured");
    expect(await readdir(directory)).toEqual([]);
  });

  it("is made and kept where only its owner can read it", async () => {
    const directory = join(await aDirectory(), "not", "there", "yet");

    const { token } = await tokenFor(directory);

    expect(token).toMatch(/^[\w-]{43}$/);
    expect(await readdir(directory)).toEqual(["api-token"]);
    expect(await readFile(join(directory, "api-token"), "utf8")).toBe(`${token}\n`);
    expect((await stat(join(directory, "api-token"))).mode & 0o777).toBe(0o600);
  });

  it("is the same after a restart", async () => {
    const directory = await aDirectory();

    const first = await tokenFor(directory);
    const second = await tokenFor(directory);

    expect(second).toEqual({ token: first.token, lines: [] });
  });

  it("is a new one where others could read the old one", async () => {
    const directory = await aDirectory();
    const first = await tokenFor(directory);
    await chmod(join(directory, "api-token"), 0o640);

    const second = await tokenFor(directory);

    expect(second.token).not.toBe(first.token);
    expect((await stat(join(directory, "api-token"))).mode & 0o777).toBe(0o600);
    expect(second.lines).toEqual([expect.objectContaining({ msg: expect.stringContaining("others could read") })]);
  });

  it.each([
    ["empty", ""],
    ["cut short", "abc"],
    ["something else", `${"x".repeat(42)}\u001b`],
  ])("is a new one where the file is %s", async (_, content) => {
    const directory = await aDirectory();
    await writeFile(join(directory, "api-token"), content, { mode: 0o600 });

    const { token } = await tokenFor(directory);

    expect(token).toMatch(/^[\w-]{43}$/);
    expect(await readFile(join(directory, "api-token"), "utf8")).toBe(`${token}\n`);
  });

  it("is none where it cannot be kept, and the log says what to do", async () => {
    const directory = await aDirectory();
    await writeFile(join(directory, "a-file"), "");

    const { token, lines } = await tokenFor(join(directory, "a-file"));

    expect(token).toBeUndefined();
    expect(lines).toEqual([expect.objectContaining({ msg: expect.stringContaining("until api.token is set") })]);
  });

  it("is none without a directory", async () => {
    const { token } = await tokenFor(undefined);

    expect(token).toBeUndefined();
  });
});

async function tokenFor(directory: string | undefined, configured?: Secret) {
  const lines: unknown[] = [];
  const logger = pino({ base: undefined }, { write: (line) => void lines.push(JSON.parse(line)) });
  const secret = await apiToken({ configured, directory, logger });
  return { token: secret?.reveal(), lines };
}

async function aDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "hallux-token-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}
