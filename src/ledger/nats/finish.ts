import { JetStreamApiError } from "@nats-io/jetstream";
import { LedgerUnavailable } from "../ledger.ts";
import { Conflict, type Link, noteHeader, noteIn } from "./link.ts";
import { type Names, tokenOf } from "./names.ts";
import type { Entry, FinishedNote, Picture } from "./picture.ts";
import { storedEvent } from "./stored.ts";

export interface FinishPeers {
  readonly link: Link;
  readonly names: Names;
  readonly picture: Picture;
}

const maximumBytesExceeded = 10077;

/**
 * Puts a short note in the event's place: in one step the event is gone, what repeats it is still known, and each replica reads
 * that it is finished.
 */
export async function finish({ id }: Entry, peers: FinishPeers): Promise<void> {
  const { picture } = peers;
  // Not the one that was given: the stream may have been taken back or made anew since. What is not in it needs no note.
  const entry = picture.unfinished(id);
  if (entry === undefined) {
    return;
  }
  if (picture.shares(entry)) {
    await finishAmongOthers(entry, peers);
  } else {
    await finishAlone(entry, peers);
  }
  picture.settle(id);
}

async function finishAlone(entry: Entry, peers: FinishPeers, expected = entry.sequence): Promise<void> {
  const { link, names } = peers;
  const { subject } = entry;
  try {
    await link.publish({ subject, note: noteOf(entry), body: "", replaces: true, expected });
    forgetRecords(entry, link, names);
  } catch (error) {
    if (isFull(error) && expected !== 0) {
      await remove(entry, peers);
      await finishAlone(entry, peers, 0);
    } else if (!(error instanceof Conflict)) {
      throw error;
    } else if (!(await isFinished(entry, link, names))) {
      await finishAmongOthers(entry, peers);
    }
  }
}

/** Another event of the same key has come since: its place must not be taken. The note takes that of the records. */
async function finishAmongOthers(entry: Entry, peers: FinishPeers): Promise<void> {
  const subject = peers.names.subject("record", tokenOf(entry.id));
  await peers.link.publish({ subject, note: noteOf(entry), body: "", replaces: true });
  await remove(entry, peers);
}

/** We have written it before without hearing so, or another replica has. */
async function isFinished(entry: Entry, link: Link, names: Names): Promise<boolean> {
  const last = await link.last(names.events, entry.subject);
  if (last === undefined) {
    // A server of 2.9 that was killed may know no message of a subject that has one.
    return (await storedEvent(entry, { link, names })) === undefined;
  }
  const note = noteIn<FinishedNote>(last.header.get(noteHeader));
  return note.id === entry.id && note.finished === true;
}

function noteOf({ id, at }: Entry): string {
  const note: FinishedNote = { id, at, finished: true };
  return JSON.stringify(note);
}

async function remove(entry: Entry, { link, names }: FinishPeers): Promise<void> {
  if ((await storedEvent(entry, { link, names })) !== undefined) {
    const { sequence } = entry;
    await link.perform(({ jsm }) => jsm.streams.deleteMessage(names.events, sequence, false)).catch(unlessUnavailable);
  }
}

/** Without its event a record means nothing; what is left of it goes when the stream is trimmed. */
function forgetRecords({ id, recorded }: Entry, link: Link, names: Names): void {
  if (recorded > 0) {
    const filter = names.subject("record", tokenOf(id));
    link.perform(({ jsm }) => jsm.streams.purge(names.events, { filter })).catch(unlessUnavailable);
  }
}

function isFull(error: unknown): boolean {
  return (
    error instanceof LedgerUnavailable &&
    error.cause instanceof JetStreamApiError &&
    error.cause.code === maximumBytesExceeded
  );
}

function unlessUnavailable(error: unknown): void {
  if (!(error instanceof LedgerUnavailable)) {
    throw error;
  }
}
