import { defineConfig } from "vitest/config";

/** Suites of whole processes: one after another, when the others are done, for they load the machine. */
const processes = ["crash", "chaos", "nats", "catalogue", "guides"];

export default defineConfig({
  test: {
    reporters: ["default", "./scripts/count-reporter.ts"],
    projects: [
      {
        test: {
          name: "unit",
          include: ["{src,actionners,contexts,notifiers,outputs,playground,bench,scripts,test}/**/*.test.ts"],
          exclude: ["test/cluster/**", ...processes.map((name) => `test/${name}/**`)],
          // A machine that stands still for some seconds is no fault of a test.
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      { test: { name: "cluster", include: ["test/cluster/**/*.test.ts"], testTimeout: 120_000, hookTimeout: 120_000 } },
      ...processes.map((name, index) => ({
        test: {
          name,
          include: [`test/${name}/**/*.test.ts`],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          // They wait more than they work.
          maxConcurrency: 10,
          sequence: { groupOrder: index + 1 },
        },
      })),
    ],
  },
});
