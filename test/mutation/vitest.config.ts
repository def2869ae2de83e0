import { mergeConfig } from 'vitest/config';
import { common } from '../../vitest.config.ts';
import { groups } from './judges.ts';

const file = process.env.MUTATED_FILE!;
const judges = Object.values(groups).find((group) => file in group)![file]!;
/** Starting PostgreSQL takes seconds: for each of Stryker's processes, and again whenever a mutant hangs. */
const withoutDatabase =
  /^(calls|connections\/returnTo|identity|oauth\/(encryption|protocol)|subscriptions\/credentials|webhooks\/verify)/;
const onDatabase = judges.some((judge) => !withoutDatabase.test(judge)) || file === 'src/calls/budgetRows.ts';

/** The tests that judge the mutants of one file. */
export default mergeConfig(
  { ...common, test: { ...common.test, execArgv: [] } },
  {
    test: {
      // Without the bundles of `programs.ts`: no judge starts a program.
      globalSetup: onDatabase ? ['test/support/postgresServer.ts'] : [],
      // What a module makes when it is loaded is broken only for whoever loads it anew. With a database that takes too long.
      isolate: !onDatabase,
      include: judges.map((judge) => `test/${judge}.test.ts`),
      // A mutant is judged on one of the two: the quicker.
      env: { TEST_DATABASE: 'postgres' },
    },
  },
);
