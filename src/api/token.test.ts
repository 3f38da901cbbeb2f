import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { createKeptToken } from "./token.ts";

describe("the kept token", () => {
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
    expect(lines).toEqual([expect.objectContaining({ msg: expect.stringContaining("or api.token is set") })]);
  });

  it("is there when somebody asks again and it can be kept; the log tells both once", async () => {
    const place = join(await aDirectory(), "state");
    await writeFile(place, "");
    const { kept, lines } = keptIn(place, 0);

    const before = [await kept(), await kept()];
    await rm(place);
    const after = await kept();

    expect(before).toEqual([undefined, undefined]);
    expect(await readFile(join(place, "api-token"), "utf8")).toBe(`${after?.reveal()}\n`);
    expect(lines).toMatchObject([{ level: 50 }, { level: 30, msg: "there is a token for the history now" }]);
  });

  it("is not tried for all the time", async () => {
    const place = join(await aDirectory(), "state");
    await writeFile(place, "");
    const { kept } = keptIn(place, 60_000);
    await kept();
    await rm(place);

    const token = await kept();

    expect(token).toBeUndefined();
  });

  it("is one, however many ask at once", async () => {
    const { kept } = keptIn(join(await aDirectory(), "state"), 0);

    const tokens = await Promise.all([kept(), kept(), kept()]);

    expect(new Set(tokens.map((token) => token?.reveal())).size).toBe(1);
  });
});

async function tokenFor(directory: string) {
  const { kept, lines } = keptIn(directory, 0);
  const secret = await kept();
  return { token: secret?.reveal(), lines };
}

function keptIn(directory: string, againMs: number) {
  const lines: unknown[] = [];
  const logger = pino({ base: undefined }, { write: (line) => void lines.push(JSON.parse(line)) });
  return { kept: createKeptToken({ directory, logger, againMs }), lines };
}

async function aDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "hallux-token-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}
