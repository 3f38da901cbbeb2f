import { describe, expect, it } from "vitest";
import { startIntake } from "./testing.ts";

describe("the log of refusals", () => {
  it("is not flooded, counts what it leaves out, and hides no other reason", async () => {
    let now = new Date("2026-03-01T10:00:00Z");
    const { url, lines, counted } = await startIntake({ peers: { clock: () => now } });
    const refused = () => lines.filter(({ msg }) => msg === "event refused");

    for (let i = 0; i < 25; i += 1) {
      await fetch(url, { method: "POST", body: "flood" });
    }
    const flooded = refused().length;
    await fetch(url, { method: "POST", body: "[]" });
    const other = refused().at(-1);
    now = new Date("2026-03-01T10:00:11Z");
    await fetch(url, { method: "POST", body: "flood" });
    await fetch(url, { method: "POST", body: "flood" });

    expect(flooded).toBe(10);
    expect(other).toMatchObject({ reason: "not_an_object" });
    expect(refused().at(-2)).toMatchObject({ reason: "not_json", suppressed: 15 });
    expect(refused().at(-1)).not.toHaveProperty("suppressed");
    expect(counted.filter((call) => call === "eventRefused not_json")).toHaveLength(27);
  });

  it("goes on where the clock is set back", async () => {
    let now = new Date("2026-03-01T10:00:00Z");
    const { url, lines } = await startIntake({ peers: { clock: () => now } });

    for (let i = 0; i < 11; i += 1) {
      await fetch(url, { method: "POST", body: "flood" });
    }
    now = new Date("2026-02-01T10:00:00Z");
    await fetch(url, { method: "POST", body: "flood" });

    expect(lines.at(-1)).toMatchObject({ reason: "not_json", suppressed: 1 });
  });
});
