import type { FalcoEvent } from "../../events/event.ts";
import { describeTarget } from "../../events/target.ts";
import type { Transition } from "../ledger.ts";
import { Conflict, type Link, type Message } from "./link.ts";
import { type Names, tokenOf } from "./names.ts";

/** By what a response is found. */
export interface Planned {
  readonly response: string;
  readonly at: string;
  readonly rule: string;
  readonly target: string;
}

/** Beside the state of a response. */
export interface StateNote {
  readonly event: string;
}

/** Beside the event that responses answer. */
export interface SourceNote {
  readonly id: string;
  readonly receivedAt: string;
}

/**
 * Tells people what happened to one event: the newest state of each response. The work does not need it, so the oldest may be
 * forgotten; it follows what the work needs, and is never before it.
 */
export interface Chronicle {
  add(transitions: readonly Transition[]): void;
  /** Resolves when all of it is stored; rejects with `LedgerUnavailable` where it cannot be now. */
  settled(): Promise<void>;
}

/** What is being written is in `underWay`. */
export function openChronicle(
  event: FalcoEvent,
  { link, names, underWay }: { readonly link: Link; readonly names: Names; readonly underWay: Set<Promise<void>> },
): Chronicle {
  const states = new Map<string, Transition[]>();
  const unwritten = new Set<string>();
  const listed = new Set<string>();
  let writing: Promise<void> | undefined;

  /** The state first: what is listed is there. */
  const write = (response: string) => {
    const transitions = states.get(response) ?? [];
    const written: Promise<unknown>[] = [link.publish(stateOf(response, event, transitions, names))];
    const [planned] = transitions;
    if (!listed.has(response) && planned?.type === "planned") {
      listed.add(response);
      written.push(unlessThere(link.publish(plannedOf(planned, names))));
    }
    return Promise.all(written);
  };
  const flush = async () => {
    if (listed.size === 0) {
      await link.publish(sourceOf(event, names));
    }
    while (unwritten.size > 0) {
      const responses = [...unwritten];
      unwritten.clear();
      await Promise.all(responses.map(write));
    }
    writing = undefined;
  };
  const start = () => {
    const flushing = flush();
    writing = flushing;
    underWay.add(flushing);
    flushing.catch(() => {}).finally(() => underWay.delete(flushing));
  };

  return {
    add(transitions) {
      for (const transition of transitions) {
        states.set(transition.response, [...(states.get(transition.response) ?? []), transition]);
        unwritten.add(transition.response);
      }
      if (writing === undefined && unwritten.size > 0) {
        start();
      }
    },
    settled: async () => writing,
  };
}

function sourceOf({ id, receivedAt, text }: FalcoEvent, names: Names): Message {
  const note: SourceNote = { id, receivedAt };
  return { subject: names.subject("source", tokenOf(id)), note: JSON.stringify(note), body: text };
}

function stateOf(response: string, { id }: FalcoEvent, transitions: readonly Transition[], names: Names): Message {
  const note: StateNote = { event: id };
  const subject = names.subject("response", tokenOf(response));
  return { subject, note: JSON.stringify(note), body: JSON.stringify(transitions) };
}

function plannedOf(planned: Extract<Transition, { type: "planned" }>, names: Names): Message {
  const { response, at, rule, target } = planned;
  const found: Planned = { response, at, rule, target: describeTarget(target) };
  const subject = names.subject("planned", tokenOf(response));
  return { subject, note: "{}", body: JSON.stringify(found), expected: 0 };
}

/** An earlier process may have written it. */
async function unlessThere(stored: Promise<unknown>): Promise<void> {
  try {
    await stored;
  } catch (error) {
    if (!(error instanceof Conflict)) {
      throw error;
    }
  }
}
