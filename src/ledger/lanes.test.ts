import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { eventOf } from "../../test/support/events.ts";
import { createLanes, type Waiting, waitingOf } from "./lanes.ts";

interface Item extends Waiting {
  readonly name: string;
}

const roomy = { events: 1000, bytes: 1e6 };

function item(name: string, lane: string | undefined, group = "rule"): Item {
  return { name, lane, group, bytes: 1 };
}

function takeAll(lanes: ReturnType<typeof createLanes<Item>>, room = roomy): Item[] {
  const taken: Item[] = [];
  for (let next = lanes.take(room); next !== undefined; next = lanes.take(room)) {
    taken.push(next);
  }
  return taken;
}

const namesOf = (items: readonly Item[]) => items.map(({ name }) => name);

describe("lanes", () => {
  it("give of one lane one at a time, oldest first", () => {
    const lanes = createLanes<Item>();
    for (const name of ["a1", "a2", "a3"]) {
      lanes.add(item(name, "a"));
    }

    const [first] = takeAll(lanes);
    const whileTaken = takeAll(lanes);
    if (first) {
      lanes.release(first);
    }

    expect(first?.name).toBe("a1");
    expect(whileTaken).toEqual([]);
    expect(namesOf(takeAll(lanes))).toEqual(["a2"]);
  });

  it("give what needs no target side by side", () => {
    const lanes = createLanes<Item>();
    lanes.add(item("x", undefined));
    lanes.add(item("y", undefined));

    expect(namesOf(takeAll(lanes))).toEqual(["x", "y"]);
  });

  it("let lanes take turns, so that a flood on one does not hold back another", () => {
    const lanes = createLanes<Item>();
    for (let n = 0; n < 100; n++) {
      lanes.add(item(`flood ${n}`, "flooded"));
    }
    lanes.add(item("other", "quiet"));

    expect(namesOf(takeAll(lanes))).toEqual(["flood 0", "other"]);
  });

  it("let groups take turns, so that a flood of one rule over many targets does not hold back another rule", () => {
    const lanes = createLanes<Item>();
    for (let n = 0; n < 100; n++) {
      lanes.add(item(`flood ${n}`, `pod ${n}`, "flooding rule"));
    }
    lanes.add(item("other", "pod x", "quiet rule"));

    const taken = namesOf(takeAll(lanes));

    expect(taken.indexOf("other")).toBe(1);
  });

  it("leave room for the others, however much one group has", () => {
    const lanes = createLanes<Item>();
    for (let n = 0; n < 100; n++) {
      lanes.add(item(`flood ${n}`, `pod ${n}`, "flooding rule"));
    }
    const room = { events: 10, bytes: 1e6 };

    const flood = takeAll(lanes, room);
    lanes.add(item("other", "pod x", "quiet rule"));

    expect(flood).toHaveLength(5);
    expect(namesOf(takeAll(lanes, room))).toEqual(["other"]);
  });

  it("are not looked at one by one while the room is taken, however many rules a sender names", () => {
    const lanes = createLanes<Waiting>();
    for (let n = 0; n < 1000; n++) {
      lanes.add({ lane: undefined, group: `rule ${n}`, bytes: 1 });
    }
    let asked = 0;
    const room = {
      bytes: 100,
      get events() {
        asked += 1;
        return 1;
      },
    };
    lanes.take(room);

    asked = 0;
    const second = lanes.take(room);

    expect(second).toBeUndefined();
    expect(asked).toBe(1);
  });

  it("give no more than there is room for in bytes, but always one", () => {
    const lanes = createLanes<Item>();
    const large = { ...item("large", "a"), bytes: 10_000 };
    lanes.add(large);
    lanes.add(item("small", "b"));
    const room = { events: 10, bytes: 100 };

    const first = takeAll(lanes, room);
    lanes.release(large);

    expect(namesOf(first)).toEqual(["large"]);
    expect(namesOf(takeAll(lanes, room))).toEqual(["small"]);
  });

  it("put an item first in its lane again, before what came meanwhile", () => {
    const lanes = createLanes<Item>();
    const a1 = item("a1", "a");
    lanes.add(a1);
    takeAll(lanes);
    lanes.add(item("a2", "a"));

    lanes.release(a1);
    lanes.putFirst(a1);

    expect(namesOf(takeAll(lanes))).toEqual(["a1"]);
  });

  it("do not give of a lane what is put first while another item of it is out", () => {
    const lanes = createLanes<Item>();
    const [a1, a2] = [item("a1", "a"), item("a2", "a", "other rule")];
    lanes.add(a1);
    lanes.add(a2);
    takeAll(lanes);
    lanes.release(a1);

    const meanwhile = takeAll(lanes);
    lanes.putFirst(a1);

    expect(namesOf(meanwhile)).toEqual(["a2"]);
    expect(takeAll(lanes)).toEqual([]);
    lanes.release(a2);
    expect(namesOf(takeAll(lanes))).toEqual(["a1"]);
  });

  it("give an item that is put first in the turn of its own group", () => {
    const lanes = createLanes<Item>();
    const a1 = item("a1", "a", "flooding rule");
    lanes.add(a1);
    takeAll(lanes);
    lanes.add(item("a2", "a", "other rule"));
    lanes.release(a1);

    lanes.putFirst(a1);
    const given = namesOf(takeAll(lanes));
    lanes.release(a1);

    expect(given).toEqual(["a1"]);
    expect(namesOf(takeAll(lanes))).toEqual(["a2"]);
  });

  it("give everything once, in the order of its lane, whatever happens", () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ do: fc.constant("add" as const), lane: fc.integer({ min: 0, max: 4 }), group: fc.nat(2) }),
        fc.record({ do: fc.constantFrom("take" as const, "release" as const, "back" as const) }),
      ),
      { maxLength: 200 },
    );

    fc.assert(
      fc.property(steps, (course) => {
        const run = createRun();
        for (const step of course) {
          run[step.do](step);
          run.mustHold();
        }
        run.finishAll();

        expect(run.lanes.size).toBe(0);
        expect(new Set(namesOf(run.done)).size).toBe(run.done.length);
        expect(run.done).toHaveLength(course.filter((step) => step.do === "add").length);
      }),
    );
  });
});

type Step =
  | { readonly do: "add"; readonly lane: number; readonly group: number }
  | { readonly do: "take" | "release" | "back" };

/** Lanes at work, with what is out and what is done. */
function createRun() {
  const lanes = createLanes<Item>();
  const room = { events: 6, bytes: 1e6 };
  const out: Item[] = [];
  const done: Item[] = [];
  let added = 0;
  const finish = (taken: Item | undefined) => {
    if (taken !== undefined) {
      lanes.release(taken);
      done.push(taken);
    }
  };
  const take = () => void out.push(...[lanes.take(room)].filter((taken) => taken !== undefined));

  return {
    lanes,
    done,
    add(step: Step) {
      const { lane, group } = step.do === "add" ? step : { lane: 0, group: 0 };
      lanes.add(item(String(added), lane === 0 ? undefined : `lane ${lane}`, `group ${group}`));
      added += 1;
    },
    take,
    release: () => finish(out.shift()),
    back() {
      for (const back of out.splice(-1)) {
        lanes.release(back);
        lanes.putFirst(back);
      }
    },
    mustHold() {
      const busy = out.flatMap(({ lane }) => lane ?? []);
      expect(new Set(busy).size).toBe(busy.length);
      expect(out.length).toBeLessThanOrEqual(room.events);
    },
    finishAll() {
      while (lanes.size + out.length > 0) {
        take();
        finish(out.shift());
      }
      for (const lane of ["lane 1", "lane 2", "lane 3", "lane 4"]) {
        const order = done.filter((one) => one.lane === lane).map(({ name }) => Number(name));
        expect(order).toEqual(order.toSorted((a, b) => a - b));
      }
    },
  };
}

describe("waitingOf", () => {
  it("has events of one pod wait for each other, and those without a target for nobody", () => {
    const pod = waitingOf(eventOf({ pod: "shop/cart-1", rule: "R" }));
    const host = waitingOf(eventOf({ rule: "R" }));

    expect(pod).toMatchObject({ lane: "pod shop/cart-1", group: "R" });
    expect(host).toMatchObject({ lane: undefined, group: "R" });
  });

  it("keeps little of a long rule name", () => {
    expect(waitingOf(eventOf({ rule: "x".repeat(100_000) })).group.length).toBeLessThan(100);
  });
});
