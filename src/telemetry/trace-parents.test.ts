import { describe, expect, it } from "vitest";
import { eventOf } from "../../test/support/events.ts";
import type { FalcoEvent } from "../events/event.ts";
import { falcosidekickTraceOf, senderOf } from "./trace-parents.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const spanId = "00f067aa0ba902b7";

describe("senderOf", () => {
  it.each([
    ["a sampled span", `00-${traceId}-${spanId}-01`, true],
    ["a span that is not sampled", `00-${traceId}-${spanId}-00`, false],
    ["a later version, with what it appends", `cc-${traceId}-${spanId}-01-what-comes`, true],
  ])("finds %s", (_which, header, sampled) => {
    const sender = senderOf(header);

    expect(sender).toEqual({ traceId, spanId, sampled });
  });

  it.each([
    ["nothing", undefined],
    ["no text", ["00"]],
    ["an empty text", ""],
    ["no trace", `00-${"0".repeat(32)}-${spanId}-01`],
    ["no span", `00-${traceId}-${"0".repeat(16)}-01`],
    ["upper case", `00-${traceId.toUpperCase()}-${spanId}-01`],
    ["the version ff", `ff-${traceId}-${spanId}-01`],
    ["more than this version has", `00-${traceId}-${spanId}-01-more`],
    ["two of them", `00-${traceId}-${spanId}-01, 00-${traceId}-${spanId}-01`],
    ["a long one", `00-${"a".repeat(100_000)}`],
  ])("ignores %s", (_which, header) => {
    expect(senderOf(header)).toBeUndefined();
  });
});

describe("falcosidekickTraceOf", () => {
  // Computed with hash/fnv of Go's standard library.
  it.each([
    [
      "the pod",
      { "k8s.ns.name": "shop", "k8s.pod.name": "cart-1", "container.id": "abc" },
      "04082ef38a6dc40c0d2267a7794d9ec9",
    ],
    [
      "the container",
      { "k8s.ns.name": "shop", "container.id": "0123456789ab", "evt.hostname": "node-1" },
      "838f4851d8a8a2d19463966b284e8791",
    ],
    ["the host", { "container.id": "host", "evt.hostname": "node-1" }, "a791ac730d3c64bf6ef0e977a2e0b7d3"],
  ])("is that of %s", (_which, fields, expected) => {
    expect(falcosidekickTraceOf(relayed(fields))).toBe(expected);
  });

  it("is none where the event names nothing of it", () => {
    expect(falcosidekickTraceOf(relayed({ "container.id": "host", "k8s.pod.name": 7 }))).toBeUndefined();
  });

  it("is none where the event did not come through Falcosidekick", () => {
    const event = { ...relayed({ "evt.hostname": "node-1" }), uuid: undefined };

    expect(falcosidekickTraceOf(event)).toBeUndefined();
  });

  it("is none where it would have to hash a megabyte of an attacker's text", () => {
    expect(falcosidekickTraceOf(relayed({ "evt.hostname": "x".repeat(1_000_000) }))).toBeUndefined();
  });
});

function relayed(fields: FalcoEvent["fields"]): FalcoEvent {
  return { ...eventOf({ pod: "shop/cart-1" }), uuid: "0f5b0f5b-0000-4000-8000-000000000000", fields };
}
