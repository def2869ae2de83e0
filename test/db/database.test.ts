import { randomBytes, randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../src/db/database.ts';
import { databaseKinds } from '../support/databases.ts';

describe.each(databaseKinds)('the %s database', (kind, open) => {
  let database: Database;
  const statements: string[] = [];
  beforeEach(async () => {
    statements.length = 0;
    database = await open({ onQuery: (text) => statements.push(text) });
  });
  afterEach(() => database.close());

  it('gives back every type of column as it was written', async () => {
    const bytes = randomBytes(300);
    const at = new Date('2026-03-01T12:34:56.789Z');
    const id = randomUUID();
    const problem = {
      code: 'RATE_LIMITED',
      message: 'slow "down" \\ \u{1F600}',
      actor: 'NOBODY',
      retryable: true,
      occurredAt: at.toISOString(),
    } as const;
    const row = { account_id: 'a', id, integration_id: 'quickbooks', status: 'ACTIVE' as const };
    await database.db
      .insertInto('connections')
      .values({
        ...row,
        scopes: ['a b', 'c,"d"', '\\{}', ''],
        problem: JSON.stringify(problem),
        connected_at: at,
      })
      .execute();
    await database.db
      .insertInto('account_keys')
      .values({ account_id: 'a', id, master_key_id: 'k', sealed_key: bytes, created_at: at })
      .execute();
    await database.db
      .insertInto('event_sequences')
      .values({ account_id: 'a', last_sequence: 2 ** 40 })
      .execute();
    await database.db
      .insertInto('external_records')
      .values({
        account_id: 'a',
        connection_id: id,
        resource: 'Invoice',
        external_id: '1',
        payload: JSON.stringify({ list: [1, null, { deep: 'x' }] }),
        fetched_at: at,
        deleted: true,
      })
      .execute();

    const connection = await database.db.selectFrom('connections').selectAll().executeTakeFirstOrThrow();
    expect(connection).toMatchObject({
      ...row,
      scopes: ['a b', 'c,"d"', '\\{}', ''],
      problem,
      generation: 0,
    });
    expect(connection.connected_at).toEqual(at);
    expect(connection.created_at).toBeInstanceOf(Date);
    expect(connection.external_id).toBeNull();
    const key = await database.db.selectFrom('account_keys').selectAll().executeTakeFirstOrThrow();
    expect(Buffer.isBuffer(key.sealed_key)).toBe(true);
    expect(key.sealed_key.equals(bytes)).toBe(true);
    const { last_sequence } = await database.db
      .selectFrom('event_sequences')
      .selectAll()
      .executeTakeFirstOrThrow();
    expect(last_sequence).toBe(2 ** 40);
    const record = await database.db.selectFrom('external_records').selectAll().executeTakeFirstOrThrow();
    expect(record).toMatchObject({
      payload: { list: [1, null, { deep: 'x' }] },
      deleted: true,
      fetched_at: at,
    });
  });

  it('finds rows by bytes, by a list and by a time', async () => {
    const found = await sql<{ bytes: boolean; list: boolean; time: boolean; count: number; large: bigint }>`
      select ${Buffer.from('x')}::bytea = '\\x78'::bytea as bytes, 'b' = any(${['a', 'b']}::text[]) as list,
        ${new Date(0)}::timestamptz = 'epoch'::timestamptz as time, count(*) as count,
        9007199254740993::bigint as large from connections`.execute(database.db);
    expect(found.rows).toEqual([{ bytes: true, list: true, time: true, count: 0, large: 9007199254740993n }]);
  });

  it('gives an empty Buffer for empty bytes', async () => {
    const { rows } = await sql<{ empty: Buffer }>`select ${Buffer.alloc(0)}::bytea as empty`.execute(
      database.db,
    );
    expect(rows[0]?.empty).toEqual(Buffer.alloc(0));
  });

  it('rolls a failed transaction back and goes on', async () => {
    const failed = database.db.transaction().execute(async (trx) => {
      await trx.insertInto('event_sequences').values({ account_id: 'a', last_sequence: 1 }).execute();
      await sql`select 1 / 0`.execute(trx);
    });
    await expect(failed).rejects.toThrow('division by zero');
    expect(await database.db.selectFrom('event_sequences').selectAll().execute()).toEqual([]);
    await database.ping();
  });

  it('reports every statement once, and no begin or commit', async () => {
    statements.length = 0;
    await database.db.transaction().execute(async (trx) => {
      await trx.selectFrom('connections').select('id').execute();
    });
    await expect(sql`select nonsense`.execute(database.db)).rejects.toThrow('"nonsense" does not exist');
    expect(statements).toEqual(['select "id" from "connections"', 'select nonsense']);
  });

  it('closes twice without complaint, and answers no more', async () => {
    await database.close();
    await database.close();
    await expect(database.ping()).rejects.toThrow(/closed|calling end|destroyed/);
    expect(database.kind).toBe(kind);
  });
});
