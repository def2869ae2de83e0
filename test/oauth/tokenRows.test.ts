import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Database } from '../../src/db/database.ts';
import { embeddedNotifications, openNotifications, type Notifications } from '../../src/db/notifications.ts';
import { createAccountKeys, sealedPlace, type ConnectionRef } from '../../src/oauth/accountKeys.ts';
import { parseMasterKeys } from '../../src/oauth/encryption.ts';
import {
  createTokenRows,
  endAllLeases,
  tokenChannel,
  type Lease,
  type TokenRows,
  type TokenValues,
} from '../../src/oauth/tokenRows.ts';
import { databaseKinds } from '../support/databases.ts';
import { addAccounts, masterKey, plaintextOf } from '../support/sealedAccounts.ts';

const k1 = masterKey('k1', 1);
const column = 'refresh_token_encrypted';

describe.each(databaseKinds)('token rows, %s', (_kind, open) => {
  let database: Database;
  let rows: TokenRows;
  let refs: ConnectionRef[];
  let notifications: Notifications;
  let told: string[];
  beforeEach(async () => {
    database = await open();
    const added = await addAccounts(database.db, k1, ['a', 'b', 'c'], { tokensOnly: true });
    refs = added.map(({ accountId, connectionId }) => ({
      ...{ accountId, id: connectionId, integrationId: 'quickbooks' },
    }));
    rows = createTokenRows({
      db: database.db,
      forAccount: database.forAccount,
      keys: createAccountKeys(parseMasterKeys(k1), systemClock),
      clock: systemClock,
    });
    told = [];
    notifications =
      database.kind === 'embedded'
        ? embeddedNotifications(database)
        : openNotifications({ databaseUrl: database.databaseUrl, clock: systemClock });
    const up = new Promise<void>((resolve) => {
      const listener = { notified: (id: string) => void told.push(id), connected: resolve };
      notifications.listen(tokenChannel, listener);
      if (database.kind === 'embedded') resolve();
    });
    await up;
  });
  afterEach(async () => {
    await notifications.close();
    await database.close();
  });

  const leaseOf = async (ref: ConnectionRef) => {
    const { rows: found } = await sql<{ owner: string | null; left: number | null }>`
      select lease_owner as owner, extract(epoch from lease_until - clock_timestamp())::float8 * 1000 as left
      from oauth_tokens where account_id = ${ref.accountId}`.execute(database.db);
    return found[0]!;
  };
  const due = (ref: ConnectionRef, at: Date | null, more: { refresh_retry_at?: Date } = {}) =>
    database.db
      .updateTable('oauth_tokens')
      .set({ refresh_due_at: at, ...more })
      .where('account_id', '=', ref.accountId)
      .execute();
  const valuesOf = ({ row }: Lease, ...scopes: string[]): TokenValues => ({
    ...row,
    ...{ refresh_problem: null, scopes },
  });
  const secretOf = (ref: ConnectionRef, found: { row: { [column]: Buffer | null }; open: OpenOf }) =>
    found.open(sealedPlace(ref, 'oauth_tokens', column), found.row[column]!);
  type OpenOf = NonNullable<Awaited<ReturnType<TokenRows['find']>>>['open'];

  it('are each their own connection’s, however many accounts are asked for in one tick', async () => {
    const [a, b, c] = refs as [ConnectionRef, ConnectionRef, ConnectionRef];
    const crossed = { ...a, id: b.id };
    const found = await Promise.all([c, a, crossed, b, a].map((ref) => rows.find(ref)));
    const values = found.map((one, i) => one && secretOf([c, a, crossed, b, a][i]!, one));
    expect(values).toEqual([
      plaintextOf(column, 'c'),
      plaintextOf(column, 'a'),
      undefined,
      plaintextOf(column, 'b'),
      plaintextOf(column, 'a'),
    ]);
  });

  it('are as they are now, however often they are asked for', async () => {
    const [a] = refs as [ConnectionRef];
    expect((await rows.find(a))!.row.scopes).toEqual([]);
    await database.db
      .updateTable('oauth_tokens')
      .set({ scopes: ['new'] })
      .execute();
    expect((await rows.find(a))!.row.scopes).toEqual(['new']);
  });

  it('are leased to one at a time, for so long, and only as they were seen', async () => {
    const [a, b] = refs as [ConnectionRef, ConnectionRef];
    expect(await rows.take(a, 2, 60_000)).toBeUndefined();
    const lease = (await rows.take(a, 1, 60_000))!;
    expect(lease).toMatchObject({ ref: a, row: { version: 1, lease_owner: lease.owner } });
    expect(secretOf(a, lease)).toBe(plaintextOf(column, 'a'));
    const { owner, left } = await leaseOf(a);
    expect(owner).toBe(lease.owner);
    expect(left).toBeGreaterThan(30_000);
    expect(left).toBeLessThanOrEqual(60_000);
    expect(await rows.take(a, 1, 60_000)).toBeUndefined();
    expect((await rows.take(b, 1, 1))?.ref).toEqual(b);
    await sleep(20);
    expect(await rows.take(b, 1, 60_000)).toBeDefined();
  });

  it('are taken when they are due, the longest due first, with what opens them', async () => {
    const [a, b, c] = refs as [ConnectionRef, ConnectionRef, ConnectionRef];
    const ago = (ms: number) => new Date(systemClock.now() - ms);
    await due(a, ago(1_000));
    await due(b, ago(60_000));
    await due(c, ago(120_000), { refresh_retry_at: new Date(systemClock.now() + 60_000) });
    const first = await rows.takeDue(1, 60_000);
    expect(first.map(({ ref }) => ref)).toEqual([b]);
    const others = await rows.takeDue(10, 60_000);
    expect(others.map(({ ref }) => ref)).toEqual([a]);
    expect(secretOf(a, others[0]!)).toBe(plaintextOf(column, 'a'));
    expect((await leaseOf(a)).owner).toBe(others[0]!.owner);
    expect((await leaseOf(a)).left).toBeGreaterThan(30_000);
    await due(a, null);
    expect(await rows.takeDue(10, 60_000)).toEqual([]);

    await endAllLeases(database.db);
    for (const ref of refs) await due(ref, ago(5_000));
    await database.db.updateTable('oauth_tokens').set({ refresh_retry_at: null }).execute();
    const all = await rows.takeDue(10, 60_000);
    expect(all.map(({ ref }) => ref.accountId).toSorted()).toEqual(['a', 'b', 'c']);
    for (const lease of all)
      expect(secretOf(lease.ref, lease)).toBe(plaintextOf(column, lease.ref.accountId));
  });

  it('keep a lease that is renewed, and let go of one that is another’s by now', async () => {
    const [a] = refs as [ConnectionRef];
    const lease = (await rows.take(a, 1, 1_000))!;
    expect(await rows.extend(lease, 60_000)).toBe(true);
    expect((await leaseOf(a)).left).toBeGreaterThan(30_000);
    expect(await rows.journal(lease, 120_000)).toBe(true);
    expect((await leaseOf(a)).left).toBeGreaterThan(90_000);
    expect((await rows.find(a))!.row).toMatchObject({
      attempt_at: expect.any(Date) as Date,
      attempt_outcome: null,
    });

    await database.db.updateTable('oauth_tokens').set({ lease_owner: systemClock.randomUUID() }).execute();
    expect(await rows.extend(lease, 60_000)).toBe(false);
    expect(await rows.journal(lease, 60_000)).toBe(false);
    expect(await rows.release(database.db, lease, { refresh_failures: 7 })).toBe(false);
    const values = valuesOf(lease, 'theirs');
    const stored = await database.db.transaction().execute((trx) => rows.replace(trx, lease, values));
    expect(stored).toBeUndefined();
    expect((await rows.find(a))!.row).toMatchObject({ version: 1, scopes: [], refresh_failures: 0 });
    await sleep(50);
    expect(told).toEqual([]);
  });

  it('tell every process when a lease ends, with a new token or without', async () => {
    const [a, b] = refs as [ConnectionRef, ConnectionRef];
    const one = (await rows.take(a, 1, 60_000))!;
    expect(await rows.release(database.db, one, { attempt_outcome: 'UNCERTAIN', refresh_failures: 1 })).toBe(
      true,
    );
    expect(await leaseOf(a)).toEqual({ owner: null, left: null });
    expect((await rows.find(a))!.row).toMatchObject({ refresh_failures: 1, attempt_outcome: 'UNCERTAIN' });

    const two = (await rows.take(b, 1, 60_000))!;
    await rows.journal(two, 60_000);
    const values = valuesOf(two, 'new');
    expect(await database.db.transaction().execute((trx) => rows.replace(trx, two, values))).toBe(2);
    expect((await rows.find(b))!.row).toMatchObject({
      ...{ version: 2, scopes: ['new'], attempt_at: null, lease_owner: null, lease_until: null },
    });
    for (let i = 0; i < 100 && told.length < 2; i++) await sleep(20);
    expect(told).toEqual([a.id, b.id]);
  });

  it('store what a lost lease brought, as long as nobody has taken it since', async () => {
    const [a] = refs as [ConnectionRef];
    const lease = (await rows.take(a, 1, 60_000))!;
    await database.db.updateTable('oauth_tokens').set({ lease_owner: null, lease_until: null }).execute();
    const stored = await database.db
      .transaction()
      .execute((trx) => rows.replace(trx, lease, valuesOf(lease, 'late')));
    expect(stored).toBe(2);
  });

  it('wait for no dead process where no other can be alive', async () => {
    const [a, b] = refs as [ConnectionRef, ConnectionRef];
    await rows.take(a, 1, 60_000);
    await endAllLeases(database.db);
    await sleep(5);
    expect(await rows.take(a, 1, 60_000)).toBeDefined();
    expect(await leaseOf(b)).toEqual({ owner: null, left: null });
  });
});
