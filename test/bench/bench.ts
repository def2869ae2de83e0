/** Prints how we compare with the libraries that one would otherwise take: `npm run bench -- --help`. */
import { parseArgs } from 'node:util';
import { accuracy } from './accuracy.ts';
import { acquire } from './acquire.ts';
import type { Bench } from './benchmark.ts';
import { core } from './core.ts';
import { fairness } from './fairness.ts';
import { idleKeys } from './idleKeys.ts';
import { openBenchDatabase } from './postgres.ts';
import { queue } from './queue.ts';
import { asJson, asTable, type Row } from './report.ts';
import { retry } from './retry.ts';

const benches: readonly Bench[] = [acquire, core, idleKeys, queue, fairness, retry, accuracy];

const usage = `npm run bench -- [options]

Measures the rate limiter, the queue and the retries against the libraries one would otherwise take, in the same run.
Only ratios count: absolute figures differ by machine and by hour. A goal that is missed is printed, and no failure.

  --only <name>    only this one; may be repeated
  --seconds <n>    length of the runs that take time: overload, failing provider (default 10)
  --json           one JSON object a line instead of the table
  --help

DATABASE_URL names a PostgreSQL server on which databases may be created; without it, one is started from npm.

${benches.map(({ name, title }) => `  ${name.padEnd(10)} ${title}`).join('\n')}
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true, default: [] },
      seconds: { type: 'string', default: '10' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void process.stdout.write(usage);
  const seconds = Number(values.seconds);
  if (!(seconds >= 1)) throw new Error('--seconds wants a number of 1 or more');
  const unknown = values.only.filter((only) => !benches.some(({ name }) => name === only));
  if (unknown.length > 0)
    throw new Error(
      `no bench ${unknown.join(', ')}: there are ${benches.map(({ name }) => name).join(', ')}`,
    );
  const chosen = benches.filter(({ name }) => values.only.length === 0 || values.only.includes(name));

  const needsDatabase = chosen.some(({ usesDatabase }) => usesDatabase);
  const database = needsDatabase ? await openBenchDatabase() : undefined;
  const rows: Row[] = [];
  try {
    for (const { name, title, run } of chosen) {
      const startedAt = performance.now();
      process.stderr.write(`${name}: ${title} `);
      await run({
        seconds,
        databaseUrl: database?.url ?? '',
        report(figure) {
          const row = { bench: name, ...figure };
          rows.push(row);
          if (values.json) process.stdout.write(`${asJson(row)}\n`);
        },
      });
      process.stderr.write(`(${((performance.now() - startedAt) / 1_000).toFixed(0)} s)\n`);
    }
  } finally {
    await database?.close();
  }
  if (!values.json) process.stdout.write(`${asTable(rows)}\n`);
}

try {
  await main();
  process.exit(0);
} catch (error) {
  process.stderr.write(`\n${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
}
