import { describe, expect, it } from "vitest";
import { eventOf } from "../../test/support/events.ts";
import { remoteAddressOf } from "./remote-address.ts";

describe("remoteAddressOf", () => {
  it.each([
    ["192.0.2.7", "192.0.2.7/32"],
    ["10.1.2.3", "10.1.2.3/32"],
    ["2001:db8::7", "2001:db8::7/128"],
    ["2001:DB8:0:0:0:0:0:7", "2001:db8::7/128"],
    ["64:ff9b::192.0.2.7", "64:ff9b::c000:207/128"],
    ["::ffff:192.0.2.7", "192.0.2.7/32"],
    ["::FFFF:c000:0207", "192.0.2.7/32"],
    ["::ffff:10.0.0.1", "10.0.0.1/32"],
  ])("spells %s in the one way that API servers take", (written, range) => {
    const remote = remoteAddressOf(eventOf({ fields: { "fd.rip": written } }));

    expect(remote).toEqual({ kind: "found", range });
  });

  it("takes fd.rip before fd.sip, and fd.sip where Falco does not know the other", () => {
    const both = eventOf({ fields: { "fd.rip": "192.0.2.7", "fd.sip": "192.0.2.8" } });
    const one = eventOf({ fields: { "fd.rip": "<NA>", "fd.sip": "192.0.2.8" } });

    expect(remoteAddressOf(both)).toMatchObject({ range: "192.0.2.7/32" });
    expect(remoteAddressOf(one)).toMatchObject({ range: "192.0.2.8/32" });
  });

  it.each([
    "0x0a000001",
    "10.0.0.01",
    "10.0.0",
    "192.0.2.7/8",
    "192.0.2.7, 192.0.2.8",
    " 192.0.2.7",
    "fe80::1%eth0",
    "localhost",
    "$(id)",
    ["192.0.2.7"],
    3_221_225_991,
    { ip: "192.0.2.7" },
  ])("takes %j for no IP address", (written) => {
    const remote = remoteAddressOf(eventOf({ fields: { "fd.rip": written } }));

    expect(remote).toMatchObject({ kind: "missing", reason: expect.stringContaining("no IP address: fd.rip is ") });
  });

  it.each(["127.0.0.1", "127.8.9.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"])(
    "has nothing to deny for %s, which does not lead out of the pod",
    (written) => {
      const remote = remoteAddressOf(eventOf({ fields: { "fd.rip": written } }));

      expect(remote).toMatchObject({ kind: "missing", reason: expect.stringMatching(/does not lead out of the pod$/) });
    },
  );

  it("shows only the start of what an event says instead", () => {
    const remote = remoteAddressOf(eventOf({ fields: { "fd.rip": "A".repeat(100_000) } }));

    expect(remote).toMatchObject({ reason: expect.stringMatching(/^.{0,120}$/) });
  });

  it("says what an event lacks", () => {
    const remote = remoteAddressOf(eventOf());

    expect(remote).toEqual({ kind: "missing", reason: "the event has no remote IP (fd.rip, fd.sip)" });
  });
});
