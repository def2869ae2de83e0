import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Database } from '../../src/db/database.ts';
import {
  createAccountKeys,
  dataKeysOf,
  insertDataKeys,
  newestThatOpens,
  sealedPlace,
} from '../../src/oauth/accountKeys.ts';
import { newDataKey, parseMasterKeys, sealedWith } from '../../src/oauth/encryption.ts';
import { databaseKinds } from '../support/databases.ts';
import { masterKey } from '../support/sealedAccounts.ts';

const [k1, k2] = [masterKey('k1', 1), masterKey('k2', 2)];
const ref = { accountId: 'a', id: '00000000-0000-4000-8000-000000000001', integrationId: 'quickbooks' };
const place = sealedPlace(ref, 'oauth_tokens', 'access_token_encrypted');

it('a place names the account, the integration, the connection and the column', () => {
  expect(place).toEqual({
    ...{ accountId: 'a', integrationId: 'quickbooks', connectionId: ref.id },
    column: 'oauth_tokens.access_token_encrypted',
  });
});

describe.each(databaseKinds)('keys of accounts, %s', (_kind, open) => {
  let database: Database;
  beforeEach(async () => {
    database = await open();
  });
  afterEach(() => database.close());

  const keysBy = (setting: string) => createAccountKeys(parseMasterKeys(setting), systemClock);
  const sealed = async (setting: string, accountId: string, text: string) =>
    (await keysBy(setting).sealer(database.db, accountId))({ ...place, accountId }, text);
  const opener = (setting: string, accountId: string) => keysBy(setting).opener(database.db, accountId);
  /** A further key, so many seconds younger or older than now. */
  const add = async (setting: string, accountId: string, seconds: number) => {
    const { row } = newDataKey(parseMasterKeys(setting), accountId, systemClock);
    const createdAt = new Date(systemClock.now() + seconds * 1_000);
    await insertDataKeys(database.db, [{ ...row, createdAt }]);
    return row.id;
  };

  it('are made when an account first has something to keep, and are its own', async () => {
    expect(await dataKeysOf(database.db, ['a'])).toEqual([]);
    const [one, two] = [await sealed(k1, 'a', 'first'), await sealed(k1, 'a', 'second')];
    const theirs = await sealed(k1, 'b', 'theirs');
    expect(sealedWith(one)).toBe(sealedWith(two));
    const [key, ...others] = await dataKeysOf(database.db, ['a', 'c']);
    expect(others).toEqual([]);
    expect(key).toEqual({
      ...{ accountId: 'a', id: sealedWith(one), masterKeyId: 'k1', sealedKey: expect.any(Buffer) as Buffer },
      createdAt: expect.any(Date) as Date,
    });
    const openA = await opener(k1, 'a');
    expect([openA(place, one), openA(place, two)]).toEqual(['first', 'second']);
    expect(() => openA({ ...place, accountId: 'b' }, theirs)).toThrow(
      `data key ${sealedWith(theirs)} of the account is gone`,
    );
    const openB = await opener(k1, 'b');
    expect(openB({ ...place, accountId: 'b' }, theirs)).toBe('theirs');
    expect((await dataKeysOf(database.db, ['a', 'b'])).map(({ accountId }) => accountId).toSorted()).toEqual([
      'a',
      'b',
    ]);
  });

  it('seal with the newest that opens, and open by the one that a value names', async () => {
    const old = await sealed(k1, 'a', 'old');
    const younger = await add(k1, 'a', 60);
    await add(k1, 'a', -60);
    const lost = await add(k2, 'a', 120);
    const value = await sealed(k1, 'a', 'new');
    expect(sealedWith(value)).toBe(younger);
    const openA = await opener(k1, 'a');
    expect([openA(place, old), openA(place, value)]).toEqual(['old', 'new']);
    expect((await dataKeysOf(database.db, ['a'])).map(({ id }) => id).slice(0, 2)).toEqual([lost, younger]);
    expect(await dataKeysOf(database.db, ['a'])).toHaveLength(4);
  });

  it('are made anew where none opens, and say which master key is missing', async () => {
    const old = await sealed(k1, 'a', 'old');
    const value = await sealed(k2, 'a', 'new');
    expect(sealedWith(value)).not.toBe(sealedWith(old));
    const openA = await opener(k2, 'a');
    expect(openA(place, value)).toBe('new');
    expect(() => openA(place, old)).toThrow('master key "k1" is not in ENCRYPTION_KEYS');
  });

  it('can be handed over that were read already', async () => {
    const value = await sealed(k1, 'a', 'text');
    const keys = await dataKeysOf(database.db, ['a']);
    expect(keysBy(k1).openerOf(keys)(place, value)).toBe('text');
    expect(() => keysBy(k1).openerOf([])(place, value)).toThrow(
      expect.objectContaining({ code: 'KEY_UNAVAILABLE' }),
    );
    expect(newestThatOpens(parseMasterKeys(k1), [])).toBeUndefined();
  });

  it('are not passed over for another reason than that they do not open', async () => {
    await sealed(k1, 'a', 'text');
    const keys = await dataKeysOf(database.db, ['a']);
    const broken = { ...keys[0]!, sealedKey: undefined as unknown as Buffer };
    expect(() => newestThatOpens(parseMasterKeys(k1), [broken])).toThrow(TypeError);
  });
});
