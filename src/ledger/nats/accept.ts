import type { FalcoEvent } from "../../events/event.ts";
import { keyOf } from "../deduplication.ts";
import { type Acceptance, LedgerUnavailable } from "../ledger.ts";
import type { History } from "./history.ts";
import { Conflict, type Link, noteHeader, noteIn } from "./link.ts";
import { digestOf, type Names } from "./names.ts";
import { type EventNote, entryOf, noteOf, type Picture } from "./picture.ts";

export interface AcceptPeers {
  readonly link: Link;
  readonly names: Names;
  readonly picture: Picture;
  readonly history: History;
  /** Of the de-duplication; 0 switches it off. */
  readonly windowSeconds: number;
  /** Milliseconds. */
  readonly clock: () => number;
}

/** Between two attempts others have come before us; so often in a row means that something is wrong. */
const maxAttempts = 8;

/**
 * Events that are the same have the same subject, and the server stores one only where the last of its subject is the one we
 * know: so of several, sent to several replicas at once, one is stored, and none is lost between knowing it and storing it.
 */
export async function accept(event: FalcoEvent, peers: AcceptPeers): Promise<Acceptance> {
  const { names, history, windowSeconds, clock } = peers;
  const note = noteOf(event, clock());
  const subject = names.subject("event", digestOf(windowSeconds === 0 ? event.id : keyOf(event)));
  let expected = 0;

  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const earlier = await store({ event, note, subject, expected }, peers);
    if (earlier === "stored") {
      return { status: "accepted" };
    }
    if (earlier?.id !== undefined && (event.uuid !== undefined || note.at - earlier.at < windowSeconds * 1000)) {
      await history.addRepeat(earlier.id, { event: event.id, at: new Date(note.at).toISOString() });
      return { status: "duplicate", of: earlier.id };
    }
    expected = earlier?.sequence ?? 0;
  }
  throw new LedgerUnavailable("the same event is being stored again and again: send it once more");
}

interface Attempt {
  readonly event: FalcoEvent;
  readonly note: EventNote;
  readonly subject: string;
  readonly expected: number;
}

/** Where another event has the subject: that one; undefined where it has just gone. */
async function store({ event, note, subject, expected }: Attempt, { link, names, picture }: AcceptPeers) {
  try {
    const sequence = await link.publish({ subject, note: JSON.stringify(note), body: event.text, expected });
    picture.announce(entryOf(note, { subject, sequence, bytes: Buffer.byteLength(event.text) }));
    return "stored";
  } catch (error) {
    if (!(error instanceof Conflict)) {
      throw error;
    }
  }
  const last = await link.last(names.events, subject);
  return last && { at: 0, ...noteIn<EventNote>(last.header.get(noteHeader)), sequence: last.seq };
}
