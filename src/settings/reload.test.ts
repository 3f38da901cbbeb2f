import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { realCatalogue } from "../../test/support/real-catalogue.ts";
import type { Contents } from "./contents.ts";
import { type LoadedSettings, loadSettings, type Settings } from "./load.ts";
import { createReloader, type ReloadOptions } from "./reload.ts";

const soon = { timeout: 20_000 };
const bad = "- rule: R\n  matsch: {}\n";
const good = (name: string) =>
  `- rule: ${name}\n  match: {}\n  actions: [{ action: A, actionner: "kubernetes:label", parameters: { labels: { a: b } } }]\n`;

interface Line {
  readonly level: string;
  readonly msg: string;
}

interface Overrides extends Partial<ReloadOptions> {
  /** Is called when the files have been read, with how often that was. */
  readonly read?: (loads: number) => void;
}

/** A reloader of one rules file, whose applied rules are remembered by name. */
async function reloading({ read = () => undefined, ...overrides }: Overrides = {}) {
  const directory = mkdtempSync(join(tmpdir(), "hallux-reload-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, "rules.yaml");
  const write = (text: string) => writeFileSync(file, text);
  write(good("first"));
  const options = {
    rulesFiles: [file],
    env: {},
    catalogue: realCatalogue,
    readFile: (path: string) => readFileSync(path, "utf8"),
  };
  let loads = 0;
  const load = async (known?: Contents) => {
    loads += 1;
    const reading = await loadSettings(options, known);
    read(loads);
    return reading;
  };
  const lines: Line[] = [];
  const applied: string[] = [];
  const followed: string[][] = [];
  const apply = async ({ rules }: Settings) => {
    applied.push(rules.rules.map(({ name }) => name).join(" "));
    return [];
  };
  const reloader = createReloader({
    first: (await load()) as LoadedSettings,
    load,
    apply,
    follow: (files) => void followed.push([...files]),
    logger: pino(
      { level: "debug", base: undefined, formatters: { level: (level) => ({ level }) } },
      { write: (line) => void lines.push(JSON.parse(line)) },
    ),
    clock: () => new Date(),
    secondLookMs: 50,
    ...overrides,
  });
  onTestFinished(() => reloader.stop());
  return { reloader, write, file, lines, applied, followed, loads: () => loads };
}

describe("a reload", () => {
  it("puts what is right in force", async () => {
    const { reloader, write, applied } = await reloading();
    const before = reloader.state();
    write(good("second"));

    const reloaded = await reloader.reload("files");

    expect(reloaded).toMatchObject({ status: "reloaded", restartNeeded: [] });
    expect(applied).toEqual(["second"]);
    expect(reloader.state().hash).not.toBe(before.hash);
  });

  it("does nothing where nothing changed, whoever asks", async () => {
    const { reloader, applied, loads } = await reloading();

    const answers = [await reloader.reload("files"), await reloader.reload("signal"), await reloader.reload("request")];

    expect(answers.map(({ status }) => status)).toEqual(["unchanged", "unchanged", "unchanged"]);
    expect(applied).toEqual([]);
    expect(loads()).toBe(1);
  });

  it("changes nothing where something is wrong, says so once, and again to whoever asks", async () => {
    const { reloader, write, applied, lines } = await reloading();
    const { hash } = reloader.state();
    write(bad);

    await reloader.reload("files");
    await reloader.reload("files");
    await reloader.reload("files");
    const told = lines.filter(({ level }) => level === "error").length;
    const asked = await reloader.reload("request");

    expect(applied).toEqual([]);
    expect(told).toBe(2);
    expect(asked).toMatchObject({ status: "refused", hash, problems: [{ line: 2, column: 3 }] });
    expect(reloader.state()).toMatchObject({ hash, problems: [{ line: 2 }] });
  });

  it("forgets what was wrong when the files are again what is in force", async () => {
    const { reloader, write, applied } = await reloading();
    write(bad);
    await reloader.reload("files");

    write(good("first"));
    const reloaded = await reloader.reload("files");

    expect(reloaded.status).toBe("unchanged");
    expect(reloader.state().problems).toEqual([]);
    expect(applied).toEqual([]);
  });

  it("watches what could not be loaded, to see it mended", async () => {
    const { reloader, write, file, followed } = await reloading();
    write(bad);

    await reloader.reload("files");

    expect(followed.at(-1)).toContain(file);
  });

  it("says that it could not be put in force, and tries again when it is asked to", async () => {
    let faults = 1;
    const apply = async () => {
      if (faults > 0) {
        faults -= 1;
        throw new Error("no");
      }
      return [];
    };
    const { reloader, write } = await reloading({ apply });
    write(good("second"));

    expect(await reloader.reload("files")).toMatchObject({ status: "refused" });
    expect(await reloader.reload("signal")).toMatchObject({ status: "reloaded" });
  });

  it("says that it could not be loaded, whatever the fault", async () => {
    const { reloader, write, lines } = await reloading({ load: () => Promise.reject(new Error("no")) });
    write(good("second"));

    expect(await reloader.reload("signal")).toMatchObject({ status: "refused" });
    expect(lines.some(({ level }) => level === "error")).toBe(true);
  });

  it("does nothing any more once it is stopped", async () => {
    const { reloader, write, applied } = await reloading();
    write(good("second"));
    reloader.stop();

    await expect(reloader.reload("request")).rejects.toThrow();

    expect(applied).toEqual([]);
  });
});

describe("a file that is at fault for a moment", () => {
  it("is not told of, and what comes after is in force", async () => {
    const mend = (loads: number) => void (loads === 2 && write(good("second")));
    const { reloader, write, applied, lines, loads } = await reloading({ read: mend });
    write(bad);

    const reloaded = await reloader.reload("files");

    expect([reloaded.status, loads()]).toEqual(["reloaded", 3]);
    expect(applied).toEqual(["second"]);
    expect(lines.filter(({ level }) => level === "error")).toEqual([]);
  });

  it("is told of at once to whoever asked", async () => {
    const { reloader, write } = await reloading({ secondLookMs: 3_600_000 });
    write(bad);

    expect(await reloader.reload("request")).toMatchObject({ status: "refused" });
  });
});

describe("reloads at the same time", () => {
  it("come one after the other; those that wait are answered by one", async () => {
    const gates: PromiseWithResolvers<void>[] = [];
    const names: string[] = [];
    const apply = async ({ rules }: Settings) => {
      names.push(rules.rules.map(({ name }) => name).join());
      const gate = Promise.withResolvers<void>();
      gates.push(gate);
      await gate.promise;
      return [];
    };
    const { reloader, write } = await reloading({ apply });
    write(good("second"));
    const first = reloader.reload("request");
    await vi.waitFor(() => expect(gates).toHaveLength(1), soon);

    write(good("third"));
    const waiting = [reloader.reload("request"), reloader.reload("signal"), reloader.reload("files")];
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(gates).toHaveLength(1);
    gates[0]?.resolve();
    await vi.waitFor(() => expect(gates).toHaveLength(2), soon);
    gates[1]?.resolve();

    expect(await first).toMatchObject({ status: "reloaded" });
    expect(new Set(await Promise.all(waiting)).size).toBe(1);
    expect(names).toEqual(["second", "third"]);
  });

  it("never put an older set over a newer one, however many ask", async () => {
    const { reloader, write, applied } = await reloading();
    const asked: Promise<unknown>[] = [];
    for (let round = 0; round < 50; round += 1) {
      write(good(`r${round}`));
      asked.push(reloader.reload(round % 2 === 0 ? "request" : "signal"));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(asked);

    const rounds = applied.map((name) => Number(name.slice(1)));
    expect(rounds).toEqual(rounds.toSorted((one, other) => one - other));
    expect(applied.at(-1)).toBe("r49");
  });
});
