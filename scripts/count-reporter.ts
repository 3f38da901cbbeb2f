import type { Reporter, TestModule } from "vitest/node";

/** Prints one closing line that a machine can read: `tests: 12 passed, 0 failed, 3 skipped`. */
class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const states = modules.flatMap((module) => [...module.children.allTests()].map((test) => test.result().state));
    const count = (state: string) => states.filter((each) => each === state).length;
    const broken = modules.filter((module) => module.errors().length > 0).length;
    console.log(`tests: ${count("passed")} passed, ${count("failed") + broken} failed, ${count("skipped")} skipped`);
  }
}

// Vitest loads a reporter by its default export.
// biome-ignore lint/style/noDefaultExport: the reporter's interface
export default CountReporter;
