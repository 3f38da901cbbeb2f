import { describe, expect, it } from "vitest";
import { eventOf } from "../../../test/support/events.ts";
import { createPicture, type Entry, entryOf, noteOf } from "./picture.ts";

function pictureOf() {
  const offered: Entry[] = [];
  const picture = createPicture({ onEvent: (entry) => offered.push(entry), keepsText: () => true });
  const read = (sequence: number, subject: string, note: unknown, body = "") =>
    picture.read({ sequence, subject, note: JSON.stringify(note), body: Buffer.from(body) });
  return { picture, offered, read };
}

const note = (id: string, at = 0) => ({ ...noteOf(eventOf({ pod: "shop/cart-1" }), at), id });
const finished = (id: string) => ({ id, at: 0, finished: true });
const subject = "hallux.event.a";

describe("the picture of the stream", () => {
  it("holds what is not finished, the oldest first", () => {
    const { picture, offered, read } = pictureOf();

    read(1, "hallux.event.a", note("a", 1000), "text");
    read(2, "hallux.event.b", note("b", 2000), "text");
    read(3, "hallux.event.a", finished("a"));

    expect(offered.map(({ id }) => id)).toEqual(["a", "b"]);
    expect([...picture.entries()].map(({ id }) => id)).toEqual(["b"]);
    expect(picture.backlog()).toMatchObject({ events: 1, bytes: 4, oldestAt: 2000 });
  });

  it("counts what was stored by us before it is read, and once", () => {
    const { picture, read } = pictureOf();

    picture.announce(entryOf(note("a", 1000), { subject, sequence: 1, bytes: 4 }));
    const before = picture.backlog();
    read(1, subject, note("a", 1000), "text");

    expect(before).toMatchObject({ events: 1, bytes: 4, oldestAt: 1000 });
    expect(picture.backlog()).toEqual(before);
  });

  it("does not count what others have finished before we heard that it was stored", () => {
    const { picture, read } = pictureOf();

    read(1, subject, note("a"), "text");
    read(2, subject, finished("a"));
    picture.announce(entryOf(note("a"), { subject, sequence: 1, bytes: 4 }));

    expect(picture.backlog().events).toBe(0);
  });

  it("does not count what others have finished before we could read it", () => {
    const { picture, read } = pictureOf();

    picture.announce(entryOf(note("a"), { subject, sequence: 1, bytes: 4 }));
    read(2, subject, finished("a"));

    expect(picture.backlog()).toEqual({ events: 0, bytes: 0, oldestAt: undefined });
  });

  it("does not hold what was finished unread, and gone with the next of its key, which is finished too", () => {
    const { picture, read } = pictureOf();
    picture.announce(entryOf(note("b"), { subject, sequence: 2, bytes: 4 }));

    read(1, subject, note("a"), "text");
    read(6, subject, finished("c"));

    expect([...picture.entries()]).toEqual([]);
    expect(picture.backlog()).toEqual({ events: 0, bytes: 0, oldestAt: undefined });
  });

  it("holds what came after the note that another of its key is finished", () => {
    const { picture, read } = pictureOf();
    picture.announce(entryOf(note("c"), { subject, sequence: 3, bytes: 4 }));

    read(1, subject, note("a"), "text");
    read(2, subject, finished("a"));
    read(3, subject, note("c"), "text");

    expect([...picture.entries()].map(({ id }) => id)).toEqual(["c"]);
  });

  it("gathers what was recorded of an event, each record once", () => {
    const { picture, offered, read } = pictureOf();
    const closed = { type: "closed", at: "", response: "r-1" };

    read(1, subject, note("a"), "text");
    read(2, "hallux.record.a", { id: "a" }, JSON.stringify([closed]));
    read(2, "hallux.record.a", { id: "a" }, JSON.stringify([closed]));

    expect(offered[0]?.history).toEqual([closed]);
    expect(picture.backlog().events).toBe(1);
  });

  it("knows which events have a subject in common", () => {
    const { picture, offered, read } = pictureOf();

    read(1, subject, note("a"), "text");
    read(2, subject, note("b"), "text");
    const both = offered.map((entry) => picture.shares(entry));
    picture.settle("a");

    expect(both).toEqual([true, true]);
    expect(picture.shares(offered[1] as Entry)).toBe(false);
  });

  it("lets go of the oldest finished events, and never of an unfinished one", () => {
    const { picture, read } = pictureOf();
    for (const n of [1, 2, 3, 4]) {
      read(n, `hallux.event.${n}`, note(`e-${n}`), "text");
    }
    for (const n of [1, 3, 4]) {
      read(10 + n, `hallux.event.${n}`, finished(`e-${n}`));
    }

    const withUnfinished = picture.surplus(2);
    picture.settle("e-2");

    expect(withUnfinished).toBe(2);
    expect(picture.surplus(2)).toBe(13);
    expect(pictureOf().picture.surplus(2)).toBe(0);
  });

  it("takes no notice of what somebody else has written into the stream", () => {
    const { picture } = pictureOf();

    picture.read({ sequence: 1, subject, note: "", body: Buffer.from("x") });

    expect(picture.backlog().events).toBe(0);
  });
});
