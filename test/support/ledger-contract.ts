import { describe, expect, it, onTestFinished } from "vitest";
import type { Outcome, OutcomeStatus } from "../../src/catalogue/outcome.ts";
import type { FalcoEvent } from "../../src/events/event.ts";
import type { Target } from "../../src/events/target.ts";
import { type Ledger, LedgerUnavailable, type Room, type Transition, type Work } from "../../src/ledger/ledger.ts";
import { type EventTraits, eventOf } from "./events.ts";

export interface OpenOptions {
  /** Of the de-duplication; 0 switches it off. */
  readonly windowSeconds: number;
  /** Milliseconds. */
  readonly clock: () => number;
  /** Undefined: more than the suite needs. */
  readonly backlogBytes?: number;
}

/** Where a ledger keeps what it knows. */
export interface LedgerStorage {
  /** A second time only when the ledger before is closed: that stands for a restart of the process. */
  open(options: OpenOptions): Promise<Ledger>;
  /** Removes everything; the suite has closed the ledgers before. */
  dispose(): Promise<void>;
}

const roomy: Room = { events: 1000, bytes: 1e8 };
const noTarget: Target = { kind: "none" };
const cart: Target = { kind: "pod", namespace: "shop", name: "cart-1", uid: "1234" };

/** What every driver must do: each sentence of src/ledger/ledger.ts. `createStorage` gives an empty storage each time. */
export function ledgerContract(name: string, createStorage: () => Promise<LedgerStorage>): void {
  const bench = () => prepare(createStorage);

  describe(`${name}: accept`, () => {
    acceptContract(bench);
  });
  describe(`${name}: de-duplication`, () => {
    deduplicationContract(bench);
  });
  describe(`${name}: work`, () => {
    workContract(bench);
  });
  describe(`${name}: turns and room`, () => {
    turnsContract(bench);
  });
  describe(`${name}: record`, () => {
    recordContract(bench);
  });
  describe(`${name}: the end of work`, () => {
    endContract(bench);
  });
  describe(`${name}: hold`, () => {
    holdContract(bench);
  });
  describe(`${name}: responses`, () => {
    responsesContract(bench);
  });
  describe(`${name}: response`, () => {
    responseContract(bench);
  });
  describe(`${name}: close`, () => {
    closeContract(bench);
  });
}

/** One storage, on which ledgers are opened one after another. */
interface Bench {
  open(options?: Partial<OpenOptions>): Promise<Ledger>;
  /** Closes the open one first. */
  restart(options?: Partial<OpenOptions>): Promise<Ledger>;
}

async function prepare(createStorage: () => Promise<LedgerStorage>): Promise<Bench> {
  const storage = await createStorage();
  let current: Ledger | undefined;
  onTestFinished(async () => {
    await current?.close();
    await storage.dispose();
  });
  const open: Bench["open"] = async (options) => {
    current = await storage.open({ windowSeconds: 0, clock: Date.now, ...options });
    return current;
  };
  return {
    open,
    async restart(options) {
      await current?.close();
      return open(options);
    },
  };
}

type CreateBench = () => Promise<Bench>;

function acceptContract(bench: CreateBench): void {
  it("makes the event durable: another process finds it exactly as it came", async () => {
    const { open, restart } = await bench();
    const event = eventOf({ pod: "shop/cart-1", output: "naïve 😀 \u0000 text", fields: { "evt.time": 1.5 } });

    await (await open()).accept(event);
    const [work] = await take(await restart(), 1);

    expect(work?.event).toEqual(event);
    expect(work?.history).toEqual([]);
  });

  it("keeps an event of a megabyte", async () => {
    const { open, restart } = await bench();
    const event = eventOf({ pod: "shop/cart-1", output: "x".repeat(1_000_000) });

    await (await open()).accept(event);
    const [work] = await take(await restart(), 1);

    expect(work?.event.text).toBe(event.text);
  });

  it("takes many at once, and loses none", async () => {
    const { open, restart } = await bench();
    const ledger = await open();
    const events = eventsOf(Array.from({ length: 100 }, (_, n) => ({ pod: `shop/p-${n}` })));

    const acceptances = await Promise.all(events.map((event) => ledger.accept(event)));
    const taken = await take(await restart(), 100);

    expect(acceptances.filter(({ status }) => status === "accepted")).toHaveLength(100);
    expect(idsOf(taken).sort()).toEqual(events.map(({ id }) => id).sort());
  });

  it("rejects while the backlog is full, says so, and takes the sender's next attempt", async () => {
    const { open } = await bench();
    const ledger = await open({ backlogBytes: 1, windowSeconds: 5 });
    await ledger.accept(eventOf({ pod: "shop/a" }));
    const late = eventOf({ pod: "shop/b" });

    await expect(ledger.accept(late)).rejects.toBeInstanceOf(LedgerUnavailable);
    const whileFull = ledger.faults();
    const [work] = await take(ledger, 1);
    await work?.finish();
    const afterwards = ledger.faults();
    const again = await ledger.accept({ ...late, id: crypto.randomUUID() });

    expect(whileFull).toEqual([expect.stringMatching(/^the backlog is full/)]);
    expect(afterwards).toEqual([]);
    expect(again).toEqual({ status: "accepted" });
  });

  it("counts what is not yet finished, after a restart too", async () => {
    const { open, restart } = await bench();
    const ledger = await open();
    const none = ledger.backlog();
    const before = Date.now();
    const events = eventsOf([{ pod: "shop/a" }, { pod: "shop/b" }]);

    for (const event of events) {
      await ledger.accept(event);
    }
    const both = ledger.backlog();
    const again = await restart();
    const [work] = await take(again, 1);
    await work?.finish();

    expect(none).toEqual({ events: 0, bytes: 0, oldestAt: undefined, oldestWaitingAt: undefined });
    expect(both.events).toBe(2);
    expect(both.bytes).toBeGreaterThanOrEqual(events.reduce((sum, { text }) => sum + text.length, 0));
    expect(both.oldestAt).toBeGreaterThanOrEqual(before - 1000);
    expect(both.oldestAt).toBeLessThanOrEqual(Date.now() + 1000);
    expect(again.backlog()).toMatchObject({ events: 1 });
  });

  it("knows the oldest on which no action runs", async () => {
    const { open } = await bench();
    let now = Date.now();
    const ledger = await open({ clock: () => now });
    const [older, younger] = eventsOf([{ pod: "shop/a" }, { pod: "shop/b" }]) as [FalcoEvent, FalcoEvent];
    await ledger.accept(older);
    now += 1_000;
    await ledger.accept(younger);
    const [work] = await take(ledger, 1);
    const notified: Transition = {
      type: "notified",
      at,
      response: "r-1",
      action: 0,
      notifier: "webhook",
      error: undefined,
    };
    const steps = [planned("r-1", older), started("r-1", 0), ended("r-1", 0, "success"), started("r-1", 1), notified];
    const waiting: string[] = [];
    for (const step of steps) {
      await work?.record([step]);
      const { oldestAt, oldestWaitingAt } = ledger.backlog();
      waiting.push(oldestWaitingAt === oldestAt ? "older" : "younger");
    }

    expect(waiting).toEqual(["older", "younger", "older", "younger", "younger"]);
  });

  it("says how much it takes where it is stored, and nothing once it is closed and cannot be asked", async () => {
    const { open } = await bench();
    const ledger = await open();
    const [event] = eventsOf([{ pod: "shop/a" }]);
    await ledger.accept(event as FalcoEvent);

    const whileOpen = await ledger.size();
    await ledger.close();
    const closed = await ledger.size().catch(() => "rejected");

    expect(whileOpen).toBeGreaterThan(0);
    expect(closed).not.toBe("rejected");
  });
}

function deduplicationContract(bench: CreateBench): void {
  it("knows a redelivery by its uuid, and says which event it repeats", async () => {
    const ledger = await (await bench()).open({ windowSeconds: 5 });
    const first = eventOf({ pod: "shop/cart-1", uuid: "7403e430" });

    await ledger.accept(first);
    const again = await ledger.accept(eventOf({ pod: "shop/cart-2", uuid: "7403e430" }));

    expect(again).toEqual({ status: "duplicate", of: first.id });
  });

  it("knows one that comes while the first is still being written", async () => {
    const ledger = await (await bench()).open({ windowSeconds: 5 });
    const [first, second] = [eventOf({ uuid: "7403e430" }), eventOf({ uuid: "7403e430" })];

    const acceptances = await Promise.all([ledger.accept(first), ledger.accept(second)]);

    expect(acceptances).toEqual([{ status: "accepted" }, { status: "duplicate", of: first.id }]);
  });

  it("knows a uuid after a restart", async () => {
    const { open, restart } = await bench();
    const first = eventOf({ uuid: "7403e430" });

    await (await open({ windowSeconds: 5 })).accept(first);
    const again = await (await restart({ windowSeconds: 5 })).accept(eventOf({ uuid: "7403e430" }));

    expect(again).toEqual({ status: "duplicate", of: first.id });
  });

  it("knows the uuid of an event that was acted on after a restart", async () => {
    const { open, restart } = await bench();
    const ledger = await open({ windowSeconds: 5 });
    const first = eventOf({ uuid: "7403e430" });
    await ledger.accept(first);
    await respond(ledger, "r-1");

    const again = await (await restart({ windowSeconds: 5 })).accept(eventOf({ uuid: "7403e430" }));

    expect(again).toEqual({ status: "duplicate", of: first.id });
  });

  it("does not give the repetition as work", async () => {
    const ledger = await (await bench()).open({ windowSeconds: 5 });
    const first = eventOf({ uuid: "7403e430" });
    const other = eventOf({ pod: "shop/other" });

    for (const event of [first, eventOf({ uuid: "7403e430" }), other]) {
      await ledger.accept(event);
    }

    expect(idsOf(await take(ledger, 2))).toEqual([first.id, other.id]);
  });

  it("takes events without uuid for one where rule, source, host and target are the same within the window", async () => {
    let now = 1_000_000;
    const ledger = await (await bench()).open({ windowSeconds: 5, clock: () => now });
    const first = eventOf({ pod: "shop/cart-1", uuid: undefined });

    await ledger.accept(first);
    now += 4_999;
    const within = await ledger.accept(eventOf({ pod: "shop/cart-1", uuid: undefined }));
    now += 1;
    const after = await ledger.accept(eventOf({ pod: "shop/cart-1", uuid: undefined }));

    expect(within).toEqual({ status: "duplicate", of: first.id });
    expect(after).toEqual({ status: "accepted" });
  });

  it.each<[string, EventTraits]>([
    ["another pod", { pod: "shop/cart-2" }],
    ["another namespace", { pod: "bank/cart-1" }],
    ["another rule", { pod: "shop/cart-1", rule: "Another rule" }],
    ["another source", { pod: "shop/cart-1", source: "k8s_audit" }],
    ["another host", { pod: "shop/cart-1", hostname: "node-9" }],
  ])("keeps events apart that differ in %s, even where output is absent", async (_, other) => {
    const ledger = await (await bench()).open({ windowSeconds: 5 });

    await ledger.accept(eventOf({ pod: "shop/cart-1", uuid: undefined, output: undefined }));
    const acceptance = await ledger.accept(eventOf({ ...other, uuid: undefined, output: undefined }));

    expect(acceptance).toEqual({ status: "accepted" });
  });

  it("compares texts of any length to their end", async () => {
    const ledger = await (await bench()).open({ windowSeconds: 5 });
    const long = "x".repeat(100_000);
    const first = eventOf({ uuid: `${long}1` });

    await ledger.accept(first);
    const another = await ledger.accept(eventOf({ uuid: `${long}2` }));
    const again = await ledger.accept(eventOf({ uuid: `${long}1` }));

    expect(another).toEqual({ status: "accepted" });
    expect(again).toEqual({ status: "duplicate", of: first.id });
  });

  it("is off where the window is 0", async () => {
    const ledger = await (await bench()).open({ windowSeconds: 0 });

    await ledger.accept(eventOf({ pod: "shop/cart-1", uuid: "7403e430" }));
    const again = await ledger.accept(eventOf({ pod: "shop/cart-1", uuid: "7403e430" }));

    expect(again).toEqual({ status: "accepted" });
  });
}

function workContract(bench: CreateBench): void {
  it("gives each accepted event once, oldest first", async () => {
    const ledger = await (await bench()).open();
    const events = eventsOf([{ pod: "shop/a" }, { pod: "shop/b" }, { pod: "shop/c" }]);

    for (const event of events) {
      await ledger.accept(event);
    }

    expect(idsOf(await take(ledger, 3))).toEqual(events.map(({ id }) => id));
  });

  it("gives an event that comes while the taker waits", async () => {
    const ledger = await (await bench()).open();
    const event = eventOf({ pod: "shop/cart-1" });

    const taking = take(ledger, 1);
    await ledger.accept(event);

    expect(idsOf(await taking)).toEqual([event.id]);
  });

  it("says when the event is durable", async () => {
    const { open, restart } = await bench();
    const ledger = await open();
    const event = eventOf({ pod: "shop/cart-1" });

    const accepting = ledger.accept(event);
    const [work] = await take(ledger, 1);
    await work?.durable;
    await accepting;

    expect(idsOf(await take(await restart(), 1))).toEqual([event.id]);
  });

  it("ends when the signal fires, and goes on with the next taker", async () => {
    const ledger = await (await bench()).open();
    const stop = new AbortController();
    const event = eventOf({ pod: "shop/cart-1" });

    const taking = Array.fromAsync(ledger.work(roomy, stop.signal));
    stop.abort();
    const taken = await taking;
    await ledger.accept(event);

    expect(taken).toEqual([]);
    expect(idsOf(await take(ledger, 1))).toEqual([event.id]);
  });

  it("ends at once where the signal has fired before", async () => {
    const ledger = await (await bench()).open();
    await ledger.accept(eventOf({ pod: "shop/cart-1" }));

    expect(await Array.fromAsync(ledger.work(roomy, AbortSignal.abort()))).toEqual([]);
  });

  it("gives after a restart what an earlier process left behind, oldest first, before what comes new", async () => {
    const { open, restart } = await bench();
    const ledger = await open();
    const old = eventsOf([{ pod: "shop/a" }, { pod: "shop/a" }, { pod: "shop/a" }]);
    for (const event of old) {
      await ledger.accept(event);
    }
    await take(ledger, 1);

    const again = await restart();
    const late = eventOf({ pod: "shop/a" });
    await again.accept(late);
    const taken = await takeInTurn(again, 4);

    expect(idsOf(taken)).toEqual([...old, late].map(({ id }) => id));
  });
}

function turnsContract(bench: CreateBench): void {
  it("gives of one target one at a time, until it is released", async () => {
    const ledger = await (await bench()).open();
    const [first, second, other] = await acceptAll(ledger, [{ pod: "shop/a" }, { pod: "shop/a" }, { pod: "shop/b" }]);
    const next = taker(ledger);

    const [one, two] = [await next(), await next()];
    one.release();
    const three = await next();

    expect(idsOf([one, two, three])).toEqual([first?.id, other?.id, second?.id]);
  });

  it("gives events without target side by side", async () => {
    const ledger = await (await bench()).open();
    const events = await acceptAll(ledger, [{}, {}, {}]);

    expect(idsOf(await take(ledger, 3))).toEqual(events.map(({ id }) => id));
  });

  it("lets Falco rules take turns, so that a flood of one does not hold back another", async () => {
    const ledger = await (await bench()).open();
    const flood = Array.from({ length: 50 }, (_, n) => ({ pod: `shop/p-${n}`, rule: "Flood" }));
    await acceptAll(ledger, flood);
    const [quiet] = await acceptAll(ledger, [{ pod: "shop/quiet", rule: "Quiet" }]);

    const taken = await take(ledger, 2);

    expect(idsOf(taken)).toContain(quiet?.id);
  });

  it("gives of one Falco rule no more than there is room left, and waits while the room is taken", async () => {
    const ledger = await (await bench()).open();
    const flood = Array.from({ length: 6 }, (_, n) => ({ pod: `shop/p-${n}`, rule: "Flood" }));
    await acceptAll(ledger, flood);
    const next = taker(ledger, { events: 4, bytes: 1e8 });
    const course: string[] = [];

    const first = await next();
    await next();
    const third = next().then(() => course.push("given"));
    await beat(ledger, "Flood");
    course.push("released");
    first.release();
    await third;

    expect(course).toEqual(["released", "given"]);
  });

  it("waits while the room is taken in bytes, but gives one however large it is", async () => {
    const ledger = await (await bench()).open();
    await acceptAll(ledger, [{ pod: "shop/large", output: "x".repeat(10_000) }, { pod: "shop/small" }]);
    const next = taker(ledger, { events: 100, bytes: 1000 });
    const course: string[] = [];

    const large = await next();
    const small = next().then(() => course.push("small given"));
    await beat(ledger);
    course.push("large released");
    large.release();
    await small;

    expect(course).toEqual(["large released", "small given"]);
  });
}

function recordContract(bench: CreateBench): void {
  it("is there after a restart, in the order of the calls, as the history of the event", async () => {
    const { open, restart } = await bench();
    const ledger = await open();
    const [event] = await acceptAll(ledger, [{ pod: "shop/cart-1" }]);
    const [work] = await take(ledger, 1);
    const plans = [planned("r-1", event), planned("r-2", event, { rule: "another rule" })];

    await work?.record(plans);
    await work?.record([started("r-1", 0)]);
    const [again] = await take(await restart(), 1);

    expect(again?.event.id).toBe(event?.id);
    expect(again?.history).toEqual([...plans, started("r-1", 0)]);
  });

  it("keeps the order of calls that do not wait for each other", async () => {
    const { open, restart } = await bench();
    const ledger = await open();
    const [event] = await acceptAll(ledger, [{ pod: "shop/cart-1" }]);
    const [work] = await take(ledger, 1);
    const steps = courseOf("r-1", event, ["success", "failure"]);

    await Promise.all(steps.map((step) => work?.record([step])));
    const [again] = await take(await restart(), 1);

    expect(again?.history).toEqual(steps);
  });

  it("keeps outcomes whole", async () => {
    const { open, restart } = await bench();
    const ledger = await open();
    const [event] = await acceptAll(ledger, [{ pod: "shop/cart-1" }]);
    const [work] = await take(ledger, 1);
    const outcome: Outcome = {
      ...outcomeOf("success"),
      target: cart,
      objects: { pod: "cart-1", namespace: "shop" },
      text: `${"log line\n".repeat(1800)}😀`,
      artifact: { output: "aws:s3", location: "s3://b/k", bytes: 2 ** 40, sha256: "00ff" },
      undo: "kubectl label pod cart-1 -n shop suspicious-",
    };

    await work?.record([planned("r-1", event), { ...ended("r-1", 0, "success"), outcome }]);
    const [again] = await take(await restart(), 1);

    expect(again?.history[1]).toEqual({ ...ended("r-1", 0, "success"), outcome });
  });

  it("can begin before the event is durable, and is durable with it", async () => {
    const { open, restart } = await bench();
    const ledger = await open();
    const event = eventOf({ pod: "shop/cart-1" });

    const accepting = ledger.accept(event);
    const [work] = await take(ledger, 1);
    await work?.record([planned("r-1", event)]);
    await accepting;
    const [again] = await take(await restart(), 1);

    expect(again?.history).toEqual([planned("r-1", event)]);
  });

  it("is still possible when the work is released", async () => {
    const ledger = await (await bench()).open();
    const [event] = await acceptAll(ledger, [{ pod: "shop/cart-1" }]);
    const [work] = await take(ledger, 1);

    work?.release();
    await work?.record([planned("r-1", event)]);

    expect((await ledger.responses({ limit: 10 })).responses).toHaveLength(1);
  });
}

function endContract(bench: CreateBench): void {
  it("does not give again what is finished, in this process or the next", async () => {
    const { open, restart } = await bench();
    const ledger = await open();
    await acceptAll(ledger, [{ pod: "shop/a" }]);
    const [work] = await take(ledger, 1);

    await work?.finish();
    const [here] = await acceptAll(ledger, [{ pod: "shop/a" }]);
    const next = await take(ledger, 1);
    const again = await restart();

    expect(idsOf(next)).toEqual([here?.id]);
    expect(again.backlog().events).toBe(1);
    expect(idsOf(await take(again, 1))).toEqual([here?.id]);
  });

  it("gives the target's next event when one is finished", async () => {
    const ledger = await (await bench()).open();
    const events = await acceptAll(ledger, [{ pod: "shop/a" }, { pod: "shop/a" }]);

    const taken = await takeInTurn(ledger, 2);

    expect(idsOf(taken)).toEqual(events.map(({ id }) => id));
  });

  it("gives again what was given back, with what was recorded", async () => {
    const ledger = await (await bench()).open();
    const [event] = await acceptAll(ledger, [{ pod: "shop/a" }]);
    const next = taker(ledger);
    const first = await next();

    await first.record([planned("r-1", event)]);
    first.giveBack(0);
    const again = await next();
    await again.record([started("r-1", 0)]);

    expect(again.event).toEqual(event);
    expect(again.history).toEqual([planned("r-1", event)]);
  });

  it("gives again not before the time said, and others meanwhile", async () => {
    const ledger = await (await bench()).open();
    const [event] = await acceptAll(ledger, [{ pod: "shop/a" }]);
    const next = taker(ledger, { events: 1, bytes: 1e8 });
    const first = await next();
    const [other] = await acceptAll(ledger, [{ pod: "shop/b" }]);
    const begun = performance.now();

    first.giveBack(1_500);
    const second = await next();
    second.release();
    const third = await next();

    expect(idsOf([second, third])).toEqual([other?.id, event?.id]);
    expect(performance.now() - begun).toBeGreaterThan(1_490);
  });

  it("gives what was given back before others of its target", async () => {
    const ledger = await (await bench()).open();
    const events = await acceptAll(ledger, [{ pod: "shop/a" }, { pod: "shop/a" }]);
    const next = taker(ledger);

    (await next()).giveBack(0);

    expect(idsOf([await next()])).toEqual([events[0]?.id]);
  });

  it("shows that an action was started and not ended to the next process", async () => {
    const { open, restart } = await bench();
    const ledger = await open();
    const [event] = await acceptAll(ledger, [{ pod: "shop/a" }]);
    const [work] = await take(ledger, 1);

    await work?.record([planned("r-1", event), started("r-1", 0)]);
    const [again] = await take(await restart(), 1);

    expect(again?.history.at(-1)).toEqual(started("r-1", 0));
  });

  it("gives again to the next process what is released and not finished", async () => {
    const { open, restart } = await bench();
    const ledger = await open();
    const [event] = await acceptAll(ledger, [{ pod: "shop/a" }]);
    const [work] = await take(ledger, 1);

    work?.release();

    expect(idsOf(await take(await restart(), 1))).toEqual([event?.id]);
  });

  it("keeps its promise where release and finish come twice", async () => {
    const ledger = await (await bench()).open();
    const events = await acceptAll(ledger, [{ pod: "shop/a" }, { pod: "shop/a" }, { pod: "shop/a" }]);
    const next = taker(ledger);

    const first = await next();
    first.release();
    first.release();
    await first.finish();
    await first.finish();
    const second = await next();
    await acceptAll(ledger, [{ pod: "shop/b" }]);
    const third = await next();

    expect(idsOf([first, second])).toEqual([events[0]?.id, events[1]?.id]);
    expect(third.event.id).not.toBe(events[2]?.id);
  });
}

function holdContract(bench: CreateBench): void {
  it("lets one have a key at a time, the others as soon as it is released", async () => {
    const ledger = await (await bench()).open();
    const { signal } = new AbortController();
    const course: string[] = [];

    const first = await ledger.hold("node-1", signal);
    const waiting = ledger.hold("node-1", signal).then((hold) => {
      course.push("second");
      hold.release();
    });
    const other = await ledger.hold("node-2", signal);
    course.push("first released");
    first.release();
    await waiting;
    const third = await ledger.hold("node-1", signal);
    other.release();
    third.release();

    expect(course).toEqual(["first released", "second"]);
  });

  it("lets all who wait have it in turn", async () => {
    const ledger = await (await bench()).open();
    const { signal } = new AbortController();
    let inside = 0;
    let most = 0;

    const holders = Array.from({ length: 5 }, async () => {
      const hold = await ledger.hold("key", signal);
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setTimeout(resolve, 1));
      inside -= 1;
      hold.release();
    });
    await Promise.all(holders);

    expect(most).toBe(1);
  });

  it("rejects when the signal fires, and leaves the key to others", async () => {
    const ledger = await (await bench()).open();
    const { signal } = new AbortController();
    const stop = new AbortController();
    const first = await ledger.hold("key", signal);

    const waiting = ledger.hold("key", stop.signal);
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    first.release();
    first.release();
    const next = await ledger.hold("key", signal);

    expect(next.lost.aborted).toBe(false);
    next.release();
  });
}

function responsesContract(bench: CreateBench): void {
  it("shows the responses with their transitions, newest first", async () => {
    const ledger = await (await bench()).open();
    const [event] = await acceptAll(ledger, [{ pod: "shop/cart-1" }]);
    const [work] = await take(ledger, 1);

    await work?.record([planned("r-1", event), planned("r-2", event)]);
    await work?.record([ended("r-1", 0, "success"), closed("r-1")]);
    const { responses, next } = await ledger.responses({ limit: 10 });

    expect(responses).toEqual([
      { response: "r-2", transitions: [planned("r-2", event)] },
      { response: "r-1", transitions: [planned("r-1", event), ended("r-1", 0, "success"), closed("r-1")] },
    ]);
    expect(next).toBeUndefined();
  });

  it("keeps them when their event is finished, and after a restart", async () => {
    const { open, restart } = await bench();
    const ledger = await open();
    const [event] = await acceptAll(ledger, [{ pod: "shop/cart-1" }]);
    await respond(ledger, "r-1");

    const { responses } = await (await restart()).responses({ limit: 10 });

    expect(responses).toEqual([{ response: "r-1", transitions: courseOf("r-1", event, ["success"]) }]);
  });

  it("gives page after page, each response once, also where new ones come between", async () => {
    const ledger = await (await bench()).open();
    const [event] = await acceptAll(ledger, [{ pod: "shop/cart-1" }]);
    const [work] = await take(ledger, 1);
    await work?.record(["r-1", "r-2", "r-3", "r-4", "r-5"].map((id) => planned(id, event)));

    const first = await ledger.responses({ limit: 2 });
    await work?.record([planned("r-6", event, { at: "2026-11-21T08:00:01.000Z" })]);
    const second = await ledger.responses({ limit: 2, after: first.next });
    const third = await ledger.responses({ limit: 2, after: second.next });

    expect([first, second, third].map((page) => page.responses.map(({ response }) => response))).toEqual([
      ["r-5", "r-4"],
      ["r-3", "r-2"],
      ["r-1"],
    ]);
    expect(third.next).toBeUndefined();
  });

  it.each<[string, Parameters<Ledger["responses"]>[0], string[]]>([
    ["rule", { limit: 10, rule: "another rule" }, ["r-2"]],
    ["target", { limit: 10, target: "pod shop/cart-1" }, ["r-3", "r-1"]],
    ["since", { limit: 10, since: "2026-11-21T10:00:00+01:00" }, ["r-4", "r-3", "r-2"]],
    ["status", { limit: 10, status: "failure" }, ["r-2", "r-1"]],
    ["open", { limit: 10, status: "open" }, ["r-4", "r-2"]],
    ["all of them", { limit: 10, status: "failure", target: "pod shop/cart-1", rule: "a rule" }, ["r-1"]],
    ["what is not there", { limit: 10, rule: "no such rule" }, []],
  ])("filters by %s", async (_, query, expected) => {
    const ledger = await (await bench()).open();
    const [event] = await acceptAll(ledger, [{ pod: "shop/cart-1" }]);
    const [work] = await take(ledger, 1);
    await work?.record([
      planned("r-1", event, { at: "2026-11-21T08:59:59.999Z", target: cart }),
      planned("r-2", event, { at: "2026-11-21T09:00:00.000Z", rule: "another rule" }),
      planned("r-3", event, { at: "2026-11-21T09:00:01.000Z", target: cart }),
      planned("r-4", event, { at: "2026-11-21T09:00:02.000Z" }),
    ]);
    await work?.record([ended("r-1", 0, "success"), ended("r-1", 1, "failure"), ended("r-2", 0, "failure")]);
    await work?.record([ended("r-3", 0, "success"), closed("r-3"), closed("r-1")]);

    const { responses, next } = await ledger.responses(query);

    expect(responses.map(({ response }) => response)).toEqual(expected);
    expect(next).toBeUndefined();
  });

  it("gives pages of what a filter leaves", async () => {
    const ledger = await (await bench()).open();
    const [event] = await acceptAll(ledger, [{ pod: "shop/cart-1" }]);
    const [work] = await take(ledger, 1);
    const rules = ["a rule", "another rule"];
    await work?.record(Array.from({ length: 6 }, (_, n) => planned(`r-${n}`, event, { rule: rules[n % 2] ?? "" })));

    const first = await ledger.responses({ limit: 2, rule: "a rule" });
    const second = await ledger.responses({ limit: 2, rule: "a rule", after: first.next });

    expect([...first.responses, ...second.responses].map(({ response }) => response)).toEqual(["r-4", "r-2", "r-0"]);
    expect(second.next).toBeUndefined();
  });
}

function responseContract(bench: CreateBench): void {
  it("is undefined where there is none", async () => {
    const ledger = await (await bench()).open();

    expect(await ledger.response("r-1")).toBeUndefined();
  });

  it("comes with its event, before and after that is finished", async () => {
    const { open, restart } = await bench();
    const ledger = await open();
    const [event] = await acceptAll(ledger, [{ pod: "shop/cart-1" }]);
    const [work] = await take(ledger, 1);
    await work?.record([planned("r-1", event)]);

    const open1 = await ledger.response("r-1");
    await work?.record([closed("r-1")]);
    await work?.finish();
    const finished = await (await restart()).response("r-1");

    expect(open1).toEqual({ response: "r-1", event, transitions: [planned("r-1", event)], repeats: [] });
    expect(finished).toEqual({
      response: "r-1",
      event,
      transitions: [planned("r-1", event), closed("r-1")],
      repeats: [],
    });
  });

  it("shows the events that repeated its own, newest first, a hundred at most", async () => {
    const { open, restart } = await bench();
    const ledger = await open({ windowSeconds: 5 });
    const first = eventOf({ pod: "shop/cart-1", uuid: "7403e430" });
    const repeats = Array.from({ length: 102 }, () => eventOf({ pod: "shop/cart-1", uuid: "7403e430" }));
    await ledger.accept(first);
    for (const repeat of repeats) {
      await ledger.accept(repeat);
    }
    await ledger.accept(eventOf({ pod: "shop/other" }));

    await respond(ledger, "r-1");
    const here = await ledger.response("r-1");
    const later = await (await restart()).response("r-1");

    const newest = repeats.slice(-100).reverse();
    expect(here?.repeats.map(({ event }) => event)).toEqual(newest.map(({ id }) => id));
    expect(here?.repeats[0]?.at).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
    expect(later?.repeats).toEqual(here?.repeats);
  });
}

function closeContract(bench: CreateBench): void {
  it("accepts no more, and says why", async () => {
    const ledger = await (await bench()).open();

    await ledger.close();

    expect(ledger.faults()).toHaveLength(1);
    await expect(ledger.accept(eventOf({ pod: "shop/cart-1" }))).rejects.toBeInstanceOf(LedgerUnavailable);
  });

  it("writes what is under way", async () => {
    const { open, restart } = await bench();
    const ledger = await open();
    const event = eventOf({ pod: "shop/cart-1" });

    const accepting = ledger.accept(event);
    await ledger.close();

    expect(await accepting).toEqual({ status: "accepted" });
    expect(idsOf(await take(await restart(), 1))).toEqual([event.id]);
  });

  it("ends those who wait for work", async () => {
    const ledger = await (await bench()).open();

    const taking = Array.fromAsync(ledger.work(roomy, new AbortController().signal));
    await ledger.close();

    expect(await taking).toEqual([]);
  });

  it("leaves work that was given and not finished to the next process; what is recorded late is rejected", async () => {
    const { open, restart } = await bench();
    const ledger = await open();
    const [event] = await acceptAll(ledger, [{ pod: "shop/cart-1" }]);
    const [work] = await take(ledger, 1);
    await work?.record([planned("r-1", event)]);

    await ledger.close();
    const late = work?.record([started("r-1", 0)]);
    await expect(late).rejects.toBeInstanceOf(LedgerUnavailable);
    work?.release();
    work?.giveBack(0);
    const [again] = await take(await restart(), 1);

    expect(again?.history).toEqual([planned("r-1", event)]);
  });

  it("can be called twice", async () => {
    const ledger = await (await bench()).open();

    await Promise.all([ledger.close(), ledger.close()]);
    await ledger.close();

    expect(ledger.faults()).toHaveLength(1);
  });

  it("rejects questions about history", async () => {
    const ledger = await (await bench()).open();

    await ledger.close();

    await expect(ledger.responses({ limit: 1 })).rejects.toBeInstanceOf(LedgerUnavailable);
    await expect(ledger.response("r-1")).rejects.toBeInstanceOf(LedgerUnavailable);
  });
}

/** Takes so many and goes away; they stay taken. */
export async function take(ledger: Ledger, count: number): Promise<Work[]> {
  const taken: Work[] = [];
  const stop = new AbortController();
  for await (const work of ledger.work(roomy, stop.signal)) {
    taken.push(work);
    if (taken.length === count) {
      stop.abort();
    }
  }
  return taken;
}

/** Takes and finishes one after another. */
async function takeInTurn(ledger: Ledger, count: number): Promise<Work[]> {
  const next = taker(ledger);
  const taken: Work[] = [];
  while (taken.length < count) {
    const work = await next();
    taken.push(work);
    await work.finish();
  }
  return taken;
}

/** Asks for one at a time; goes away with the test. */
export function taker(ledger: Ledger, room: Room = roomy): () => Promise<Work> {
  const stop = new AbortController();
  const works = ledger.work(room, stop.signal)[Symbol.asyncIterator]();
  onTestFinished(() => stop.abort());
  return async () => {
    const { value, done } = await works.next();
    if (done) {
      throw new Error("there is no more work");
    }
    return value;
  };
}

/** Long enough for a ledger to do what it should not. */
async function beat(ledger: Ledger, rule = "Beat"): Promise<void> {
  await acceptAll(
    ledger,
    [1, 2, 3].map((n) => ({ pod: `beat/b-${n}`, rule })),
  );
}

/** The oldest event, with one response from beginning to end. */
export async function respond(ledger: Ledger, response: string): Promise<void> {
  const [work] = await take(ledger, 1);
  await work?.record(courseOf(response, work.event, ["success"]));
  await work?.finish();
}

export async function acceptAll(ledger: Ledger, traits: readonly EventTraits[]): Promise<FalcoEvent[]> {
  const events = eventsOf(traits);
  for (const event of events) {
    await ledger.accept(event);
  }
  return events;
}

function eventsOf(traits: readonly EventTraits[]): FalcoEvent[] {
  return traits.map((one) => eventOf(one));
}

function idsOf(works: readonly Work[]): string[] {
  return works.map(({ event }) => event.id);
}

type TransitionOf<T extends Transition["type"]> = Extract<Transition, { readonly type: T }>;

const at = "2026-11-21T08:00:00.000Z";

export function planned(
  response: string,
  event: FalcoEvent | undefined,
  traits: { readonly at?: string; readonly rule?: string; readonly target?: Target } = {},
): Transition {
  const actions = [{ name: "act", actionner: "test:act" }];
  return {
    type: "planned",
    at,
    response,
    event: event?.id ?? "",
    rule: "a rule",
    target: noTarget,
    actions,
    ...traits,
  };
}

export function started(response: string, action: number): Transition {
  return { type: "started", at, response, action, attempt: 1 };
}

export function ended(response: string, action: number, status: OutcomeStatus): TransitionOf<"ended"> {
  return { type: "ended", at, response, action, outcome: outcomeOf(status) };
}

export function closed(response: string): Transition {
  return { type: "closed", at, response };
}

/** A response from beginning to end. */
export function courseOf(
  response: string,
  event: FalcoEvent | undefined,
  statuses: readonly OutcomeStatus[],
): Transition[] {
  const steps = statuses.flatMap((status, action): Transition[] => [
    started(response, action),
    ended(response, action, status),
    { type: "notified", at, response, action, notifier: "webhook", error: undefined },
  ]);
  return [planned(response, event), ...steps, closed(response)];
}

function outcomeOf(status: OutcomeStatus): Outcome {
  return {
    status,
    message: "said",
    code: status === "failure" ? "timeout" : undefined,
    would: undefined,
    target: undefined,
    objects: {},
    text: undefined,
    artifact: undefined,
    undo: undefined,
    durationMs: 1,
  };
}
