import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { bundle } from "../support/bundle.ts";
import { runHallux } from "../support/hallux-process.ts";
import { otlpReceiver } from "../support/otlp-receiver.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const rules = `
- rule: Call
  match: { rules: [Test] }
  actions:
    - { action: Tell, actionner: "http:call", parameters: { url: "http://127.0.0.1:1/" } }
`;
const directory = mkdtempSync(join(tmpdir(), "hallux-otlp-"));
const rulesFile = join(directory, "rules.yaml");
let program: string;

beforeAll(() => {
  writeFileSync(rulesFile, rules);
  program = bundle(join(directory, "dist"));
});
afterAll(() => rmSync(directory, { recursive: true }));

it.each(["grpc", "http"] as const)("sends traces and metrics from the bundle, by %s", async (protocol) => {
  await using receiver = await otlpReceiver({ protocol });
  const env = {
    STATE_DIRECTORY: join(directory, protocol),
    OTEL_TRACES_ENABLED: "true",
    OTEL_METRICS_ENABLED: "true",
    OTEL_PROTOCOL: protocol,
    OTEL_COLLECTOR_ENDPOINT: "127.0.0.1",
    OTEL_COLLECTOR_PORT: String(receiver.port),
    OTEL_COLLECTOR_USE_INSECURE_GRPC: "true",
  };
  await using hallux = runHallux(["server", "-r", rulesFile], env, [program]);
  const url = await hallux.listening();

  const answer = await fetch(url, { method: "POST", body: '{"rule":"Test","priority":"Warning"}' });
  await hallux.logged(({ msg }) => msg === "action ended");
  hallux.signal("SIGTERM");
  await hallux.exited;

  expect(answer.status).toBe(202);
  expect(receiver.spans.map(({ name }) => name)).toContain("action Tell");
  expect(receiver.metrics.map(({ name }) => name)).toContain("hallux_events_accepted_total");
});
