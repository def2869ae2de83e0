import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Connection } from '../../src/connections/connection.ts';
import { findConnections } from '../../src/connections/connection.ts';
import type { Database } from '../../src/db/database.ts';
import { createLog } from '../../src/log.ts';
import type { RecordSnapshot } from '../../src/providers/provider.ts';
import { createRecordStore, recordKey, type RecordStore } from '../../src/sync/records.ts';
import { databaseKinds } from '../support/databases.ts';
import { manualClock } from '../support/manualClock.ts';

const at = (minute: number, second = 0) => new Date(Date.UTC(2026, 0, 5, 12, minute, second));
const snapshot = (externalId: string, updatedAt: Date | null, payload = {}): RecordSnapshot => ({
  externalId,
  payload: { Id: externalId, ...payload },
  updatedAt,
});

describe.each(databaseKinds)('what providers last said, %s', (_kind, open) => {
  let database: Database;
  let store: RecordStore;
  /** A new one for each test. */
  let account: string;
  let connection: Connection;
  let logged: string;
  const statements: string[] = [];
  beforeAll(async () => {
    database = await open({ onQuery: (text) => void statements.push(text) });
    const log = createLog('trace', { write: (line: string) => void (logged += line) });
    store = createRecordStore({ forAccount: () => database.db, clock: manualClock(), log });
  });
  afterAll(() => database.close());
  beforeEach(async () => {
    logged = '';
    account = randomUUID();
    connection = await connected(account, 'realm-1');
  });

  const connected = async (accountId: string, externalId: string, integrationId = 'quickbooks') => {
    const id = randomUUID();
    await database.db
      .insertInto('connections')
      .values({
        account_id: accountId,
        id,
        integration_id: integrationId,
        status: 'ACTIVE',
        external_id: externalId,
        generation: 1,
        problem: null,
      })
      .execute();
    return (await findConnections(database.db, manualClock(), accountId, [id])).get(id)!;
  };
  const change = (columns: { status?: Connection['status']; external_id?: string; generation?: number }) =>
    database.db.updateTable('connections').set(columns).where('id', '=', connection.id).execute();
  /** The provider was asked for records 1 and up, and gave these. */
  const keep = (fetchedAt: Date, ...found: (RecordSnapshot | null)[]) =>
    store.keep([
      {
        connection,
        resource: 'Invoice',
        askedIds: found.map((_, i) => String(i + 1)),
        found: new Map(found.flatMap((one) => (one ? [[one.externalId, one]] : []))),
        fetchedAt,
      },
    ]);
  const keyOf = (externalId: string) => ({ connectionId: connection.id, resource: 'Invoice', externalId });
  const find = async (externalId = '1', accountId = account) =>
    (await store.find(accountId, [keyOf(externalId)])).get(recordKey(keyOf(externalId)));
  const rowCount = async () =>
    (
      await database.db
        .selectFrom('external_records')
        .select('external_id')
        .where('account_id', '=', account)
        .execute()
    ).length;
  const without = async (table: 'connections' | 'external_records', work: () => Promise<void>) => {
    await database.db.schema.alterTable(table).renameTo('gone').execute();
    try {
      await work();
    } finally {
      await database.db.schema.alterTable('gone').renameTo(table).execute();
    }
  };

  it('is found as it was read', async () => {
    await keep(at(1), snapshot('1', at(0), { Line: [{ Amount: 1.5 }], Memo: 'a "quote" {}, \\u0000 é 🚚' }));
    expect(await find()).toMatchObject({
      payload: { Id: '1', Line: [{ Amount: 1.5 }], Memo: 'a "quote" {}, \\u0000 é 🚚' },
      updatedAt: at(0),
      fetchedAt: at(1),
      deleted: false,
    });
    expect(await find('2')).toBeUndefined();
  });

  it('takes one statement to keep, events and all, and one to find, whatever their number', async () => {
    const second = await connected(account, 'realm-2', 'other');
    const ids = Array.from({ length: 90 }, (_, i) => String(i + 1));
    const reads = [connection, second].flatMap((of) =>
      ['Invoice', 'Bill'].map((resource) => ({
        connection: of,
        resource,
        askedIds: ids,
        found: new Map(ids.map((id) => [id, snapshot(id, at(0), { of: of.externalId, resource })])),
        fetchedAt: at(1),
      })),
    );
    const keys = reads.flatMap(({ connection: { id: connectionId }, resource }) =>
      ids.map((externalId) => ({ connectionId, resource, externalId })),
    );
    statements.length = 0;
    await store.keep(reads);
    expect(statements.splice(0)).toHaveLength(1);
    await store.keep(reads.map((read) => ({ ...read, fetchedAt: at(2) })));
    const found = await store.find(account, keys);
    expect(statements).toHaveLength(2);
    expect(found.size).toBe(360);
    const of = { connectionId: second.id, resource: 'Bill', externalId: '45' };
    expect(found.get(recordKey(of))?.payload).toEqual({ Id: '45', of: 'realm-2', resource: 'Bill' });
  });

  it.each([
    ['a newer version', [at(0), at(1)], [at(5), at(6)], 'second'],
    ['a newer version that arrives late', [at(1), at(5)], [at(2), at(4)], 'second'],
    ['never an older version that arrives late', [at(2), at(5)], [at(1), at(6)], 'first'],
    ['of equal versions the one fetched last', [at(0), at(5)], [at(0), at(6)], 'second'],
    ['of equal versions never the one fetched first', [at(0), at(6)], [at(0), at(5)], 'first'],
    ['the one fetched last where no version is known', [null, at(5)], [null, at(6)], 'second'],
    ['never the one fetched first where no version is known', [null, at(6)], [null, at(5)], 'first'],
    ['the one fetched last where one version is unknown', [at(0), at(5)], [null, at(6)], 'second'],
    ['never the one fetched first where one version is unknown', [at(0), at(6)], [null, at(5)], 'first'],
  ] as const)('keeps %s', async (_, first, second, winner) => {
    await keep(first[1], snapshot('1', first[0], { from: 'first' }));
    await keep(second[1], snapshot('1', second[0], { from: 'second' }));
    const [updatedAt, fetchedAt] = winner === 'first' ? first : second;
    expect(await find()).toMatchObject({ payload: { from: winner }, updatedAt, fetchedAt });
  });

  it('marks as deleted what was stored and the provider no longer has', async () => {
    await keep(at(1), snapshot('1', at(0)), null);
    await keep(at(2), null, null);
    expect(await find('1')).toMatchObject({
      payload: null,
      deleted: true,
      fetchedAt: at(2),
      updatedAt: at(0),
    });
    expect(await rowCount()).toBe(1);
  });

  it('is not deleted by an answer from before it was read, nor brought back by one from before it went', async () => {
    await keep(at(2), snapshot('1', at(0)));
    await keep(at(1), null);
    expect(await find()).toMatchObject({ deleted: false });
    await keep(at(4), null);
    await keep(at(3), snapshot('1', at(2)));
    expect(await find()).toMatchObject({ deleted: true, payload: null });
    await keep(at(5), snapshot('1', at(0)));
    expect(await find()).toMatchObject({ deleted: false, payload: { Id: '1' } });
  });

  it('leaves out a payload that is too long or that the database cannot hold, and keeps the others', async () => {
    const overhead = JSON.stringify({ Id: '1', text: '' }).length;
    const long = (length: number) => ({ text: 'é'.repeat((length - overhead) / 2) });
    await keep(
      at(1),
      snapshot('1', at(0), long(256 * 1024)),
      snapshot('2', at(0), long(256 * 1024 + 2)),
      snapshot('3', at(0), { text: 'a\u0000b' }),
      snapshot('4', at(0), { text: 'half a pair: \ud83d' }),
      snapshot('5', at(0), { text: '\\' }),
    );
    const found = await Promise.all(['1', '2', '3', '4', '5'].map((id) => find(id)));
    expect(found.map((one) => one !== undefined)).toEqual([true, false, false, false, true]);
    expect(logged).toBe('');
  });

  it('is never found by another account, nor by another external account, nor without an authorization', async () => {
    await keep(at(1), snapshot('1', at(0)));
    expect(await find('1', 'rival')).toBeUndefined();
    await change({ external_id: 'realm-2' });
    expect(await find()).toBeUndefined();
    await change({ external_id: 'realm-1' });
    expect(await find()).toBeDefined();
    for (const status of ['NEEDS_REAUTHORIZATION', 'DISCONNECTED', 'PENDING'] as const) {
      await change({ status });
      expect(await find()).toBeUndefined();
    }
  });

  it('is not kept for a connection that has ended or moved, nor for one that is not there', async () => {
    await change({ external_id: 'realm-2' });
    await keep(at(1), snapshot('1', at(0)));
    await change({ external_id: 'realm-1', status: 'DISCONNECTED' });
    await keep(at(1), snapshot('1', at(0)));
    connection = { ...connection, id: randomUUID() };
    await keep(at(1), snapshot('1', at(0)));
    expect(await rowCount()).toBe(0);
    expect(logged).toBe('');
  });

  it('is replaced by what another external account has under the same id', async () => {
    await keep(at(5), snapshot('1', at(4), { of: 'realm-1' }));
    await change({ external_id: 'realm-2' });
    connection = { ...connection, externalId: 'realm-2' };
    await keep(at(3), null);
    expect(await find()).toBeUndefined();
    await keep(at(3), snapshot('1', at(2), { of: 'realm-2' }));
    expect(await find()).toMatchObject({ payload: { of: 'realm-2' } });
  });

  it('survives many writers of the same records', async () => {
    const ids = Array.from({ length: 20 }, (_, i) => String(i + 1));
    await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        store.keep([
          {
            connection,
            resource: 'Invoice',
            askedIds: i % 2 === 0 ? ids : ids.toReversed(),
            found: new Map(ids.map((id) => [id, snapshot(id, at(i), { version: i })])),
            fetchedAt: at(59 - i),
          },
        ]),
      ),
    );
    expect(logged).toBe('');
    for (const id of ids) expect(await find(id)).toMatchObject({ payload: { version: 39 } });
  });

  it('fails nobody when the database does, and logs it without the payload', async () => {
    await without('external_records', async () => {
      await keep(at(1), snapshot('1', at(0), { Name: 'Ms Payload' }));
      expect(await find()).toBeUndefined();
    });
    const lines = logged.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      { level: 'warn', msg: 'records that were read could not be stored', sqlState: '42P01' },
      { level: 'warn', msg: 'stored records could not be read', sqlState: '42P01' },
    ]);
    expect(logged).not.toContain('Payload');
  });

  describe('a profile', () => {
    const profile = { id: 'realm-1', name: 'Acme', url: null };
    const keepProfile = (fetchedAt: Date, name = 'Acme', of = connection) =>
      store.keepProfiles([{ connection: of, profile: { ...profile, name }, fetchedAt }]);
    const findProfile = async (accountId = account) =>
      (await store.findProfiles(accountId, [connection.id])).get(connection.id);

    it('is found as it was read', async () => {
      expect(await findProfile()).toBeUndefined();
      await keepProfile(at(1));
      expect(await findProfile()).toEqual({ ...profile, fetchedAt: at(1) });
      expect(await findProfile('rival')).toBeUndefined();
    });

    it('is written again only when it changed or after ten minutes, and never with an older answer', async () => {
      await keepProfile(at(1));
      await keepProfile(at(11));
      expect(await findProfile()).toMatchObject({ fetchedAt: at(1) });
      await keepProfile(at(11, 1));
      expect(await findProfile()).toMatchObject({ fetchedAt: at(11, 1) });
      await keepProfile(at(12), 'Acme Inc.');
      expect(await findProfile()).toMatchObject({ name: 'Acme Inc.', fetchedAt: at(12) });
      await keepProfile(at(11));
      expect(await findProfile()).toMatchObject({ name: 'Acme Inc.', fetchedAt: at(12) });
    });

    it('is kept only for the authorization that it was read with', async () => {
      await change({ generation: 2 });
      await keepProfile(at(1));
      await keepProfile(at(1), 'Acme', { ...connection, generation: 2, externalId: 'realm-2' });
      expect(await findProfile()).toBeUndefined();
      await keepProfile(at(1), 'Acme', { ...connection, generation: 2 });
      expect(await findProfile()).toBeDefined();
      await change({ external_id: 'realm-2' });
      expect(await findProfile()).toBeUndefined();
      await change({ external_id: 'realm-1', status: 'NEEDS_REAUTHORIZATION' });
      expect(await findProfile()).toBeUndefined();
    });

    it('of many connections takes one statement', async () => {
      const others = await Promise.all(
        Array.from({ length: 49 }, (_, i) => connected(account, 'realm-1', `other-${i}`)),
      );
      statements.length = 0;
      await store.keepProfiles(
        [connection, ...others].map((of) => ({ connection: of, profile, fetchedAt: at(1) })),
      );
      const found = await store.findProfiles(
        account,
        others.map((one) => one.id),
      );
      expect(found.size).toBe(49);
      expect(statements).toHaveLength(2);
    });

    it('that the database cannot hold or store fails nobody', async () => {
      await keepProfile(at(1), 'a\u0000b');
      expect(logged).toBe('');
      await without('connections', async () => {
        await keepProfile(at(1));
        expect(await findProfile()).toBeUndefined();
      });
      expect(logged).toContain('profiles that were read could not be stored');
      expect(logged).toContain('stored profiles could not be read');
      expect(logged).not.toContain('Acme');
    });
  });
});
