import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBudgetRows, noCalls, type BudgetRows } from '../../src/calls/budgetRows.ts';
import { createWindow } from '../../src/calls/window.ts';
import type { Database } from '../../src/db/database.ts';
import { postgresDatabase } from '../support/databases.ts';

describe('the rows of shared budgets, in use', () => {
  let database: Database;
  let rows: BudgetRows;
  beforeAll(async () => {
    database = await postgresDatabase({ poolSize: 8 });
    rows = createBudgetRows(database.db);
  });
  afterAll(() => database.close());

  const pace = async (key: string) => (await rows.read([key])).rows[0]?.state.paceMs;

  it('lose no change of 8 who write the same two rows 25 times each at the same time', async () => {
    await rows.open(['x', 'y']);
    const write = async (keys: [string, string]) => {
      for (let done = 0; done < 25;) {
        const { rows: present } = await rows.read(keys);
        const group = present.map(({ key, version, state }) => ({
          ...{ key, version, state: { ...noCalls, paceMs: state.paceMs + 1 } },
        }));
        if ((await rows.exchange([group], [])).written[0]) done++;
      }
    };
    await Promise.all(Array.from({ length: 8 }, (_, i) => write(i % 2 ? ['x', 'y'] : ['y', 'x'])));
    expect([await pace('x'), await pace('y')]).toEqual([200, 200]);
  });

  it('stay small and are updated in place, whatever the limit', async () => {
    const key = 'large';
    let [row] = (await rows.open([key])).rows;
    for (let i = 0; i < 300; i++) {
      const window = createWindow({ limit: 100_000, windowMs: 60_000 }, row!.state);
      for (let n = 0; n < 300; n++) {
        window.lease('p', i * 200 + 60_000, i * 200, true);
        window.arrive('p', i * 200 + n * 0.6);
      }
      const next = { key, version: row!.version, state: { ...noCalls, ...window.state() } };
      expect((await rows.exchange([[next]], [])).written).toEqual([true]);
      row = { ...next, version: next.version + 1 };
    }
    expect(JSON.stringify(row).length).toBeLessThan(8_000);
    expect(createWindow({ limit: 100_000, windowMs: 60_000 }, row!.state).used(60_000)).toBe(90_000);
    await sql`select pg_stat_force_next_flush()`.execute(database.db);
    await expect
      .poll(async () => {
        const stats = await sql<{ hot: number; all: number }>`
          select n_tup_hot_upd::int as hot, n_tup_upd::int as "all" from pg_stat_user_tables where relname = 'rate_budgets'`.execute(
          database.db,
        );
        const { hot, all } = stats.rows[0]!;
        return all >= 250 ? hot / all : 0;
      })
      .toBeGreaterThan(0.5);
  });
});
