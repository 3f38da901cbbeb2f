import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import type { Batch } from "./batch.ts";
import { createJournal } from "./journal.ts";

it("commits an event at once, and an end that nobody waits for with what comes next", async () => {
  const { journal, written } = recorded();

  await journal.addEvent(eventRow(1));
  const ended = journal.addFinished({ seq: 1, kept: false });
  await journal.addEvent(eventRow(2));
  await ended;

  expect(written).toEqual([
    { events: [1], finished: [] },
    { events: [2], finished: [1] },
  ]);
});

it("commits ends alone where nothing comes", async () => {
  const { journal, written } = recorded();

  await journal.addFinished({ seq: 1, kept: false });

  expect(written).toEqual([{ events: [], finished: [1] }]);
});

it("commits ends that wait when it is closed", async () => {
  const { journal, written } = recorded();

  const ended = journal.addFinished({ seq: 1, kept: false });
  await journal.close("closed");
  await ended;

  expect(written).toEqual([{ events: [], finished: [1] }]);
});

it("commits no ends while it is at fault, and does when it works again", async () => {
  const { journal, written } = recorded();

  const ended = journal.addFinished({ seq: 1, kept: false });
  journal.suspend("no disk");
  await sleep(30);
  const whileAtFault = written.length;
  journal.resume();
  await ended;

  expect({ whileAtFault, written }).toEqual({ whileAtFault: 0, written: [{ events: [], finished: [1] }] });
});

it("commits together what comes in turn after turn, until one brings nothing", async () => {
  const { journal, written } = recorded();

  const others = addInTurns([2, 3]);
  await journal.addEvent(eventRow(1));
  await others;

  expect(written).toEqual([{ events: [1, 2, 3], finished: [] }]);

  async function addInTurns(seqs: readonly number[]): Promise<void> {
    const [seq, ...rest] = seqs;
    if (seq !== undefined) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      await Promise.all([addInTurns(rest), journal.addEvent(eventRow(seq))]);
    }
  }
});

/** What was committed, by seq. */
function recorded() {
  const written: { readonly events: readonly number[]; readonly finished: readonly number[] }[] = [];
  const seqs = (rows: readonly { readonly seq: number }[]) => rows.map(({ seq }) => seq);
  const commit = async ({ events, finished }: Batch) => {
    written.push({ events: seqs(events), finished: seqs(finished) });
  };
  return { journal: createJournal({ commit, onFault: () => undefined, clock: Date.now }), written };
}

function eventRow(seq: number) {
  return { seq, id: `event-${seq}`, receivedAt: "2026-03-01T10:00:01Z", at: seq, key: null, text: "{}" };
}
