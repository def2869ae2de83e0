import { sql, type Kysely } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../src/db/database.ts';
import type { Tables } from '../../src/db/tables.ts';
import { createAccountKeys, insertDataKeys } from '../../src/oauth/accountKeys.ts';
import { newDataKey, parseMasterKeys, seal, UnsealError } from '../../src/oauth/encryption.ts';
import {
  isNamedByNone,
  readSealedRows,
  replaceSealed,
  sealedTables,
  type SealedRow,
} from '../../src/oauth/sealedValues.ts';
import { databaseKinds } from '../support/databases.ts';
import { manualClock } from '../support/manualClock.ts';
import {
  addAccounts,
  allSealedRows,
  masterKey,
  openAll,
  plaintextOf,
  removeAccounts,
  type SealedAccount,
} from '../support/sealedAccounts.ts';

const [k1, k2] = [masterKey('k1', 1), masterKey('k2', 2)];
const clock = manualClock();
const [tokens, revocations] = sealedTables as [(typeof sealedTables)[0], (typeof sealedTables)[0]];

describe.each(databaseKinds)('sealed values, %s', (_kind, open) => {
  let database: Database;
  let db: Kysely<Tables>;
  beforeAll(async () => {
    database = await open();
    ({ db } = database);
  });
  afterEach(() => removeAccounts(db));
  afterAll(() => database.close());

  /** Row by row, each after the one before. */
  const readByOne = async (table: (typeof sealedTables)[0], accountId?: string) => {
    const rows: SealedRow[] = [];
    for (;;) {
      const page = await readSealedRows(db, table, { limit: 1, after: rows.at(-1), accountId });
      expect(page.length).toBeLessThanOrEqual(1);
      if (page.length === 0) return rows;
      rows.push(page[0]!);
    }
  };
  /** Several rows of one account. */
  const copyRevocations = (times: number) =>
    sql`insert into token_revocations (account_id, id, integration_id, connection_id, token_encrypted)
      select account_id, gen_random_uuid(), integration_id, connection_id, token_encrypted
      from token_revocations, generate_series(1, ${times})`.execute(db);
  const withOthers = (row: SealedRow, bytes: Buffer) =>
    row.values.map((value) => ({ ...value, resealed: bytes }));

  it('stand in columns of which we know every one', async () => {
    const { rows } = await sql<{ name: string }>`
      select table_name || '.' || column_name as name from information_schema.columns
      where table_schema = 'public' and column_name like '%\\_encrypted'`.execute(db);
    const known = sealedTables.flatMap(({ name, columns }) => columns.map((column) => `${name}.${column}`));
    expect(rows.map(({ name }) => name).toSorted()).toEqual(known.toSorted());
  });

  it('are read with the place of each, that it opens in', async () => {
    const [a] = await addAccounts(db, k1, ['a']);
    const rows = await allSealedRows(db);
    const ref = { accountId: 'a', id: a!.connectionId, integrationId: 'quickbooks' };
    expect(rows.map((row) => row.ref)).toEqual([ref, ref, ref, ref]);
    expect(rows.flatMap(({ values }) => values.map(({ place }) => place))).toEqual(
      sealedTables.flatMap(({ name, columns }) =>
        columns.map((column) => ({
          ...{ accountId: 'a', integrationId: 'quickbooks', connectionId: a!.connectionId },
          column: `${name}.${column}`,
        })),
      ),
    );
    expect(await openAll(db, k1)).toBe(7);
  });

  it('belong to the integration of their own connection, whoever else has one of the same id', async () => {
    const [a] = await addAccounts(db, k1, ['a', 'b']);
    await db
      .insertInto('connections')
      .values({ account_id: 'b', id: a!.connectionId, integration_id: 'slack', status: 'ACTIVE' })
      .execute();
    expect(await openAll(db, k1)).toBe(14);
  });

  it('still open where their connection is gone', async () => {
    await addAccounts(db, k1, ['a']);
    await db.deleteFrom('connections').execute();
    expect((await allSealedRows(db)).map(({ table }) => table)).toEqual([revocations]);
    expect(await openAll(db, k1)).toBe(1);
  });

  it('are read page by page in the order of their key, with nothing twice and nothing left out', async () => {
    await addAccounts(db, k1, ['a', 'b', 'c']);
    await copyRevocations(3);
    for (const table of sealedTables) {
      const all = await readSealedRows(db, table, { limit: 100 });
      expect(all).toHaveLength(table === revocations ? 12 : 3);
      expect(await readByOne(table)).toEqual(all);
      const of = (accountId: string) => all.filter(({ ref }) => ref.accountId === accountId);
      expect(await readByOne(table, 'b')).toEqual(of('b'));
      expect(await readByOne(table, 'nobody')).toEqual([]);
    }
    const keys = (await readByOne(revocations)).map(({ key }) => key as [string, string]);
    expect(keys).toEqual(keys.toSorted(([a, one], [b, other]) => (`${a} ${one}` < `${b} ${other}` ? -1 : 1)));
  });

  it('are counted as they are: a row without one is read all the same', async () => {
    await addAccounts(db, k1, ['a'], { tokensOnly: true });
    await db.updateTable('oauth_tokens').set({ refresh_token_encrypted: null }).execute();
    const [row, ...others] = await allSealedRows(db);
    expect(others).toEqual([]);
    expect(row!.values.map(({ column }) => column)).toEqual(['access_token_encrypted']);
  });

  it('are read from anywhere where that is asked for', async () => {
    await addAccounts(db, k1, ['a']);
    await copyRevocations(29);
    const read = (order?: 'key' | 'random') =>
      readSealedRows(db, revocations, { limit: 30, ...(order && { order }) });
    const ordered = await read('key');
    expect(await read()).toEqual(ordered);
    const mixed = await read('random');
    expect(mixed).not.toEqual(ordered);
    const idsOf = (rows: SealedRow[]) => rows.map(({ key }) => String(key[1])).toSorted();
    expect(idsOf(mixed)).toEqual(idsOf(ordered));
  });

  it('are replaced in their own row, of which nothing else moves', async () => {
    await addAccounts(db, k1, ['a', 'b'], { createdAt: new Date('2026-01-01') });
    const [a, b] = (await readSealedRows(db, tokens, { limit: 2 })) as [SealedRow, SealedRow];
    const rowsOf = () => db.selectFrom('oauth_tokens').selectAll().orderBy('account_id').execute();
    const [before, untouched] = await rowsOf();
    const bytes = Buffer.from('other bytes');
    expect(await replaceSealed(db, a, withOthers(a, bytes))).toBe(true);
    const replaced = Object.fromEntries(tokens.columns.map((column) => [column, bytes]));
    expect(await rowsOf()).toEqual([{ ...before, ...replaced }, untouched]);
    // One of several.
    expect(await replaceSealed(db, b, withOthers(b, bytes).slice(1, 2))).toBe(true);
    expect((await rowsOf())[1]).toEqual({ ...untouched, refresh_token_encrypted: bytes });
  });

  it('are not replaced where one of them has changed or the row is gone', async () => {
    await addAccounts(db, k1, ['a', 'b']);
    const [a] = (await readSealedRows(db, tokens, { limit: 1 })) as [SealedRow];
    const refreshed = Buffer.from('refreshed');
    await db.updateTable('oauth_tokens').set({ refresh_token_encrypted: refreshed }).execute();
    const before = await db.selectFrom('oauth_tokens').selectAll().orderBy('account_id').execute();
    expect(await replaceSealed(db, a, withOthers(a, Buffer.from('late')))).toBe(false);
    expect(await db.selectFrom('oauth_tokens').selectAll().orderBy('account_id').execute()).toEqual(before);
    await db.deleteFrom('oauth_tokens').where('account_id', '=', 'a').execute();
    expect(await replaceSealed(db, a, withOthers(a, Buffer.from('late')).slice(0, 1))).toBe(false);
  });

  it('name a data key of their account, whichever column they stand in', async () => {
    const [a, b] = (await addAccounts(db, k1, ['a', 'b'])) as [SealedAccount, SealedAccount];
    const { row, key } = newDataKey(parseMasterKeys(k1), 'a', clock);
    await insertDataKeys(db, [{ ...row, createdAt: new Date(0) }]);
    const unnamed = async () => {
      const { rows } = await sql<{ id: string }>`
        select k.id from account_keys k where ${isNamedByNone}`.execute(db);
      return rows.map(({ id }) => id);
    };
    expect(await unnamed()).toEqual([row.id]);
    const named: string[] = [];
    for (const one of (await allSealedRows(db)).filter(({ ref }) => ref.accountId === a.accountId))
      for (const value of one.values) {
        const resealed = seal(key, value.place, plaintextOf(value.column, 'a'), clock);
        expect(await replaceSealed(db, one, [{ ...value, resealed }])).toBe(true);
        if ((await unnamed()).length === 0) named.push(value.place.column);
        await replaceSealed(db, one, [{ ...value, sealed: resealed, resealed: value.sealed }]);
      }
    expect(named).toEqual(
      sealedTables.flatMap(({ name, columns }) => columns.map((column) => `${name}.${column}`)),
    );
    // A value of another account that has the same bytes is no matter of this one.
    const [theirs] = await readSealedRows(db, revocations, { limit: 1, accountId: b.accountId });
    await replaceSealed(db, theirs!, withOthers(theirs!, seal(key, theirs!.values[0]!.place, 'x', clock)));
    expect(await unnamed()).toEqual([row.id]);
  });

  it('give KEY_UNAVAILABLE, never null and never text, where their master key was removed', async () => {
    await addAccounts(db, k1, ['a']);
    const opener = await createAccountKeys(parseMasterKeys(k2), clock).opener(db, 'a');
    const values = (await allSealedRows(db)).flatMap((row) => row.values);
    expect(values).toHaveLength(7);
    for (const { place, sealed } of values) {
      const opening = () => opener(place, sealed);
      expect(opening).toThrow(UnsealError);
      expect(opening).toThrow(
        expect.objectContaining({
          ...{ code: 'KEY_UNAVAILABLE', message: 'master key "k1" is not in ENCRYPTION_KEYS' },
        }),
      );
    }
    expect(await openAll(db, `${k2},${k1}`)).toBe(7);
  });
});
