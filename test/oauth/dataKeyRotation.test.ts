import { sql, type Kysely } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../src/db/database.ts';
import type { Tables } from '../../src/db/tables.ts';
import { createAccountKeys, sealedPlace } from '../../src/oauth/accountKeys.ts';
import {
  countOldDataKeys,
  deleteOldDataKeys,
  graceMsOf,
  rotateDataKeys,
} from '../../src/oauth/dataKeyRotation.ts';
import { parseMasterKeys, sealedWith } from '../../src/oauth/encryption.ts';
import { readSealedRows, replaceSealed, sealedTables, type SealedRow } from '../../src/oauth/sealedValues.ts';
import { databaseKinds } from '../support/databases.ts';
import { manualClock } from '../support/manualClock.ts';
import {
  addAccounts,
  addEmptyAccounts,
  allSealedRows,
  masterKey,
  openAll,
  removeAccounts,
} from '../support/sealedAccounts.ts';

const [k1, k2, k3] = [masterKey('k1', 1), masterKey('k2', 2), masterKey('k3', 3)];
const graceMs = graceMsOf(10_000);
/** As many as are read at one time. */
const page = 300;
const start = Date.UTC(2026, 0, 5, 12);
const [tokens, revocations] = sealedTables as [(typeof sealedTables)[0], (typeof sealedTables)[0]];
const none = { count: 0, examples: [] };

it.each([
  ['a quarter of an hour', 10_000, 15],
  ['as long as a slow refresh and the outage after it', 60_000, 17],
])('an old data key is kept for %s', (_what, requestTimeoutMs, minutes) => {
  expect(graceMsOf(requestTimeoutMs)).toBe(minutes * 60_000);
});

describe.each(databaseKinds)('rotation of data keys, %s', (_kind, open) => {
  let database: Database;
  let db: Kysely<Tables>;
  let progress: { renewed: number; resealed: number }[];
  const clock = manualClock(start);
  beforeAll(async () => {
    database = await open();
    ({ db } = database);
  });
  beforeEach(() => {
    progress = [];
    clock.setNow(start);
  });
  afterEach(() => removeAccounts(db));
  afterAll(() => database.close());

  type Report = (so: { renewed: number; resealed: number }) => unknown;
  const deps = (encryptionKeys = k1) => ({ db, master: parseMasterKeys(encryptionKeys), clock, graceMs });
  const rotate = (accountId?: string, onProgress?: Report, encryptionKeys?: string) =>
    rotateDataKeys(deps(encryptionKeys), accountId, async ({ renewed, resealed }) => {
      progress.push({ renewed, resealed });
      await onProgress?.({ renewed, resealed });
    });
  const deleteOld = (accountId?: string, encryptionKeys?: string) =>
    deleteOldDataKeys(deps(encryptionKeys), accountId);
  const add = (accountIds: string[], more: { tokensOnly?: boolean; createdAt?: Date } = {}, by = k1) =>
    addAccounts(db, by, accountIds, { createdAt: new Date(start - 60_000), ...more });
  const addKeys = (count: number) => addEmptyAccounts(db, k1, count, { createdAt: new Date(start - 60_000) });
  const keysOf = (accountId: string) =>
    db
      .selectFrom('account_keys')
      .select(['id', 'created_at'])
      .where('account_id', '=', accountId)
      .orderBy('created_at')
      .execute();
  const keysInUse = async () =>
    new Set(
      (await allSealedRows(db)).flatMap(({ values }) => values.map(({ sealed }) => sealedWith(sealed))),
    );
  /** What a service writes that still holds the old key. */
  const putBack = ({ ref, values }: SealedRow) =>
    db
      .updateTable('oauth_tokens')
      .set({ access_token_encrypted: values[0]!.sealed, version: sql`version + 1` })
      .where('account_id', '=', ref.accountId)
      .execute();
  const readTokens = async (accountId?: string) =>
    (await readSealedRows(db, tokens, { limit: 1, accountId }))[0]!;

  it('gives each account a new one that seals every value, and touches nothing else of the rows', async () => {
    const before = await add(['a', 'b', 'c']);
    const rowsOf = () =>
      db.selectFrom('oauth_tokens').select(['version', 'updated_at', 'issued_at']).execute();
    const untouched = await rowsOf();
    const done = await rotate();
    expect(done).toEqual({ renewed: 3, young: 0, resealed: 21, busy: 0, unopened: none });
    // After the accounts, and after each table.
    expect(progress).toEqual([0, 9, 12, 18, 21].map((resealed) => ({ renewed: 3, resealed })));
    const used = await keysInUse();
    expect(used.size).toBe(3);
    for (const { keyId } of before) expect(used).not.toContain(keyId);
    expect(await openAll(db, k1)).toBe(21);
    expect(await rowsOf()).toEqual(untouched);

    const [first] = before;
    const seal = await createAccountKeys(parseMasterKeys(k1), clock).sealer(db, first!.accountId);
    const ref = { accountId: first!.accountId, id: first!.connectionId, integrationId: 'quickbooks' };
    expect(used).toContain(sealedWith(seal(sealedPlace(ref, 'oauth_tokens', 'x'), 'y')));
  });

  it.each([
    ['an hour older than now', -3_600_000, 0],
    ['as old as now', 0, 1],
    ['of another clock, an hour ahead', 3_600_000, 3_600_001],
  ])('makes a key that is newer than one %s', async (_what, othersMs, newMs) => {
    const [a] = await add(['a'], { createdAt: new Date(start + othersMs) });
    expect((await rotate()).resealed).toBe(7);
    expect(await keysInUse()).not.toContain(a!.keyId);
    expect((await keysOf('a')).map(({ created_at }) => created_at.getTime() - start)).toEqual([
      ...[othersMs, newMs],
    ]);
  });

  it('can be had for one account alone', async () => {
    const [a, b] = await add(['a', 'b']);
    expect(await rotate('a')).toMatchObject({ renewed: 1, resealed: 7 });
    const used = await keysInUse();
    expect(used).toContain(b!.keyId);
    expect(used).not.toContain(a!.keyId);
    await rotate('b');
    expect(await countOldDataKeys(db, undefined)).toBe(2);
    expect(await countOldDataKeys(db, 'a')).toBe(1);
    clock.setNow(start + graceMs + 1);
    expect(await deleteOld('a')).toBe(1);
    expect(await countOldDataKeys(db, 'a')).toBe(0);
    expect(await countOldDataKeys(db, 'b')).toBe(1);
  });

  it('gives another one when the last is no longer young, or opens for nobody here', async () => {
    await add(['a']);
    await rotate();
    clock.setNow(start + graceMs - 1);
    expect(await rotate()).toMatchObject({ renewed: 0, young: 1, resealed: 0 });
    clock.setNow(start + graceMs);
    expect(await rotate()).toMatchObject({ renewed: 1, young: 0, resealed: 7 });
    expect(await keysOf('a')).toHaveLength(3);

    await rotate(undefined, undefined, `${k2},${k1}`);
    expect(await keysOf('a')).toHaveLength(3);
    clock.setNow(start + 2 * graceMs);
    expect(await rotate(undefined, undefined, `${k2},${k1}`)).toMatchObject({ renewed: 1, resealed: 7 });
    expect(await rotate()).toMatchObject({ renewed: 1, young: 0, resealed: 0, unopened: { count: 7 } });
    expect(await openAll(db, k2)).toBe(7);
  });

  it('gives one key to each account when two run at the same time', async () => {
    await add(['a', 'b']);
    await addKeys(50);
    const [one, other] = await Promise.all([rotate(), rotate()]);
    expect(one.renewed + other.renewed).toBe(52);
    expect(one.young + other.young).toBe(52);
    expect(one.resealed + other.resealed).toBe(14);
    expect(await countOldDataKeys(db, undefined)).toBe(52);
    expect(await openAll(db, k1)).toBe(14);
  });

  it('deletes the old keys later, and none that a value names or that is still young', async () => {
    await add(['a', 'b', 'c'], { createdAt: new Date('2026-01-01') });
    const late = await readTokens();
    await rotate();
    clock.setNow(start + graceMs);
    expect(await deleteOld()).toBe(0);
    expect(await countOldDataKeys(db, undefined)).toBe(3);

    // A service had read the keys before, and writes only now.
    await putBack(late);
    clock.setNow(start + graceMs + 1);
    expect(await deleteOld()).toBe(2);
    expect(await openAll(db, k1)).toBe(21);

    expect((await rotate(late.ref.accountId)).resealed).toBe(7);
    clock.setNow(start + 2 * graceMs + 2);
    expect(await deleteOld()).toBe(2);
    expect(await countOldDataKeys(db, undefined)).toBe(0);
    expect(await openAll(db, k1)).toBe(21);
  });

  it('keeps an old key while nobody here can open the newer one', async () => {
    await add(['a'], { createdAt: new Date('2026-01-01') });
    await rotate(undefined, undefined, `${k2},${k1}`);
    for (const { name } of sealedTables) await sql`delete from ${sql.table(name)}`.execute(db);
    clock.setNow(start + graceMs + 10_000);
    expect(await deleteOld()).toBe(0);
    expect(await deleteOld(undefined, k2)).toBe(1);
  });

  it('goes on where it was stopped, and gives nobody another key', async () => {
    await add(['a', 'b', 'c']);
    const killed = () => {
      if (progress.length === 3) throw new Error('killed');
    };
    await expect(rotate(undefined, killed)).rejects.toThrow('killed');
    const done = await rotate();
    expect(done).toMatchObject({ renewed: 0, young: 3, resealed: 21 - 12 });
    expect((await keysInUse()).size).toBe(3);
    expect(await countOldDataKeys(db, undefined)).toBe(3);
    expect(await openAll(db, k1)).toBe(21);
  });

  it('seals once more what a service sealed with the old key meanwhile, but not for ever', async () => {
    const [a] = await add(['a'], { tokensOnly: true });
    const late = await readTokens();
    const once: Report = ({ resealed }) => resealed === 2 && putBack(late);
    expect(await rotate(undefined, once)).toMatchObject({ renewed: 1, resealed: 2 + 1, busy: 0 });
    expect(await keysInUse()).not.toContain(a!.keyId);
    expect(await openAll(db, k1)).toBe(2);

    clock.setNow(start + graceMs);
    const again = await readTokens();
    const always: Report = ({ resealed }) => resealed > 0 && putBack(again);
    expect(await rotate(undefined, always)).toMatchObject({ renewed: 1, resealed: 2 + 4, busy: 0 });
    expect((await keysInUse()).size).toBe(2);
    expect(await openAll(db, k1)).toBe(2);
  });

  describe('where rows move whenever they are looked at', () => {
    /** The first updates of tokens change nothing, as if somebody had been faster. */
    const passOver = async (times: number) => {
      await sql`create sequence looks`.execute(db);
      await sql`create function pass_over() returns trigger language plpgsql as
        $$ begin return case when nextval('looks') > ${sql.lit(times)} then new end; end $$`.execute(db);
      await sql`create trigger pass_over before update on oauth_tokens
        for each row execute function pass_over()`.execute(db);
    };
    const looks = async () =>
      (await sql<{ count: number }>`select last_value as count from looks`.execute(db)).rows[0]!.count;
    afterEach(async () => {
      await sql`drop function if exists pass_over cascade`.execute(db);
      await sql`drop sequence if exists looks`.execute(db);
    });

    it('looks again', async () => {
      await add(['a', 'b'], { tokensOnly: true });
      await passOver(2);
      expect(await rotate()).toMatchObject({ resealed: 4, busy: 0 });
      expect(await looks()).toBe(4);
      expect(await openAll(db, k1)).toBe(4);
    });

    it('looks five times, and says how many values stay as they are', async () => {
      const [a] = await add(['a'], { tokensOnly: true });
      await passOver(100);
      expect(await rotate()).toEqual({ renewed: 1, young: 0, resealed: 0, busy: 2, unopened: none });
      expect(await looks()).toBe(5);
      expect([...(await keysInUse())]).toEqual([a!.keyId]);
      expect(progress).toEqual([{ renewed: 1, resealed: 0 }]);
    });
  });

  it('does not stand in the way of a refresh that is under way, nor overwrite what it stored', async () => {
    await add(['a']);
    const stale = await readTokens();
    await rotate();
    const keys = createAccountKeys(parseMasterKeys(k1), clock);
    const place = sealedPlace(stale.ref, 'oauth_tokens', 'access_token_encrypted');
    const rotated = (await keys.sealer(db, 'a'))(place, 'rotated by the provider');
    const { numUpdatedRows } = await db
      .updateTable('oauth_tokens')
      .set({ access_token_encrypted: rotated, version: 2 })
      .where('version', '=', 1)
      .executeTakeFirst();
    expect(numUpdatedRows).toBe(1n);

    const read = await readTokens();
    const resealed = (row: SealedRow) => row.values.map((value) => ({ ...value, resealed: value.sealed }));
    expect(await replaceSealed(db, stale, resealed(stale))).toBe(false);
    expect(await replaceSealed(db, read, resealed(read))).toBe(true);
    const [row] = await db.selectFrom('oauth_tokens').selectAll().execute();
    expect(row).toMatchObject({ version: 2, access_token_encrypted: rotated });
  });

  it('leaves what does not open as it is, and says how much and why', async () => {
    await add(['a']);
    await add(['b'], {}, k3);
    const ofB = async () => (await allSealedRows(db)).filter(({ ref }) => ref.accountId === 'b');
    const before = await ofB();
    const { resealed, renewed, unopened } = await rotate();
    expect({ resealed, renewed, unopened: unopened.count }).toEqual({ resealed: 7, renewed: 2, unopened: 7 });
    expect(unopened.examples).toHaveLength(5);
    expect(unopened.examples[0]).toMatch(
      /^oauth_tokens, connection [\w-]{36}: master key "k3" is not in ENCRYPTION_KEYS$/,
    );
    expect(await ofB()).toEqual(before);
    clock.setNow(start + graceMs + 10_000);
    expect(await deleteOld('b')).toBe(0);
    expect(await openAll(db, `${k1},${k3}`)).toBe(14);
  });

  it('leaves one damaged value of a row and one whose key is gone, and seals the others', async () => {
    const [a, b] = await add(['a', 'b'], { tokensOnly: true });
    const damaged = Buffer.from('damaged');
    await db
      .updateTable('oauth_tokens')
      .set({ access_token_encrypted: damaged })
      .where('account_id', '=', 'a')
      .execute();
    await db.deleteFrom('account_keys').where('account_id', '=', 'b').execute();
    const { renewed, resealed, unopened } = await rotate();
    expect({ renewed, resealed }).toEqual({ renewed: 1, resealed: 1 });
    expect(unopened.count).toBe(3);
    expect(unopened.examples.toSorted()).toEqual(
      [
        `oauth_tokens, connection ${a!.connectionId}: the sealed value has an unknown form`,
        ...Array<string>(2).fill(
          `oauth_tokens, connection ${b!.connectionId}: data key ${b!.keyId} of the account is gone`,
        ),
      ].toSorted(),
    );
    const rows = await db.selectFrom('oauth_tokens').selectAll().orderBy('account_id').execute();
    expect(rows[0]!.access_token_encrypted).toEqual(damaged);
    expect(sealedWith(rows[0]!.refresh_token_encrypted!)).not.toBe(a!.keyId);
    expect(sealedWith(rows[1]!.access_token_encrypted)).toBe(b!.keyId);
  });

  it('ends where anything else is wrong, with the values as they were', async () => {
    await add(['a']);
    const stopped = () => Promise.reject(new Error('killed'));
    await expect(rotate(undefined, stopped)).rejects.toThrow('killed');
    const before = await allSealedRows(db);
    const randomBytes = () => {
      throw new Error('no entropy');
    };
    const broken = { ...deps(), clock: { ...clock, randomBytes } };
    await expect(rotateDataKeys(broken, undefined, () => undefined)).rejects.toThrow('no entropy');
    expect(await allSealedRows(db)).toEqual(before);
  });

  /** One value comes to name this key, of which only its id is looked at. */
  const replaceOne = async (keyId: string) => {
    const [row] = await readSealedRows(db, revocations, { limit: 1 });
    const [value] = row!.values;
    const named = Buffer.from(`01${keyId.replaceAll('-', '')}`, 'hex');
    expect(await replaceSealed(db, row!, [{ ...value!, resealed: named }])).toBe(true);
  };

  it('goes through accounts and values page by page', async () => {
    const [a] = await add(['a']);
    await sql`insert into token_revocations (account_id, id, integration_id, connection_id, token_encrypted)
      select account_id, gen_random_uuid(), integration_id, connection_id, token_encrypted
      from token_revocations, generate_series(1, ${page})`.execute(db);
    await addKeys(page);
    const values = page + 7;
    expect(await rotate()).toEqual({
      ...{ renewed: page + 1, young: 0, resealed: values, busy: 0, unopened: none },
    });
    expect(progress.map(({ renewed }) => renewed)).toEqual([page, ...Array<number>(6).fill(page + 1)]);
    expect(progress.map(({ resealed }) => resealed)).toEqual([0, 0, 3, page + 3, page + 4, page + 6, values]);
    expect(await keysInUse()).not.toContain(a!.keyId);
    expect(await openAll(db, k1)).toBe(values);
    expect(await countOldDataKeys(db, undefined)).toBe(page + 1);

    clock.setNow(start + graceMs + 1);
    await replaceOne(a!.keyId);
    expect(await deleteOld()).toBe(page);
    expect(await countOldDataKeys(db, undefined)).toBe(1);
  });
});
