import { pino } from "pino";
import { describe, expect, it, vi } from "vitest";
import { recordingMetrics } from "../test/support/metrics.ts";
import { ActionError } from "./catalogue/errors.ts";
import type { NeededPermission } from "./catalogue/permissions.ts";
import type { AccessReview } from "./clients/kubernetes/port.ts";
import { checkPermissions } from "./permission-check.ts";

function permission(resource: string, rules: readonly string[] = ["R"]): NeededPermission {
  const neededBy = rules.map((rule) => ({ rule, action: "A", entry: "kubernetes:label" }));
  return { verb: "patch", apiGroup: "", resource, namespace: undefined, neededBy };
}

/** The check, as far as it has come, with what it has logged. */
function checking(needed: readonly NeededPermission[], review: (resource: string) => AccessReview) {
  const lines: Record<string, unknown>[] = [];
  const logger = pino({ base: undefined }, { write: (line) => void lines.push(JSON.parse(line)) });
  const metrics = recordingMetrics();
  const stop = new AbortController();
  const kubernetes = { reviewAccess: async ({ resource }: { readonly resource: string }) => review(resource) };
  const done = checkPermissions(needed, { kubernetes, metrics, logger, againMs: 1, signal: stop.signal });
  return { lines, metrics, done, stop };
}

describe("checkPermissions", () => {
  it("warns of each permission that is missing, with who needs it, and counts them", async () => {
    const { lines, metrics, done } = checking([permission("pods"), permission("nodes")], (resource) =>
      resource === "pods" ? { allowed: true, reason: "" } : { allowed: false, reason: "no role allows it" },
    );

    await done;

    expect(lines).toMatchObject([
      {
        level: 40,
        permission: "patch nodes",
        neededBy: ['rule "R", action "A" (kubernetes:label)'],
        reason: "no role allows it",
        msg: "permission missing: actions that need it will fail",
      },
      { level: 40, missing: 1 },
    ]);
    expect(metrics.calls).toEqual([["permissionsMissing", 1]]);
  });

  it("is silent where none is missing", async () => {
    const { lines, metrics, done } = checking([permission("pods")], () => ({ allowed: true, reason: "" }));

    await done;

    expect(lines).toEqual([]);
    expect(metrics.calls).toEqual([["permissionsMissing", 0]]);
  });

  it("does not flood the log, however many are missing and whoever needs them", async () => {
    const rules = Array.from({ length: 500 }, (_, index) => `R${index}`);
    const needed = Array.from({ length: 500 }, (_, index) => permission(`pods/x${index}`, rules));
    const { lines, done } = checking(needed, () => ({ allowed: false, reason: "" }));

    await done;

    expect(lines).toHaveLength(21);
    expect(lines[0]).toMatchObject({ neededBy: { length: 5 }, others: 495 });
    expect(lines.at(-1)).toMatchObject({ missing: 500 });
  });

  it("asks again where the API server does not answer, says so once, and ends with Hallux", async () => {
    let asked = 0;
    const { lines, metrics, done, stop } = checking([permission("pods")], () => {
      asked += 1;
      throw new ActionError("unavailable", "no answer");
    });

    await vi.waitFor(() => expect(asked).toBeGreaterThan(2), { timeout: 20_000 });
    stop.abort();
    await done;

    expect(lines).toMatchObject([{ reason: "no answer", msg: "permissions not checked yet" }]);
    expect(metrics.calls).toEqual([]);
  });
});
