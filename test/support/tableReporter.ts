import type { Reporter, TestModule, TestSuite } from 'vitest/node';

/**
 * Prints each suite that holds suites as a table: its cases are the rows, the suites in it (one for each provider) the
 * columns. `npm run test:contract`.
 */
export default class TableReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const tables = modules.flatMap((module) => [...module.children.suites()]).map(tableOf);
    process.stdout.write(`\n${tables.filter((table) => table !== '').join('\n')}\n`);
  }
}

const words = { passed: 'ok', failed: 'FAILED', skipped: '-', pending: '-' };

function tableOf(suite: TestSuite): string {
  const columns = [...suite.children.suites()];
  if (columns.length === 0) return '';
  const cells = columns.map(
    (column) => new Map([...column.children.tests()].map((test) => [test.name, words[test.result().state]])),
  );
  const rows = [...new Set(cells.flatMap((column) => [...column.keys()]))];
  const lines = [
    [suite.name, ...columns.map(({ name }) => name)],
    ...rows.map((row) => [row, ...cells.map((column) => column.get(row) ?? '')]),
  ];
  const widths = lines[0]!.map((_, at) => Math.max(...lines.map((line) => line[at]!.length)));
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, at) => cell.padEnd(widths[at]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
