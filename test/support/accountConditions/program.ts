/**
 * The tour, each statement of it tried beside a twin of the account, on the embedded database: it has no second wall. A
 * program of its own, because its modules are loaded by `tagSource.ts`; prints a `Report`.
 */
import { globSync, readFileSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { openDatabase } from '../../../src/db/database.ts';
import { pgliteOptions } from '../../../src/db/embedded.ts';
import { openCore } from '../core.ts';
import { migratedDump } from '../migratedDump.ts';
import { tagged, type Condition } from './conditions.ts';
import { visits } from './tour.ts';
import { tryEveryStatement, type Findings } from './twin.ts';

export interface Report {
  /** Every condition in `src/`: whether a statement with it was sent, and whether the trial fails without it. */
  conditions: (Condition & { isReached: boolean; isNeeded: boolean })[];
  /** Statements that do to one account, or tell it, what depends on another. */
  leaks: string[];
}

const all: Findings[] = [];
// A trial takes time, and nothing that it holds up is to be late.
const patience = { interactiveDeadlineMs: 60_000, requestTimeoutMs: 10_000 };
for (const { settings, visit } of visits) {
  const product = await openCore(
    async (options) => {
      const pglite = await PGlite.create('memory://', {
        ...pgliteOptions,
        loadDataDir: await migratedDump(),
      });
      all.push(await tryEveryStatement(pglite));
      return openDatabase({ dataDir: '', poolSize: 1, pglite, ...options });
    },
    { ...patience, ...settings },
  );
  try {
    await visit(product);
  } finally {
    await product.close();
  }
}

const has = (which: 'reached' | 'needed', { place }: Condition) => all.some((one) => one[which].has(place));
const conditions = globSync('src/**/*.ts')
  .toSorted()
  .flatMap((file) => tagged(readFileSync(file, 'utf8'), file).conditions)
  .map((one) => ({ ...one, isReached: has('reached', one), isNeeded: has('needed', one) }));
const leaks = [...new Set(all.flatMap((one) => [...one.leaks]))];
process.stdout.write(JSON.stringify({ conditions, leaks } satisfies Report));
