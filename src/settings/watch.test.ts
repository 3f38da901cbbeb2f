import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { digestOf, readAgain } from "./contents.ts";
import { createWatch, type WatchOptions } from "./watch.ts";

const soon = { timeout: 15_000 };

function place(): string {
  const directory = mkdtempSync(join(tmpdir(), "hallux-watch-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** What the file held each time that something was different; the timer comes to nothing unless it is asked for. */
async function watching(file: string, options: Partial<WatchOptions> = {}) {
  const lines: string[] = [];
  const seen: (string | undefined)[] = [];
  let looks = 0;
  let last = "";
  const watch = createWatch({
    async changed() {
      const contents = await readAgain(new Map([[file, { text: "" }]]));
      const digest = digestOf(contents);
      const content = contents.get(file);
      if (digest !== last) {
        seen.push(content !== undefined && "text" in content ? content.text : undefined);
      }
      last = digest;
      looks += 1;
    },
    logger: pino({ level: "trace" }, { write: (line) => void lines.push(line) }),
    restMs: 50,
    againMs: 3_600_000,
    ...options,
  });
  onTestFinished(() => watch.close());
  watch.follow([file]);
  await vi.waitFor(() => expect(looks).toBeGreaterThan(0), soon);
  return { watch, seen, lines, looks: () => looks };
}

/** A volume as the kubelet writes it: the file is a link through `..data` to the directory of one version. */
function configMap(directory: string, text: string, version: number): void {
  const data = `..version-${version}`;
  mkdirSync(join(directory, data));
  writeFileSync(join(directory, data, "rules.yaml"), text);
  symlinkSync(data, join(directory, "..data_tmp"));
  renameSync(join(directory, "..data_tmp"), join(directory, "..data"));
  if (version === 1) {
    symlinkSync("..data/rules.yaml", join(directory, "rules.yaml"));
  } else {
    rmSync(join(directory, `..version-${version - 1}`), { recursive: true });
  }
}

describe("a change is noticed", () => {
  it("where the kubelet swaps a ConfigMap, again and again", async () => {
    const directory = place();
    configMap(directory, "1", 1);
    const { seen } = await watching(join(directory, "rules.yaml"));

    for (const version of [2, 3, 4]) {
      configMap(directory, String(version), version);
      await vi.waitFor(() => expect(seen.at(-1)).toBe(String(version)), soon);
    }

    expect(seen).toEqual(["1", "2", "3", "4"]);
  });

  it("where an editor puts another file in its place", async () => {
    const file = join(place(), "rules.yaml");
    writeFileSync(file, "1");
    const { seen } = await watching(file);

    for (const text of ["2", "3"]) {
      writeFileSync(`${file}~`, text);
      renameSync(`${file}~`, file);
      await vi.waitFor(() => expect(seen.at(-1)).toBe(text), soon);
    }
  });

  it("where a link on the way to the directory is set to another one", async () => {
    const directory = place();
    for (const version of ["one", "two"]) {
      mkdirSync(join(directory, version));
      writeFileSync(join(directory, version, "rules.yaml"), version);
    }
    symlinkSync("one", join(directory, "current"));
    const { seen } = await watching(join(directory, "current", "rules.yaml"));

    symlinkSync("two", join(directory, "next"));
    renameSync(join(directory, "next"), join(directory, "current"));

    await vi.waitFor(() => expect(seen).toEqual(["one", "two"]), soon);
  });

  it("where the file goes and comes back", async () => {
    const file = join(place(), "rules.yaml");
    writeFileSync(file, "1");
    const { seen } = await watching(file);

    unlinkSync(file);
    await vi.waitFor(() => expect(seen).toEqual(["1", undefined]), soon);
    writeFileSync(file, "2");

    await vi.waitFor(() => expect(seen).toEqual(["1", undefined, "2"]), soon);
  });

  it("where its directory goes, and those above it, and all come back", async () => {
    const directory = place();
    const above = join(directory, "etc");
    const file = join(above, "hallux", "rules.yaml");
    mkdirSync(join(above, "hallux"), { recursive: true });
    writeFileSync(file, "1");
    const { seen } = await watching(file);

    rmSync(above, { recursive: true });
    await vi.waitFor(() => expect(seen).toEqual(["1", undefined]), soon);
    mkdirSync(join(above, "hallux"), { recursive: true });
    writeFileSync(file, "2");

    await vi.waitFor(() => expect(seen.at(-1)).toBe("2"), soon);
  });

  it("where its directory goes that did not hold it yet, and comes back with it", async () => {
    const directory = join(place(), "hallux");
    const file = join(directory, "rules.yaml");
    mkdirSync(directory);
    const { seen, looks } = await watching(file);
    const before = looks();

    rmdirSync(directory);
    await vi.waitFor(() => expect(looks()).toBeGreaterThan(before), soon);
    mkdirSync(directory);
    writeFileSync(file, "1");

    await vi.waitFor(() => expect(seen).toEqual([undefined, "1"]), soon);
  });

  it("where nothing tells of it, by and by", async () => {
    const file = join(place(), "rules.yaml");
    writeFileSync(file, "1");
    const noWatches = () => {
      throw Object.assign(new Error("System limit for number of file watchers reached"), { code: "ENOSPC" });
    };
    const { seen, lines } = await watching(file, { openWatch: noWatches, againMs: 20 });

    writeFileSync(file, "2");

    await vi.waitFor(() => expect(seen).toEqual(["1", "2"]), soon);
    expect(lines.filter((line) => line.includes("System limit"))).toHaveLength(1);
  });
});

describe("a file that is written piece by piece", () => {
  it("is looked at when it has come to rest", async () => {
    const file = join(place(), "rules.yaml");
    writeFileSync(file, "1");
    const { seen } = await watching(file, { restMs: 2_000, mostMs: 60_000 });

    writeFileSync(file, "first half");
    await new Promise((resolve) => setTimeout(resolve, 200));
    appendFileSync(file, ", second half");

    await vi.waitFor(() => expect(seen).toEqual(["1", "first half, second half"]), soon);
  });

  it("is looked at all the same where it never comes to rest", async () => {
    const file = join(place(), "rules.yaml");
    writeFileSync(file, "1");
    const { seen } = await watching(file, { restMs: 200, mostMs: 300 });
    const busy = setInterval(() => appendFileSync(file, "."), 20);
    onTestFinished(() => clearInterval(busy));

    await vi.waitFor(() => expect(seen.length).toBeGreaterThan(2), soon);
  });
});

describe("the watching", () => {
  it("does not care for other files beside it", async () => {
    const directory = place();
    const file = join(directory, "rules.yaml");
    writeFileSync(file, "1");
    const { looks } = await watching(file);
    const before = looks();

    writeFileSync(join(directory, "another"), "1");
    await new Promise((resolve) => setTimeout(resolve, 300));

    expect(looks()).toBe(before);
  });

  it("goes on with other files, and ends with none", async () => {
    const directory = place();
    const [one, other] = [join(directory, "one"), join(directory, "other")];
    writeFileSync(one, "1");
    const { watch, looks } = await watching(one);

    watch.follow([other]);
    await vi.waitFor(() => expect(looks()).toBe(2), soon);
    writeFileSync(other, "1");
    await vi.waitFor(() => expect(looks()).toBeGreaterThan(2), soon);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const before = looks();
    watch.follow([]);
    writeFileSync(other, "2");
    await new Promise((resolve) => setTimeout(resolve, 300));

    expect(looks()).toBe(before);
  });

  it("outlives what cannot be looked at", async () => {
    let looks = 0;
    const changed = async () => {
      looks += 1;
      throw new Error("no");
    };
    const watch = createWatch({ changed, logger: pino({ level: "silent" }), againMs: 10 });
    onTestFinished(() => watch.close());

    watch.follow([join(place(), "rules.yaml")]);

    await vi.waitFor(() => expect(looks).toBeGreaterThan(2), soon);
  });

  it("leaves no watch behind, however often all is opened again", async () => {
    const file = join(place(), "rules.yaml");
    writeFileSync(file, "1");
    let open = 0;
    const { looks, watch } = await watching(file, {
      againMs: 0,
      openWatch: () => {
        open += 1;
        const close = () => {
          open -= 1;
        };
        return { close, on: () => undefined as never };
      },
    });

    await vi.waitFor(() => expect(looks()).toBeGreaterThan(200), soon);

    expect(open).toBe(1);
    watch.close();
    await vi.waitFor(() => expect(open).toBe(0), soon);
  });
});
