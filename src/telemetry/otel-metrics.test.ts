import {
  AggregationTemporality,
  InMemoryMetricExporter,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { describe, expect, it } from "vitest";
import { readMetrics } from "../../test/support/metrics-page.ts";
import { metricDefinitions, openLabels } from "./definitions.ts";
import { refusalReasons } from "./metrics.ts";
import { createMetrics, type MetricsOptions } from "./otel-metrics.ts";

const openMetrics = "application/openmetrics-text; version=1.0.0";
const event = "019aa3f0-7f10-7abc-8def-0123456789ab";

function start(options: Partial<MetricsOptions> = {}) {
  return createMetrics({ version: "1.2.3", ...options });
}

describe("createMetrics", () => {
  it("answers in the Prometheus text format", async () => {
    const metrics = start();

    const { contentType, body } = await metrics.render();

    expect(contentType).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(readMetrics(body, "text").length).toBeGreaterThan(10);
  });

  it("shows what has not happened yet as 0, and the version", async () => {
    const metrics = start();

    metrics.follow({ rules: ["shell"], notifiers: ["slack"] });
    const { body } = await metrics.render();

    expect(body).toContain('hallux_build_info{version="1.2.3"} 1\n');
    expect(body).toContain("hallux_events_accepted_total 0\n");
    expect(body).toContain('hallux_accept_duration_seconds_bucket{le="+Inf"} 0\n');
    expect(body).toContain("hallux_response_delay_seconds_count 0\n");
    expect(body).toContain('hallux_api_requests_total{status="200"} 0\n');
    expect(body).toContain('hallux_notifications_total{notifier="slack",result="dropped"} 0\n');
    expect(body).toContain('hallux_rule_matches_total{rule="shell"} 0\n');
    for (const reason of refusalReasons) {
      expect(body).toContain(`hallux_events_refused_total{reason="${reason}"} 0\n`);
    }
  });

  it("counts each thing under its own name", async () => {
    const metrics = start();

    metrics.eventAccepted();
    metrics.eventAccepted();
    metrics.eventDuplicate();
    metrics.eventRefused("not_json");
    metrics.eventTimeReplaced();
    metrics.ruleMatched("shell");
    metrics.eventUnmatched();
    metrics.notified("webhook", "dropped");
    metrics.apiAnswered(403);
    const { body } = await metrics.render();

    expect(body).toContain("hallux_events_accepted_total 2\n");
    expect(body).toContain("hallux_events_duplicate_total 1\n");
    expect(body).toContain('hallux_events_refused_total{reason="not_json"} 1\n');
    expect(body).toContain("hallux_event_time_replaced_total 1\n");
    expect(body).toContain('hallux_rule_matches_total{rule="shell"} 1\n');
    expect(body).toContain("hallux_events_unmatched_total 1\n");
    expect(body).toContain('hallux_notifications_total{notifier="webhook",result="dropped"} 1\n');
    expect(body).toContain('hallux_api_requests_total{status="403"} 1\n');
  });

  it("measures each time under its own name", async () => {
    const metrics = start();

    metrics.eventDurable(0.002, event);
    metrics.responseBegun(0.004, event);
    metrics.responseEnded(400, event);
    metrics.notificationEnded("slack", 3, event);
    const { body } = await metrics.render();

    expect(body).toContain('hallux_accept_duration_seconds_bucket{le="0.0025"} 1\n');
    expect(body).toContain('hallux_accept_duration_seconds_bucket{le="0.001"} 0\n');
    expect(body).toContain("hallux_response_delay_seconds_sum 0.004\n");
    expect(body).toContain('hallux_response_duration_seconds_bucket{le="300.0"} 0\n');
    expect(body).toContain('hallux_response_duration_seconds_bucket{le="600.0"} 1\n');
    expect(body).toContain('hallux_notification_duration_seconds_count{notifier="slack"} 1\n');
  });

  it("takes a time before the beginning for none: clocks go back", async () => {
    const metrics = start();

    metrics.responseBegun(-3, event);
    const { body } = await metrics.render();

    expect(body).toContain('hallux_response_delay_seconds_bucket{le="0.001"} 1\n');
    expect(body).toContain("hallux_response_delay_seconds_sum 0\n");
  });

  it("counts an action by outcome, with a code only where there is one, and its time by actionner", async () => {
    const metrics = start();
    const labels = { rule: "shell", actionner: "kubernetes:label" };

    metrics.actionEnded({ ...labels, status: "success", code: undefined }, 0.02, event);
    metrics.actionEnded({ ...labels, status: "failure", code: "forbidden" }, 0.3, event);
    const { body } = await metrics.render();

    expect(body).toContain('hallux_actions_total{rule="shell",actionner="kubernetes:label",status="success"} 1\n');
    expect(body).toContain(
      'hallux_actions_total{rule="shell",actionner="kubernetes:label",status="failure",code="forbidden"} 1\n',
    );
    expect(body).toContain('hallux_action_duration_seconds_bucket{actionner="kubernetes:label",le="0.025"} 1\n');
    expect(body).toContain('hallux_action_duration_seconds_bucket{actionner="kubernetes:label",le="+Inf"} 2\n');
    expect(body).toContain('hallux_action_duration_seconds_count{actionner="kubernetes:label"} 2\n');
  });

  it("counts what is tried again and what goes on after a restart", async () => {
    const metrics = start();

    metrics.actionRetried({ rule: "R", actionner: "kubernetes:label", code: "unavailable" });
    metrics.responseResumed();
    const { body } = await metrics.render();

    expect(body).toContain('hallux_action_retries_total{rule="R",actionner="kubernetes:label",code="unavailable"} 1\n');
    expect(body).toContain("hallux_responses_resumed_total 1\n");
  });

  it.each(["text", "openmetrics"] as const)("escapes a rule's name, in %s", async (format) => {
    const metrics = start();
    const rule = 'a "shell"\nin C:\\ {x="y"} # EOF';

    metrics.ruleMatched(rule);
    const { body } = await metrics.render(format === "text" ? undefined : openMetrics);

    const samples = readMetrics(body, format).flatMap((family) => family.samples);
    expect(samples.filter(({ name }) => name === "hallux_rule_matches_total").map(({ labels }) => labels)).toEqual([
      { rule },
    ]);
  });

  it("stops making series at its limit and counts on in one", async () => {
    const metrics = start();

    for (let index = 0; index < 6000; index += 1) {
      metrics.ruleMatched(`rule ${index}`);
    }
    const { body } = await metrics.render();

    const series = body.split("\n").filter((line) => line.startsWith("hallux_rule_matches_total{"));
    expect(series).toHaveLength(5000);
    expect(series.at(-1)).toBe('hallux_rule_matches_total{otel_metric_overflow="true"} 1001');
  });

  it("shares nothing with another set of metrics", async () => {
    const one = start();
    const other = start();

    one.eventAccepted();
    const { body } = await other.render();

    expect(body).toContain("hallux_events_accepted_total 0\n");
  });

  it("counts for another reader, too", async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const reader = new PeriodicExportingMetricReader({ exporter });
    const metrics = start({ readers: [reader] });
    metrics.observe({ connections: () => 7 });

    metrics.eventAccepted();
    await reader.forceFlush();
    const { body } = await metrics.render();
    await reader.shutdown();

    const exported = exporter
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
    const pointsOf = (name: string) => exported.find(({ descriptor }) => descriptor.name === name)?.dataPoints;
    expect(pointsOf("hallux_events_accepted_total")).toEqual([expect.objectContaining({ value: 1 })]);
    expect(pointsOf("hallux_connections")).toEqual([expect.objectContaining({ value: 7 })]);
    expect(body).toContain("hallux_events_accepted_total 1\n");
    expect(body).toContain("hallux_connections 7\n");
  });
});

describe("the page as OpenMetrics", () => {
  it("is what a strict reader takes, with the same series as the text", async () => {
    const metrics = start();
    metrics.eventDurable(0.002, event);
    metrics.actionEnded({ rule: "R", actionner: "a:b", status: "ignored", code: undefined }, 200, event);

    const text = await metrics.render();
    const open = await metrics.render(openMetrics);

    expect(open.contentType).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
    const seriesOf = (page: string, format: "text" | "openmetrics") =>
      readMetrics(page, format).flatMap(({ samples }) => samples.map(({ name, labels }) => ({ name, labels })));
    expect(seriesOf(open.body, "openmetrics")).toEqual(seriesOf(text.body, "text"));
    expect(open.body).toContain("# TYPE hallux_events_accepted counter\n");
  });

  it("names the last event of each bucket, and its trace where there is one", async () => {
    const traced = "019aa3f0-7f10-7abc-8def-0123456789ac";
    const metrics = start({ traceId: (id) => (id === traced ? id.replaceAll("-", "") : undefined) });
    const before = Date.now();

    metrics.eventDurable(0.0004, "an earlier one");
    metrics.eventDurable(0.0002, event);
    metrics.eventDurable(9, traced);
    const { body } = await metrics.render(openMetrics);

    const family = readMetrics(body, "openmetrics").find(({ name }) => name === "hallux_accept_duration_seconds");
    const exemplars = family?.samples.flatMap(({ exemplar, labels }) =>
      exemplar ? [{ le: labels["le"], ...exemplar }] : [],
    );
    expect(exemplars).toEqual([
      { le: "0.0005", labels: { event_id: event }, value: 0.0002, at: expect.any(Number) },
      {
        le: "+Inf",
        labels: { event_id: traced, trace_id: "019aa3f07f107abc8def0123456789ac" },
        value: 9,
        at: expect.any(Number),
      },
    ]);
    expect(exemplars?.[0]?.at).toBeGreaterThanOrEqual(before / 1000);
  });

  it("names an event on the bound of a bucket where it is counted", async () => {
    const metrics = start();

    metrics.eventDurable(0.005, event);
    const { body } = await metrics.render(openMetrics);

    expect(body).toContain('hallux_accept_duration_seconds_bucket{le="0.0025"} 0\n');
    expect(body).toContain(`hallux_accept_duration_seconds_bucket{le="0.005"} 1 # {event_id="${event}"} 0.005 `);
  });

  it("keeps the exemplars of two actionners apart", async () => {
    const metrics = start();
    const labels = { rule: "R", status: "success", code: undefined } as const;

    metrics.actionEnded({ ...labels, actionner: "a:one" }, 0.001, "first");
    metrics.actionEnded({ ...labels, actionner: "a:two" }, 0.001, "second");
    const { body } = await metrics.render(openMetrics);

    const samples = readMetrics(body, "openmetrics").flatMap((family) => family.samples);
    const noted = samples.flatMap(({ labels: of, exemplar }) => (exemplar ? [[of["actionner"], exemplar.labels]] : []));
    expect(noted).toEqual([
      ["a:one", { event_id: "first" }],
      ["a:two", { event_id: "second" }],
    ]);
  });

  it("has no exemplars as text", async () => {
    const metrics = start();

    metrics.eventDurable(0.002, event);
    const { body } = await metrics.render("text/plain");

    expect(body).not.toContain(event);
  });
});

describe("what is asked at each scrape", () => {
  it("is shown under its own name", async () => {
    const metrics = start();
    metrics.observe({
      backlog: () => ({ events: 3, bytes: 900, oldestAt: Date.now() - 60_000, oldestWaitingAt: Date.now() - 20_000 }),
      backlogLimitBytes: () => 1_000,
      ledgerBytes: async () => 4096,
      ledgerAvailable: () => true,
      ready: () => false,
    });
    metrics.observe({
      actionsRunning: () => new Map([["kubernetes:label", 2]]),
      actionsLimit: () => 256,
      notificationsWaiting: () => new Map([["slack", 9]]),
      connections: () => 12,
      connectionsLimit: () => 1024,
      usage: () => ({ cpuSeconds: 1.5, residentBytes: 5e7 }),
    });

    const { body } = await metrics.render();

    expect(body).toContain("hallux_ledger_backlog_events 3\n");
    expect(body).toContain("hallux_ledger_backlog_bytes 900\n");
    expect(body).toMatch(/hallux_ledger_backlog_oldest_seconds 6\d/);
    expect(body).toMatch(/hallux_ledger_backlog_waiting_seconds 2\d/);
    expect(body).toContain("hallux_ledger_backlog_limit_bytes 1000\n");
    expect(body).toContain("hallux_ledger_size_bytes 4096\n");
    expect(body).toContain("hallux_ledger_available 1\n");
    expect(body).toContain("hallux_ready 0\n");
    expect(body).toContain('hallux_actions_running{actionner="kubernetes:label"} 2\n');
    expect(body).toContain("hallux_actions_limit 256\n");
    expect(body).toContain('hallux_notifications_waiting{notifier="slack"} 9\n');
    expect(body).toContain("hallux_connections 12\n");
    expect(body).toContain("hallux_connections_limit 1024\n");
    expect(body).toContain("process_cpu_seconds_total 1.5\n");
    expect(body).toContain("process_resident_memory_bytes 50000000\n");
    expect(body).toMatch(/process_start_time_seconds \d{10}(\.\d+)?\n/);
  });

  it("is no longer shown once it is no longer said", async () => {
    const metrics = start();
    const running = new Map([["a:b", 1]]);
    metrics.observe({ actionsRunning: () => running });

    const before = await metrics.render();
    running.clear();
    const after = await metrics.render();

    expect(before.body).toContain('hallux_actions_running{actionner="a:b"} 1\n');
    expect(after.body).not.toContain("hallux_actions_running");
  });

  it("is on each of two pages that are asked for at the same time", async () => {
    const metrics = start();
    metrics.observe({ connections: () => 12, ledgerBytes: async () => 4096 });

    const pages = await Promise.all([metrics.render(), metrics.render(openMetrics), metrics.render()]);

    expect(
      pages.filter(({ body }) => !/hallux_connections 12\n(.*\n)*hallux_ledger_size_bytes 4096\n/.test(body)),
    ).toEqual([]);
  });

  it("is the last that was known where the ledger does not say its size, and nobody waits for it", async () => {
    const metrics = start();
    const answers = [Promise.resolve(4096), Promise.resolve(undefined), new Promise<number>(() => undefined)];
    let asked = 0;
    metrics.observe({ ledgerBytes: () => answers[Math.min(asked++, 2)] ?? Promise.resolve(undefined) });

    const pages = [await metrics.render(), await metrics.render(), await metrics.render(), await metrics.render()];

    expect(pages.filter(({ body }) => body.includes("hallux_ledger_size_bytes 4096\n"))).toHaveLength(4);
    expect(asked).toBe(3);
  });
});

describe("metricDefinitions", () => {
  const definitions = Object.values(metricDefinitions);

  it("names counters and only counters _total", () => {
    const misnamed = definitions.filter(({ name, type }) => name.endsWith("_total") !== (type === "counter"));

    expect(misnamed).toEqual([]);
  });

  it("says what each means in words that need no escaping, which the two formats do differently", () => {
    const unfit = definitions.filter(({ help }) => /["\\\n]/.test(help));

    expect(unfit).toEqual([]);
  });

  it("says of each label which values it takes", () => {
    const unknown = definitions.flatMap(({ name, labels, values = {} }) =>
      labels.filter((label) => !(label in values) && !(label in openLabels)).map((label) => `${name} ${label}`),
    );

    expect(unknown).toEqual([]);
  });

  it("gives each histogram at most one label, which its exemplars are kept by, and its buckets in order", () => {
    const histograms = definitions.filter(({ type }) => type === "histogram");

    const unusable = histograms.filter(
      ({ labels, buckets = [] }) =>
        labels.length > 1 || buckets.length === 0 || buckets.some((bound, at) => bound <= (buckets[at - 1] ?? 0)),
    );

    expect(unusable).toEqual([]);
  });
});
