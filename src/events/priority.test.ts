import { describe, expect, it } from "vitest";
import { priorities, priorityNamed, severityOf } from "./priority.ts";

describe("priorityNamed", () => {
  it.each(priorities)("knows %s in any case", (priority) => {
    const spellings = [priority, priority.toLowerCase(), priority.toUpperCase(), ` ${priority} `];

    expect(spellings.map(priorityNamed)).toEqual(spellings.map(() => priority));
  });

  it.each(["info", "Info", "INFO"])("takes %s for Informational", (text) => {
    expect(priorityNamed(text)).toBe("Informational");
  });

  it.each(["", "Warn", "informations", "5", "__proto__"])("does not know %j", (text) => {
    expect(priorityNamed(text)).toBeUndefined();
  });
});

describe("severityOf", () => {
  it("rises from Debug to Emergency", () => {
    expect([...priorities].reverse().map(severityOf)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
});
