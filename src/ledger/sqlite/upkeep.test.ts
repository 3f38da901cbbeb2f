import { expect, it, vi } from "vitest";
import { createBacklog } from "./backlog.ts";
import { createJournal } from "./journal.ts";
import type { Transport } from "./transport.ts";
import { createUpkeep } from "./upkeep.ts";

it("opens nothing any more after it has stopped: else a thread would be left, and keep the process alive", async () => {
  const calls: string[] = [];
  const closing = Promise.withResolvers<void>();
  const desk = (call: (method: string) => Promise<never>, close = () => Promise.resolve()): Transport => ({
    call: call as Transport["call"],
    close,
  });
  const writer = desk((method) => {
    calls.push(method);
    return Promise.reject(new Error("no disk"));
  });
  const reader = desk(
    () => Promise.reject(new Error("no disk")),
    () => {
      calls.push("close the reader");
      return closing.promise;
    },
  );
  const upkeep = createUpkeep(
    {
      retention: { ageMs: 1e12, bytes: 1e12 },
      clock: Date.now,
      remark: () => undefined,
      pace: { retryMs: 1, tendMs: 1_000 },
    },
    {
      writer,
      reader,
      journal: createJournal({ commit: async () => undefined, onFault: () => undefined, clock: Date.now }),
      backlog: createBacklog(),
      restore: () => undefined,
    },
  );
  await upkeep.start();
  await vi.waitFor(() => expect(calls).toEqual(["open", "close the reader"]), { timeout: 4_000 });

  const stopped = Promise.resolve(upkeep.stop()).then(() => calls.push("stopped"));
  closing.resolve();
  await stopped;
  await new Promise((resolve) => setTimeout(resolve, 10));

  expect(calls.at(-1)).toBe("stopped");
});
