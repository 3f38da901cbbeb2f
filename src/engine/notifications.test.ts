import { describe, expect, it } from "vitest";
import { noNotifiers } from "../../test/support/engine.ts";
import { eventOf } from "../../test/support/events.ts";
import type { Notification, Notifier } from "../catalogue/catalogue.ts";
import { ActionError } from "../catalogue/errors.ts";
import type { Clients } from "../clients/clients.ts";
import { createNotifications, type NotificationsOptions } from "./notifications.ts";

const notification = { event: eventOf() } as Notification;

function notifications(notify: Notifier["notify"], limits: Partial<NotificationsOptions> = {}) {
  const notifier: Notifier = { id: "test", summary: "", uses: [], rbac: [], settings: {}, notify };
  return createNotifications({
    ...noNotifiers,
    notifiers: [{ notifier, settings: {} }],
    clients: {} as Clients,
    timeoutMs: 1_000,
    concurrency: 1,
    ...limits,
  });
}

function sendAll(line: ReturnType<typeof notifications>, count: number) {
  return Promise.all(Array.from({ length: count }, () => line.send("test", notification)));
}

describe("notifications", () => {
  it("say how many wait in the queue, without those under way", async () => {
    const hold = Promise.withResolvers<void>();
    const line = notifications(() => hold.promise);

    const sent = sendAll(line, 3);
    const before = line.waiting();
    hold.resolve();
    await sent;
    const after = line.waiting();

    expect(before).toEqual(new Map([["test", 2]]));
    expect(after).toEqual(new Map([["test", 0]]));
  });

  it("are delivered one at a time where the concurrency is 1", async () => {
    let running = 0;
    let most = 0;
    const line = notifications(async () => {
      running += 1;
      most = Math.max(most, running);
      await Promise.resolve();
      running -= 1;
    });

    const deliveries = await sendAll(line, 5);
    await line.drained();

    expect(deliveries).toEqual(Array(5).fill({ status: "success" }));
    expect(most).toBe(1);
  });

  it.each([
    ["in number", { notifications: 1, bytes: 1e6 }],
    ["in bytes", { notifications: 100, bytes: 1 }],
  ])("beyond the queue's limit %s are dropped, and that is told", async (_, queue) => {
    const hold = Promise.withResolvers<void>();
    const told: number[] = [];
    const line = notifications(() => hold.promise, { queue, dropped: (_notifier, count) => void told.push(count) });

    const sent = sendAll(line, 4);
    hold.resolve();
    const deliveries = await sent;

    expect(deliveries.map(({ status }) => status)).toEqual(["success", "success", "dropped", "dropped"]);
    expect(told).toEqual([1]);
  });

  it("are tried again where the fault may pass", async () => {
    let attempts = 0;
    const line = notifications(
      async () => {
        attempts += 1;
        if (attempts < 3) {
          throw new ActionError("throttled", "slow down", { retryAfterMs: 1 });
        }
      },
      { patience: { firstMs: 1, longestMs: 5, totalMs: 5_000 } },
    );

    expect(await line.send("test", notification)).toEqual({ status: "success" });
    expect(attempts).toBe(3);
  });

  it("are given up where it does not pass in time", async () => {
    const line = notifications(() => Promise.reject(new ActionError("unavailable", "down")), {
      patience: { firstMs: 1, longestMs: 1, totalMs: 10 },
    });

    expect(await line.send("test", notification)).toMatchObject({ status: "failure", error: { message: "down" } });
  });

  it("under way when stopped are neither delivered nor given up, and nothing more is taken", async () => {
    const line = notifications(() => new Promise(() => {}));

    const under = line.send("test", notification);
    line.stop();
    const after = line.send("test", notification);
    await line.drained();

    expect([await under, await after]).toEqual([{ status: "stopped" }, { status: "stopped" }]);
  });

  it("that would be tried again when the end comes are left to the next start; those waiting get one attempt", async () => {
    let attempts = 0;
    const line = notifications(
      async () => {
        attempts += 1;
        if (attempts < 3) {
          throw new ActionError("unavailable", "down");
        }
      },
      { patience: { firstMs: 3_600_000, longestMs: 3_600_000, totalMs: 7_200_000 } },
    );

    const sent = sendAll(line, 3);
    await Promise.resolve();
    line.end();

    expect(await sent).toEqual([{ status: "stopped" }, { status: "stopped" }, { status: "success" }]);
  });
});

describe("what a notifier prepares", () => {
  /** The first so many preparations fail. */
  function preparing(failing: number, limits: Partial<NotificationsOptions> = {}) {
    const notes: (string | undefined)[] = [];
    let prepared = 0;
    const notifier: Notifier = {
      ...{ id: "test", summary: "", uses: [], rbac: [], settings: {} },
      async prepare() {
        prepared += 1;
        await Promise.resolve();
        if (prepared <= failing) {
          throw new ActionError("unavailable", "not yet");
        }
        return `prepared at attempt ${prepared}`;
      },
      notify: async ({ note }) => void notes.push(note),
    };
    const line = notifications(notifier.notify, { notifiers: [{ notifier, settings: {} }], ...limits });
    return { line, notes, times: () => prepared };
  }

  it("is prepared once, before the first notification, and each is told of it", async () => {
    const { line, notes, times } = preparing(0, { concurrency: 4 });

    const deliveries = await sendAll(line, 3);

    expect(deliveries).toEqual(Array(3).fill({ status: "success" }));
    expect(times()).toBe(1);
    expect(notes).toEqual(Array(3).fill("prepared at attempt 1"));
  });

  it("fails the notification where it fails, and is prepared again for the next", async () => {
    const { line, notes, times } = preparing(1);

    const deliveries = await sendAll(line, 3);

    expect(deliveries.map(({ status }) => status)).toEqual(["failure", "success", "success"]);
    expect(times()).toBe(2);
    expect(notes).toHaveLength(2);
  });
});

describe("notifiers that are configured anew", () => {
  function recording(id: string) {
    const told: unknown[] = [];
    const prepared: unknown[] = [];
    const notifier: Notifier = {
      id,
      summary: "",
      uses: [],
      rbac: [],
      settings: {},
      prepare: async ({ settings }) => {
        prepared.push(settings["url"]);
        return undefined;
      },
      notify: async ({ settings }) => void told.push(settings["url"]),
    };
    return { notifier, told, prepared };
  }
  const clients = {} as Clients;

  it("are prepared again and told at their new address; where it is the same nothing happens", async () => {
    const { notifier, told, prepared } = recording("test");
    const line = createNotifications({ ...noNotifiers, notifiers: [{ notifier, settings: { url: "a" } }], clients });
    await line.send("test", notification);

    line.configure([{ notifier, settings: { url: "a" } }], clients);
    await line.send("test", notification);
    line.configure([{ notifier, settings: { url: "b" } }], clients);
    await line.send("test", notification);

    expect(told).toEqual(["a", "a", "b"]);
    expect(prepared).toEqual(["a", "b"]);
  });

  it("get what waits and what is tried again", async () => {
    let configure = (): void => undefined;
    const told: unknown[] = [];
    const notifier: Notifier = {
      ...recording("test").notifier,
      notify: async ({ settings }) => {
        if (settings["url"] === "down") {
          configure();
          throw new ActionError("unavailable", "down");
        }
        told.push(settings["url"]);
      },
    };
    const line = createNotifications({
      ...noNotifiers,
      notifiers: [{ notifier, settings: { url: "down" } }],
      clients,
      timeoutMs: 1_000,
      concurrency: 1,
      patience: { firstMs: 1, longestMs: 10, totalMs: 60_000 },
    });
    configure = () => line.configure([{ notifier, settings: { url: "up" } }], clients);

    const deliveries = await sendAll(line, 3);

    expect(deliveries).toEqual(Array(3).fill({ status: "success" }));
    expect(told).toEqual(["up", "up", "up"]);
  });

  it("are there from then on, and those no longer named still take what is for them", async () => {
    const [one, other] = [recording("one"), recording("other")];
    const line = createNotifications({
      ...noNotifiers,
      notifiers: [{ notifier: one.notifier, settings: { url: "a" } }],
      clients,
    });

    line.configure([{ notifier: other.notifier, settings: { url: "b" } }], clients);
    await line.send("one", notification);
    await line.send("other", notification);

    expect([one.told, other.told]).toEqual([["a"], ["b"]]);
  });
});
