import { describe, expect, it } from "vitest";
import { createMetrics } from "./otel-metrics.ts";
import { createRuleCounters } from "./rule-counters.ts";

const minute = 60_000;
const event = "019aa3f0-7f10-7abc-8def-0123456789ab";

function start() {
  const clock = { now: Date.parse("2026-11-21T08:00:00Z") };
  const metrics = createMetrics({ version: "1.2.3", ruleCounters: createRuleCounters(() => clock.now) });
  /** The rules that the page names. */
  const shown = async () => {
    const { body } = await metrics.render();
    return [...new Set([...body.matchAll(/rule="([^"]*)"/g)].map(([, rule]) => rule))];
  };
  return { clock, metrics, shown };
}

function labels(rule: string) {
  return { rule, actionner: "kubernetes:label", status: "success", code: undefined } as const;
}

describe("the series of rules", () => {
  it("are there at 0 for each rule that is in force, also for one that comes later", async () => {
    const { metrics } = start();
    metrics.follow({ rules: ["old"], notifiers: [] });
    metrics.ruleMatched("old");

    metrics.follow({ rules: ["old", "new"], notifiers: [] });
    const { body } = await metrics.render();

    expect(body).toContain('hallux_rule_matches_total{rule="old"} 1\n');
    expect(body).toContain('hallux_rule_matches_total{rule="new"} 0\n');
  });

  it("stay until whoever reads them has seen the last of a rule that is gone, and then go", async () => {
    const { clock, metrics, shown } = start();
    metrics.follow({ rules: ["old"], notifiers: [] });
    metrics.ruleMatched("old");
    metrics.actionRetried({ rule: "old", actionner: "kubernetes:label", code: "timeout" });
    clock.now += 60 * minute;
    metrics.follow({ rules: ["new"], notifiers: [] });

    clock.now += 9 * minute;
    const before = await shown();
    clock.now += 2 * minute;
    const after = await shown();

    expect(before.sort()).toEqual(["new", "old"]);
    expect(after).toEqual(["new"]);
  });

  it("count on for responses that go on after their rule is gone", async () => {
    const { clock, metrics, shown } = start();
    metrics.follow({ rules: ["old"], notifiers: [] });
    metrics.follow({ rules: [], notifiers: [] });
    clock.now += 30 * minute;

    metrics.actionEnded(labels("old"), 1, event);
    clock.now += 9 * minute;
    metrics.actionEnded(labels("old"), 1, event);
    clock.now += 9 * minute;
    const { body } = await metrics.render();
    clock.now += 2 * minute;
    const later = await shown();

    expect(body).toContain('hallux_actions_total{rule="old",actionner="kubernetes:label",status="success"} 2\n');
    expect(later).toEqual([]);
  });

  it("go on where they were when the rule comes back meanwhile", async () => {
    const { clock, metrics } = start();
    metrics.follow({ rules: ["old"], notifiers: [] });
    metrics.ruleMatched("old");
    metrics.follow({ rules: [], notifiers: [] });
    clock.now += minute;

    metrics.follow({ rules: ["old"], notifiers: [] });
    clock.now += 60 * minute;
    const { body } = await metrics.render();

    expect(body).toContain('hallux_rule_matches_total{rule="old"} 1\n');
  });

  it("are those of the rules that match, where there are more rules than there is room for", async () => {
    const { metrics } = start();
    const rules = Array.from({ length: 10_000 }, (_, index) => `rule ${index}`);
    metrics.follow({ rules, notifiers: [] });

    metrics.ruleMatched("rule 9999");
    const { body } = await metrics.render();

    expect(body).toContain('hallux_rule_matches_total{rule="rule 9999"} 1\n');
    expect(body).not.toContain("overflow");
  });

  it("have room for new rules however many came and went, without anybody who reads them", async () => {
    const { clock, metrics, shown } = start();
    for (let round = 0; round < 20; round += 1) {
      const rules = Array.from({ length: 500 }, (_, index) => `rule ${round} ${index}`);
      metrics.follow({ rules, notifiers: [] });
      rules.forEach(metrics.ruleMatched);
      clock.now += 11 * minute;
    }

    metrics.follow({ rules: ["new"], notifiers: [] });
    metrics.ruleMatched("new");
    clock.now += 11 * minute;
    const { body } = await metrics.render();

    expect(await shown()).toEqual(["new"]);
    expect(body).not.toContain("overflow");
  });
});
