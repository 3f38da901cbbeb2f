import { readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { acceptAll, courseOf, planned, respond, take } from "../../test/support/ledger-contract.ts";
import { sampleCatalogue } from "../../test/support/sample-catalogue.ts";
import { newDirectory, openLedger } from "../../test/support/sqlite-ledger.ts";
import { ledgerCommand } from "./ledger.ts";

describe("ledger check", () => {
  it("tells what is in the files, also while a server has them", async () => {
    const { directory, waiting } = await filledLedger();

    const { out, err, code } = await run(["check", "--path", directory]);

    expect(out.replaceAll(/[\d.]+ MiB/g, "… MiB").replace(/since 20\S+Z$/m, "since …")).toBe(
      [
        `file            ${directory}/ledger.db, version 1`,
        `in use by       process ${process.pid} on ${hostname()} since …`,
        "size            … MiB, … MiB of it unused",
        `waiting events  1, the oldest since ${waiting?.receivedAt}`,
        "ended events    1",
        "responses       2",
        "duplicates      1",
        "damage          none",
        "",
      ].join("\n"),
    );
    expect({ err, code }).toEqual({ err: "", code: 0 });
  });

  it("tells it as JSON, and that nobody has the files", async () => {
    const { directory, close } = await filledLedger();
    await close();

    const { out } = await run(["check", "--path", directory, "-o", "json"]);

    expect(JSON.parse(out)).toMatchObject({ version: 1, waiting_events: 1, ended_events: 1, responses: 2, damage: [] });
    expect(JSON.parse(out)).not.toHaveProperty("in_use_by");
  });

  it("tells that a file is damaged, and exits 1", async () => {
    const { directory, close } = await filledLedger();
    await close();
    damage(directory, "finished");

    const { out, code } = await run(["check", "--path", directory]);

    expect(out).toMatch(/damage {10}the file is damaged.*export.*\n {2}\S/);
    expect(code).toBe(1);
  });

  it("tells each fault on a line of its own", async () => {
    const directory = newDirectory();
    const ledger = await openLedger(directory);
    await acceptAll(ledger, [{ output: "x".repeat(50_000) }]);
    await ledger.close();
    damageOverflowOf(directory, "unfinished");

    const { out } = await run(["check", "--path", directory]);

    expect(out).toMatch(/\n {2}Tree \d+ page \d+/);
    expect(out).not.toContain(String.raw`\u000a`);
  });

  it("tells that a file is none of SQLite's", async () => {
    const directory = newDirectory();
    writeFileSync(join(directory, "ledger.db"), "x".repeat(5000));

    const { out, code } = await run(["check", "--path", directory]);

    expect(out).toContain("file is not a database");
    expect(out).toContain("waiting events  unknown");
    expect(code).toBe(1);
  });

  it("looks where the configuration says, else where the state is kept", async () => {
    const [configured, state] = [newDirectory(), newDirectory()];

    const byConfig = await run(
      ["check", "-c", "config.yaml"],
      { "config.yaml": `ledger: {path: ${configured}}` },
      state,
    );
    const byDefault = await run(["check"], {}, state);
    const inNats = await run(["check", "-c", "config.yaml"], { "config.yaml": "ledger: {driver: nats}" }, state);

    expect(byConfig.err).toBe(`error: there is no ledger in ${configured}: --path names another directory\n`);
    expect(byDefault.err).toContain(`there is no ledger in ${state}:`);
    expect(inNats.err).toContain("ledger.driver is nats");
    expect([byConfig, byDefault, inNats].map(({ code }) => code)).toEqual([1, 1, 1]);
  });
});

describe("ledger export", () => {
  it("prints events, responses and duplicates, one on each line", async () => {
    const { directory, ended, waiting, repeat } = await filledLedger();

    const { out, err, code } = await run(["export", "--path", directory]);

    expect(linesOf(out)).toEqual([
      {
        type: "event",
        id: ended?.id,
        received_at: ended?.receivedAt,
        finished_at: expect.stringMatching(/Z$/),
        text: ended?.text,
      },
      { type: "event", id: waiting?.id, received_at: waiting?.receivedAt, finished_at: null, text: waiting?.text },
      { type: "response", id: "r-1", event_id: ended?.id, transitions: asJson(courseOf("r-1", ended, ["success"])) },
      { type: "response", id: "r-2", event_id: waiting?.id, transitions: asJson([planned("r-2", waiting)]) },
      { type: "duplicate", id: repeat?.id, of: ended?.id, at: expect.stringMatching(/Z$/) },
    ]);
    expect({ err, code }).toEqual({ err: "", code: 0 });
  });

  it("prints what comes before and after the damage, and says what it cannot read", async () => {
    const directory = newDirectory();
    const ledger = await openLedger(directory, { windowSeconds: 0 });
    const events = await acceptAll(
      ledger,
      Array.from({ length: 50 }, (_, n) => ({ pod: `shop/p-${n}` })),
    );
    await ledger.close();
    damage(directory, "unfinished");

    const { out, err, code } = await run(["export", "--path", directory]);

    const ids = linesOf(out).map(({ id }) => id);
    expect(err).toMatch(/^cannot be read: table unfinished, seq \d+ to \d+: database disk image is malformed\n$/);
    expect(ids.length).toBeLessThan(50);
    expect(ids).toContain(events.at(-1)?.id);
    expect(ids).toEqual(events.map(({ id }) => id).filter((id) => ids.includes(id)));
    expect(code).toBe(1);
  });

  it("does not complain of rows that are all there", async () => {
    const directory = newDirectory();
    const ledger = await openLedger(directory, { windowSeconds: 0 });
    await acceptAll(
      ledger,
      Array.from({ length: 40 }, (_, n) => ({ pod: `shop/p-${n}`, output: "x".repeat(n % 5 === 2 ? 20_000 : 10) })),
    );
    await ledger.close();
    damageOverflowOf(directory, "unfinished");

    const { out, err } = await run(["export", "--path", directory]);

    const ranges = [...err.matchAll(/seq (\d+) to (\d+):/g)].map(([, from, to]) => Number(to) - Number(from) + 1);
    expect(Math.min(...ranges)).toBeGreaterThan(0);
    expect(ranges.reduce((sum, rows) => sum + rows, 0)).toBe(40 - linesOf(out).length);
  });

  it("says that there is no ledger", async () => {
    const directory = newDirectory();

    const { err, code } = await run(["export", "--path", directory]);

    expect({ err, code }).toEqual({
      err: `error: there is no ledger in ${directory}: --path names another directory\n`,
      code: 1,
    });
  });
});

/** One event that ended, with a duplicate, and one that waits, each with a response. */
async function filledLedger() {
  const directory = newDirectory();
  const ledger = await openLedger(directory);
  const [ended, repeat] = await acceptAll(ledger, [{ uuid: "1", output: "\u009b31m" }, { uuid: "1" }]);
  await respond(ledger, "r-1");
  const [waiting] = await acceptAll(ledger, [{ uuid: "2" }]);
  const [work] = await take(ledger, 1);
  await work?.record([planned("r-2", waiting)]);
  return { directory, ended, repeat, waiting, close: () => ledger.close() };
}

/** One page of the table, not its first. */
function damage(directory: string, table: string): void {
  const file = join(directory, "ledger.db");
  const db = new DatabaseSync(file, { readOnly: true });
  const pages = db.prepare("SELECT pageno FROM dbstat WHERE name = ? ORDER BY pageno").all(table);
  const pageSize = Number(db.prepare("PRAGMA page_size").get()?.["page_size"]);
  db.close();
  const content = readFileSync(file);
  const page = Number(pages[Math.min(pages.length - 1, 1)]?.["pageno"]);
  content.fill(0xff, (page - 1) * pageSize, page * pageSize);
  writeFileSync(file, content);
}

/** Where the texts go on that are too long for a page. */
function damageOverflowOf(directory: string, table: string): void {
  const file = join(directory, "ledger.db");
  const db = new DatabaseSync(file, { readOnly: true });
  const pages = db.prepare("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'overflow'").all(table);
  const pageSize = Number(db.prepare("PRAGMA page_size").get()?.["page_size"]);
  db.close();
  const content = readFileSync(file);
  for (const { pageno } of pages) {
    content.fill(0xff, (Number(pageno) - 1) * pageSize, Number(pageno) * pageSize);
  }
  writeFileSync(file, content);
}

function linesOf(out: string): Record<string, unknown>[] {
  return out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

function asJson(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

async function run(args: readonly string[], files: Readonly<Record<string, string>> = {}, stateDirectory = "/nowhere") {
  const ran = { out: "", err: "", code: 0 };
  await ledgerCommand({
    catalogue: sampleCatalogue(),
    env: {},
    readFile: (path) => {
      const content = files[path];
      if (content === undefined) {
        throw Object.assign(new Error("no such file"), { code: "ENOENT" });
      }
      return content;
    },
    stateDirectory,
    write: (text) => {
      ran.out += text;
    },
    writeError: (text) => {
      ran.err += text;
    },
    setExitCode: (code) => {
      ran.code = code;
    },
  }).parseAsync([...args], { from: "user" });
  return ran;
}
