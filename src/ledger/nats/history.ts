import { decodeEvent } from "../../events/decode.ts";
import type { FalcoEvent } from "../../events/event.ts";
import type { Repeat, ResponseDetail, ResponsePage, ResponseQuery, ResponseRecord, Transition } from "../ledger.ts";
import { type Chronicle, openChronicle, type Planned, type SourceNote, type StateNote } from "./chronicle.ts";
import { type Link, noteHeader } from "./link.ts";
import { type Names, tokenOf } from "./names.ts";

/** What happened, for people to read. */
export interface History {
  chronicleOf(event: FalcoEvent): Chronicle;
  addRepeat(of: string, repeat: Repeat): Promise<void>;
  responses(query: ResponseQuery): Promise<ResponsePage>;
  response(id: string): Promise<ResponseDetail | undefined>;
}

interface Found {
  readonly sequence: number;
  readonly record: ResponseRecord;
}

/** Of sequences. `lowest` is how far one page may look, `first` the oldest that there is. */
interface Range {
  readonly from: number;
  readonly first: number;
  readonly lowest: number;
}

/** Asked for at the same time. */
const chunk = 64;
/** One page looks at no more, whatever its filter: it may come short, and the next one goes on. */
const maxLooks = 4_096;
/** Responses are in the order in which they were stored, not in that of the replicas' clocks. */
const clocksDifferMs = 600_000;
const maxRepeats = 100;

export function createHistory(link: Link, names: Names): History {
  const underWay = new Set<Promise<void>>();
  /** Who asks sees what this process has recorded. */
  const written = () => Promise.allSettled(underWay);

  const recordOf = async (response: string): Promise<(ResponseRecord & StateNote) | undefined> => {
    const state = await link.last(names.responses, names.subject("response", tokenOf(response)));
    const transitions = state === undefined ? [] : (state.json() as Transition[]);
    return state && { response, transitions, ...(JSON.parse(state.header.get(noteHeader)) as StateNote) };
  };
  const find = async (sequence: number, query: ResponseQuery): Promise<Found | "older" | undefined> => {
    const planned = (await link.at(names.planned, sequence))?.json<Planned>();
    if (planned === undefined) {
      return undefined;
    }
    if (!isWanted(planned, query)) {
      return isLongBefore(planned, query) ? "older" : undefined;
    }
    const record = await recordOf(planned.response);
    return hasStatus(record, query)
      ? { sequence, record: { response: record.response, transitions: record.transitions } }
      : undefined;
  };
  /** Downwards, until there are more than one page takes. `next`: where others may be below. */
  const search = async ({ from, first, lowest }: Range, query: ResponseQuery) => {
    const found: Found[] = [];
    let at = from;
    while (at >= lowest && found.length <= query.limit) {
      const sequences = downwards(at, Math.max(lowest, at - chunk + 1));
      const looks = await Promise.all(sequences.map((sequence) => find(sequence, query)));
      found.push(...looks.filter((look) => typeof look === "object"));
      at = looks.includes("older") ? 0 : at - sequences.length;
    }
    return { found, next: at >= first ? at + 1 : undefined };
  };
  const eventOf = async (id: string): Promise<FalcoEvent | undefined> => {
    const source = await link.last(names.responses, names.subject("source", tokenOf(id)));
    return source && decodeEvent(source.string(), JSON.parse(source.header.get(noteHeader)) as SourceNote).event;
  };

  return {
    chronicleOf: (event) => openChronicle(event, { link, names, underWay }),
    async addRepeat(of, repeat) {
      await link.publish({ subject: names.subject("repeat", tokenOf(of)), note: "{}", body: JSON.stringify(repeat) });
    },
    async responses(query) {
      await written();
      const { first, last } = await boundsOf(names.planned, link);
      const from = Math.min(last, query.after === undefined ? last : Number(query.after) - 1);
      const { found, next } = await search({ from, first, lowest: Math.max(first, from - maxLooks) }, query);
      return pageOf(found, query.limit, next);
    },
    async response(id) {
      await written();
      const record = await recordOf(id);
      const event = record && (await eventOf(record.event));
      if (record === undefined || event === undefined || record.transitions[0]?.type !== "planned") {
        return undefined;
      }
      const { response, transitions } = record;
      return { response, transitions, event, repeats: await repeatsOf(record.event, link, names) };
    },
  };
}

/** `rest`: the lowest sequence that was looked at, where there are others below it. */
function pageOf(found: readonly Found[], limit: number, rest: number | undefined): ResponsePage {
  const page = found.slice(0, limit);
  const next = found.length > limit ? page.at(-1)?.sequence : rest;
  return { responses: page.map(({ record }) => record), next: next?.toString() };
}

function downwards(from: number, to: number): number[] {
  return Array.from({ length: from - to + 1 }, (_, n) => from - n);
}

function isWanted({ at, rule, target }: Planned, query: ResponseQuery): boolean {
  return (
    (query.since === undefined || Date.parse(at) >= Date.parse(query.since)) &&
    (query.rule === undefined || rule === query.rule) &&
    (query.target === undefined || target === query.target)
  );
}

function isLongBefore({ at }: Planned, { since }: ResponseQuery): boolean {
  return since !== undefined && Date.parse(at) < Date.parse(since) - clocksDifferMs;
}

function hasStatus<R extends ResponseRecord>(record: R | undefined, { status }: ResponseQuery): record is R {
  if (record === undefined || status === undefined) {
    return record !== undefined;
  }
  const { transitions } = record;
  return status === "open"
    ? transitions.every(({ type }) => type !== "closed")
    : transitions.some((step) => step.type === "ended" && step.outcome.status === status);
}

async function boundsOf(stream: string, link: Link): Promise<{ readonly first: number; readonly last: number }> {
  const { state } = await link.perform(({ jsm }) => jsm.streams.info(stream));
  return { first: Math.max(1, state.first_seq), last: state.last_seq };
}

/** Newest first. */
async function repeatsOf(event: string, link: Link, names: Names): Promise<Repeat[]> {
  const repeats: Repeat[] = [];
  const subject = names.subject("repeat", tokenOf(event));
  let seq = 1;
  while (repeats.length < maxRepeats) {
    const query = { seq, next_by_subj: subject };
    const message = await link.perform(({ jsm }) => jsm.direct.getMessage(names.repeats, query));
    if (message === null) {
      break;
    }
    repeats.unshift(message.json());
    seq = message.seq + 1;
  }
  return repeats;
}
