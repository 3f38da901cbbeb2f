import { describe, expect, it } from "vitest";
import { formatFor } from "./open-metrics.ts";

describe("formatFor", () => {
  it.each([
    ["application/openmetrics-text; version=1.0.0"],
    ["application/openmetrics-text"],
    ['Application/OpenMetrics-Text;VERSION="1.0.0"'],
    // Prometheus 2 and 3
    [
      "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    ],
    [
      "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    ],
    ["text/plain, application/openmetrics-text"],
  ])("gives OpenMetrics to whoever asks for it: %s", (accept) => {
    expect(formatFor(accept)).toBe("openmetrics");
  });

  it.each([
    [undefined],
    [""],
    ["*/*"],
    ["text/html,application/xhtml+xml,*/*;q=0.8"],
    ["text/plain;version=0.0.4"],
    ["application/openmetrics-text; version=0.0.1"],
    ["application/openmetrics-text; version=2.0.0"],
    ["application/openmetrics-text; q=0"],
    ["application/openmetrics-text; q=nonsense"],
    ["application/openmetrics-text;q=0.2, text/plain;q=0.9"],
    [";;;,,,q="],
  ])("gives text to everyone else: %s", (accept) => {
    expect(formatFor(accept)).toBe("text");
  });
});
