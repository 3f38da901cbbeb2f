import type { StoredMsg } from "@nats-io/jetstream";
import { type Link, noteHeader, noteIn } from "./link.ts";
import type { Names } from "./names.ts";
import type { Entry, EventNote } from "./picture.ts";

/** The event as it is stored; undefined where it is not there, or another one is: the stream was made anew and we have not read it yet. */
export async function storedEvent(
  { id, sequence }: Pick<Entry, "id" | "sequence">,
  { link, names }: { readonly link: Link; readonly names: Names },
): Promise<StoredMsg | undefined> {
  const stored = await link.at(names.events, sequence);
  return stored !== undefined && noteIn<EventNote>(stored.header.get(noteHeader)).id === id ? stored : undefined;
}
