import { describe, expect, it } from "vitest";
import { ageOf, podColumns } from "./columns.ts";
import type { KubeObject } from "./wire.ts";

const now = "2026-01-10T00:00:00Z";

describe("the age in a table", () => {
  it.each([
    ["2026-01-09T23:58:01Z", "119s"],
    ["2026-01-09T23:57:00Z", "3m"],
    ["2026-01-09T23:54:30Z", "5m30s"],
    ["2026-01-09T22:00:00Z", "120m"],
    ["2026-01-09T19:30:00Z", "4h30m"],
    ["2026-01-09T00:00:00Z", "24h"],
    ["2026-01-05T21:00:00Z", "4d3h"],
    ["2025-01-10T00:00:00Z", "365d"],
    ["2023-01-10T00:00:00Z", "3y1d"],
  ])("since %s is %s", (since, expected) => {
    expect(ageOf(since, now)).toBe(expected);
  });
});

describe("the STATUS of a pod", () => {
  const status = podColumns.find(({ name }) => name === "Status");
  const pod = (metadata: object, state: object): KubeObject => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p", uid: "1", creationTimestamp: now, ...metadata },
    spec: { containers: [] },
    status: {
      phase: "Running",
      containerStatuses: [
        { name: "a", state: { running: {} } },
        { name: "b", state },
      ],
    },
  });

  it.each<[string, object, object, string]>([
    ["running", {}, { running: {} }, "Running"],
    ["waiting to start again", {}, { waiting: { reason: "CrashLoopBackOff" } }, "CrashLoopBackOff"],
    ["ended with a reason", {}, { terminated: { exitCode: 1, reason: "Error" } }, "Error"],
    ["ended without one", {}, { terminated: { exitCode: 3 } }, "ExitCode:3"],
    ["killed", {}, { terminated: { exitCode: 137, signal: 9 } }, "Signal:9"],
    ["being deleted", { deletionTimestamp: now }, { running: {} }, "Terminating"],
  ])("of which a container is %s", (_name, metadata, state, expected) => {
    expect(status?.cell(pod(metadata, state))).toBe(expected);
  });
});
