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
const entry = { ...entryOf(note, { subject, sequence: 7, bytes: 100 }), recorded: 5 };

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
    last: async () =>
      ({ seq: last, header: new Headers({ Hallux: '{"id":"e-2","group":"Rule"}' }) }) as unknown as StoredMsg,
    at: async () => undefined,
    perform: (ask) => ask({ jsm: { streams } } as unknown as Client),
    settled: async () => undefined,
  };
  return { link, published, purged };
}

describe("finishing an event in a full stream", () => {
  it("leaves the next of the same key alone, which took its place at that moment, and says so where its records were", async () => {
    const { link, published, purged } = fullStream();
    const picture = createPicture({ onEvent: () => undefined, keepsText: () => false });

    await finish(entry, { link, names: namesFor("hallux"), picture });

    expect(published.map((message) => message.subject)).toEqual(["hallux.record.e-1"]);
    expect(purged).toEqual([]);
  });
});
