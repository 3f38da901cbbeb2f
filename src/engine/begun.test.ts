import { describe, expect, it } from "vitest";
import { createBegun } from "./begun.ts";
import type { EngineSettings } from "./engine.ts";

const settings = (actionTimeoutMs: number) => ({ actionTimeoutMs }) as EngineSettings;

describe("what an event began with", () => {
  it("is there when the event comes again, and only once", () => {
    const begun = createBegun(() => new Date(0));
    begun.keep("e-1", settings(1), 1_000);

    expect(begun.take("e-2")).toBeUndefined();
    expect(begun.take("e-1")).toEqual(settings(1));
    expect(begun.take("e-1")).toBeUndefined();
  });

  it("is forgotten where the event does not come again: another replica has it", () => {
    let now = 0;
    const begun = createBegun(() => new Date(now));
    begun.keep("e-1", settings(1), 1_000);
    begun.keep("e-2", settings(1), 1_000);

    now = 3_600_000;
    begun.keep("e-3", settings(2), 1_000);

    expect(begun.take("e-1")).toBeUndefined();
    expect(begun.take("e-2")).toBeUndefined();
    expect(begun.take("e-3")).toEqual(settings(2));
  });
});
