/** Prints how we compare with the libraries that one would otherwise take: `npm run bench -- --help`. */
import { parseArgs } from 'node:util';
import { accuracy } from './accuracy.ts';
import { acquire } from './acquire.ts';
import type { Bench } from './benchmark.ts';
import { core } from './core.ts';
import { fairness } from './fairness.ts';
import { fetchMany } from './fetchMany.ts';
import { graphql } from './graphql.ts';
import { idleKeys } from './idleKeys.ts';
import { openBenchDatabase } from './postgres.ts';
import { queue } from './queue.ts';
import { reads } from './reads.ts';
import { asJson, asTable, type Row } from './report.ts';
import { retry } from './retry.ts';
import { scale } from './scale.ts';
import { subscriptions } from './subscriptions.ts';
import { sync } from './sync.ts';
import { webhooks } from './webhooks.ts';

const benches: readonly Bench[] = [
  acquire,
  core,
  idleKeys,
  queue,
  fairness,
  retry,
  accuracy,
  fetchMany,
  graphql,
  reads,
  subscriptions,
  webhooks,
  sync,
  scale,
];

const usage = `npm run bench -- [name ...] [options]

Measures the rate limiter, the queue, the retries, reads, subscriptions, webhooks and the sync against the libraries one
would otherwise take, and what a provider's file chooses against the other ways its API has, in the same run. Names: only these.
Only ratios count: absolute figures differ by machine and by hour. A goal that is missed is printed, and no failure.

  --only <name>    the same as a name
  --seconds <n>    length of the runs that take time: overload, failing provider (default 10)
  --sockets <n>    WebSockets that follow one event (default 1000)
  --json           one JSON object a line instead of the table
  --help

DATABASE_URL names a PostgreSQL server on which databases may be created; without it, one is started from npm.

${benches.map(({ name, title }) => `  ${name.padEnd(13)} ${title}`).join('\n')}
`;

/** @throws what to tell the person, as the message */
function readOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: 'string', multiple: true, default: [] },
      seconds: { type: 'string', default: '10' },
      sockets: { type: 'string', default: '1000' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const seconds = Number(values.seconds);
  if (!(seconds >= 1)) throw new Error('--seconds wants a number of 1 or more');
  const only = [...positionals, ...values.only];
  const unknown = only.filter((one) => !benches.some(({ name }) => name === one));
  const sockets = Number(values.sockets);
  if (!(sockets >= 100)) throw new Error('--sockets wants a number of 100 or more');
  if (unknown.length > 0)
    throw new Error(
      `no bench ${unknown.join(', ')}: there are ${benches.map(({ name }) => name).join(', ')}`,
    );
  const chosen = benches.filter(({ name, byNameOnly }) =>
    only.length === 0 ? !byNameOnly : only.includes(name),
  );
  return { ...values, seconds, sockets, chosen };
}

async function run({ chosen, seconds, sockets, json }: ReturnType<typeof readOptions>): Promise<void> {
  const needsDatabase = chosen.some(({ usesDatabase }) => usesDatabase);
  const database = needsDatabase ? await openBenchDatabase() : undefined;
  const rows: Row[] = [];
  try {
    for (const { name, title, run: measure } of chosen) {
      const startedAt = performance.now();
      process.stderr.write(`${name}: ${title} `);
      await measure({
        seconds,
        sockets,
        databaseUrl: database?.url ?? '',
        report(figure) {
          const row = { bench: name, ...figure };
          rows.push(row);
          if (json) process.stdout.write(`${asJson(row)}\n`);
        },
      });
      process.stderr.write(`(${((performance.now() - startedAt) / 1_000).toFixed(0)} s)\n`);
    }
  } finally {
    await database?.close();
  }
  if (!json) process.stdout.write(`${asTable(rows)}\n`);
}

let options;
try {
  options = readOptions();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n\n${usage}`);
  process.exit(1);
}
if (options.help) {
  process.stdout.write(usage);
  process.exit(0);
}
try {
  await run(options);
  process.exit(0);
} catch (error) {
  process.stderr.write(`\n${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
}
