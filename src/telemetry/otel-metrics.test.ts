import { describe, expect, it } from "vitest";
import { refusalReasons } from "./metrics.ts";
import { createMetrics, metricDefinitions } from "./otel-metrics.ts";

const empty = { events: 0, bytes: 0, oldestAt: undefined };

describe("createMetrics", () => {
  it("answers in the Prometheus text format", async () => {
    const metrics = createMetrics({ version: "1.2.3", backlog: () => empty });

    const { contentType, body } = await metrics.render();

    expect(contentType).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(body.endsWith("\n")).toBe(true);
    expect(linesThatAreNoMetric(body)).toEqual([]);
  });

  it("shows what has not happened yet as 0, and the version", async () => {
    const metrics = createMetrics({ version: "1.2.3", backlog: () => empty });

    const { body } = await metrics.render();

    expect(body).toContain('hallux_build_info{version="1.2.3"} 1\n');
    expect(body).toContain("hallux_events_accepted_total 0\n");
    for (const reason of refusalReasons) {
      expect(body).toContain(`hallux_events_refused_total{reason="${reason}"} 0\n`);
    }
  });

  it("counts each thing under its own name", async () => {
    const metrics = createMetrics({ version: "1.2.3", backlog: () => empty });

    metrics.eventAccepted();
    metrics.eventAccepted();
    metrics.eventDuplicate();
    metrics.eventRefused("not_json");
    metrics.eventTimeReplaced();
    metrics.ruleMatched("shell");
    metrics.eventUnmatched();
    metrics.notified("webhook", "dropped");
    const { body } = await metrics.render();

    expect(body).toContain("hallux_events_accepted_total 2\n");
    expect(body).toContain("hallux_events_duplicate_total 1\n");
    expect(body).toContain('hallux_events_refused_total{reason="not_json"} 1\n');
    expect(body).toContain("hallux_event_time_replaced_total 1\n");
    expect(body).toContain('hallux_rule_matches_total{rule="shell"} 1\n');
    expect(body).toContain("hallux_events_unmatched_total 1\n");
    expect(body).toContain('hallux_notifications_total{notifier="webhook",result="dropped"} 1\n');
  });

  it("counts an action by outcome, with a code only where there is one, and its time by actionner", async () => {
    const metrics = createMetrics({ version: "1.2.3", backlog: () => empty });
    const labels = { rule: "shell", actionner: "kubernetes:label" };

    metrics.actionEnded({ ...labels, status: "success", code: undefined }, 0.02);
    metrics.actionEnded({ ...labels, status: "failure", code: "forbidden" }, 0.3);
    const { body } = await metrics.render();

    expect(body).toContain('hallux_actions_total{rule="shell",actionner="kubernetes:label",status="success"} 1\n');
    expect(body).toContain(
      'hallux_actions_total{rule="shell",actionner="kubernetes:label",status="failure",code="forbidden"} 1\n',
    );
    expect(body).toContain('hallux_action_duration_seconds_bucket{actionner="kubernetes:label",le="0.025"} 1\n');
    expect(body).toContain('hallux_action_duration_seconds_bucket{actionner="kubernetes:label",le="+Inf"} 2\n');
    expect(body).toContain('hallux_action_duration_seconds_count{actionner="kubernetes:label"} 2\n');
  });

  it("escapes a rule's name", async () => {
    const metrics = createMetrics({ version: "1.2.3", backlog: () => empty });

    metrics.ruleMatched('a "shell"\nin C:\\');
    const { body } = await metrics.render();

    expect(body).toContain(String.raw`hallux_rule_matches_total{rule="a \"shell\"\nin C:\\"} 1`);
    expect(linesThatAreNoMetric(body)).toEqual([]);
  });

  it("stops making series at its limit and counts on in one", async () => {
    const metrics = createMetrics({ version: "1.2.3", backlog: () => empty });

    for (let index = 0; index < 6000; index += 1) {
      metrics.ruleMatched(`rule ${index}`);
    }
    const { body } = await metrics.render();

    const series = body.split("\n").filter((line) => line.startsWith("hallux_rule_matches_total{"));
    expect(series).toHaveLength(5000);
    expect(series.at(-1)).toBe('hallux_rule_matches_total{otel_metric_overflow="true"} 1001');
  });

  it("shares nothing with another set of metrics", async () => {
    const one = createMetrics({ version: "1.2.3", backlog: () => empty });
    const other = createMetrics({ version: "1.2.3", backlog: () => empty });

    one.eventAccepted();
    const { body } = await other.render();

    expect(body).toContain("hallux_events_accepted_total 0\n");
  });

  it("names counters and only counters _total", () => {
    const definitions = Object.values(metricDefinitions);

    const misnamed = definitions.filter(({ name, type }) => name.endsWith("_total") !== (type === "counter"));

    expect(misnamed).toEqual([]);
  });

  it("shows how much waits, and how long already", async () => {
    const metrics = createMetrics({
      version: "1.2.3",
      backlog: () => ({ events: 3, bytes: 900, oldestAt: Date.now() - 60_000 }),
    });

    const { body } = await metrics.render();

    expect(body).toContain("hallux_ledger_backlog_events 3\n");
    expect(body).toContain("hallux_ledger_backlog_bytes 900\n");
    expect(body).toMatch(/hallux_ledger_backlog_oldest_seconds 6\d/);
  });

  it("counts what is tried again and what goes on after a restart", async () => {
    const metrics = createMetrics({ version: "1.2.3", backlog: () => empty });

    metrics.actionRetried({ rule: "R", actionner: "kubernetes:label", code: "unavailable" });
    metrics.responseResumed();
    const { body } = await metrics.render();

    expect(body).toContain('hallux_action_retries_total{rule="R",actionner="kubernetes:label",code="unavailable"} 1\n');
    expect(body).toContain("hallux_responses_resumed_total 1\n");
  });
});

/** Lines that are neither HELP, TYPE nor a sample, and samples whose metric has no TYPE before them. */
function linesThatAreNoMetric(body: string): string[] {
  const typed = new Set<string>();
  return body
    .trimEnd()
    .split("\n")
    .filter((line) => {
      const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
      if (type?.[1] !== undefined) {
        const repeated = typed.has(type[1]);
        typed.add(type[1]);
        return repeated;
      }
      const sample = /^([a-z_]+)(\{([a-z_]+="([^"\\]|\\["\\n])*",?)+\})? [\d.+e-]+$/.exec(line)?.[1];
      return !(
        /^# HELP [a-z_]+ \S/.test(line) ||
        (sample !== undefined && typed.has(sample.replace(/_(bucket|sum|count)$/, "")))
      );
    });
}
