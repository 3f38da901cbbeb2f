import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { dashboard } from "../chart/dashboard.ts";
import { run } from "../chart/helm.ts";
import { promtool, withoutPromtool } from "../peers/promtool.ts";
import { runHallux } from "../support/hallux-process.ts";
import { httpPeer } from "../support/http-peer.ts";
import { unlessHere, withoutGrafana } from "./queries.ts";

/** This Hallux does not use Kubernetes, and its one action is forbidden at once. */
const empty = ["Permissions missing", "Actions by actionner", "Attempts that failed"];

describe.skipIf(promtool === undefined)(`the dashboard on a real page${unlessHere(promtool, withoutPromtool)}`, () => {
  it("finds what each panel asks for, once an event was answered", async () => {
    const directory = mkdtempSync(join(tmpdir(), "hallux-page-"));
    const series = seriesOn(await pageAfterAnEvent(directory));
    const { rules, expected } = alertsForEmptyPanels();
    const tests = [{ interval: "1m", input_series: series, alert_rule_test: expected }];
    writeFileSync(join(directory, "rules.yaml"), stringify({ groups: [{ name: "panels", rules }] }));
    writeFileSync(join(directory, "test.yaml"), stringify({ rule_files: ["rules.yaml"], tests }));

    const { stdout, stderr } = run(promtool, ["test", "rules", join(directory, "test.yaml")]);

    expect(`${stdout}${stderr}`).toContain("SUCCESS");
    expect(series.length).toBeGreaterThan(100);
    rmSync(directory, { recursive: true });
  }, 60_000);
});

/** `/metrics` of a Hallux that answered an event, tried a dry run, told a notifier, refused a request and one for the history. */
async function pageAfterAnEvent(directory: string): Promise<string> {
  const rules = [rule("Call", { notifiers: ["webhook"] }), rule("Try", { dry_run: true })];
  writeFileSync(join(directory, "hallux.yaml"), stringify(rules));
  await using peer = await httpPeer((_request, response) => response.end());
  await using hallux = runHallux(["server", "-r", join(directory, "hallux.yaml")], {
    LEDGER_PATH: join(directory, "state"),
    NOTIFIERS_WEBHOOK_URL: peer.url,
  });
  const url = await hallux.listening();
  await fetch(url, { method: "POST", body: JSON.stringify({ rule: "Probe", priority: "Debug" }) });
  await fetch(url, { method: "POST", body: "not an event" });
  await fetch(`${url}/api/v1/responses`);
  return await vi.waitFor(async () => {
    const page = await fetch(`${url}/metrics`).then((answer) => answer.text());
    expect(page).toContain('hallux_actions_total{rule="Try"');
    expect(page).toContain("hallux_notification_duration_seconds_bucket");
    return page;
  }, 20_000);
}

function rule(name: string, more: object) {
  const action = { action: name, actionner: "http:call", parameters: { url: "http://127.0.0.1:1/" } };
  return { rule: name, match: { rules: ["Probe"] }, ...more, actions: [action] };
}

/** Each sample of the page, as if it had been scraped for half an hour, and what is counted had been counted two minutes ago. */
function seriesOn(page: string) {
  const samples = page.matchAll(/^(\w+)(?:\{(.*)\})? ([\d.e+-]+)$/gm);
  const target = 'namespace="hallux",job="hallux",pod="a",instance="a:2803"';
  return [...samples].map(([, name = "", labels, value]) => ({
    series: `${name}{${labels === undefined ? target : `${target},${labels}`}}`,
    values: /_(total|bucket|sum|count)$/.test(name) ? `0x27 ${value}x2` : `${value}x30`,
  }));
}

/** An alert for each query, which fires where the query finds nothing; and which of them are to fire. */
function alertsForEmptyPanels() {
  const queries = dashboard().panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ refId, expr }) => ({ title, alert: `${title} ${refId}`, expr: withoutGrafana(expr) })),
  );
  return {
    rules: queries.map(({ alert, expr }) => ({ alert, expr: `absent(sum(${expr}))` })),
    expected: queries.map(({ title, alert }) => ({
      eval_time: "30m",
      alertname: alert,
      exp_alerts: empty.includes(title) ? [{}] : [],
    })),
  };
}
