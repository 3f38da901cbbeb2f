import { describe, expect, it } from "vitest";
import { eventOf } from "../test/support/events.ts";
import { notificationOf } from "../test/support/notifications.ts";
import { clip, idOf, messageOf, plain, plainLines, textOf } from "./message.ts";

const event = eventOf({
  pod: "shop/cart-1",
  podUid: "uid-7",
  priority: "Critical",
  output: "A shell\nwas spawned",
  fields: { "proc.cmdline": "sh" },
});

describe("what a person is told", () => {
  it("says what happened, where, what was done, what came of it, and how to undo it", () => {
    const artifact = { output: "aws:s3", location: "s3://evidence/x_log", bytes: 12, sha256: "ab12" };
    const notification = notificationOf({
      event,
      outcome: {
        artifact,
        objects: { pod: "cart-1", node: "node-1" },
        text: "line 1\r\nline 2",
        undo: "kubectl label x",
      },
    });

    const text = textOf(messageOf(notification, "a note"));

    expect(text).toBe(`Done: kubernetes:label on pod shop/cart-1

pod labelled

Falco rule: Terminal shell in container (Critical)
Detected:   ${event.time} on node-1
Falco says:
  A shell
  was spawned
Target:     pod shop/cart-1 (uid-7)
Rule:       Label shells
Action:     label (kubernetes:label)
Outcome:    success
Objects:    pod cart-1, node node-1
Result:
  line 1
  line 2
Artifact:   s3://evidence/x_log
Bytes:      12
SHA-256:    ab12
Ended:      2026-11-21T08:15:00.000Z
Response:   ${notification.response}

To undo it:
  kubectl label x

Note: a note
`);
  });

  it("says why it failed, and what a dry run found", () => {
    const failed = messageOf(
      notificationOf({ outcome: { status: "failure", code: "forbidden", message: "no right" } }),
    );
    const tried = messageOf(
      notificationOf({ outcome: { status: "dry_run", would: "refused", target: { kind: "none" } } }),
    );

    expect([failed.headline, failed.summary]).toEqual(["Failed: kubernetes:label on pod shop/cart-1", "no right"]);
    expect(failed.facts).toContainEqual({ name: "Outcome", value: "failure (forbidden)" });
    expect(tried.headline).toBe("Dry run: kubernetes:label");
    expect(tried.facts).toContainEqual({ name: "Outcome", value: "dry run, would be refused" });
  });

  it("leaves out what there is not", () => {
    const bare = eventOf({ hostname: undefined, output: undefined });

    const { facts, undo, note } = messageOf(notificationOf({ event: bare, outcome: { target: undefined } }));

    expect(facts.map(({ name }) => name)).toEqual([
      "Falco rule",
      "Detected",
      "Rule",
      "Action",
      "Outcome",
      "Ended",
      "Response",
    ]);
    expect([undo, note]).toEqual([undefined, undefined]);
  });

  it("is bounded however long the texts are", () => {
    const long = "é\n".repeat(500_000);
    const notification = notificationOf({
      event: eventOf({ rule: long, output: long }),
      rule: long,
      action: { name: long, actionner: "kubernetes:label" },
      outcome: { message: long, undo: long, text: long, objects: { [long]: long } },
    });

    const message = messageOf(notification, long);

    expect(Buffer.byteLength(textOf(message))).toBeLessThan(12_000);
    expect(Buffer.byteLength(message.line)).toBeLessThanOrEqual(1024);
  });
});

describe("a text", () => {
  it("loses what a terminal obeys or that turns text around, on one line or on several", () => {
    const text = "a\u001b[2Jb\u202ec\u0000\ud800\r\nd\u2028e\u0085f";

    expect(plain(text)).toBe("a [2Jb c \ufffd d e f");
    expect(plainLines(text)).toBe("a [2Jb c \ufffd\nd\ne f");
  });

  it("is cut between characters", () => {
    expect(clip("ééé", 6)).toBe("ééé");
    expect(clip("ééé", 5)).toBe("é…");
  });
});

describe("the id of a notification", () => {
  it("is the same for the same one, and another for every other", () => {
    const notification = notificationOf({ event });
    const others = [
      { ...notification, response: "other" },
      { ...notification, at: "2026-11-21T08:15:01.000Z" },
      { ...notification, action: { name: "other", actionner: "kubernetes:label" } },
    ];

    const ids = new Set([notification, { ...notification }, ...others].map(idOf));

    expect(ids.size).toBe(4);
    expect([...ids].every((id) => /^[0-9a-f]{32}$/.test(id))).toBe(true);
  });
});
