import { setImmediate as turn } from "node:timers/promises";
import type { StreamInfo } from "@nats-io/jetstream";
import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { describe, expect, it, onTestFinished } from "vitest";
import { LedgerUnavailable } from "../ledger.ts";
import { follow } from "./follower.ts";
import type { Client, Session } from "./session.ts";

/** A server of which the test says what it sends, and a follower that has read the first message of three. */
async function followerOfThree(deleted: readonly number[], { first = 1, last = 3 } = {}) {
  let created = "now";
  let listen: (client: Client) => void = () => undefined;
  const asked: number[] = [];
  const details: unknown[] = [];
  const doubts: unknown[] = [];
  let send: (message: Msg) => void = () => undefined;
  const nc = {
    info: { version: "2.9.10" },
    isClosed: () => false,
    publish: () => undefined,
    subscribe(_subject: string, { callback }: { callback(error: null, message: Msg): void }) {
      send = (message) => callback(null, message);
      return { getSubject: () => "inbox", unsubscribe: () => undefined };
    },
  } as unknown as NatsConnection;
  const jsm = {
    streams: {
      async info(_stream: string, options?: object) {
        details.push(options);
        return { created, state: { first_seq: first, last_seq: last, deleted } };
      },
    },
    consumers: {
      async add(_stream: string, config: { readonly opt_start_seq: number }) {
        asked.push(config.opt_start_seq);
      },
    },
  } as unknown as Client["jsm"];
  const client = { nc, jsm, js: undefined as never };
  const session = {
    onUp(listener: (client: Client) => void) {
      listen = listener;
      listener(client);
    },
    doubt(_client: Client, error: unknown) {
      doubts.push(error);
      return "";
    },
  } as unknown as Session;
  const follower = follow(session, { stream: "s", deliver: () => undefined, reset: () => undefined });
  onTestFinished(() => follower.stop());
  await turn();
  send(messageAt(1));
  return {
    follower,
    asked,
    /** Somebody removes the stream, and somebody makes it anew. */
    async madeAnew() {
      created = "later";
      listen(client);
      await turn();
    },
    details,
    doubts,
    async signOfLife() {
      send(heartbeat({ "Nats-Last-Consumer": "1", "Nats-Last-Stream": "1" }));
      await turn();
    },
    async flowControl() {
      send(heartbeat({}));
      await turn();
    },
  };
}

function messageAt(sequence: number): Msg {
  return { subject: "s.a", reply: `$JS.ACK.s.c.1.${sequence}.${sequence}.0.0`, data: new Uint8Array() } as Msg;
}

function heartbeat(values: Readonly<Record<string, string>>): Msg {
  return { headers: { code: 100, get: (key: string) => values[key] ?? "" }, respond: () => true } as unknown as Msg;
}

describe("the follower of a stream", () => {
  it("asks again for the last messages where the server has left them out", async () => {
    const { asked, signOfLife } = await followerOfThree([]);

    await signOfLife();

    expect(asked).toEqual([1, 1]);
  });

  it("asks again where some of them were deleted, and one was not", async () => {
    const { asked, signOfLife } = await followerOfThree([3]);

    await signOfLife();

    expect(asked).toEqual([1, 1]);
  });

  it("finds out once that the last messages were deleted", async () => {
    const { asked, details, signOfLife } = await followerOfThree([2, 3]);
    const before = details.filter((options) => options !== undefined).length;

    await signOfLife();
    await signOfLife();

    expect(asked).toEqual([1]);
    expect(details.filter((options) => options !== undefined)).toHaveLength(before + 1);
  });

  it("finds out that all messages were removed, however many there have been", async () => {
    const last = 5_000_000_000;
    const { asked, doubts, signOfLife } = await followerOfThree([], { first: last + 1, last });

    await signOfLife();

    expect(asked).toEqual([1]);
    expect(doubts).toEqual([]);
  });

  it("reads a stream that was made anew from its beginning, and waits for nothing of the former one", async () => {
    const { follower, asked, madeAnew } = await followerOfThree([]);
    const of = (created: string) => follower.isOf({ created } as StreamInfo);
    const before = [of("now"), of("later")];
    const reached = follower.reached(3);

    await Promise.all([expect(reached).rejects.toBeInstanceOf(LedgerUnavailable), madeAnew()]);

    expect(asked).toEqual([1, 1, 1]);
    expect(before).toEqual([true, false]);
    expect([of("now"), of("later")]).toEqual([false, true]);
  });

  it("does not ask while messages flow", async () => {
    const { asked, flowControl } = await followerOfThree([]);

    await flowControl();

    expect(asked).toEqual([1]);
  });
});
