import { sql } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { budgetChannel, createBudgetRows, noCalls, type BudgetRows } from '../../src/calls/budgetRows.ts';
import type { PostgresDatabase } from '../../src/db/database.ts';
import { postgresDatabase } from '../support/databases.ts';

// Each test has keys of its own. What many who write at one time make of the rows is in `budgetRowsInUse.test.ts`.

describe('the rows of shared budgets', () => {
  let database: PostgresDatabase;
  let rows: BudgetRows;
  beforeAll(async () => {
    database = (await postgresDatabase()) as PostgresDatabase;
    rows = createBudgetRows(database.db);
  });
  afterAll(() => database.close());

  const changed = (key: string, version: number, paceMs: number) => ({
    key,
    version,
    state: { ...noCalls, paceMs },
  });
  const names = (some: { key: string; version: number }[]) =>
    some.map(({ key, version }) => `${key} ${version}`).toSorted();
  const paces = async (...keys: string[]) => {
    const { rows: present } = await rows.read(keys);
    return keys.map((key) => present.find((row) => row.key === key)?.state.paceMs);
  };
  /** Milliseconds since 1970, by the database. */
  const databaseTime = async () => {
    const result = await sql<{ at: Date }>`select clock_timestamp() as at`.execute(database.db);
    return result.rows[0]!.at.getTime();
  };

  it('are made where there are none, without any calls', async () => {
    const empty = {
      ...{ arrived: [], leased: {}, paceMs: 0, aheadMs: 0, pausedMs: 0, atMs: 0, asked: {}, freeAtMs: 0 },
    };
    expect((await rows.open(['made 1'])).rows).toEqual([{ key: 'made 1', version: 1, state: empty }]);
    await rows.exchange([[changed('made 1', 1, 5)]], []);
    const both = (await rows.open(['made 2', 'made 1'])).rows;
    expect(both.toSorted((a, b) => a.key.localeCompare(b.key))).toEqual([
      { key: 'made 1', version: 2, state: { ...empty, paceMs: 5 } },
      { key: 'made 2', version: 1, state: empty },
    ]);
  });

  it('are read where there are some, and not made by it', async () => {
    await rows.open(['read']);
    expect(names((await rows.read(['read', 'read by nobody'])).rows)).toEqual(['read 1']);
    expect((await rows.read(['read by nobody'])).rows).toEqual([]);
    expect((await rows.read([])).rows).toEqual([]);
    expect((await rows.open([])).rows).toEqual([]);
    expect(await rows.exchange([], [])).toMatchObject({ written: [], rows: [] });
  });

  it('come with the time of the database, in milliseconds', async () => {
    const asks = [
      () => rows.open(['time']),
      () => rows.read(['time']),
      () => rows.exchange([[changed('time', 1, 1)]], []),
    ];
    for (const ask of asks) {
      const before = await databaseTime();
      const { nowMs } = await ask();
      expect(nowMs).toBeGreaterThanOrEqual(before);
      expect(nowMs).toBeLessThan((await databaseTime()) + 1);
    }
  });

  it('keep what is written, as it is written', async () => {
    await rows.open(['kept']);
    const state = {
      ...{ arrived: [[1_000.25, 3]] as [number, number][], leased: { p: [2, 5_000] as [number, number] } },
      ...{ paceMs: 0.5, aheadMs: -1, pausedMs: 7_000, atMs: 1_750_000_000_000.125, freeAtMs: 9_000 },
      asked: { q: [12.5, 1] as [number, number] },
    };
    await rows.exchange([[{ key: 'kept', version: 1, state }]], []);
    expect((await rows.read(['kept'])).rows).toEqual([{ key: 'kept', version: 2, state }]);
  });

  it('change together or not at all, group by group, and those that did not are told', async () => {
    await rows.open(['a', 'b', 'c', 'd', 'e']);
    await rows.exchange([[changed('b', 1, 1)]], []);
    const { written, rows: present } = await rows.exchange(
      [
        [changed('a', 1, 2), changed('b', 1, 2)],
        [changed('c', 1, 2)],
        [changed('d', 1, 2), changed('gone', 1, 2)],
        [changed('e', 1, 2)],
      ],
      [],
    );
    expect(written).toEqual([false, true, false, true]);
    expect(names(present)).toEqual(['a 1', 'b 2', 'd 1']);
    expect(present.find(({ key }) => key === 'b')!.state).toEqual({ ...noCalls, paceMs: 1 });
    expect(await paces('a', 'b', 'c', 'd', 'e', 'gone')).toEqual([0, 1, 2, 0, 2, undefined]);
    // And none of them is told of where all of them did.
    const all = await rows.exchange([[changed('c', 2, 3), changed('e', 2, 3)]], []);
    expect(all).toMatchObject({ written: [true], rows: [] });
  });

  it('are announced to all processes when they are written and loud', async () => {
    const heard: string[] = [];
    const listener = new pg.Client({ connectionString: database.databaseUrl });
    await listener.connect();
    try {
      listener.on('notification', ({ channel, payload }) => heard.push(`${channel}: ${payload}`));
      await listener.query('listen rate_budgets');
      await listener.query('listen "end"');
      await rows.open(['loud', 'quiet', 'missed']);
      await rows.exchange(
        [[changed('loud', 1, 1)], [changed('quiet', 1, 1)], [changed('missed', 7, 1)]],
        ['loud', 'missed', 'unknown'],
      );
      // They come in the order in which they are committed.
      await sql`select pg_notify('end', '')`.execute(database.db);
      await expect.poll(() => heard.at(-1)).toBe('end: ');
    } finally {
      await listener.end();
    }
    expect(heard).toEqual(['rate_budgets: loud', 'end: ']);
    expect(budgetChannel).toBe('rate_budgets');
  });

  it('are forgotten an hour after their last use, unless they are not free then', async () => {
    const keys = ['unused', 'used', 'an hour less', 'written since', 'not free', 'older form'];
    await rows.open(keys);
    const age = (minutes: number, some: string[]) =>
      sql`update rate_budgets set used_at = now() - ${minutes} * interval '1 minute' where key = any(${some})`.execute(
        database.db,
      );
    await age(61, ['unused', 'written since', 'not free', 'older form']);
    await age(59, ['an hour less']);
    const set = (key: string, state: object) =>
      sql`update rate_budgets set state = ${JSON.stringify(state)}::jsonb where key = ${key}`.execute(
        database.db,
      );
    await set('not free', { ...noCalls, freeAtMs: (await databaseTime()) + 600_000 });
    await set('unused', { ...noCalls, freeAtMs: (await databaseTime()) - 1 });
    await set('older form', {});
    await rows.exchange([[changed('written since', 1, 5)]], []);
    await rows.sweep();
    expect(names((await rows.read(keys)).rows)).toEqual([
      'an hour less 1',
      'not free 1',
      'used 1',
      'written since 2',
    ]);
    const gone = await rows.exchange([[changed('unused', 1, 5)]], []);
    expect(gone).toMatchObject({ written: [false], rows: [] });
  });
});
