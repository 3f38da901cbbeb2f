import type { IncomingMessage, ServerResponse } from "node:http";
import { decodeEvent, type Fault } from "../events/decode.ts";
import { type Acceptance, type Ledger, LedgerUnavailable } from "../ledger/ledger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Traces } from "../telemetry/traces.ts";
import { answer } from "./answer.ts";
import { bodyForm, readBody } from "./body.ts";
import type { Gate } from "./gate.ts";
import type { Particulars, Refusal, Refusals } from "./refusal.ts";

/** One request that sends an event. */
export interface Delivery {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Without the query. */
  readonly path: string;
  /** The sender waits for `100 Continue` before it sends the body. */
  readonly expectsContinue: boolean;
  readonly remote: () => string | undefined;
  /** When its headers were there, as `performance.now()` tells. */
  readonly requestedAt: number;
}

export interface ReceiverPeers {
  readonly gate: Gate;
  readonly maxBodyBytes: number;
  readonly ledger: Pick<Ledger, "accept">;
  readonly metrics: Metrics;
  readonly traces: Pick<Traces, "received">;
  readonly refusals: Refusals;
  readonly newId: () => string;
  readonly clock: () => Date;
}

const excerptLength = 200;

/** Takes one event: 202 once the ledger has it, 200 where it is a repetition, else the reason. Never rejects. */
export function createReceiver(peers: ReceiverPeers): (delivery: Delivery) => Promise<void> {
  return async (delivery) => {
    try {
      await receive(delivery, peers);
    } catch (error) {
      peers.refusals.refuse(delivery.response, unavailable(error), { remote: delivery.remote(), err: error });
    }
  };
}

async function receive(delivery: Delivery, peers: ReceiverPeers): Promise<void> {
  const { request, response, path, expectsContinue, remote } = delivery;

  const form = peers.gate(request, path) ?? bodyForm(request.headers, peers.maxBodyBytes);
  if ("reason" in form) {
    // Node drops the body, or ends the connection where the sender still waits to send it.
    return peers.refusals.refuse(response, form, { remote: remote() });
  }
  if (expectsContinue) {
    response.writeContinue();
  }
  const body = await readBody(request, form);
  if (Buffer.isBuffer(body)) {
    return takeEvent(body.toString("utf8"), delivery, peers);
  }
  if (body.reason === "aborted") {
    return peers.refusals.broken(request.socket, body, { remote: remote() });
  }
  peers.refusals.refuse(response, body, { remote: remote() });
}

async function takeEvent(text: string, delivery: Delivery, peers: ReceiverPeers): Promise<void> {
  const { request, response, remote, requestedAt } = delivery;
  const { ledger, metrics, traces, refusals, newId, clock } = peers;
  const started = performance.now();

  const { event, timeReplaced, fault } = decodeEvent(text, { id: newId(), receivedAt: clock().toISOString() });
  if (fault !== undefined) {
    return refusals.refuse(response, badEvent(fault), { remote: remote(), event: excerptOf(text) });
  }
  const acceptance = await ledger.accept(event);
  const duplicateOf = acceptance.status === "duplicate" ? acceptance.of : undefined;
  metrics.eventDurable((performance.now() - started) / 1000, duplicateOf ?? event.id);
  count(metrics, acceptance, timeReplaced);
  answerAccepted(response, event.id, acceptance);
  traces.received(event, duplicateOf, request.headers, requestedAt);
}

/** Only the ledger's own words for the sender leave the house. */
function unavailable(error: unknown): Refusal {
  const message = error instanceof LedgerUnavailable ? error.message : "the event could not be stored";
  return { status: 503, reason: "unavailable", message, headers: { "retry-after": "1" } };
}

function count(metrics: Metrics, { status }: Acceptance, timeReplaced: boolean): void {
  if (status === "duplicate") {
    metrics.eventDuplicate();
    return;
  }
  metrics.eventAccepted();
  if (timeReplaced) {
    metrics.eventTimeReplaced();
  }
}

function answerAccepted(response: ServerResponse, event: string, acceptance: Acceptance): void {
  if (acceptance.status === "accepted") {
    answer(response, 202, { status: "accepted", event });
  } else {
    answer(response, 200, { status: "duplicate", event, of: acceptance.of });
  }
}

function badEvent({ reason, field, expected, message }: Fault): Refusal {
  return { status: 400, reason, field, expected, message };
}

function excerptOf(text: string): Particulars["event"] {
  return { start: text.slice(0, excerptLength), length: text.length };
}
