import { JetStreamApiCodes, JetStreamApiError, JsHeaders, type StoredMsg } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import { createBell } from "../bell.ts";
import { LedgerUnavailable } from "../ledger.ts";
import type { Client, Session } from "./session.ts";

export interface Message {
  readonly subject: string;
  /** What is stored beside the body. */
  readonly note: string;
  readonly body: string;
  /** The sequence of the subject's last message, 0 where there must be none: else it is not stored. */
  readonly expected?: number | undefined;
  /** Removes the subject's earlier messages, in one step with storing this one. */
  readonly replaces?: boolean;
}

/** What the ledger asks of NATS. Each rejects with `LedgerUnavailable` where there is no answer within a moment. */
export interface Link {
  /** Its sequence in the stream, when it is stored. Rejects with `Conflict` where another one came before. */
  publish(message: Message): Promise<number>;
  /** The subject's last message. */
  last(stream: string, subject: string): Promise<StoredMsg | undefined>;
  at(stream: string, sequence: number): Promise<StoredMsg | undefined>;
  perform<T>(ask: (client: Client) => Promise<T>): Promise<T>;
  /** Resolves when nothing is being published. */
  settled(): Promise<void>;
}

/** The subject's last message is not the expected one. */
export class Conflict extends Error {
  override readonly name = "Conflict";
}

export const noteHeader = "Hallux";

/** What is stored beside a body; empty where somebody else has written it. */
export function noteIn<T extends object>(text: string): Partial<T> {
  try {
    return Object(JSON.parse(text)) as Partial<T>;
  } catch {
    return {};
  }
}

/** Of a message: what is not its body. */
const headBytes = 1024;

export function createLink(session: Session): Link {
  const perform: Link["perform"] = async (ask) => {
    const client = await session.client();
    try {
      return await ask(client);
    } catch (error) {
      throw inWords(error, () => session.doubt(client, error));
    }
  };
  const idle = createBell();
  const tick = createTick();
  let underWay = 0;
  const get = (stream: string, query: { readonly seq: number } | { readonly last_by_subj: string }) =>
    perform(async ({ jsm }) => (await jsm.streams.getMessage(stream, query)) ?? undefined);

  return {
    async publish({ subject, note, body, expected, replaces }) {
      const head = headers();
      head.set(noteHeader, note);
      if (replaces === true) {
        head.set(JsHeaders.RollupHdr, JsHeaders.RollupValueSubject);
      }
      const expect = expected === undefined ? {} : { expect: { lastSubjectSequence: expected } };
      const bytes = Buffer.from(body);
      underWay += 1;
      await tick.next();
      try {
        const { seq } = await perform(({ nc, js }) => {
          checkSize(bytes.length, nc.info?.max_payload);
          return js.publish(subject, bytes, { headers: head, ...expect });
        });
        return seq;
      } finally {
        underWay -= 1;
        if (underWay === 0) {
          idle.ring();
        }
      }
    },
    last: (stream, subject) => get(stream, { last_by_subj: subject }),
    at: (stream, sequence) => get(stream, { seq: sequence }),
    perform,
    async settled() {
      while (underWay > 0) {
        await idle.rung();
      }
    },
  };
}

/** What is published in one turn of the event loop goes over the wire in one piece. */
function createTick() {
  let next: Promise<void> | undefined;
  return {
    next(): Promise<void> {
      next ??= new Promise((resolve) => {
        setImmediate(() => {
          next = undefined;
          resolve();
        });
      });
      return next;
    },
  };
}

function checkSize(bytes: number, limit: number | undefined): void {
  if (limit !== undefined && bytes + headBytes > limit) {
    throw new LedgerUnavailable(
      `${bytes} bytes are more than NATS takes in one message: raise its max_payload (${limit})`,
    );
  }
}

function inWords(error: unknown, doubt: () => string): unknown {
  if (error instanceof LedgerUnavailable) {
    return error;
  }
  if (!(error instanceof JetStreamApiError)) {
    return new LedgerUnavailable(doubt(), { cause: error });
  }
  const { code } = error;
  return code === JetStreamApiCodes.StreamWrongLastSequence || code === JetStreamApiCodes.StreamWrongLastSequenceUnknown
    ? new Conflict(error.message, { cause: error })
    : new LedgerUnavailable(`NATS refuses: ${error.message}`, { cause: error });
}
