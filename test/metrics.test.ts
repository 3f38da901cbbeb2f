import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { startHallux } from "../src/hallux.ts";
import { metricDefinitions, type openLabels } from "../src/telemetry/definitions.ts";
import { promtool, withoutPromtool } from "./peers/promtool.ts";
import { hostileTexts } from "./support/hostile.ts";
import { loadedFrom } from "./support/loaded.ts";
import { type ReadSample, readMetrics } from "./support/metrics-page.ts";
import { realCatalogue } from "./support/real-catalogue.ts";

vi.setConfig({ testTimeout: 120_000 });

const rules = `
- rule: Act on what is critical
  match: { priority: ">=Critical" }
  actions:
    - { action: Mark, actionner: "kubernetes:label", parameters: { labels: { suspicious: "true" } } }
  notifiers: [webhook]
`;

const formats = { text: "text/plain", openmetrics: "application/openmetrics-text; version=1.0.0" } as const;

interface Started {
  readonly port: number;
  readonly url: string;
  samples(format?: keyof typeof formats): Promise<readonly ReadSample[]>;
  valueNow(name: string, labels?: Readonly<Record<string, string>>): Promise<number | undefined>;
}

/** The whole of Hallux, before an API server that answers every request so and a webhook that takes everything. */
async function start(answer: RequestListener, env: Readonly<Record<string, string>> = {}): Promise<Started> {
  const webhook = await listening((_, response) => response.end());
  const apiServer = await listening(answer);
  const settings = await loadedFrom({
    env: {
      LISTEN_ADDRESS: "127.0.0.1",
      LISTEN_PORT: "0",
      SHUTDOWN_DELAY_SECONDS: "0",
      SHUTDOWN_GRACE_SECONDS: "1",
      API_TOKEN: "the-token",
      DEDUPLICATION_TIME_WINDOW_SECONDS: "0",
      NOTIFIERS_WEBHOOK_URL: `http://127.0.0.1:${webhook}/`,
      ...env,
    },
    rules,
  });
  const hallux = await startHallux({
    ...settings,
    catalogue: realCatalogue,
    logger: pino({ level: "silent" }),
    version: "0",
    kubeconfig: { from: "text", text: kubeconfigOf(apiServer) },
    readFile: () => "",
    metadataDisabled: true,
    stateDirectory: mkdtempSync(join(tmpdir(), "hallux-test-")),
    pid: process.pid,
    usage: () => ({ cpuSeconds: 1, residentBytes: 1 }),
  });
  onTestFinished(() => hallux.stop());
  const url = `http://127.0.0.1:${hallux.port}`;
  const samples: Started["samples"] = async (format = "text") => {
    const page = await fetch(`${url}/metrics`, { headers: { accept: formats[format] } });
    return readMetrics(await page.text(), format).flatMap((family) => family.samples);
  };
  return {
    port: hallux.port,
    url,
    samples,
    async valueNow(name, labels = {}) {
      const found = (await samples()).find((sample) => sample.name === name && isPartOf(labels, sample.labels));
      return found?.value;
    },
  };
}

function isPartOf(labels: Readonly<Record<string, string>>, all: Readonly<Record<string, string>>): boolean {
  return Object.entries(labels).every(([name, value]) => all[name] === value);
}

/** Its port. */
async function listening(answer: RequestListener): Promise<number> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function kubeconfigOf(port: number): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "here",
    contexts: [{ name: "here", context: { cluster: "here", user: "here" } }],
    clusters: [{ name: "here", cluster: { server: `http://127.0.0.1:${port}` } }],
    users: [{ name: "here", user: { token: "t" } }],
  });
}

/** There is nothing. */
const nothing: RequestListener = (_, response) => {
  const status = { kind: "Status", apiVersion: "v1", status: "Failure", reason: "NotFound", code: 404 };
  response.writeHead(404, { "content-type": "application/json" }).end(JSON.stringify(status));
};

function attack(traits: Readonly<Record<string, unknown>> = {}): string {
  const fields = { "k8s.ns.name": "shop", "k8s.pod.name": "cart-1" };
  return JSON.stringify({ rule: "Shell", priority: "Critical", output_fields: fields, ...traits });
}

function post(url: string, body: string, headers: Readonly<Record<string, string>> = {}) {
  return fetch(url, { method: "POST", body, headers }).then((response) => response.text());
}

/** What people who mean harm, or know no better, send; `mark` makes each text another one. */
async function flood({ url, port }: Started, mark: string): Promise<void> {
  const texts = Array.from({ length: 50 }, (_, index) =>
    hostileTexts.map((text) => `${text.slice(0, 200)} ${mark}-${index}`),
  ).flat();
  for (let first = 0; first < texts.length; first += 40) {
    await Promise.all(texts.slice(first, first + 40).map((text, index) => sendEvents(url, text, index % 8 === 0)));
  }
  await Promise.all(texts.filter((_, index) => index % 20 === 0).map((text) => readPages(url, text)));
  for (const line of [`${mark}\r\n\r\n`, `GET /${mark} HTTP/9.9\r\n\r\n`, `BREW / HTTP/1.1\r\nHost: ${mark}\r\n\r\n`]) {
    await rawly(port, line);
  }
}

/** One that is taken, which the rule matches or not, and two that are not. */
async function sendEvents(url: string, text: string, isCritical: boolean): Promise<void> {
  const fields = { "k8s.ns.name": text, "k8s.pod.name": text, [text]: text };
  const everywhere = { rule: text, source: text, hostname: text, tags: [text], uuid: text, output_fields: fields };
  await post(url, attack({ ...everywhere, priority: isCritical ? "Critical" : "Debug" }));
  await post(url, attack({ ...everywhere, priority: text }));
  await post(url, text);
}

async function readPages(url: string, text: string): Promise<void> {
  const encoded = encodeURIComponent(text.toWellFormed());
  await post(`${url}/?${encoded}`, attack({ rule: text, hostname: text }));
  await post(url, attack({ rule: text }), { "content-encoding": encoded.slice(0, 50) });
  for (const path of [encoded, `metrics?${encoded}`, "metrics", `api/v1/responses/${encoded}`, `api/v1/${encoded}`]) {
    const headers = { authorization: `Bearer ${encoded.length % 2 === 0 ? "the-token" : encoded}`, accept: encoded };
    await fetch(`${url}/${path}`, { headers }).then((response) => response.arrayBuffer());
    await fetch(`${url}/${path}`, { method: "PATCH", headers }).then((response) => response.arrayBuffer());
  }
}

function rawly(port: number, text: string): Promise<unknown> {
  const socket = connect(port, "127.0.0.1", () => socket.write(text));
  socket.resume();
  socket.on("error", () => undefined);
  return once(socket, "close");
}

/** Nothing is left to do or to tell. */
async function settled({ valueNow }: Started): Promise<void> {
  await vi.waitFor(async () => expect(await valueNow("hallux_ledger_backlog_events")).toBe(0), { timeout: 40_000 });
}

describe("the metrics of a running Hallux", () => {
  it("tell of an event at every stage, with the event in the exemplars", async () => {
    const hallux = await start(nothing);

    await post(hallux.url, attack({ priority: "Debug" }));
    const answer = JSON.parse(await post(hallux.url, attack()));
    await fetch(`${hallux.url}/api/v1/responses`, { headers: { authorization: "Bearer the-token" } });
    await settled(hallux);

    const samples = await hallux.samples("openmetrics");
    const moved = new Set(samples.filter(({ value }) => value > 0).map(({ name }) => name));
    expect([...moved]).toEqual(
      expect.arrayContaining([
        ...["hallux_events_accepted_total", "hallux_rule_matches_total", "hallux_events_unmatched_total"],
        ...["hallux_accept_duration_seconds_count", "hallux_response_delay_seconds_count"],
        ...["hallux_response_duration_seconds_count", "hallux_action_duration_seconds_count"],
        ...["hallux_actions_total", "hallux_notifications_total", "hallux_notification_duration_seconds_count"],
        ...["hallux_connections", "hallux_connections_limit", "hallux_actions_limit", "hallux_api_requests_total"],
        ...["hallux_ledger_size_bytes", "hallux_ledger_backlog_limit_bytes", "hallux_ledger_available"],
        ...["hallux_ready", "process_cpu_seconds_total", "process_start_time_seconds"],
      ]),
    );
    const withExemplars = samples.filter(({ exemplar }) => exemplar?.labels["event_id"] === answer.event);
    expect(new Set(withExemplars.map(({ name }) => name))).toEqual(
      new Set([
        ...["hallux_accept_duration_seconds_bucket", "hallux_response_delay_seconds_bucket"],
        "hallux_response_duration_seconds_bucket",
        ...["hallux_action_duration_seconds_bucket", "hallux_notification_duration_seconds_bucket"],
      ]),
    );
    expect(samples.filter(({ exemplar }) => exemplar !== undefined && "trace_id" in exemplar.labels)).toEqual([]);
  });

  it("show what runs, and that nothing is taken any more, where the ledger is full", async () => {
    const hallux = await start(() => undefined, { LEDGER_BACKLOG_BYTES: "1048576" });
    const large = attack({ output: "x".repeat(700_000) });

    await post(hallux.url, attack());
    await post(hallux.url, large);
    await post(hallux.url, attack({ output: "y".repeat(700_000), hostname: "another" }));

    await vi.waitFor(async () => expect(await hallux.valueNow("hallux_actions_running")).toBe(1), { timeout: 40_000 });
    expect(await hallux.valueNow("hallux_ledger_available")).toBe(0);
    expect(await hallux.valueNow("hallux_ready")).toBe(0);
    expect((await fetch(`${hallux.url}/readyz`)).status).toBe(503);
  });

  it("stay the same series with the declared labels, whatever is sent", async () => {
    const hallux = await start(nothing);
    const seriesNow = async () => (await hallux.samples()).map(({ name, labels }) => JSON.stringify([name, labels]));
    await flood(hallux, "first");
    await settled(hallux);
    const before = await seriesNow();

    await flood(hallux, "second");
    await settled(hallux);

    const after = await seriesNow();
    expect(after.toSorted()).toEqual(before.toSorted());
    expect((await hallux.samples()).flatMap(undeclared)).toEqual([]);
    expect(await hallux.valueNow("hallux_events_accepted_total")).toBeGreaterThan(2_000);
    expect(await hallux.valueNow("hallux_actions_total")).toBeGreaterThan(200);
  });

  it.skipIf(promtool === undefined)(
    `are what promtool takes${promtool === undefined ? ` (${withoutPromtool})` : ""}`,
    async () => {
      const hallux = await start(nothing);
      await post(hallux.url, attack());
      await settled(hallux);

      const page = await (await fetch(`${hallux.url}/metrics`)).text();
      const said = execFileSync(promtool ?? "", ["check", "metrics"], { input: page, encoding: "utf8" });

      expect(said).toBe("");
    },
  );
});

/** Labels that the definition of the metric does not have, or with values that it does not name. */
function undeclared({ name, labels }: ReadSample): readonly string[] {
  const definition = Object.values(metricDefinitions).find(({ name: declared }) =>
    [declared, `${declared}_bucket`, `${declared}_sum`, `${declared}_count`].includes(name),
  );
  const bounds = definition?.buckets?.length === undefined ? [] : ["le"];
  return Object.entries(labels).flatMap(([label, value]) => {
    const isDeclared = definition?.labels.includes(label) || bounds.includes(label);
    const isValue = definition?.values?.[label]?.includes(value) ?? openValues[label]?.(value) ?? false;
    return isDeclared && isValue ? [] : [`${name} ${label}=${value}`];
  });
}

/** Where the values come from: rules, catalogue, configuration, wiring. */
const openValues: Readonly<Record<string, (value: string) => boolean>> = {
  rule: (value) => value === "Act on what is critical",
  actionner: (value) => realCatalogue.actionners.has(value),
  notifier: (value) => realCatalogue.notifiers.has(value),
  version: (value) => value === "0",
  hash: (value) => /^[0-9a-f]{64}$/.test(value),
  le: (value) => /^(\d+\.\d+|\+Inf)$/.test(value),
} satisfies Record<keyof typeof openLabels | "le", (value: string) => boolean>;
