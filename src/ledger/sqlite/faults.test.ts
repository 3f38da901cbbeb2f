import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it, onTestFinished, type TestContext, vi } from "vitest";
import { eventOf } from "../../../test/support/events.ts";
import { acceptAll, planned, respond, take, taker } from "../../../test/support/ledger-contract.ts";
import { newDirectory, onFailpoint, openLedger, sqliteError } from "../../../test/support/sqlite-ledger.ts";
import { LedgerUnavailable } from "../ledger.ts";

describe("a commit that fails", () => {
  it("is as if its events had never come: they are not given, and the sender's next attempt is accepted", async () => {
    const ledger = await openLedger(newDirectory());
    const [one, two] = [eventOf({ uuid: "1" }), eventOf({ uuid: "1" })];
    failing(1);

    const accepting = ledger.accept(one);
    await expect(accepting).rejects.toThrow(/the disk with the ledger is full/);
    const whileFull = ledger.faults();
    await expect(ledger.accept(two)).rejects.toBeInstanceOf(LedgerUnavailable);
    await recovered(ledger);
    const again = await ledger.accept(two);

    expect(whileFull).toEqual([expect.stringContaining("free some space, then it goes on by itself")]);
    expect(again).toEqual({ status: "accepted" });
    expect((await take(ledger, 1)).map(({ event }) => event.id)).toEqual([two.id]);
    expect(ledger.backlog().events).toBe(1);
  });

  it("is told to the one who has the event already, and nothing more is recorded of it", async () => {
    const ledger = await openLedger(newDirectory());
    const next = taker(ledger);
    failing(1);

    const accepting = ledger.accept(eventOf({ pod: "shop/a" })).catch((error: unknown) => error);
    const work = await next();
    await expect(work.durable).rejects.toBeInstanceOf(LedgerUnavailable);
    await accepting;
    await recovered(ledger);

    await expect(work.record([planned("r-1", work.event)])).rejects.toBeInstanceOf(LedgerUnavailable);
    await work.finish();
    const [other] = await acceptAll(ledger, [{ pod: "shop/a" }]);
    expect((await next()).event.id).toBe(other?.id);
    expect((await ledger.responses({ limit: 1 })).responses).toEqual([]);
  });

  it("takes with it what was added meanwhile, a repetition too: it is not answered before the first is durable", async () => {
    const ledger = await openLedger(newDirectory());
    const [one, two] = [eventOf({ uuid: "1" }), eventOf({ uuid: "1" })];
    let repeating: Promise<unknown> | undefined;
    failing(1, () => {
      repeating = ledger.accept(two).catch((error: unknown) => error);
    });

    await ledger.accept(one).catch(() => undefined);

    expect(await repeating).toBeInstanceOf(LedgerUnavailable);
  });

  it("lets work be given again, with the history as far as it was written", async () => {
    const ledger = await openLedger(newDirectory());
    const [event] = await acceptAll(ledger, [{ pod: "shop/a" }]);
    const next = taker(ledger);
    const work = await next();
    await work.record([planned("r-1", event)]);
    failing(1);

    await expect(work.record([planned("r-2", event)])).rejects.toBeInstanceOf(LedgerUnavailable);
    await recovered(ledger);
    await expect(work.record([planned("r-3", event)])).rejects.toBeInstanceOf(LedgerUnavailable);
    await expect(work.finish()).rejects.toBeInstanceOf(LedgerUnavailable);
    const again = await next();

    expect(again.history).toEqual([planned("r-1", event)]);
    await again.record([planned("r-4", event)]);
    await again.finish();
    expect(ledger.backlog().events).toBe(0);
  });

  it("keeps what is given back until something can be recorded again, else it would be done over and over", async () => {
    const ledger = await openLedger(newDirectory(), { pace: { retryMs: 100, tendMs: 10 } });
    const [event] = await acceptAll(ledger, [{ pod: "shop/a" }]);
    const next = taker(ledger);
    const work = await next();
    failing(1);
    await expect(work.record([planned("r-1", event)])).rejects.toBeInstanceOf(LedgerUnavailable);

    work.giveBack(0);
    const again = await next();

    expect(ledger.faults()).toEqual([]);
    expect(again.event.id).toBe(event?.id);
  });

  it("does not undo that work is finished: that is written as soon as it can be", async () => {
    const directory = newDirectory();
    const ledger = await openLedger(directory);
    await acceptAll(ledger, [{ pod: "shop/a" }]);
    const [work] = await take(ledger, 1);
    failing(2);

    await work?.finish();
    await ledger.close();

    expect((await openLedger(directory)).backlog().events).toBe(0);
  });

  it("leaves alone what another process, which had the files meanwhile, has put there", async () => {
    const directory = newDirectory();
    const ledger = await openLedger(directory, { pace: { retryMs: 200, tendMs: 10 } });
    await acceptAll(ledger, [{ pod: "shop/a" }]);
    await respond(ledger, "r-1");
    failing(1);
    await ledger.accept(eventOf()).catch(() => undefined);
    const db = new DatabaseSync(join(directory, "ledger.db"));
    db.exec(`
      INSERT INTO finished SELECT seq + 2, finished_at, 'another', received_at, at, key, text FROM finished;
      INSERT INTO steps SELECT event + 2, n, body FROM steps
    `);
    db.close();
    await recovered(ledger);

    const [event] = await acceptAll(ledger, [{ pod: "shop/b" }]);
    const [work] = await take(ledger, 1);
    await work?.record([planned("r-2", event)]);
    await work?.finish();

    expect((await ledger.response("r-2"))?.transitions).toEqual([planned("r-2", event)]);
    expect(ledger.faults()).toEqual([]);
  });

  it("is told to the operator once, and so is its end", async () => {
    const remarks: string[] = [];
    const ledger = await openLedger(newDirectory(), { remark: (message) => remarks.push(message) });
    failing(1);

    await ledger.accept(eventOf()).catch(() => undefined);
    await recovered(ledger);

    expect(remarks).toEqual([expect.stringContaining("is full"), "the ledger works again"]);
  });
});

describe("a disk that is full", () => {
  it.for([true, false])(
    "takes events again when there is room, and has lost none (thread: %s)",
    async (thread, test) => {
      const directory = mounted("size=3m", test);
      const filler = join(directory, "filler");
      const ledger = await openLedger(directory, { thread });
      await acceptAll(ledger, [{ pod: "shop/before" }]);
      writeFileSync(filler, Buffer.alloc(2_200_000));

      const accepted: string[] = [];
      while (ledger.faults().length === 0) {
        const event = eventOf({ output: "x".repeat(50_000) });
        await ledger.accept(event).then(
          () => accepted.push(event.id),
          () => undefined,
        );
      }
      const whileFull = ledger.faults();
      rmSync(filler);
      await recovered(ledger);
      const [late] = await acceptAll(ledger, [{ pod: "shop/after" }]);
      await ledger.close();

      const taken = await take(await openLedger(directory), accepted.length + 2);
      expect(whileFull).toEqual([expect.stringContaining("the disk with the ledger is full")]);
      expect(taken.map(({ event }) => event.id).slice(1)).toEqual([...accepted, late?.id]);
    },
  );
});

describe("a thread that ends", () => {
  it("is replaced, and what it was writing is rejected", async () => {
    const directory = newDirectory();
    const end = join(directory, "end.mjs");
    const flag = join(directory, "flag");
    writeFileSync(
      end,
      `import { existsSync, rmSync } from "node:fs";
      globalThis.halluxFailpoint = () => {
        if (existsSync(${JSON.stringify(flag)})) {
          rmSync(${JSON.stringify(flag)});
          process.exit(3);
        }
      };`,
    );
    const ledger = await openLedger(directory, { thread: true, execArgv: ["--import", end] });
    const [before] = await acceptAll(ledger, [{ pod: "shop/a" }]);

    writeFileSync(flag, "");
    await expect(ledger.accept(eventOf())).rejects.toThrow("the ledger's thread ended (exit code 3)");
    await recovered(ledger);
    const [after] = await acceptAll(ledger, [{ pod: "shop/b" }]);

    expect((await take(ledger, 2)).map(({ event }) => event.id)).toEqual([before?.id, after?.id]);
  });
});

describe("a directory that cannot be used", () => {
  it("is said to be no directory where it lies below a file, and is used when it can be", async () => {
    const parent = join(newDirectory(), "file");
    writeFileSync(parent, "");

    const ledger = await openLedger(join(parent, "ledger"));
    const faults = ledger.faults();
    await expect(ledger.accept(eventOf())).rejects.toBeInstanceOf(LedgerUnavailable);
    await expect(ledger.responses({ limit: 1 })).rejects.toBeInstanceOf(LedgerUnavailable);
    rmSync(parent);
    await recovered(ledger);

    expect(faults).toEqual([expect.stringMatching(/is not a directory: set another ledger.path/)]);
    expect(await ledger.accept(eventOf())).toEqual({ status: "accepted" });
  });

  it("is said to be read-only, and what is left there is given as soon as it can be written", async (test) => {
    const directory = mounted("size=4m", test);
    const before = await openLedger(directory);
    const [event] = await acceptAll(before, [{ pod: "shop/a" }]);
    await before.close();
    execFileSync("mount", ["-o", "remount,ro", directory]);

    const ledger = await openLedger(directory);
    const faults = ledger.faults();
    execFileSync("mount", ["-o", "remount,rw", directory]);
    const [work] = await take(ledger, 1);

    expect(faults).toEqual([expect.stringContaining("cannot be written")]);
    expect(work?.event.id).toBe(event?.id);
  });

  it("is not used where its file is of a newer Hallux", async () => {
    const directory = newDirectory();
    await (await openLedger(directory)).close();
    withFile(directory, (db) => db.exec("PRAGMA user_version = 99"));

    const ledger = await openLedger(directory);

    expect(ledger.faults()).toEqual([expect.stringMatching(/a newer Hallux \(version 99 of its tables.*run that/)]);
  });
});

describe("an event on record that cannot be given", () => {
  it("stays on record and is told, where its text is no event to this version; the others are given", async () => {
    const directory = newDirectory();
    const remarks: string[] = [];
    const before = await openLedger(directory);
    const [strange, other] = await acceptAll(before, [{ pod: "shop/a" }, { pod: "shop/a" }]);
    await before.close();
    withFile(directory, (db) => db.exec("UPDATE unfinished SET text = '{}' WHERE seq = 1"));

    const ledger = await openLedger(directory, { remark: (message) => remarks.push(message) });
    const [work] = await take(ledger, 1);
    await work?.finish();

    expect(work?.event.id).toBe(other?.id);
    expect(remarks).toEqual([expect.stringContaining(`event ${strange?.id} is not acted on`)]);
    expect(ledger.backlog().events).toBe(1);
  });

  it("leaves its history to no other, where somebody removed it from the file", async () => {
    const directory = newDirectory();
    const before = await openLedger(directory);
    const [gone] = await acceptAll(before, [{ pod: "shop/a" }]);
    const [work] = await take(before, 1);
    await work?.record([planned("r-1", gone)]);
    await before.close();
    const db = new DatabaseSync(join(directory, "ledger.db"));
    db.exec("DELETE FROM unfinished");
    db.close();

    const next = await openLedger(directory);
    await acceptAll(next, [{ pod: "shop/b" }]);
    await next.close();
    const [other] = await take(await openLedger(directory), 1);

    expect(other?.history).toEqual([]);
  });

  it("is dropped and told, where somebody removed it from the file", async () => {
    const directory = newDirectory();
    const remarks: string[] = [];
    const before = await openLedger(directory);
    const [, other] = await acceptAll(before, [{ pod: "shop/a" }, { pod: "shop/a" }]);
    await before.close();

    const ledger = await openLedger(directory, { remark: (message) => remarks.push(message) });
    withFile(directory, (db) => db.exec("DELETE FROM unfinished WHERE seq = 1"));
    const [work] = await take(ledger, 1);

    expect(work?.event.id).toBe(other?.id);
    expect(remarks).toEqual([expect.stringContaining("no longer in the ledger's file")]);
    expect(ledger.backlog().events).toBe(1);
  });
});

describe("the files", () => {
  it("are for their owner alone", async () => {
    const directory = newDirectory();
    const ledger = await openLedger(directory);
    await acceptAll(ledger, [{}]);

    const modes = ["ledger.db", "ledger.db-wal", "ledger.db-shm"].map(
      (name) => statSync(join(directory, name)).mode & 0o777,
    );

    expect(modes).toEqual([0o600, 0o600, 0o600]);
  });
});

describe("a damaged file", () => {
  it.each([
    ["from its first page", 0],
    ["in the middle of its tables", 4096],
  ])("is left as it is %s, and the fault names the commands that help", async (_, from) => {
    const directory = newDirectory();
    const before = await openLedger(directory);
    await acceptAll(before, [{ pod: "shop/a" }, { pod: "shop/b" }]);
    await before.close();
    const file = join(directory, "ledger.db");
    const damaged = overwrite(readFileSync(file), from);
    writeFileSync(file, damaged);

    const ledger = await openLedger(directory);
    await expect(ledger.accept(eventOf())).rejects.toBeInstanceOf(LedgerUnavailable);

    expect(ledger.faults()).toEqual([
      expect.stringMatching(/is damaged .*`hallux ledger check .*`hallux ledger export`/),
    ]);
    expect(readFileSync(file).equals(damaged)).toBe(true);
  });

  it("is replaced by a new one when somebody moves it away", async () => {
    const directory = newDirectory();
    mkdirSync(directory, { recursive: true });
    const file = join(directory, "ledger.db");
    writeFileSync(file, "no database at all, only some text that somebody put there");
    const ledger = await openLedger(directory);
    const faults = ledger.faults();

    rmSync(file);
    await recovered(ledger);

    expect(faults).toEqual([expect.stringContaining("is damaged")]);
    expect(await ledger.accept(eventOf())).toEqual({ status: "accepted" });
  });
});

describe("files that somebody removes under a ledger that has them open", () => {
  it.each(["ledger.db", "ledger.db-wal", "lock.db"])("are missed at the next event: %s", async (name) => {
    const directory = newDirectory();
    const remarks: string[] = [];
    const ledger = await openLedger(directory, { remark: (text) => remarks.push(text) });
    await acceptAll(ledger, [{ pod: "shop/a" }]);

    rmSync(join(directory, name));
    await ledger.accept(eventOf()).catch(() => undefined);
    await recovered(ledger);

    expect(remarks).toContainEqual(expect.stringContaining(`${name} of the ledger in ${directory} was removed`));
    expect(await ledger.accept(eventOf())).toEqual({ status: "accepted" });
  });

  it("are missed where no event comes, too, and it goes on in new ones", async () => {
    const directory = newDirectory();
    const remarks: string[] = [];
    const ledger = await openLedger(directory, { remark: (text) => remarks.push(text) });

    rmSync(directory, { recursive: true });
    await expect.poll(() => remarks, { timeout: 20_000 }).toContain("the ledger works again");
    await acceptAll(ledger, [{ pod: "shop/a" }]);
    await ledger.close();

    expect((await openLedger(directory)).backlog().events).toBe(1);
  });

  it("do not let another process in unnoticed: the first takes nothing more, and says who has it", async () => {
    const directory = newDirectory();
    const first = await openLedger(directory);
    rmSync(join(directory, "lock.db"));
    const second = await openLedger(directory);

    await expect(first.accept(eventOf())).rejects.toBeInstanceOf(LedgerUnavailable);
    await expect
      .poll(() => first.faults(), { timeout: 20_000 })
      .toEqual([expect.stringContaining("belongs to process")]);

    expect(await second.accept(eventOf())).toEqual({ status: "accepted" });
  });
});

/** So many commits fail from now on, as on a full disk. */
function failing(times: number, then: () => void = () => undefined): void {
  let left = times;
  onFailpoint((step) => {
    if (step === "event-before-commit" && left > 0) {
      left -= 1;
      then();
      throw sqliteError(13, "database or disk is full");
    }
  });
}

async function recovered(ledger: { faults(): readonly string[] }): Promise<void> {
  await vi.waitFor(() => expect(ledger.faults()).toEqual([]), { timeout: 20_000 });
}

/** A small file system of its own; where that is not permitted the test is skipped. */
function mounted(options: string, { skip }: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "hallux-mount-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "none", directory], { stdio: "ignore" });
  } catch {
    skip("mounting a tmpfs is not permitted here");
  }
  onTestFinished(() => {
    execFileSync("umount", ["--lazy", directory]);
    rmSync(directory, { recursive: true });
  });
  return directory;
}

function withFile(directory: string, work: (db: DatabaseSync) => void): void {
  const db = new DatabaseSync(join(directory, "ledger.db"));
  work(db);
  db.close();
}

/** All but the first bytes of every page. */
function overwrite(content: Buffer, from: number): Buffer {
  const damaged = Buffer.from(content);
  damaged.fill("x", from);
  return damaged;
}
