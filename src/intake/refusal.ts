import type { ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import type { Metrics, RefusalReason } from "../telemetry/metrics.ts";
import { answer, type Headers } from "./answer.ts";

/** Why a request gets no 2xx. All but the headers is for the sender; none of it holds a secret or our internals. */
export interface Refusal {
  readonly status: number;
  readonly reason: RefusalReason;
  readonly field?: string | undefined;
  readonly expected?: string | undefined;
  readonly message: string;
  readonly headers?: Headers;
}

/** What the log says besides the refusal. */
export interface Particulars {
  /** The address of the sender; undefined where the connection was gone before it was asked for. */
  readonly remote: string | undefined;
  /** A little of what was sent. */
  readonly event?: { readonly start: string; readonly length: number };
  readonly err?: unknown;
}

/** Where each refusal is answered, counted and logged. */
export interface Refusals {
  refuse(response: ServerResponse, refusal: Refusal, particulars: Particulars): void;
  /** For what cannot be answered. */
  note(refusal: Refusal, particulars: Particulars): void;
  /** For a connection that broke: the first fault of each is counted, as the later ones follow from it. */
  broken(socket: Duplex, refusal: Refusal, particulars: Particulars): void;
}

/** Whoever reaches the port can cause refusals: they must not fill a disk or hide each other. */
const linesPerWindow = 10;
const windowMs = 10_000;

export function createRefusals(peers: {
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly clock: () => Date;
}): Refusals {
  const log = createRefusalLog(peers.logger, peers.clock);
  const brokenSockets = new WeakSet<Duplex>();

  function note(refusal: Refusal, particulars: Particulars): void {
    peers.metrics.eventRefused(refusal.reason);
    log(refusal, particulars);
  }

  return {
    note,
    refuse(response, refusal, particulars) {
      note(refusal, particulars);
      answer(response, refusal.status, errorBody(refusal), refusal.headers);
    },
    broken(socket, refusal, particulars) {
      if (!brokenSockets.has(socket)) {
        brokenSockets.add(socket);
        note(refusal, particulars);
      }
    },
  };
}

export function errorBody({ reason, field, expected, message }: Refusal): object {
  return { error: { reason, field, expected, message } };
}

interface Window {
  start: number;
  lines: number;
  suppressed: number;
}

/** At most ten lines per reason in ten seconds; the next line after that says how many were left out. */
function createRefusalLog(
  logger: Logger,
  clock: () => Date,
): (refusal: Refusal, { remote, event, err }: Particulars) => void {
  const windows = new Map<RefusalReason, Window>();

  return ({ status, reason, field }, { remote, event, err }) => {
    const window = currentWindow(windows, reason, clock().getTime());
    if (window.lines === linesPerWindow) {
      window.suppressed += 1;
      return;
    }
    const suppressed = window.suppressed === 0 ? undefined : window.suppressed;
    window.lines += 1;
    window.suppressed = 0;
    logger[status >= 500 ? "error" : "warn"](
      { reason, status, field, remote, event, err, suppressed },
      "event refused",
    );
  };
}

function currentWindow(windows: Map<RefusalReason, Window>, reason: RefusalReason, now: number): Window {
  const window = windows.get(reason);
  if (window !== undefined && Math.abs(now - window.start) < windowMs) {
    return window;
  }
  const next = { start: now, lines: 0, suppressed: window?.suppressed ?? 0 };
  windows.set(reason, next);
  return next;
}
