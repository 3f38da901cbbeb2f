import { describe, expect, it } from "vitest";
import type { ActionReport, ResponseReport } from "../../src/api/shapes.ts";
import type { Deed, PlannedEvent } from "./plan.ts";
import { type Answer, actionsOf, type Evidence, labelOf, type Told, violations } from "./verdict.ts";

function plannedEvent(deed: Deed): PlannedEvent {
  return { uuid: "event-1", deed, pod: "pod-0", mark: 0, throttled: false, padding: 0 };
}

function ended(name: string, status: "success" | "failure" = "success", code?: "interrupted" | "internal") {
  return { name, status, code, message: "it broke" } as ActionReport;
}

function recordOf(actions: readonly ActionReport[], traits: Partial<ResponseReport> = {}): ResponseReport {
  return { event: { sent: { uuid: "event-1" } }, status: "success", actions, ...traits } as ResponseReport;
}

interface Traits {
  readonly answers?: readonly Answer[];
  readonly records?: readonly ResponseReport[];
  readonly calls?: number;
  readonly labelled?: boolean;
  readonly told?: readonly Told[];
}

/** Of one event that was accepted and done as asked, unless the traits say otherwise. */
function evidenceOf(deed: Deed, traits: Traits = {}): Evidence {
  const event = plannedEvent(deed);
  const names = actionsOf[deed];
  const records = traits.records ?? (names.length === 0 ? [] : [recordOf(names.map((name) => ended(name)))]);
  const told = records.flatMap(({ actions }) =>
    actions.map(({ name, status }) => ({ uuid: event.uuid, action: name, status })),
  );
  return {
    events: [event],
    answers: new Map([[event.uuid, traits.answers ?? ["accepted"]]]),
    records,
    calls: new Map([[event.uuid, traits.calls ?? (names.includes("Call") ? 1 : 0)]]),
    labels: new Map([[event.pod, new Set((traits.labelled ?? true) ? [labelOf(event)] : [])]]),
    told: traits.told ?? told,
  };
}

const interrupted = [recordOf([ended("Call", "failure", "interrupted")])];

describe("violations", () => {
  it.each<[string, Deed, Traits]>([
    ["what was done as asked", "both", {}],
    ["what no rule matches", "nothing", {}],
    ["a call that was interrupted before it was made", "call", { records: interrupted, calls: 0 }],
    ["a call that was interrupted after it was made", "call", { records: interrupted, calls: 1 }],
    ["an event that was never answered, and nothing done", "call", { answers: [], records: [], calls: 0 }],
    ["an event that was never answered, and done", "call", { answers: [] }],
    ["an event that was never answered, and labelled before it was on disk", "label", { answers: [], records: [] }],
    ["an event that was sent again", "label", { answers: ["accepted", "duplicate", "duplicate"] }],
    ["what no rule matches, and came again", "nothing", { answers: ["accepted", "accepted"] }],
    ["what was told twice", "label", { told: Array(2).fill({ uuid: "event-1", action: "Mark", status: "success" }) }],
  ])("allow %s", (_name, deed, traits) => {
    expect(violations(evidenceOf(deed, traits))).toEqual([]);
  });

  it.each<[string, Deed, Traits, RegExp]>([
    ["an event answered 2xx and lost", "label", { records: [], labelled: false }, /LOST/],
    ["a repetition of a lost event", "call", { answers: ["duplicate"], records: [], calls: 0 }, /LOST/],
    ["a second call", "call", { calls: 2 }, /TWICE/],
    ["a second call of what was interrupted", "call", { records: interrupted, calls: 2 }, /TWICE/],
    ["a call for what is not on disk", "call", { answers: [], records: [] }, /nothing of it is on record/],
    ["an event accepted twice", "label", { answers: ["accepted", "accepted"] }, /accepted more than once/],
    ["two responses", "label", { records: Array(2).fill(recordOf([ended("Mark")])) }, /2 responses/],
    ["a response to what no rule matches", "nothing", { records: [recordOf([])] }, /1 responses/],
    ["a label on record that is not there", "label", { labelled: false }, /no such label/],
    ["a call on record that was not made", "call", { calls: 0 }, /called 0 times/],
    ["an action left out", "both", { records: [recordOf([ended("Mark")])] }, /other actions/],
    ["a response left open", "label", { records: [recordOf([ended("Mark")], { status: "open" })] }, /still open/],
    ["a failure", "label", { records: [recordOf([ended("Mark", "failure", "internal")])] }, /Mark ended as failure/],
    [
      "an interrupted label",
      "label",
      { records: [recordOf([ended("Mark", "failure", "interrupted")])] },
      /interrupted/,
    ],
    ["an outcome that was not told", "label", { told: [] }, /not told/],
    [
      "an outcome told otherwise than recorded",
      "call",
      { records: interrupted, told: [{ uuid: "event-1", action: "Call", status: "success" }] },
      /was told success/,
    ],
  ])("name %s", (_name, deed, traits, fault) => {
    expect(violations(evidenceOf(deed, traits)).join("\n")).toMatch(fault);
  });
});
