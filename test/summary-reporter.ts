import { writeFileSync } from 'node:fs';
import type { Reporter, SerializedError, TestCase, TestModule } from 'vitest/node';
import type { Skip, Summary } from './summary.ts';

/** Writes the counts of a run as JSON to the file that SLUICE_TEST_SUMMARY names. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const file = process.env.SLUICE_TEST_SUMMARY;
    if (file === undefined) return;
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const states = tests.map((test) => test.result().state);
    // Errors of a file or of a suite's hooks are no test's, and count each.
    const outside = modules.flatMap((module) => [
      ...module.errors(),
      ...[...module.children.allSuites()].flatMap((suite) => suite.errors()),
    ]);
    const summary: Summary = {
      passed: states.filter((state) => state === 'passed').length,
      failed: states.filter((state) => state === 'failed').length + outside.length + unhandled.length,
      skips: tests.flatMap(skipOf),
    };
    writeFileSync(file, JSON.stringify(summary));
  }
}

function skipOf(test: TestCase): Skip[] {
  const result = test.result();
  if (result.state === 'passed' || result.state === 'failed') return [];
  const reason = result.state === 'skipped' ? result.note : undefined;
  return [{ name: `${test.module.relativeModuleId}: ${test.fullName}`, reason: reason ?? 'no reason stated' }];
}
