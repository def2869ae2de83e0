import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createBudgetRows, noCalls, type BudgetRows } from '../../src/calls/budgetRows.ts';
import { createWindow } from '../../src/calls/window.ts';
import type { Database } from '../../src/db/database.ts';
import { postgresDatabase } from '../support/databases.ts';

describe('the rows of shared budgets', () => {
  let database: Database;
  let rows: BudgetRows;
  beforeEach(async () => {
    database = await postgresDatabase({ poolSize: 8 });
    rows = createBudgetRows(database.db);
  });
  afterEach(() => database.close());

  const changed = (key: string, version: number, paceMs: number) => ({
    key,
    version,
    state: { ...noCalls, paceMs },
  });
  const pace = async (key: string) => (await rows.read([key])).rows[0]?.state.paceMs;

  it('are made where there are none, and read with the database’s time', async () => {
    const first = await rows.open(['a', 'b']);
    expect(first.rows.map(({ key, version }) => `${key} ${version}`).toSorted()).toEqual(['a 1', 'b 1']);
    expect(Math.abs(first.nowMs - Date.now())).toBeLessThan(1_000);
    expect((await rows.open(['b', 'c'])).rows).toHaveLength(2);
    expect((await rows.read(['a', 'none'])).rows.map(({ key }) => key)).toEqual(['a']);
  });

  it('change together or not at all, group by group', async () => {
    await rows.open(['a', 'b', 'c']);
    const { written, rows: present } = await rows.exchange(
      [[changed('a', 1, 1), changed('b', 7, 1)], [changed('c', 1, 1)]],
      [],
    );
    expect(written).toEqual([false, true]);
    expect(present.map(({ key, version }) => `${key} ${version}`).toSorted()).toEqual(['a 1', 'b 1']);
    expect([await pace('a'), await pace('b'), await pace('c')]).toEqual([0, 0, 1]);
  });

  it('lose no change of 8 who write the same two rows 25 times each at the same time', async () => {
    await rows.open(['x', 'y']);
    const write = async (keys: [string, string]) => {
      for (let done = 0; done < 25;) {
        const { rows: present } = await rows.read(keys);
        const group = present.map(({ key, version, state }) => changed(key, version, state.paceMs + 1));
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

  it('are forgotten an hour after their last use', async () => {
    await rows.open(['old', 'new']);
    await sql`update rate_budgets set used_at = now() - interval '61 minutes' where key = 'old'`.execute(
      database.db,
    );
    await rows.sweep();
    expect((await rows.read(['old', 'new'])).rows.map(({ key }) => key)).toEqual(['new']);
    const gone = await rows.exchange([[changed('old', 1, 5)]], []);
    expect(gone).toMatchObject({ written: [false], rows: [] });
  });
});
