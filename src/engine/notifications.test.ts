import { describe, expect, it } from "vitest";
import type { Notification, Notifier } from "../catalogue/catalogue.ts";
import type { Clients } from "../clients/clients.ts";
import { createNotifications, type Delivery } from "./notifications.ts";

const notification = {} as Notification;

function notifications(notify: Notifier["notify"], limits: { queueLimit?: number; concurrency?: number } = {}) {
  const notifier: Notifier = { id: "test", summary: "", uses: [], rbac: [], settings: {}, notify };
  return createNotifications({
    notifiers: [{ notifier, settings: {} }],
    clients: {} as Clients,
    timeoutMs: 1_000,
    queueLimit: 100,
    concurrency: 1,
    ...limits,
  });
}

describe("notifications", () => {
  it("are delivered in order, one at a time where the concurrency is 1", async () => {
    let running = 0;
    let most = 0;
    const line = notifications(async () => {
      running += 1;
      most = Math.max(most, running);
      await Promise.resolve();
      running -= 1;
    });
    const deliveries: Delivery[] = [];

    for (let i = 0; i < 5; i++) {
      line.send("test", notification, (delivery) => deliveries.push(delivery));
    }
    await line.drained();

    expect(deliveries.map(({ status }) => status)).toEqual(Array(5).fill("success"));
    expect(most).toBe(1);
  });

  it("beyond the queue's limit are dropped, and that is told", async () => {
    const hold = Promise.withResolvers<void>();
    const line = notifications(() => hold.promise, { queueLimit: 1 });
    const deliveries: Delivery[] = [];

    for (let i = 0; i < 3; i++) {
      line.send("test", notification, (delivery) => deliveries.push(delivery));
    }
    const droppedAtOnce = deliveries.map(({ status }) => status);
    hold.resolve();
    await line.drained();

    expect(droppedAtOnce).toEqual(["dropped"]);
    expect(deliveries.map(({ status }) => status).sort()).toEqual(["dropped", "success", "success"]);
  });

  it("under way when stopped end as failures, and nothing more is taken", async () => {
    const line = notifications(() => new Promise(() => {}));
    const deliveries: Delivery[] = [];

    line.send("test", notification, (delivery) => deliveries.push(delivery));
    line.stop();
    line.send("test", notification, (delivery) => deliveries.push(delivery));
    await line.drained();

    expect(deliveries.map(({ status }) => status).sort()).toEqual(["dropped", "failure"]);
    expect(deliveries).toContainEqual({ status: "dropped", reason: "Hallux is stopping" });
  });
});
