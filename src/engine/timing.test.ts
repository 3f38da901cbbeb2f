import { describe, expect, it } from "vitest";
import { eventOf } from "../../test/support/events.ts";
import { recordingMetrics } from "../../test/support/metrics.ts";
import type { PastAction } from "./past.ts";
import { timingOf } from "./timing.ts";

const event = { ...eventOf(), id: "e-1", receivedAt: "2026-03-01T10:00:00.000Z" };

function start(past: readonly Pick<PastAction, "attempts">[] = []) {
  const metrics = recordingMetrics();
  const now = { time: "2026-03-01T10:00:00.250Z" };
  const timing = timingOf(event, past as PastAction[], { metrics, clock: () => new Date(now.time) });
  return { metrics, now, timing };
}

describe("timingOf", () => {
  it("counts the delay of the first action from the acceptance of the event, once", () => {
    const { metrics, timing } = start();

    timing.begins();
    timing.begins();

    expect(metrics.calls).toEqual([["responseBegun", 0.25, "e-1"]]);
  });

  it("counts the whole response", () => {
    const { metrics, now, timing } = start();

    now.time = "2026-03-01T10:01:00.000Z";
    timing.ends();

    expect(metrics.calls).toEqual([["responseEnded", 60, "e-1"]]);
  });

  it("counts no second delay where an action began before a restart", () => {
    const { metrics, timing } = start([{ attempts: 1 }, { attempts: 0 }]);

    timing.begins();

    expect(metrics.calls).toEqual([]);
  });

  it("counts the delay where nothing began before a restart", () => {
    const { metrics, timing } = start([{ attempts: 0 }]);

    timing.begins();

    expect(metrics.calls).toEqual([["responseBegun", 0.25, "e-1"]]);
  });
});
