import { randomUUID } from "node:crypto";
import pino from "pino";
import { createIntake } from "../src/intake/intake.ts";
import { createMetrics } from "../src/telemetry/otel-metrics.ts";
import { noTraces } from "../src/telemetry/traces.ts";

/** The receiver before a ledger that accepts everything at once. Prints its port. */
const metrics = createMetrics({ version: "bench" });
const receiver = createIntake(
  { address: "127.0.0.1", port: 0 },
  {
    ledger: { accept: async () => ({ status: "accepted" }), faults: () => [] },
    metrics,
    traces: noTraces,
    renderMetrics: metrics.render,
    readiness: () => [],
    logger: pino({ level: "silent" }),
    newId: randomUUID,
    clock: () => new Date(),
  },
);
const { port } = await receiver.listen();
console.log(JSON.stringify({ port }));
