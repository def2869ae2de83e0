import { sql, type Kysely } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase, type Database } from '../../src/db/database.ts';
import { statement, type Value } from '../../src/db/statements.ts';
import type { Tables } from '../../src/db/tables.ts';
import { postgresDatabase } from '../support/databases.ts';

/** What `accountDialect.ts` makes of it that a session of PostgreSQL keeps named statements parsed, on its one client. */
describe.each([
  ['of one account, behind the wall', true, (database: Database) => database.forAccount('a')],
  ['of one account, without the wall', false, (database: Database) => database.forAccount('a')],
  ['past all walls', false, (database: Database) => database.named],
])('a session %s', (_how, walled, of) => {
  let tables: Database;
  let database: Database;
  let own: Kysely<Tables>;
  const run = (text: string) => sql.raw(text).execute(tables.db);
  const open = async () => {
    if (tables.kind !== 'postgres') throw new Error('Not PostgreSQL');
    return openDatabase({ databaseUrl: tables.databaseUrl, dataDir: '', poolSize: 1 });
  };
  beforeAll(async () => {
    tables = await postgresDatabase({ poolSize: 1 });
    await run(`create sequence tried`);
    await run(`grant usage on tried to integrations_tenant`);
    await run(`create function fails(code text) returns int language plpgsql as
      $$ begin perform nextval('tried'); raise exception using errcode = code; end $$`);
  });
  afterAll(() => tables.close());
  beforeEach(async () => {
    await run(`drop table if exists notes; create table notes (id text); alter sequence tried restart`);
    await run(`grant select, insert on notes to integrations_tenant`);
    database = await open();
    if (walled) await database.raiseWall();
    own = of(database);
  });
  afterEach(() => database.close());

  const fault = () => {
    throw new Error('no value');
  };
  const who = sql`current_user = 'integrations_tenant' as walled, current_setting('integrations.account_id', true) as account`;
  const seen = { walled, account: walled ? 'a' : null };
  const divided = statement(
    (_, value: Value<{ by: number }>) => sql<object>`select 12 / ${value('by')}::int as n, ${who}`,
  );
  const divide = async (by: number) => {
    const rows = await divided(own, { by });
    expect(rows).toEqual([{ n: 12 / by, ...seen }]);
  };
  const failed = statement((_, value: Value<{ code: string }>) => sql`select fails(${value('code')})`);
  const fail = (code: string) =>
    expect(failed(own, { code })).rejects.toMatchObject({ code, severity: 'ERROR' });
  /** How often each is run since it was parsed. */
  const kept = async () => {
    const { rows } = await sql<{ runs: number }>`select (generic_plans + custom_plans)::int as runs
      from pg_prepared_statements order by prepare_time`.execute(database.db);
    return rows.map(({ runs }) => runs);
  };
  const both = (runs: number) => (walled ? [runs, runs] : [runs]);

  it('parses each once, and what only looks alike anew', async () => {
    for (const by of [1, 2, 3]) await divide(by);
    expect(await kept()).toEqual(both(3));
    await sql`select 12 / ${1}::int as n, ${who}`.execute(own);
    expect(await kept()).toEqual(walled ? [4, 3] : [3]);
    // In a transaction it would be too late to try again.
    await own.transaction().execute((trx) => divided(trx, { by: 4 }));
    expect(await kept()).toEqual(walled ? [4, 3] : [3]);
  });

  it('parses anew what has failed, or whose values could not be sent', async () => {
    for (let i = 0; i < 3; i++) {
      await expect(divided(own, { by: 0 })).rejects.toMatchObject({ code: '22012' });
      await divide(2);
      await expect(divided(own, { by: { toPostgres: fault } as never })).rejects.toThrow('no value');
      await divide(3);
      await divide(4);
    }
    // The set was sent and has not failed where a value of the other could not be.
    expect(await kept()).toEqual(walled ? [4, 2] : [2]);
  });

  it('is told anew what it has forgotten', async () => {
    for (const forget of ['deallocate all', 'discard all', 'deallocate all']) {
      await divide(1);
      await divide(2);
      await sql.raw(forget).execute(database.db);
      await divide(3);
      await divide(4);
      expect(await kept()).toEqual(both(2));
    }
  });

  it('is told anew what the tables no longer fit', async () => {
    const all = statement(() => sql<object>`select * from notes`);
    const equal = statement(
      (_, value: Value<{ id: string }>) => sql<object>`select id from notes where id = ${value('id')}`,
    );
    const insert = statement(
      (_, value: Value<{ id: string }>) => sql`insert into notes values (${value('id')})`,
    );
    const id = '00000000-0000-4000-8000-000000000001';
    const tour = async (more: object) => {
      await insert(own, { id });
      expect(await all(own, {})).toEqual([{ id, ...more }]);
      expect(await equal(own, { id })).toEqual([{ id }]);
      await run('delete from notes');
    };
    await tour({});
    await run(`alter table notes alter column id type uuid using id::uuid`);
    await tour({});
    await run(`alter table notes add column text text default 'new'`);
    await tour({ text: 'new' });
  });

  it.each([
    ['26000', 2],
    ['0A000', 2],
    ['42804', 2],
    ['42883', 2],
    ['42P01', 1],
    ['22012', 1],
  ])('is asked once more, and only once, after %s: %i', async (code, times) => {
    await fail(code);
    const { rows } = await sql<{ n: number }>`select last_value::int as n from tried`.execute(tables.db);
    expect(rows[0]!.n).toBe(times);
    await divide(1);
  });

  it('is asked by no name any more once 20 times one was forgotten', async () => {
    await divide(1);
    for (const code of ['22012', '0A000']) for (let i = 0; i < 20; i++) await fail(code);
    for (let i = 0; i < 19; i++) await fail('26000');
    await sql`deallocate all`.execute(database.db);
    // It is the twentieth; what is around it has been parsed once more before.
    const rest = walled ? [1] : [];
    await divide(2);
    expect(await kept()).toEqual(rest);
    for (let i = 0; i < 3; i++) await divide(3);
    expect(await kept()).toEqual(rest);
    await expect(divided(own, { by: 0 })).rejects.toMatchObject({ code: '22012' });
    await divide(4);
    // Other pools have other sessions.
    await database.close();
    database = await open();
    await divided(database.forAccount('a'), { by: 1 });
    expect(await kept()).toEqual([1]);
  });

  it('is still asked by name where 19 times one was forgotten', async () => {
    await divide(1);
    for (let i = 0; i < 18; i++) await fail('26000');
    await sql`deallocate all`.execute(database.db);
    await divide(2);
    expect(await kept()).toEqual(both(1));
  });

  it('is still asked by name where what was forgotten is long ago', async () => {
    await divide(1);
    for (let i = 0; i < 19; i++) await fail('26000');
    for (let i = 0; i < 1_000; i++) await divide(2);
    await sql`deallocate all`.execute(database.db);
    await divide(3);
    expect(await kept()).toEqual(both(1));
  });

  it('takes back a transaction that fails, and keeps one that does not', async () => {
    const insert = (db: Kysely<Tables>, id: string) => sql`insert into notes values (${id})`.execute(db);
    const failing = own.transaction().execute(async (trx) => {
      await insert(trx, 'gone');
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    await own.transaction().execute((trx) => insert(trx, 'kept'));
    expect((await sql`select * from notes`.execute(tables.db)).rows).toEqual([{ id: 'kept' }]);
    expect((await sql`select ${who}`.execute(own)).rows).toEqual([seen]);
  });
});
