import { describe, expect, it } from "vitest";
import { eventOf } from "../test/support/events.ts";
import { notificationOf } from "../test/support/notifications.ts";
import { hostileNotification } from "../test/support/notifier-contract.ts";
import { fieldsOf, recordOf } from "./record.ts";

describe("the record of an outcome", () => {
  it("has nothing that a terminal obeys or that turns text around", () => {
    const notification = hostileNotification();

    const text = JSON.stringify([recordOf(notification), fieldsOf(notification.event)]);

    expect(text).not.toMatch(/\\u00[01]|\\r|[\u007f-\u009f\u202e\u2066\ufeff]|\\ud8/);
  });

  it("has no time finer than nanoseconds, which nobody reads", () => {
    const event = { ...eventOf(), time: "2026-11-21T08:15:00.1234567890123+01:00" };

    expect(recordOf(notificationOf({ event })).falco.time).toBe("2026-11-21T08:15:00.123456789+01:00");
  });

  it("names objects so that no search engine makes paths of them", () => {
    const outcome = { objects: { "a..b": "x", "network policy": "y", pod: "cart-1" } };

    expect(recordOf(notificationOf({ outcome })).objects).toEqual({ a_b: "x", network_policy: "y", pod: "cart-1" });
  });

  it("has the first fields of an event, as short texts", () => {
    const fields = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`f${n}`, n]));
    const event = eventOf({ fields: { text: "é".repeat(1_000), flag: true, none: null, ...fields } });

    const found = Object.fromEntries(fieldsOf(event));

    expect(Object.keys(found)).toHaveLength(64);
    expect(found).toMatchObject({ flag: "true", none: "null", f0: "0" });
    expect(Buffer.byteLength(found["text"] ?? "")).toBeLessThanOrEqual(512);
  });

  it("is bounded however long the texts are", () => {
    const long = '"\\'.repeat(10_000);
    const fields = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`${n}${long}`, long]));
    const event = eventOf({ rule: long, output: long, hostname: long, tags: Array(100).fill(long), fields });
    const objects = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`${n}${long}`, long]));
    const artifact = { output: "aws:s3", location: long, bytes: 1, sha256: "00" };
    const action = { name: long, actionner: "kubernetes:label" };
    const outcome = { message: long, text: long, undo: long, objects, artifact };
    const notification = notificationOf({ event, rule: long, action, outcome });

    const text = JSON.stringify([recordOf(notification), fieldsOf(event)]);

    expect(Buffer.byteLength(text)).toBeLessThan(192 * 1024);
  });
});
