import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { eventOf } from "../../../test/support/events.ts";
import { acceptAll, planned, respond, take, taker } from "../../../test/support/ledger-contract.ts";
import { newDirectory, openLedger } from "../../../test/support/sqlite-ledger.ts";
import type { Ledger } from "../ledger.ts";
import { createSqliteLedger } from "./ledger.ts";
import { migrate, migrations, schemaVersion } from "./migrations.ts";
import { openStore } from "./store.ts";

const child = fileURLToPath(new URL("../../../test/support/ledger-child.ts", import.meta.url));
const generous = 60_000;

vi.setConfig({ testTimeout: generous });

describe("a process that is killed", () => {
  it(
    "leaves every event that it accepted, and no lock",
    async () => {
      const directory = newDirectory();
      const accepted: string[] = [];

      for (let round = 0; round < 3; round++) {
        const { process, lines } = start(directory);
        await vi.waitFor(() => expect(lines.length).toBeGreaterThan(50), generous);
        process.kill("SIGKILL");
        await once(process, "close");
        accepted.push(...lines.slice(1));
      }
      const ledger = await openLedger(directory);
      await ledger.close();

      const waiting = new Set(idsOf(directory, "unfinished"));
      expect(ledger.faults()).toEqual(["the ledger is closed: Hallux is stopping"]);
      expect(accepted.length).toBeGreaterThanOrEqual(150);
      expect(accepted.filter((id) => !waiting.has(id))).toEqual([]);
    },
    generous,
  );
});

describe("a second process", () => {
  it(
    "is refused, and told who has the ledger",
    async () => {
      const directory = newDirectory();
      const first = start(directory);
      await vi.waitFor(() => expect(first.lines[0]).toBe("open"), generous);

      const second = start(directory);
      const complaint = await second.complaint;

      expect(complaint).toMatch(
        new RegExp(
          `^the ledger in ${directory} belongs to process ${first.process.pid} on ${hostname()} since 20.*Z: end that`,
        ),
      );
      expect(second.process.exitCode).toBe(1);
      expect(first.process.exitCode).toBeNull();
    },
    generous,
  );

  it("is refused within one process, too, and not after the first is closed", async () => {
    const directory = newDirectory();
    const first = await openLedger(directory);

    await expect(openLedger(directory)).rejects.toThrow(`belongs to process ${process.pid} on`);
    await expect(openLedger(directory, { thread: true })).rejects.toThrow("belongs to process");
    await first.close();

    expect((await openLedger(directory)).faults()).toEqual([]);
  });
});

describe("a log that was cut off in the middle of a write", () => {
  it("is read up to there", async () => {
    const [directory, copy] = [newDirectory(), newDirectory()];
    const ledger = await openLedger(directory);
    const events = await acceptAll(ledger, [{ pod: "shop/a" }, { pod: "shop/b" }, { pod: "shop/c" }]);
    for (const name of ["ledger.db", "ledger.db-wal"]) {
      copyFileSync(join(directory, name), join(copy, name));
    }
    const log = join(copy, "ledger.db-wal");
    truncateSync(log, statSync(log).size - 100);

    const cut = await openLedger(copy);
    const taken = await take(cut, 2);

    expect(taken.map(({ event }) => event.id)).toEqual(events.slice(0, 2).map(({ id }) => id));
    expect(cut.backlog().events).toBe(2);
    expect(await cut.accept(eventOf())).toEqual({ status: "accepted" });
  });
});

describe("a file of an older version", () => {
  const laterMigrations = [
    ...migrations,
    "ALTER TABLE repeats ADD COLUMN from_host TEXT; UPDATE repeats SET from_host = 'unknown'",
  ];

  it("is brought to this version, with all that is in it", async () => {
    const directory = newDirectory();
    fileOfVersion1(directory);

    const ledger = await openLedger(directory);
    const [work] = await take(ledger, 1);
    const page = await ledger.responses({ limit: 10 });
    const detail = await ledger.response("r-1");
    const repeated = await ledger.accept(eventOf({ uuid: "old" }));

    expect(work?.event).toMatchObject({ id: "event-2", rule: "Waits", receivedAt: "2026-11-21T08:00:02.000Z" });
    expect(work?.history).toEqual([planned("r-2", work?.event)]);
    expect(page.responses.map(({ response }) => response)).toEqual(["r-2", "r-1"]);
    expect(detail?.repeats).toEqual([{ event: "event-1b", at: "2026-11-21T08:00:05.000Z" }]);
    expect(repeated).toEqual({ status: "duplicate", of: "event-1" });
  });

  it("goes through each version, once", () => {
    const directory = newDirectory();
    fileOfVersion1(directory);
    const db = new DatabaseSync(join(directory, "ledger.db"));
    onTestFinished(() => db.close());

    migrate(db, laterMigrations);
    migrate(db, laterMigrations);

    expect(schemaVersion(db)).toBe(migrations.length + 1);
    expect(db.prepare("SELECT id, from_host FROM repeats").all()).toEqual([
      expect.objectContaining({ id: "event-1b", from_host: "unknown" }),
    ]);
  });

  it("stays as it was where a step fails", () => {
    const db = new DatabaseSync(":memory:");
    onTestFinished(() => db.close());
    migrate(db);

    expect(() => migrate(db, [...migrations, "CREATE TABLE extra (a); CREATE TABLE repeats (a)"])).toThrow();

    expect(schemaVersion(db)).toBe(migrations.length);
    expect(db.prepare("SELECT name FROM sqlite_master WHERE name = 'extra'").all()).toEqual([]);
  });
});

describe("retention", () => {
  it("removes what ended long ago with all that belongs to it, and nothing that waits", async () => {
    let now = Date.parse("2026-11-01T00:00:00Z");
    const directory = newDirectory();
    const options = { clock: () => now, retention: { ageMs: 3_600_000, bytes: 1e12 } };
    const ledger = await openLedger(directory, options);
    await acceptAll(ledger, [{ uuid: "old" }, { uuid: "old" }]);
    await respond(ledger, "r-old");
    await acceptAll(ledger, [{ uuid: "waits" }]);
    const [waiting] = await take(ledger, 1);
    await waiting?.record([planned("r-waits", waiting.event)]);

    now += 3_600_000;
    await acceptAll(ledger, [{ uuid: "new" }, { uuid: "new" }]);
    await respond(ledger, "r-new");
    await vi.waitFor(async () => expect(await ledger.response("r-old")).toBeUndefined(), generous);
    const page = await ledger.responses({ limit: 10 });
    await ledger.close();

    expect(page.responses.map(({ response }) => response).sort()).toEqual(["r-new", "r-waits"]);
    expect(rowsOf(directory)).toEqual({ unfinished: 1, finished: 1, steps: 2, responses: 2, repeats: 1 });
  });

  it(
    "removes the oldest where the file grows too large, and gives the space back",
    async () => {
      const directory = newDirectory();
      const ledger = await openLedger(directory, { retention: { ageMs: 1e12, bytes: 4_000_000 }, windowSeconds: 0 });
      const next = taker(ledger);
      const ids: string[] = [];
      for (let n = 0; n < 300; n++) {
        await ledger.accept(eventOf({ output: "x".repeat(100_000) }));
        const work = await next();
        await work.record([planned(`r-${n}`, work.event)]);
        await work.finish();
        ids.push(`r-${n}`);
      }
      await vi.waitFor(() => expect(sizeOf(directory, "ledger.db")).toBeLessThan(24_000_000), generous);
      const { responses } = await ledger.responses({ limit: 1000 });
      await ledger.close();

      expect(responses.length).toBeGreaterThan(0);
      expect(responses.length).toBeLessThan(100);
      expect(responses.map(({ response }) => response)).toEqual(ids.slice(-responses.length).reverse());
      expect(sizeOf(directory, "ledger.db")).toBeLessThan(24_000_000);
    },
    generous,
  );

  it(
    "keeps the write-ahead log small",
    async () => {
      const directory = newDirectory();
      const ledger = await openLedger(directory, { windowSeconds: 0 });
      const next = taker(ledger);

      for (let n = 0; n < 300; n++) {
        await ledger.accept(eventOf({ output: "x".repeat(100_000) }));
        await (await next()).finish();
      }

      expect(sizeOf(directory, "ledger.db-wal")).toBeLessThan(16_777_216);
    },
    generous,
  );

  it("ends where somebody has rebuilt the file so that it gives no space back", async () => {
    const directory = newDirectory();
    openStore(directory, 1).close();
    const db = new DatabaseSync(join(directory, "ledger.db"));
    db.exec("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM");
    db.close();
    const store = openStore(directory, 1);
    onTestFinished(() => store.close());
    const row = { receivedAt: "2026-11-21T08:00:00.000Z", at: 1, key: null, text: "x".repeat(100_000) };
    const events = Array.from({ length: 300 }, (_, n) => ({ ...row, seq: n + 1, id: `e-${n}` }));
    store.commit({ events, repeats: [], steps: [], finished: [], at: 1 });
    store.commit({
      events: [],
      repeats: [],
      steps: [],
      finished: events.map(({ seq }) => ({ seq, kept: false })),
      at: 1,
    });

    const more = Array.from({ length: 3 }, () => store.tend({ before: 0, bytes: 1e9, backlogBytes: 0 }));

    expect(more.at(-1)).toBe(false);
  });

  it("goes in small steps: events are written between them", async () => {
    const store = openStore(":memory:", 1);
    onTestFinished(() => store.close());
    const row = { receivedAt: "2026-11-21T08:00:00.000Z", at: 1, key: null, text: "{}" };
    const events = Array.from({ length: 1000 }, (_, n) => ({ ...row, seq: n + 1, id: `e-${n}` }));
    const finished = events.map(({ seq }) => ({ seq, kept: true }));
    store.commit({ events, repeats: [], steps: [], finished, at: 1 });

    const left: unknown[] = [];
    for (let more = true; more; ) {
      more = store.tend({ before: 2, bytes: 1e9, backlogBytes: 0 });
      left.push(store.db.prepare("SELECT count(*) AS n FROM finished").get()?.["n"]);
    }

    expect(left.length).toBeGreaterThan(10);
    expect(left.at(-1)).toBe(0);
  });
});

describe("a slow disk", () => {
  it(
    "does not stop this thread: while a commit hangs, everything else goes on",
    async () => {
      const directory = newDirectory();
      const [slow, goOn] = [join(directory, "slow.mjs"), join(directory, "go-on")];
      writeFileSync(
        slow,
        `import { existsSync } from "node:fs";
        globalThis.halluxFailpoint = (step) => {
          while (step === "event-before-commit" && !existsSync(${JSON.stringify(goOn)})) {
            Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
          }
        };`,
      );
      const ledger = await openLedger(directory, { thread: true, execArgv: ["--import", slow] });
      const course: string[] = [];

      const accepting = ledger.accept(eventOf()).then(() => course.push("accepted"));
      for (const turn of ["first turn", "second turn"]) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        course.push(turn);
      }
      const [work] = await take(ledger, 1);
      course.push("given");
      writeFileSync(goOn, "");
      await accepting;

      expect(course).toEqual(["first turn", "second turn", "given", "accepted"]);
      await expect(work?.durable).resolves.toBeUndefined();
    },
    generous,
  );

  it("collects what comes while a commit is under way into the next one", async () => {
    const directory = newDirectory();
    const commits: number[] = [];
    globalThis.halluxFailpoint = (step) => {
      if (step === "event-committed") {
        commits.push(1);
      }
    };
    onTestFinished(() => {
      globalThis.halluxFailpoint = undefined;
    });
    const ledger = await openLedger(directory);

    await Promise.all(Array.from({ length: 100 }, (_, n) => ledger.accept(eventOf({ pod: `shop/p-${n}` }))));

    expect(commits).toHaveLength(1);
  });
});

describe("a question about history", () => {
  it("does not hold up commits, however long it takes, nor do they hold it up", async () => {
    const directory = newDirectory();
    const ledger = await openLedger(directory, { thread: true });
    await acceptAll(ledger, [{ pod: "shop/a" }]);
    const reader = new DatabaseSync(join(directory, "ledger.db"), { readOnly: true });
    onTestFinished(() => reader.close());
    const rows = reader.prepare("SELECT seq FROM unfinished").iterate();
    rows.next();

    const [, answer] = await Promise.all([acceptAll(ledger, [{ pod: "shop/b" }]), ledger.responses({ limit: 10 })]);

    expect(answer.responses).toEqual([]);
    expect(ledger.backlog().events).toBe(2);
  });
});

describe("a large backlog", () => {
  it("is kept in memory up to a bound only, and given whole and in order", async () => {
    const ledger = await openLedger(newDirectory(), { windowSeconds: 0 });
    const output = "x".repeat(1_000_000);
    const events = await acceptAll(
      ledger,
      Array.from({ length: 25 }, () => ({ pod: "shop/a", output })),
    );
    const next = taker(ledger);
    const given: unknown[] = [];

    for (const event of events) {
      const work = await next();
      given.push(work.event.id);
      expect(work.event).toEqual(event);
      await work.finish();
    }

    expect(given).toEqual(events.map(({ id }) => id));
    expect(ledger.backlog()).toMatchObject({ events: 0, bytes: 0, oldestAt: undefined });
  });

  it(
    "is taken over by a process that has not the memory for all of it",
    async () => {
      const directory = newDirectory();
      const ledger = await openLedger(directory, { windowSeconds: 0 });
      const output = "x".repeat(1_000_000);
      await acceptAll(
        ledger,
        Array.from({ length: 100 }, () => ({ output })),
      );
      await ledger.close();

      const { lines } = start(directory, ["--max-old-space-size=64"]);

      await vi.waitFor(() => expect(lines.length).toBeGreaterThan(1), generous);
    },
    generous,
  );
});

describe("a ledger in memory", () => {
  it("needs no directory", async () => {
    const ledger: Ledger = await createSqliteLedger({
      directory: ":memory:",
      pid: 1,
      windowSeconds: 5,
      backlogBytes: 1e6,
      retention: { ageMs: 1e9, bytes: 1e9 },
      clock: Date.now,
      remark: () => undefined,
      thread: false,
    });
    const [event] = await acceptAll(ledger, [{ pod: "shop/a" }]);

    await respond(ledger, "r-1");

    expect((await ledger.response("r-1"))?.event).toEqual(event);
    await ledger.close();
  });
});

interface Child {
  readonly process: ChildProcess;
  /** Of its standard output, so far. */
  readonly lines: string[];
  /** All of its standard error, when it has ended. */
  readonly complaint: Promise<string>;
}

function start(directory: string, flags: readonly string[] = []): Child {
  const started = spawn(process.execPath, [...flags, child, directory], { stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => {
    started.kill("SIGKILL");
  });
  const lines: string[] = [];
  createInterface({ input: started.stdout }).on("line", (line) => lines.push(line));
  const complaint = Promise.all([text(started.stderr), once(started, "close")]).then(([said]) => said);
  return { process: started, lines, complaint };
}

/** As the first Hallux with tables wrote it. */
function fileOfVersion1(directory: string): void {
  const db = new DatabaseSync(join(directory, "ledger.db"));
  migrate(db, migrations.slice(0, 1));
  const eventText = (rule: string, uuid: string) => JSON.stringify({ rule, priority: "Notice", uuid });
  const steps = (response: string, event: string) => JSON.stringify([planned(response, { ...eventOf(), id: event })]);
  db.prepare(
    "INSERT INTO finished VALUES (1, 1795248005000, 'event-1', '2026-11-21T08:00:00.000Z', 1795248000000, 'uuid old', ?)",
  ).run(eventText("Ended", "old"));
  db.prepare(
    "INSERT INTO unfinished VALUES (2, 'event-2', '2026-11-21T08:00:02.000Z', 1795248002000, 'uuid new', ?)",
  ).run(eventText("Waits", "new"));
  db.prepare("INSERT INTO steps VALUES (1, 1, ?), (2, 1, ?)").run(steps("r-1", "event-1"), steps("r-2", "event-2"));
  db.exec("INSERT INTO responses VALUES (1, 1, 'r-1', 'a rule', 'none', 1795248000000, 1, 0)");
  db.exec("INSERT INTO responses VALUES (2, 1, 'r-2', 'a rule', 'none', 1795248002000, 0, 1)");
  db.exec("INSERT INTO repeats VALUES (1, 'event-1', 'event-1b', 1795248005000)");
  db.close();
}

function rowsOf(directory: string): Record<string, unknown> {
  const db = new DatabaseSync(join(directory, "ledger.db"), { readOnly: true });
  const tables = ["unfinished", "finished", "steps", "responses", "repeats"];
  const counts = tables.map((table) => [table, db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"]]);
  db.close();
  return Object.fromEntries(counts);
}

function idsOf(directory: string, table: string): string[] {
  const db = new DatabaseSync(join(directory, "ledger.db"), { readOnly: true });
  const ids = db
    .prepare(`SELECT id FROM ${table} ORDER BY seq`)
    .all()
    .map(({ id }) => String(id));
  db.close();
  return ids;
}

function sizeOf(directory: string, name: string): number {
  return statSync(join(directory, name)).size;
}
