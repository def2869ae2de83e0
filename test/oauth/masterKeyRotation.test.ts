import { setTimeout as sleep } from 'node:timers/promises';
import { sql, type Kysely } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../src/db/database.ts';
import type { Tables } from '../../src/db/tables.ts';
import { dataKeysOf } from '../../src/oauth/accountKeys.ts';
import { openDataKey, parseMasterKeys } from '../../src/oauth/encryption.ts';
import {
  countByMasterKey,
  findMissingMasterKeys,
  lockDataKeys,
  missingOf,
  rotateMasterKey,
} from '../../src/oauth/keyRotation.ts';
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
const both = `${k2},${k1}`;
/** As many as are read at one time. */
const page = 300;
const clock = manualClock();

describe.each(databaseKinds)('rotation of the master key, %s', (_kind, open) => {
  let database: Database;
  let db: Kysely<Tables>;
  let progress: number[];
  beforeAll(async () => {
    database = await open();
    ({ db } = database);
  });
  beforeEach(() => {
    progress = [];
  });
  afterEach(() => removeAccounts(db));
  afterAll(() => database.close());

  const rotate = (setting = both, onProgress = (done: number): unknown => progress.push(done)) =>
    rotateMasterKey({ db, master: parseMasterKeys(setting), clock }, async (done) => {
      await onProgress(done);
    });
  const addKeys = (setting: string, count: number, prefix = 'empty') =>
    addEmptyAccounts(db, setting, count, { prefix });
  const storedKeys = () => db.selectFrom('account_keys').selectAll().orderBy('account_id').execute();
  /** Every data key by its account, opened. */
  const plainKeys = async (setting: string) => {
    const accountIds = (await storedKeys()).map(({ account_id }) => account_id);
    const master = parseMasterKeys(setting);
    return (await dataKeysOf(db, accountIds))
      .map((row) => `${row.accountId} ${row.id} ${openDataKey(master, row).key.export().toString('hex')}`)
      .toSorted();
  };

  /** The embedded database runs one transaction at a time anyway. */
  const untilOneWaits = async () => {
    for (let i = 0; i < 200; i++) {
      const { rows } = await sql`
        select from pg_locks where locktype = 'advisory' and not granted
          and database = (select oid from pg_database where datname = current_database())`.execute(db);
      if (rows.length > 0) return;
      await sleep(10);
    }
    throw new Error('nobody waits');
  };

  it('seals every data key by the first one, page by page, and changes no sealed value', async () => {
    await addAccounts(db, k1, ['a', 'b', 'c']);
    await addKeys(k1, page);
    await addAccounts(db, k2, ['already'], { tokensOnly: true });
    const [values, keys] = [await allSealedRows(db), await plainKeys(both)];
    const already = (await storedKeys()).filter(({ account_id }) => account_id === 'already');
    expect(await rotate()).toEqual({
      ...{ resealed: page + 3, corrupt: { count: 0, examples: [] } },
      rows: new Map([['k2', page + 4]]),
    });
    expect(progress).toEqual([page, page + 3]);
    expect(await allSealedRows(db)).toEqual(values);
    expect(await plainKeys(k2)).toEqual(keys);
    expect(await openAll(db, k2)).toBe(3 * 7 + 2);
    expect((await storedKeys()).filter(({ account_id }) => account_id === 'already')).toEqual(already);
  });

  it('goes on where it was stopped', async () => {
    await addKeys(k1, page + 5);
    await addAccounts(db, k1, ['a'], { tokensOnly: true });
    const keys = await plainKeys(k1);
    await expect(rotate(both, () => Promise.reject(new Error('killed')))).rejects.toThrow('killed');
    expect([...(await countByMasterKey(db))]).toEqual([
      ['k1', 6],
      ['k2', page],
    ]);
    expect((await rotate()).resealed).toBe(6);
    expect(progress).toEqual([6]);
    expect(await plainKeys(k2)).toEqual(keys);
    expect(await openAll(db, k2)).toBe(2);
  });

  it('loses nothing to a second one at the same time', async () => {
    await addKeys(k1, page + 5);
    await addAccounts(db, k1, ['a']);
    const keys = await plainKeys(k1);
    const [one, other] = await Promise.all([rotate(), rotate()]);
    expect(one.resealed + other.resealed).toBe(page + 6);
    expect(await plainKeys(k2)).toEqual(keys);
    expect(await openAll(db, k2)).toBe(7);
  });

  it('has nothing to do where there is one master key', async () => {
    await addKeys(k1, 1);
    const before = await storedKeys();
    expect(await rotate(k1)).toEqual({
      ...{ resealed: 0, corrupt: { count: 0, examples: [] } },
      rows: new Map([['k1', 1]]),
    });
    expect(progress).toEqual([]);
    expect(await storedKeys()).toEqual(before);
  });

  it('takes in what came meanwhile, and does not go on for ever where it never ends', async () => {
    await addKeys(k1, 1, 'z');
    // Before the last one in the order of accounts, so that only the next pass comes to it.
    const late = ['y', 'x'];
    const more = async () => {
      const prefix = late.shift();
      if (prefix !== undefined) await addKeys(k1, 1, prefix);
    };
    expect(await rotate(both, more)).toMatchObject({ resealed: 3, rows: new Map([['k2', 3]]) });
    late.push('w', 'v', 'u', 't', 's', 'r', 'q');
    await more();
    const { resealed, rows } = await rotate(both, more);
    expect(resealed).toBe(5);
    expect([...rows]).toEqual([
      ['k1', 1],
      ['k2', 3 + 5],
    ]);
    expect(late).toEqual(['q']);
  });

  it('leaves what it cannot open, and tells which master keys are missing', async () => {
    await addAccounts(db, k1, ['a', 'b']);
    await addAccounts(db, k3, ['c']);
    const ofC = () => db.selectFrom('account_keys').selectAll().where('account_id', '=', 'c').execute();
    const before = await ofC();
    const master = parseMasterKeys(both);
    expect(await findMissingMasterKeys(db, master)).toEqual(new Map([['k3', 1]]));
    const { rows, resealed, corrupt } = await rotate();
    expect({ resealed, corrupt: corrupt.count }).toEqual({ resealed: 2, corrupt: 0 });
    expect([...rows]).toEqual([
      ['k2', 2],
      ['k3', 1],
    ]);
    expect(missingOf(rows, master)).toEqual(new Map([['k3', 1]]));
    expect(await ofC()).toEqual(before);
  });

  it('leaves and counts what a master key of the right name but other bytes sealed', async () => {
    await addAccounts(db, k1, ['a', 'b']);
    await addKeys(k1, page);
    // After all of those.
    const otherK1 = masterKey('k1', 9);
    await addKeys(otherK1, 1, 'z');
    const { resealed, corrupt, rows } = await rotate(`${k2},${otherK1}`);
    expect({ resealed, count: corrupt.count, examples: corrupt.examples.length }).toEqual({
      ...{ resealed: 1, count: page + 2 },
      examples: 5,
    });
    expect(corrupt.examples[0]).toMatch(/^data key [\w-]{36} does not open with master key "k1"$/);
    expect(new Set(corrupt.examples).size).toBe(5);
    expect(progress).toEqual([1]);
    expect([...rows]).toEqual([
      ['k1', page + 2],
      ['k2', 1],
    ]);
    expect(await openAll(db, k1)).toBe(2 * 7);
  });

  it('ends where anything else is wrong, with everything as it was', async () => {
    await addKeys(k1, 2);
    const before = await storedKeys();
    const randomBytes = () => {
      throw new Error('no entropy');
    };
    const rotating = rotateMasterKey(
      { db, master: parseMasterKeys(both), clock: { ...clock, randomBytes } },
      () => void progress.push(0),
    );
    await expect(rotating).rejects.toThrow('no entropy');
    expect(progress).toEqual([]);
    expect(await storedKeys()).toEqual(before);
  });

  it('waits for whoever changes data keys, and leaves what they did', async () => {
    await addKeys(k1, 3);
    const [locked, mayEnd] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const theirs = Buffer.from('sealed by another');
    const other = db.transaction().execute(async (trx) => {
      await lockDataKeys(trx);
      locked.resolve();
      await mayEnd.promise;
      await trx
        .updateTable('account_keys')
        .set({ sealed_key: theirs, master_key_id: 'k2' })
        .where('account_id', '=', 'empty-1')
        .execute();
      await trx.deleteFrom('account_keys').where('account_id', '=', 'empty-2').execute();
    });
    await locked.promise;
    const rotating = rotate();
    if (database.kind === 'postgres') await untilOneWaits();
    mayEnd.resolve();
    await other;
    expect(await rotating).toMatchObject({ resealed: 1, rows: new Map([['k2', 2]]) });
    const [one, changed] = await storedKeys();
    expect(one).toMatchObject({ account_id: 'empty-0', master_key_id: 'k2' });
    expect(changed).toMatchObject({ account_id: 'empty-1', sealed_key: theirs });
  });
});
