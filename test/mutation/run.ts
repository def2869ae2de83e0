/** `npm run test:mutation`: what breaks in the code that decides must break a test. */
import { parseArgs } from 'node:util';
import { Stryker } from '@stryker-mutator/core';
import { groups } from './judges.ts';

const usage = `npm run test:mutation -- [group | file ...] [options]

Breaks each file bit by bit, and judges every mutant by the tests that test/mutation/judges.ts names for the file.
Groups: ${Object.keys(groups).join(', ')}; without any, all of them one after the other, which takes hours.

  --concurrency <n>  how many mutants at one time (default 2)
  --lines <a-b>      only what is broken in these lines, of one file
  --anew             judge again what an earlier run has judged, and neither code nor test has changed since;
                     also what a module makes when it is loaded, of which no run knows the tests that see it
  --help
`;
const leastScore = 85;

const { values: options, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: {
    concurrency: { type: 'string', default: '2' },
    lines: { type: 'string' },
    anew: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const all = new Map(Object.values(groups).flatMap((group) => Object.entries(group)));
const files =
  wanted.length === 0
    ? [...all.keys()]
    : wanted.flatMap((name) => Object.keys(groups[name] ?? { [name]: 1 }));
const stray = files.find((file) => !all.has(file));

if (options.help || stray !== undefined) {
  process.stdout.write(stray === undefined ? usage : `There is no group or file ${stray}.\n\n${usage}`);
  process.exitCode = options.help ? 0 : 2;
} else {
  const rows = [];
  for (const file of files) rows.push(await judged(file));
  process.stdout.write(
    `\n| file | mutants | killed | timed out | survived | not reached | not judged | score |\n|---|--:|--:|--:|--:|--:|--:|--:|\n${rows.join('')}`,
  );
}

/** A row of the table. Not judged: a test file does not even load, or the runner crashes; it counts for nothing. */
async function judged(file: string): Promise<string> {
  process.stdout.write(`\n${file}\n`);
  // For vitest.config.ts, which Stryker's processes read.
  process.env.MUTATED_FILE = file;
  const results = await new Stryker({
    mutate: [options.lines === undefined ? file : `${file}:${options.lines}`],
    testRunner: 'vitest',
    plugins: ['@stryker-mutator/vitest-runner'],
    vitest: { configFile: 'test/mutation/vitest.config.ts', related: false },
    // It would be read by TypeScript's old interface, which version 7 does not have.
    tsconfigFile: 'none',
    concurrency: Number(options.concurrency),
    tempDirName: '.stryker',
    ignorePatterns: ['.data', '.git', 'docs'],
    // A busy machine is not to be taken for a test that hangs.
    timeoutMS: 20_000,
    reporters: ['clear-text', 'progress-append-only'],
    clearTextReporter: { allowColor: false, logTests: false, allowEmojis: false, reportTests: false },
    // What neither its code nor its tests have changed since is not judged again.
    incremental: true,
    incrementalFile: `node_modules/.cache/mutation/${file}.json`,
    force: options.anew,
  }).runMutationTest();
  const count = (...statuses: string[]) => results.filter(({ status }) => statuses.includes(status)).length;
  const [killed, timedOut, survived, unreached] = ['Killed', 'Timeout', 'Survived', 'NoCoverage'].map((one) =>
    count(one),
  ) as [number, number, number, number];
  const mutants = killed + timedOut + survived + unreached;
  const score = (100 * (killed + timedOut)) / mutants;
  if (!(score >= leastScore)) process.exitCode = 1;
  return `| ${file} | ${mutants} | ${killed} | ${timedOut} | ${survived} | ${unreached} | ${results.length - mutants} | ${score.toFixed(1)} % |\n`;
}
