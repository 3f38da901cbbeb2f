import { describe, expect, it } from "vitest";
import { eventOf } from "../../test/support/events.ts";
import { recordingSpan } from "../../test/support/spans.ts";
import { ActionError } from "../catalogue/errors.ts";
import type { Outcome } from "../catalogue/outcome.ts";
import { podOf } from "../events/target.ts";
import type { Delivery } from "./notifications.ts";
import { beginNotification, beginResponse, endAction, endNotification, endResponse } from "./spans.ts";

const outcome: Outcome = {
  status: "success",
  would: undefined,
  message: "pod labelled",
  code: undefined,
  target: undefined,
  objects: {},
  text: undefined,
  artifact: undefined,
  undo: undefined,
  durationMs: 1,
};

describe("the span of a response", () => {
  it("has the same id and beginning wherever the response goes on", () => {
    const event = recordingSpan();
    const target = podOf(eventOf({ pod: "shop/cart-1" }));
    const known = { id: "response-1", plannedAt: new Date(1000), target: target as Outcome["target"] & object };

    beginResponse(event, known, { name: "R", dryRun: false });
    beginResponse(event, known, { name: "R", dryRun: false });

    const [one, other] = event.recorded.inner;
    expect(one).toMatchObject({ name: "response R", start: { id: "response-1", startedAt: new Date(1000) } });
    expect(one?.start.attributes).toMatchObject({ "k8s.namespace.name": "shop", "k8s.pod.name": "cart-1" });
    expect(other).toEqual(one);
  });

  it("fails with its last action", () => {
    const [failed, well] = [recordingSpan(), recordingSpan()];

    endResponse(failed, { ...outcome, status: "failure", code: "forbidden", message: "may not patch pods" });
    endResponse(well, undefined);

    expect(failed.recorded.ending).toEqual({ error: { code: "forbidden", message: "may not patch pods" } });
    expect(well.recorded.ending?.error).toBeUndefined();
  });
});

describe("the span of an action", () => {
  it.each([
    [
      { status: "failure", code: "timeout", message: "30 s passed" },
      { code: "timeout", message: "30 s passed" },
    ],
    [{ status: "failure", code: "internal", message: "Invalid URL: https://h/SECRET" }, { code: "internal" }],
    [{ status: "refused", message: "kube-system is protected" }, undefined],
    [{ status: "ignored", message: "the pod has no owner" }, undefined],
    [{ status: "dry_run", would: "failure", code: "forbidden" }, undefined],
    [{ status: "dry_run", would: "failure", code: "internal", message: "Invalid URL: https://h/SECRET" }, undefined],
  ] as const)("is an error only where the action failed: %o", (ending, error) => {
    const span = recordingSpan();

    endAction(span, { ...outcome, ...ending });

    expect(span.recorded.ending?.error).toEqual(error);
    expect(span.recorded.ending?.attributes).toMatchObject({ "hallux.action.status": ending.status });
    expect(JSON.stringify(span.recorded)).not.toContain("SECRET");
  });

  it("says that the action goes on later", () => {
    const span = recordingSpan();

    endAction(span, { status: "postponed", afterMs: 2_000 });

    expect(span.recorded.ending).toEqual({ attributes: { "hallux.action.status": "postponed" } });
  });
});

describe("the span of a notification", () => {
  it.each<[Delivery, object | undefined]>([
    [{ status: "success" }, undefined],
    [{ status: "stopped" }, undefined],
    [
      { status: "dropped", reason: "its queue is full" },
      { code: "dropped", message: "its queue is full" },
    ],
    [
      { status: "failure", error: new ActionError("unavailable", "no answer") },
      { code: "unavailable", message: "no answer" },
    ],
    [{ status: "failure", error: new TypeError("Invalid URL: https://h/SECRET") }, { code: "internal" }],
  ])("tells how it was delivered: %o", (delivery, error) => {
    const response = recordingSpan();

    endNotification(beginNotification(response, "slack"), delivery);

    expect(response.recorded.inner).toMatchObject([
      { name: "notify slack", ending: { attributes: { "hallux.notification.status": delivery.status } } },
    ]);
    expect(response.recorded.inner[0]?.ending?.error).toEqual(error);
  });
});
