import type { StoredMsg } from "@nats-io/jetstream";
import { describe, expect, it } from "vitest";
import { eventOf } from "../../../test/support/events.ts";
import type { Lease } from "./leases.ts";
import type { Link } from "./link.ts";
import { namesFor } from "./names.ts";
import { createPicture, noteOf } from "./picture.ts";
import { createTurns, type TurnsPeers } from "./turns.ts";

const event = eventOf({ pod: "shop/cart-1" });
const note = noteOf(event, 0);
const lease: Lease = {
  key: "part",
  lost: new AbortController().signal,
  isGood: () => true,
  release: async () => undefined,
};

/** One event that waits, and whose text has to be asked for: `stored` is what the stream has in its place. */
function turnsOf(stored: { readonly id: string; readonly text: string }) {
  const link = {
    at: async () =>
      ({
        header: new Headers({ Hallux: JSON.stringify({ ...note, id: stored.id }) }),
        string: () => stored.text,
      }) as unknown as StoredMsg,
  } as unknown as Link;
  const picture = createPicture({ onEvent: (entry) => turns.offer(entry), keepsText: () => false });
  const turns = createTurns({
    ...{ link, picture, names: namesFor("hallux") },
    history: { chronicleOf: () => ({ add: () => undefined, settled: async () => undefined }) },
    leaseOf: () => lease,
    catchUp: async () => undefined,
    rouse: () => undefined,
    barred: () => undefined,
  } as unknown as TurnsPeers);
  picture.read({ sequence: 5, subject: "hallux.event.a", note: JSON.stringify(note), body: Buffer.from(event.text) });
  return { turns, picture };
}

describe("turns", () => {
  it("give an event with the text that is stored for it", async () => {
    const { turns } = turnsOf({ id: event.id, text: event.text });

    const work = await turns.next({ events: 1, bytes: 1e6 });

    expect(work?.event).toEqual(event);
  });

  it("do not give an event with the text of another, which has its place since the stream was made anew", async () => {
    const { turns, picture } = turnsOf({ id: "another", text: eventOf().text });

    const work = await turns.next({ events: 1, bytes: 1e6 });

    expect(work).toBeUndefined();
    expect(picture.backlog().events).toBe(0);
  });
});
