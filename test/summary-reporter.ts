import type { Reporter, TestModule } from "vitest/node";

/** Ends a test run with what was skipped and why, and with one plain line of counts. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string): number => tests.filter((test) => test.result().state === state).length;
    const broken = modules.filter((module) => module.state() === "failed" && [...module.children.allTests("failed")].length === 0).length + errors.length;
    for (const test of tests) {
      const result = test.result();
      if (result.state === "skipped") console.log(`skipped: ${test.module.relativeModuleId} > ${test.fullName}: ${result.note ?? "no reason given"}`);
    }
    console.log(`${count("passed")} passed, ${count("failed") + broken} failed, ${count("skipped")} skipped`);
  }
}
