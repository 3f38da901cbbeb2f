import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import pino from "pino";
import { createIntake } from "../src/intake/intake.ts";
import { createMetrics } from "../src/telemetry/otel-metrics.ts";

/**
 * Events per second of this process's CPU time through the receiver, against a bare node:http that parses and answers: both
 * in turns in this run. CPU time, because the load comes from another process that competes for the same cores.
 */
const limit = 0.3;
const rounds = 5;
const secondsPerRound = 3;

const event = JSON.stringify({
  uuid: "7403e430-ec66-4787-95e7-61d17731af10",
  hostname: "node-2",
  output: "10:00:00.834543046: Notice A shell was spawned in a container with an attached terminal",
  output_fields: {
    "evt.type": "execve",
    "user.name": "root",
    "user.uid": 0,
    "user.loginuid": -1,
    "proc.name": "sh",
    "proc.exepath": "/bin/busybox",
    "proc.pname": "runc",
    "proc.cmdline": "sh -c uptime",
    "proc.tty": 34816,
    "container.id": "6cad8d116ece",
    "container.image.repository": "docker.io/library/nginx",
    "k8s.ns.name": "shop",
    "k8s.pod.name": "cart-1",
  },
  priority: "Notice",
  rule: "Terminal shell in container",
  source: "syscall",
  tags: ["container", "shell", "mitre_execution"],
  time: "2026-11-20T10:00:00.834543046Z",
}).replace('"evt.type"', '"evt.time":1763689041886038257,"evt.type"');

const bare = await startBare();
const intake = await startIntake();
const samples = { bare: [] as number[], intake: [] as number[] };
for (let round = 0; round < rounds; round++) {
  samples.bare.push(await eventsPerCpuSecond(bare.port));
  samples.intake.push(await eventsPerCpuSecond(intake.port));
}
await Promise.all([bare.close(), intake.close()]);

const rate = { bare: median(samples.bare), intake: median(samples.intake) };
const ratio = rate.intake / rate.bare;
console.log(`bare node:http  ${rate.bare.toFixed(0)} events/s of CPU time`);
console.log(`intake          ${rate.intake.toFixed(0)} events/s of CPU time`);
console.log(`ratio           ${ratio.toFixed(2)} (limit ${limit})`);
process.exitCode = ratio < limit ? 1 : 0;

async function startBare(): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const { rule } = JSON.parse(Buffer.concat(chunks).toString("utf8"));
      response.writeHead(202, { "content-type": "application/json" });
      response.end(JSON.stringify({ status: "accepted", event: rule }));
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const close = async () => {
    server.close();
    server.closeAllConnections();
  };
  return { port: (server.address() as AddressInfo).port, close };
}

async function startIntake(): Promise<{ port: number; close(): Promise<void> }> {
  const metrics = createMetrics("bench");
  const receiver = createIntake(
    { address: "127.0.0.1", port: 0 },
    {
      ledger: { accept: async () => ({ status: "accepted" }), faults: () => [] },
      metrics,
      renderMetrics: () => metrics.render(),
      readiness: () => [],
      logger: pino({ level: "silent" }),
      newId: randomUUID,
      clock: () => new Date(),
    },
  );
  const { port } = await receiver.listen();
  return { port, close: () => receiver.close(0) };
}

async function eventsPerCpuSecond(port: number): Promise<number> {
  const autocannon = createRequire(import.meta.url).resolve("autocannon");
  const load = ["--json", "--connections", "32", "--duration", String(secondsPerRound), "--method", "POST"];
  const before = process.cpuUsage();
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [autocannon, ...load, "--headers", "content-type=application/json", "--body", event, `http://127.0.0.1:${port}/`],
    { maxBuffer: 1_048_576 },
  );
  const { user, system } = process.cpuUsage(before);
  const { requests, non2xx, errors } = JSON.parse(stdout);
  if (non2xx > 0 || errors > 0) {
    throw new Error(`${non2xx} answers were not 2xx, ${errors} requests failed`);
  }
  return requests.total / ((user + system) / 1e6);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
