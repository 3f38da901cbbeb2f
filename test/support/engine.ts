import type { EngineOptions, EngineSettings } from "../../src/engine/engine.ts";
import type { NotificationsOptions } from "../../src/engine/notifications.ts";
import { noTraces } from "../../src/telemetry/traces.ts";
import { createPermits } from "../../src/engine/permits.ts";

/** Of an engine in a test: roomy, and quick to try again. */
export const limits = {
  patience: { firstMs: 1, longestMs: 20, totalMs: 5_000 },
  retryMs: 60_000,
  permits: createPermits({ total: 64, of: () => 64 }),
  room: { events: 1000, bytes: 16 * 1024 * 1024 },
  giveBackMs: 10,
  traces: noTraces,
} satisfies Partial<EngineOptions & EngineSettings>;

export const noNotifiers = {
  notifiers: [],
  timeoutMs: 50,
  patience: { firstMs: 1, longestMs: 20, totalMs: 0 },
  queue: { notifications: 9, bytes: 1e6 },
  concurrency: 4,
  dropped: () => undefined,
  droppedEveryMs: 1000,
} satisfies Omit<NotificationsOptions, "clients">;
