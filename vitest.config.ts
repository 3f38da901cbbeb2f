import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    reporters: ["default", "./scripts/count-reporter.ts"],
    projects: [
      {
        test: {
          name: "unit",
          include: ["{src,actionners,contexts,notifiers,outputs,playground,bench,scripts,test}/**/*.test.ts"],
          exclude: ["test/cluster/**"],
        },
      },
      { test: { name: "cluster", include: ["test/cluster/**/*.test.ts"], testTimeout: 30_000, hookTimeout: 60_000 } },
    ],
  },
});
