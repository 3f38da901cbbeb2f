import { AckPolicy, DeliverPolicy, type StreamInfo } from "@nats-io/jetstream";
import { createInbox, type Msg, type MsgHdrs, nanos, type Subscription } from "@nats-io/transport-node";
import { LedgerUnavailable } from "../ledger.ts";
import { noteHeader } from "./link.ts";
import type { Client, Session } from "./session.ts";

export interface Delivery {
  readonly sequence: number;
  readonly subject: string;
  readonly note: string;
  /** A part of what came over the wire: to be copied where it is kept. */
  readonly body: Uint8Array;
}

/** Reads a stream from its first message on, each once and in order, for ever: over lost connections and restarted servers. */
export interface Follower {
  /** Whether what was read is of the stream that this tells of, not of one before it. */
  isOf(stream: StreamInfo): boolean;
  /** Resolves when this message is read, or a later one. Rejects with `LedgerUnavailable` where it never will be. */
  reached(sequence: number): Promise<void>;
  stop(): void;
}

export interface FollowerOptions {
  readonly stream: string;
  deliver(delivery: Delivery): void;
  /** The stream was made anew, or has lost its end: what was read before counts no more. */
  reset(): void;
}

/** Where a message is in the stream, which of those that this consumer was sent it is, and when it was stored. */
interface Place {
  readonly sequence: number;
  readonly ordinal: number;
  readonly storedAt: string;
}

/** One consumer at the server, and what has come of it. */
interface Reading {
  readonly client: Client;
  readonly subscription: Subscription;
  received: number;
  heardAt: number;
  /** The end of the stream, where it is known that nothing before it is missing. */
  end: number;
  /** Where a gap has to be explained: what the stream was when this was begun. */
  gaps?: Extent | undefined;
}

/** Of a stream: where it begins and ends, and what is missing in between. */
interface Extent {
  readonly first: number;
  readonly last: number;
  readonly deleted: ReadonlySet<number>;
}

const heartbeatMs = 1_000;
/** Without a sign of life for so long, it is begun again. */
const silenceMs = 3_500;
const idleStatus = 100;
const againMs = 50;
const notRead = "the stream is not read any more";
const beginning = { sequence: 0, storedAt: "" };

export function follow(session: Session, { stream, deliver, reset }: FollowerOptions): Follower {
  const waiting = createWaiting();
  /** What was read last. */
  let last: Pick<Place, "sequence" | "storedAt"> = beginning;
  let created: string | undefined;
  let reading: Reading | undefined;
  let stopped = false;

  const read = (message: Msg, place: Place) => {
    last = place;
    const { sequence } = place;
    deliver({ sequence, subject: message.subject, note: message.headers?.get(noteHeader) ?? "", body: message.data });
    waiting.reached(sequence);
  };
  const end = () => {
    reading?.subscription.unsubscribe();
    reading = undefined;
  };
  const take = (message: Msg, begun: Reading) => {
    const { client } = begun;
    const received = receive(message, begun, { last, read });
    if (received === "gap") {
      end();
      setTimeout(() => (reading === undefined && !stopped ? begin(client) : undefined), againMs);
    } else if (received === "quiet") {
      lookForMore(begun);
    } else if (received === "other") {
      restart(client);
    }
  };
  const begin = (client: Client) => {
    end();
    const begun = subscribe(client, (message) => (begun === reading ? take(message, begun) : undefined));
    reading = begun;
    const known = last.sequence;
    const check = (found: StreamInfo) => {
      if (begun !== reading) {
        return;
      }
      const isOther = created !== undefined && (found.created !== created || found.state.last_seq < known);
      created = found.created;
      if (isOther) {
        restart(client);
      }
    };
    // The last one again: where another has its place, the stream was taken back and has gone on since.
    requestFrom(Math.max(1, known), stream, begun).then(check, (error: unknown) => session.doubt(client, error));
  };
  const restart = (client: Client) => {
    last = beginning;
    waiting.giveUp("the stream is another one now: it is read from its beginning");
    reset();
    begin(client);
  };
  /** A server may leave out the last messages, or forget to send them: nothing that came after them would tell. */
  const lookForMore = (quiet: Reading) => {
    const known = last.sequence;
    const check = (isMore: boolean) => {
      if (isMore && quiet === reading && known === last.sequence) {
        begin(quiet.client);
      }
    };
    isMoreIn(stream, quiet, known).then(check, (error: unknown) => session.doubt(quiet.client, error));
  };
  session.onUp(begin);
  const watchdog = setInterval(() => {
    if (reading !== undefined && performance.now() - reading.heardAt > silenceMs && !reading.client.nc.isClosed()) {
      begin(reading.client);
    }
  }, heartbeatMs);

  return {
    isOf: (found) => found.created === created,
    async reached(sequence) {
      if (stopped) {
        throw new LedgerUnavailable(notRead);
      }
      await (sequence > last.sequence ? waiting.until(sequence) : undefined);
    },
    stop() {
      stopped = true;
      clearInterval(watchdog);
      waiting.giveUp(notRead);
      end();
    },
  };
}

/** Who waits for which message. */
function createWaiting() {
  const waiting = new Map<PromiseWithResolvers<void>, number>();
  return {
    until(sequence: number): Promise<void> {
      const done = Promise.withResolvers<void>();
      waiting.set(done, sequence);
      return done.promise;
    },
    reached(sequence: number) {
      for (const [done, awaited] of waiting) {
        if (awaited <= sequence) {
          waiting.delete(done);
          done.resolve();
        }
      }
    },
    giveUp(reason: string) {
      for (const done of waiting.keys()) {
        done.reject(new LedgerUnavailable(reason));
      }
      waiting.clear();
    },
  };
}

function subscribe(client: Client, take: (message: Msg) => void): Reading {
  const callback = (error: Error | null, message: Msg) => {
    if (error === null) {
      take(message);
    }
  };
  const subscription = client.nc.subscribe(createInbox(), { callback });
  return { client, subscription, received: 0, heardAt: performance.now(), end: 0 };
}

/** The server keeps the consumer as long as somebody listens. Gives the stream as it is then: no consumer outlives its own. */
async function requestFrom(sequence: number, stream: string, reading: Reading): Promise<StreamInfo> {
  const { client, subscription } = reading;
  reading.gaps = await gapsIn(stream, client);
  await client.jsm.consumers.add(stream, {
    deliver_subject: subscription.getSubject(),
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: sequence,
    flow_control: true,
    idle_heartbeat: nanos(heartbeatMs),
    mem_storage: true,
    num_replicas: 1,
  });
  return client.jsm.streams.info(stream);
}

/** `other`: in the place of the message that was read last there is another one. */
type Received = "gap" | "quiet" | "other" | undefined;

function receive(
  message: Msg,
  reading: Reading,
  { last, read }: { readonly last: Pick<Place, "sequence" | "storedAt">; read(message: Msg, place: Place): void },
): Received {
  reading.heardAt = performance.now();
  const { headers } = message;
  if (headers?.code === idleStatus) {
    return answerStatus(message, headers, reading);
  }
  const place = placeOf(message);
  reading.received += 1;
  if (place.sequence === last.sequence && place.storedAt !== last.storedAt) {
    return "other";
  }
  if (place.ordinal !== reading.received || !isWhole(last.sequence, place.sequence, reading.gaps)) {
    return "gap";
  }
  if (place.sequence > last.sequence) {
    read(message, place);
  }
  return undefined;
}

/** The server's sign of life says how many messages there should have been; its flow control asks for an answer. */
function answerStatus(message: Msg, headers: MsgHdrs, { client, received }: Reading): Received {
  const stalled = headers.get("Nats-Consumer-Stalled");
  const sent = headers.get("Nats-Last-Consumer");
  if (stalled !== "") {
    client.nc.publish(stalled);
  }
  message.respond();
  if (Number(sent) > received) {
    return "gap";
  }
  return sent === "" || stalled !== "" ? undefined : "quiet";
}

/** Whether it holds a message. */
function isAnyIn({ first, last, deleted }: Extent): boolean {
  for (let sequence = first; sequence <= last; sequence++) {
    if (!deleted.has(sequence)) {
      return true;
    }
  }
  return false;
}

/** A server before 2.10 may leave out messages that are there: where some are missing they must have been deleted. */
function isWhole(position: number, sequence: number, gaps: Extent | undefined): boolean {
  return gaps === undefined || !isAnyIn({ ...gaps, first: Math.max(gaps.first, position + 1), last: sequence - 1 });
}

async function gapsIn(stream: string, client: Client): Promise<Extent | undefined> {
  const [major = 0, minor = 0] = (client.nc.info?.version ?? "").split(".").map(Number);
  return major > 2 || minor >= 10 ? undefined : await extentOf(stream, client);
}

async function extentOf(stream: string, { jsm }: Client): Promise<Extent> {
  const { state } = await jsm.streams.info(stream, { deleted_details: true });
  return { first: state.first_seq, last: state.last_seq, deleted: new Set(state.deleted) };
}

/** Whether the stream holds something after this. */
async function isMoreIn(stream: string, reading: Reading, position: number): Promise<boolean> {
  const { jsm } = reading.client;
  const { state } = await jsm.streams.info(stream);
  if (state.last_seq <= Math.max(position, reading.end)) {
    return false;
  }
  const { first, last, deleted } = await extentOf(stream, reading.client);
  const isMore = isAnyIn({ first: Math.max(first, position + 1), last, deleted });
  reading.end = isMore ? reading.end : last;
  return isMore;
}

/** In `$JS.ACK.[domain.account.]stream.consumer.deliveries.sequence.ordinal.storedAt…` */
function placeOf({ reply = "" }: Msg): Place {
  const tokens = reply.split(".");
  const from = tokens.length === 9 ? 5 : 7;
  return { sequence: Number(tokens[from]), ordinal: Number(tokens[from + 1]), storedAt: tokens[from + 2] ?? "" };
}
