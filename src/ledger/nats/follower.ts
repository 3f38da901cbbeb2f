import { AckPolicy, DeliverPolicy, type StreamInfo } from "@nats-io/jetstream";
import { createInbox, type Msg, type MsgHdrs, nanos, type Subscription } from "@nats-io/transport-node";
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
  /** The last message that was read. */
  position(): number;
  /** Resolves when this message is read, or a later one. */
  reached(sequence: number): Promise<void>;
  stop(): void;
}

export interface FollowerOptions {
  readonly stream: string;
  deliver(delivery: Delivery): void;
  /** The stream was made anew, or has lost its end: what was read before counts no more. */
  reset(): void;
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

export function follow(session: Session, { stream, deliver, reset }: FollowerOptions): Follower {
  const waiting = new Map<() => void, number>();
  let position = 0;
  let created: string | undefined;
  let reading: Reading | undefined;
  let stopped = false;

  const read = (delivery: Delivery) => {
    position = delivery.sequence;
    deliver(delivery);
    for (const [resolve, sequence] of waiting) {
      if (sequence <= position) {
        waiting.delete(resolve);
        resolve();
      }
    }
  };
  const end = () => {
    reading?.subscription.unsubscribe();
    reading = undefined;
  };
  const begin = (client: Client) => {
    end();
    const begun = subscribe(client, (message) => {
      const received = begun === reading ? receive(message, begun, { position, read }) : undefined;
      if (received === "gap") {
        end();
        setTimeout(() => (reading === undefined && !stopped ? begin(client) : undefined), againMs);
      } else if (received === "quiet") {
        lookForMore(begun);
      }
    });
    reading = begun;
    const known = position;
    const check = (found: StreamInfo) => {
      if (begun !== reading) {
        return;
      }
      const isOther = created !== undefined && (found.created !== created || found.state.last_seq < known);
      created = found.created;
      if (isOther) {
        position = 0;
        reset();
        begin(client);
      }
    };
    requestFrom(known + 1, stream, begun).then(check, (error: unknown) => session.doubt(client, error));
  };
  /** A server may leave out the last messages, or forget to send them: nothing that came after them would tell. */
  const lookForMore = (quiet: Reading) => {
    const known = position;
    const check = (isMore: boolean) => {
      if (isMore && quiet === reading && known === position) {
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
    position: () => position,
    reached: (sequence) =>
      sequence <= position ? Promise.resolve() : new Promise((resolve) => waiting.set(resolve, sequence)),
    stop() {
      stopped = true;
      clearInterval(watchdog);
      end();
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

type Received = "gap" | "quiet" | undefined;

function receive(
  message: Msg,
  reading: Reading,
  { position, read }: { readonly position: number; readonly read: (delivery: Delivery) => void },
): Received {
  reading.heardAt = performance.now();
  const { headers } = message;
  if (headers?.code === idleStatus) {
    return answerStatus(message, headers, reading);
  }
  const { sequence, ordinal } = placeOf(message);
  reading.received += 1;
  if (ordinal !== reading.received || !isWhole(position, sequence, reading.gaps)) {
    return "gap";
  }
  read({ sequence, subject: message.subject, note: headers?.get(noteHeader) ?? "", body: message.data });
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

/** A server before 2.10 may leave out messages that are there: where some are missing they must have been deleted. */
function isWhole(position: number, sequence: number, gaps: Extent | undefined): boolean {
  for (let missing = position + 1; gaps !== undefined && missing < sequence; missing++) {
    if (missing >= gaps.first && !gaps.deleted.has(missing)) {
      return false;
    }
  }
  return true;
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
  const sequences = Array.from({ length: last - position }, (_, n) => position + 1 + n);
  const isMore = sequences.some((sequence) => sequence >= first && !deleted.has(sequence));
  reading.end = isMore ? reading.end : last;
  return isMore;
}

/** In the stream, and among what this consumer was sent: `$JS.ACK.[domain.account.]stream.consumer.deliveries.sequence.ordinal…` */
function placeOf({ reply = "" }: Msg): { readonly sequence: number; readonly ordinal: number } {
  const tokens = reply.split(".");
  const from = tokens.length === 9 ? 5 : 7;
  return { sequence: Number(tokens[from]), ordinal: Number(tokens[from + 1]) };
}
