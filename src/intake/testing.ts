import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import pino from "pino";
import { onTestFinished } from "vitest";
import type { FalcoEvent } from "../events/event.ts";
import type { Acceptance } from "../ledger/ledger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { noTraces } from "../telemetry/traces.ts";
import { createIntake, type Intake, type IntakePeers, type IntakeSettings } from "./intake.ts";

export const anEvent = JSON.stringify({
  rule: "Terminal shell in container",
  priority: "Notice",
  time: "2026-03-01T10:00:00.123456789Z",
  output_fields: { "evt.time": "now" },
});

export interface Started {
  readonly intake: Intake;
  readonly url: string;
  readonly port: number;
  /** What the ledger was given. */
  readonly events: readonly FalcoEvent[];
  /** The calls of the metrics port: `eventRefused too_large`. */
  readonly counted: readonly string[];
  readonly lines: readonly Record<string, unknown>[];
}

interface Overrides {
  readonly settings?: Partial<IntakeSettings>;
  readonly peers?: Partial<IntakePeers>;
  /** What the ledger does with an event; it accepts, if nothing is said. */
  readonly accept?: (event: FalcoEvent) => Promise<Acceptance>;
}

/** A receiver on a free port of this machine, closed when the test ends. */
export async function startIntake({ settings, peers, accept }: Overrides = {}): Promise<Started> {
  const events: FalcoEvent[] = [];
  const counted: string[] = [];
  const lines: Record<string, unknown>[] = [];
  const intake = createIntake(
    { address: "127.0.0.1", port: 0, ...settings },
    {
      ledger: {
        accept: async (event) => {
          events.push(event);
          return accept === undefined ? { status: "accepted" } : await accept(event);
        },
        faults: () => [],
      },
      metrics: recordingMetrics(counted),
      traces: noTraces,
      renderMetrics: async () => ({ contentType: "text/plain; version=0.0.4", body: "hallux_up 1\n" }),
      readiness: () => [],
      logger: pino({ level: "trace" }, { write: (line) => void lines.push(JSON.parse(line)) }),
      newId: () => `e-${events.length + 1}`,
      clock: () => new Date("2026-03-01T10:00:01Z"),
      ...peers,
    },
  );

  const { port } = await intake.listen();
  onTestFinished(() => intake.close(0));
  return { intake, port, events, counted, lines, url: `http://127.0.0.1:${port}` };
}

/** Sends a text as it is and gives back all that came until the server ended the connection. */
export function exchange(port: number, text: string | Uint8Array): Promise<string> {
  return untilClosed(dial(port, text));
}

export function dial(port: number, text: string | Uint8Array): Socket {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(text);
  onTestFinished(() => void socket.destroy());
  return socket;
}

export function untilClosed(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
    });
    socket.once("close", () => resolve(received));
  });
}

export function fixture(name: string): string {
  return readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8");
}

function recordingMetrics(counted: string[]): Metrics {
  const count =
    (name: string) =>
    (...labels: unknown[]) =>
      void counted.push([name, ...labels].join(" "));
  return {
    eventAccepted: count("eventAccepted"),
    eventDuplicate: count("eventDuplicate"),
    // It says how long it took: another time each time.
    eventDurable: () => undefined,
    eventRefused: count("eventRefused"),
    eventTimeReplaced: count("eventTimeReplaced"),
    ruleMatched: count("ruleMatched"),
    eventUnmatched: count("eventUnmatched"),
    actionEnded: count("actionEnded"),
    actionRetried: count("actionRetried"),
    responseBegun: count("responseBegun"),
    responseEnded: count("responseEnded"),
    responseResumed: count("responseResumed"),
    notified: count("notified"),
    notificationEnded: count("notificationEnded"),
    apiAnswered: count("apiAnswered"),
    permissionsMissing: count("permissionsMissing"),
  };
}
