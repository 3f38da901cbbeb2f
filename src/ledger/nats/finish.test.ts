import { JetStreamApiError, type StoredMsg } from "@nats-io/jetstream";
import { describe, expect, it } from "vitest";
import { LedgerUnavailable } from "../ledger.ts";
import { finish } from "./finish.ts";
import { Conflict, type Link, type Message } from "./link.ts";
import { namesFor } from "./names.ts";
import { createPicture, entryOf } from "./picture.ts";
import type { Client } from "./session.ts";

const subject = "hallux.event.key";
const note = { id: "e-1", receivedAt: "", at: 1, group: "Rule" };
const entry = { ...entryOf(note, { subject, sequence: 7, bytes: 100 }), recorded: 8 };

/** Where the event has been read, and something is recorded of it. */
function pictureOfIt() {
  const picture = createPicture({ onEvent: () => undefined, keepsText: () => false });
  picture.read({ sequence: 7, subject, note: JSON.stringify(note), body: Buffer.from("text") });
  picture.read({ sequence: 8, subject: "hallux.record.e-1", note: '{"id":"e-1"}', body: Buffer.from("[]") });
  return picture;
}

function storedAs(seq: number, id: string): StoredMsg {
  return { seq, header: new Headers({ Hallux: `{"id":"${id}","group":"Rule"}` }) } as unknown as StoredMsg;
}

/** A stream that is full until the event is removed; then another replica stores an event of the same key in its place. */
function fullStream() {
  const published: Message[] = [];
  const purged: unknown[] = [];
  let last = 7;
  const full = new JetStreamApiError({ code: 400, err_code: 10077, description: "maximum bytes exceeded" });
  const streams = {
    async deleteMessage() {
      last = 8;
    },
    async purge(_stream: string, { filter }: { readonly filter: string }) {
      purged.push(filter);
    },
  };
  const link: Link = {
    async publish(message) {
      if (message.subject === subject && message.expected !== undefined && message.expected !== last) {
        throw new Conflict("wrong last sequence");
      }
      if (last === 7) {
        throw new LedgerUnavailable("NATS refuses: maximum bytes exceeded", { cause: full });
      }
      published.push(message);
      return 9;
    },
    last: async () => storedAs(last, "e-2"),
    at: async (_stream, sequence) => storedAs(sequence, "e-1"),
    perform: (ask) => ask({ jsm: { streams } } as unknown as Client),
    settled: async () => undefined,
  };
  return { link, published, purged };
}

describe("finishing an event in a full stream", () => {
  it("leaves the next of the same key alone, which took its place at that moment, and says so where its records were", async () => {
    const { link, published, purged } = fullStream();

    await finish(entry, { link, names: namesFor("hallux"), picture: pictureOfIt() });

    expect(published.map((message) => message.subject)).toEqual(["hallux.record.e-1"]);
    expect(purged).toEqual([]);
  });
});

/** Made anew while the event was worked on: its key and its sequence are other events' now, unless given. */
function otherStream({ at = "e-3" } = {}) {
  const done: string[] = [];
  const link: Link = {
    async publish(message) {
      if (message.expected === 7) {
        throw new Conflict("wrong last sequence");
      }
      done.push(`published ${message.subject}`);
      return 9;
    },
    last: async () => storedAs(3, "e-2"),
    at: async (_stream, sequence) => storedAs(sequence, at),
    perform: (ask) =>
      ask({
        jsm: { streams: { deleteMessage: async (_stream: string, seq: number) => done.push(`deleted ${seq}`) } },
      } as unknown as Client),
    settled: async () => undefined,
  };
  return { link, done };
}

describe("finishing an event whose stream was made anew", () => {
  it("does not remove what has its sequence there", async () => {
    const { link, done } = otherStream();

    await finish(entry, { link, names: namesFor("hallux"), picture: pictureOfIt() });

    expect(done).toEqual(["published hallux.record.e-1"]);
  });

  it("writes nothing once it has been read that the event is not there", async () => {
    const { link, done } = otherStream();
    const picture = pictureOfIt();
    picture.clear();

    await finish(entry, { link, names: namesFor("hallux"), picture });

    expect(done).toEqual([]);
  });
});

describe("finishing an event whose subject the server has forgotten", () => {
  it("does not take it for finished by somebody else as long as it is there", async () => {
    const forgetful = otherStream({ at: "e-1" });
    const link: Link = { ...forgetful.link, last: async () => undefined };

    await finish(entry, { link, names: namesFor("hallux"), picture: pictureOfIt() });

    expect(forgetful.done).toEqual(["published hallux.record.e-1", "deleted 7"]);
  });
});
