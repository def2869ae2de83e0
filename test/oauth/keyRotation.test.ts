import { sql, type Kysely } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock, type Clock } from '../../src/clock.ts';
import type { Database } from '../../src/db/database.ts';
import type { Tables } from '../../src/db/tables.ts';
import { createAccountKeys, sealedPlace } from '../../src/oauth/accountKeys.ts';
import {
  countOldDataKeys,
  deleteOldDataKeys,
  graceMsOf,
  rotateDataKeys,
} from '../../src/oauth/dataKeyRotation.ts';
import { parseMasterKeys, sealedWith, UnsealError } from '../../src/oauth/encryption.ts';
import { countByMasterKey, findMissingMasterKeys, rotateMasterKey } from '../../src/oauth/keyRotation.ts';
import { readSealedRows, replaceSealed, sealedTables, type SealedRow } from '../../src/oauth/sealedValues.ts';
import { databaseKinds } from '../support/databases.ts';
import { addAccounts, masterKey, plaintextOf } from '../support/sealedAccounts.ts';

const [k1, k2, k3] = [masterKey('k1', 1), masterKey('k2', 2), masterKey('k3', 3)];
const graceMs = graceMsOf(10_000);
const accountIds = (count: number) => Array.from({ length: count }, (_, i) => `account-${i}`);
const nothing = () => undefined;

async function allRows(db: Kysely<Tables>): Promise<SealedRow[]> {
  const pages = await Promise.all(sealedTables.map((table) => readSealedRows(db, table, { limit: 10_000 })));
  return pages.flat();
}

/** Every sealed value, opened with these master keys. */
async function openAll(db: Kysely<Tables>, encryptionKeys: string): Promise<number> {
  const keys = createAccountKeys(parseMasterKeys(encryptionKeys), systemClock);
  let opened = 0;
  for (const { ref, values } of await allRows(db)) {
    const open = await keys.opener(db, ref.accountId);
    for (const { column, place, sealed } of values) {
      expect(open(place, sealed)).toBe(plaintextOf(column, ref.accountId));
      opened += 1;
    }
  }
  return opened;
}

const keysInUse = async (db: Kysely<Tables>) =>
  new Set((await allRows(db)).flatMap(({ values }) => values.map(({ sealed }) => sealedWith(sealed))));

describe.each(databaseKinds)('key rotation on %s', (_kind, open) => {
  let database: Database;
  let db: Kysely<Tables>;
  let shiftedMs: number;
  const clock: Clock = { ...systemClock, now: () => Date.now() + shiftedMs };
  const deps = (encryptionKeys: string) => ({ db, master: parseMasterKeys(encryptionKeys), clock, graceMs });
  beforeEach(async () => {
    database = await open();
    ({ db } = database);
    shiftedMs = 0;
  });
  afterEach(() => database.close());

  describe('of the master key', () => {
    it('seals every data key by the first one, and changes no sealed value', async () => {
      await addAccounts(db, k1, accountIds(700), { tokensOnly: true });
      await addAccounts(db, k2, ['already'], { tokensOnly: true });
      const before = await allRows(db);
      const done = await rotateMasterKey(deps(`${k2},${k1}`), nothing);
      expect(done).toEqual({
        resealed: 700,
        corrupt: { count: 0, examples: [] },
        rows: new Map([['k2', 701]]),
      });
      expect(await allRows(db)).toEqual(before);
      expect(await openAll(db, k2)).toBe(701 * 2);
    });

    it('goes on where it was stopped', async () => {
      await addAccounts(db, k1, accountIds(700), { tokensOnly: true });
      const stopped = rotateMasterKey(deps(`${k2},${k1}`), () => Promise.reject(new Error('killed')));
      await expect(stopped).rejects.toThrow('killed');
      expect(await countByMasterKey(db)).toEqual(
        new Map([
          ['k1', 400],
          ['k2', 300],
        ]),
      );
      expect((await rotateMasterKey(deps(`${k2},${k1}`), nothing)).resealed).toBe(400);
      expect(await openAll(db, k2)).toBe(700 * 2);
    });

    it('loses nothing to a second one at the same time', async () => {
      await addAccounts(db, k1, accountIds(700), { tokensOnly: true });
      const both = await Promise.all([1, 2].map(() => rotateMasterKey(deps(`${k2},${k1}`), nothing)));
      expect(both[0]!.resealed + both[1]!.resealed).toBe(700);
      expect(await openAll(db, k2)).toBe(700 * 2);
    });

    it('leaves what it cannot open, and tells which master keys are missing', async () => {
      await addAccounts(db, k1, ['a', 'b']);
      await addAccounts(db, k3, ['c']);
      const before = await db.selectFrom('account_keys').selectAll().where('account_id', '=', 'c').execute();
      const master = parseMasterKeys(`${k2},${k1}`);
      expect(await findMissingMasterKeys(db, master)).toEqual(new Map([['k3', 1]]));
      const { rows, resealed } = await rotateMasterKey(deps(`${k2},${k1}`), nothing);
      expect(resealed).toBe(2);
      expect(rows).toEqual(
        new Map([
          ['k2', 2],
          ['k3', 1],
        ]),
      );
      expect(await db.selectFrom('account_keys').selectAll().where('account_id', '=', 'c').execute()).toEqual(
        before,
      );
    });

    it('leaves and counts what a master key of the right name but other bytes sealed', async () => {
      await addAccounts(db, k1, accountIds(7));
      const wrong = `${k2},${masterKey('k1', 9)}`;
      const { resealed, corrupt, rows } = await rotateMasterKey(deps(wrong), nothing);
      expect({ resealed, count: corrupt.count, examples: corrupt.examples.length }).toEqual({
        ...{ resealed: 0, count: 7 },
        examples: 5,
      });
      expect(corrupt.examples[0]).toMatch(/^data key [\w-]{36} does not open with master key "k1"$/);
      expect(rows).toEqual(new Map([['k1', 7]]));
      expect(await openAll(db, k1)).toBe(7 * 7);
    });
  });

  describe('of data keys', () => {
    it('gives each account a new one that seals every value, and touches nothing else of the rows', async () => {
      const before = await addAccounts(db, k1, accountIds(310), { createdAt: new Date('2026-01-01') });
      const tokens = () =>
        db.selectFrom('oauth_tokens').select(['version', 'updated_at', 'issued_at']).execute();
      const untouched = await tokens();
      const done = await rotateDataKeys(deps(k1), undefined, nothing);
      expect(done).toEqual({
        ...{ renewed: 310, young: 0, resealed: 310 * 7, busy: 0 },
        unopened: { count: 0, examples: [] },
      });
      const used = await keysInUse(db);
      expect(used.size).toBe(310);
      for (const { keyId } of before) expect(used).not.toContain(keyId);
      expect(await openAll(db, k1)).toBe(310 * 7);
      expect(await tokens()).toEqual(untouched);

      const [first] = before;
      const seal = await createAccountKeys(parseMasterKeys(k1), clock).sealer(db, first!.accountId);
      const ref = { accountId: first!.accountId, id: first!.connectionId, integrationId: 'quickbooks' };
      expect(used).toContain(sealedWith(seal(sealedPlace(ref, 'oauth_tokens', 'x'), 'y')));
    });

    it('makes a key that is the newest, whatever clock made the others', async () => {
      const [a] = await addAccounts(db, k1, ['a'], { createdAt: new Date(Date.now() + 3_600_000) });
      expect((await rotateDataKeys(deps(k1), undefined, nothing)).resealed).toBe(7);
      expect(await keysInUse(db)).not.toContain(a!.keyId);
    });

    it('can be had for one account alone', async () => {
      const [a, b] = await addAccounts(db, k1, ['a', 'b']);
      const done = await rotateDataKeys(deps(k1), 'a', nothing);
      expect(done).toMatchObject({ renewed: 1, resealed: 7 });
      const used = await keysInUse(db);
      expect(used).toContain(b!.keyId);
      expect(used).not.toContain(a!.keyId);
    });

    it('deletes the old keys later, and none that a value names or that is still young', async () => {
      await addAccounts(db, k1, accountIds(3), { createdAt: new Date('2026-01-01') });
      const late = (await readSealedRows(db, sealedTables[0]!, { limit: 1 }))[0]!;
      await rotateDataKeys(deps(k1), undefined, nothing);
      shiftedMs = graceMs - 10_000;
      expect(await deleteOldDataKeys(deps(k1), undefined)).toBe(0);
      expect(await countOldDataKeys(db, undefined)).toBe(3);

      // A service had read the keys before, and writes only now.
      await db
        .updateTable('oauth_tokens')
        .set({ access_token_encrypted: late.values[0]!.sealed, version: sql`version + 1` })
        .where('account_id', '=', late.ref.accountId)
        .execute();
      shiftedMs = graceMs + 10_000;
      expect(await deleteOldDataKeys(deps(k1), undefined)).toBe(2);
      expect(await openAll(db, k1)).toBe(21);

      expect((await rotateDataKeys(deps(k1), late.ref.accountId, nothing)).resealed).toBe(7);
      shiftedMs = 2 * graceMs + 20_000;
      expect(await deleteOldDataKeys(deps(k1), undefined)).toBe(2);
      expect(await countOldDataKeys(db, undefined)).toBe(0);
      expect(await openAll(db, k1)).toBe(21);
    });

    it('keeps an old key while nobody here can open the newer one', async () => {
      await addAccounts(db, k1, ['a'], { createdAt: new Date('2026-01-01') });
      await rotateDataKeys({ ...deps(k2), master: parseMasterKeys(`${k2},${k1}`) }, undefined, nothing);
      await sql`delete from oauth_tokens`.execute(db);
      await sql`delete from token_revocations`.execute(db);
      await sql`delete from webhook_secrets`.execute(db);
      await sql`delete from oauth_authorizations`.execute(db);
      shiftedMs = graceMs + 10_000;
      expect(await deleteOldDataKeys(deps(k1), undefined)).toBe(0);
      expect(await deleteOldDataKeys(deps(k2), undefined)).toBe(1);
    });

    it('goes on where it was stopped, and gives nobody another key', async () => {
      await addAccounts(db, k1, accountIds(310));
      let reports = 0;
      const stopped = rotateDataKeys(deps(k1), undefined, () => {
        reports += 1;
        if (reports === 3) throw new Error('killed');
      });
      await expect(stopped).rejects.toThrow('killed');
      const done = await rotateDataKeys(deps(k1), undefined, nothing);
      expect(done).toMatchObject({ renewed: 0, young: 310 });
      expect(done.resealed).toBeLessThan(310 * 7);
      expect((await keysInUse(db)).size).toBe(310);
      expect(await countOldDataKeys(db, undefined)).toBe(310);
      expect(await openAll(db, k1)).toBe(310 * 7);
    });

    it('does not stand in the way of a refresh that is under way, nor overwrite what it stored', async () => {
      await addAccounts(db, k1, ['a']);
      const [stale] = await readSealedRows(db, sealedTables[0]!, { limit: 1 });
      await rotateDataKeys(deps(k1), undefined, nothing);
      const keys = createAccountKeys(parseMasterKeys(k1), clock);
      const place = sealedPlace(stale!.ref, 'oauth_tokens', 'access_token_encrypted');
      const rotated = (await keys.sealer(db, 'a'))(place, 'rotated by the provider');
      const { numUpdatedRows } = await db
        .updateTable('oauth_tokens')
        .set({ access_token_encrypted: rotated, version: 2 })
        .where('version', '=', 1)
        .executeTakeFirst();
      expect(numUpdatedRows).toBe(1n);

      const [read] = await readSealedRows(db, sealedTables[0]!, { limit: 1 });
      const resealed = (row: SealedRow) => row.values.map((value) => ({ ...value, resealed: value.sealed }));
      expect(await replaceSealed(db, stale!, resealed(stale!))).toBe(false);
      expect(await replaceSealed(db, read!, resealed(read!))).toBe(true);
      const [row] = await db.selectFrom('oauth_tokens').selectAll().execute();
      expect(row).toMatchObject({ version: 2, access_token_encrypted: rotated });
    });

    it('leaves what does not open as it is, and says how much and why', async () => {
      await addAccounts(db, k1, ['a']);
      await addAccounts(db, k3, ['b']);
      const before = (await allRows(db)).filter(({ ref }) => ref.accountId === 'b');
      const { resealed, renewed, unopened } = await rotateDataKeys(deps(k1), undefined, nothing);
      expect({ resealed, renewed, unopened: unopened.count }).toEqual({
        resealed: 7,
        renewed: 2,
        unopened: 7,
      });
      expect(unopened.examples[0]).toMatch(
        /^oauth_tokens, connection .* master key "k3" is not in ENCRYPTION_KEYS$/,
      );
      expect((await allRows(db)).filter(({ ref }) => ref.accountId === 'b')).toEqual(before);
      shiftedMs = graceMs + 10_000;
      expect(await deleteOldDataKeys(deps(k1), 'b')).toBe(0);
      expect(await openAll(db, `${k1},${k3}`)).toBe(14);
    });
  });

  it('knows every column that holds sealed values', async () => {
    const { rows } = await sql<{ name: string }>`
      select table_name || '.' || column_name as name from information_schema.columns
      where table_schema = 'public' and column_name like '%\\_encrypted'`.execute(db);
    const known = sealedTables.flatMap(({ name, columns }) => columns.map((column) => `${name}.${column}`));
    expect(rows.map(({ name }) => name).toSorted()).toEqual(known.toSorted());
  });

  it('gives KEY_UNAVAILABLE, never null and never text, for what a removed master key sealed', async () => {
    await addAccounts(db, k1, ['a']);
    const keys = createAccountKeys(parseMasterKeys(k2), systemClock);
    const outcomes = [];
    for (const { ref, values } of await allRows(db)) {
      const openValue = await keys.opener(db, ref.accountId);
      for (const { place, sealed } of values)
        try {
          outcomes.push(openValue(place, sealed));
        } catch (error) {
          outcomes.push(error);
        }
    }
    expect(outcomes).toHaveLength(7);
    for (const outcome of outcomes) {
      expect(outcome).toBeInstanceOf(UnsealError);
      expect(outcome).toMatchObject({
        code: 'KEY_UNAVAILABLE',
        message: 'master key "k1" is not in ENCRYPTION_KEYS',
      });
    }
    expect(await openAll(db, `${k2},${k1}`)).toBe(7);
  });
});
