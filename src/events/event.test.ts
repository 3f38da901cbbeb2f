import { describe, expect, it } from "vitest";
import { decodeEvent } from "./decode.ts";
import { type FalcoEvent, fieldOf } from "./event.ts";

describe("fieldOf", () => {
  it.each([
    ["text", '"cart-1"', "cart-1"],
    ["number", "443", 443],
    ["zero", "0", 0],
    ["false", "false", false],
    ["a text that contains <NA>", '"<NA>46"', "<NA>46"],
  ])("gives a %s as it is", (_kind, json, value) => {
    expect(fieldOf(eventWith(json), "field")).toBe(value);
  });

  it.each(["null", '""', '"<NA>"'])("knows nothing of a field that is %s", (json) => {
    expect(fieldOf(eventWith(json), "field")).toBeUndefined();
  });

  it.each(["absent", "toString", "__proto__"])("knows nothing of a field that was not sent: %s", (name) => {
    expect(fieldOf(eventWith("1"), name)).toBeUndefined();
  });
});

function eventWith(json: string): FalcoEvent {
  const text = `{"rule":"r","priority":"Debug","output_fields":{"field":${json}}}`;
  return decodeEvent(text, { id: "e-1", receivedAt: "2026-03-01T10:00:00Z" }).event as FalcoEvent;
}
