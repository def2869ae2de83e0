import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identityOf, openCore, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { mainRealmId } from '../support/sandbox.ts';
import type { Connection } from '../../src/connections/connection.ts';

const minute = 60_000;

describe.each(databaseKinds)('the tokens of a connection, %s', (_kind, open) => {
  let product: TestCore;
  let connection: Connection;
  beforeEach(async () => {
    product = await openCore(open, { requestTimeoutMs: 500 });
    connection = await product.connected('acme');
    await product.admin('DELETE', 'requests');
  });
  afterEach(() => product.close());

  const present = async () => (await product.connections.find('acme', [connection.id])).get(connection.id)!;
  const patience = () => ({ deadlineAtMs: product.clock.now() + 5_000 });
  const profile = async () => product.api.profile(await present(), patience());
  const tokenRequests = async () => (await product.requests('/tokens/bearer')).length;
  const row = () => product.db.selectFrom('oauth_tokens').selectAll().executeTakeFirstOrThrow();
  const failToken = (fault: object) =>
    product.admin('POST', 'faults', { count: 50, match: { pathContains: '/tokens/bearer' }, ...fault });

  it('are used as they are while they are young', async () => {
    product.clock.shift(44 * minute);
    expect((await profile())?.name).toMatch(/\w/);
    expect(await tokenRequests()).toBe(0);
  });

  it('are refreshed once 80 % of their life is over, once for all callers', async () => {
    product.clock.shift(49 * minute);
    await Promise.all(Array.from({ length: 50 }, profile));
    expect(await tokenRequests()).toBe(1);
    const { version, issued_at, refresh_due_at, expires_at } = await row();
    expect(version).toBe(2);
    const life = expires_at!.getTime() - issued_at.getTime();
    const share = (refresh_due_at!.getTime() - issued_at.getTime()) / life;
    expect(share).toBeGreaterThanOrEqual(0.75);
    expect(share).toBeLessThanOrEqual(0.8);
  });

  it('survive a provider that rotates and kills the grant on reuse', async () => {
    await product.admin('PUT', 'settings', { refreshMode: 'reuse-kills-grant' });
    for (let round = 1; round <= 3; round++) {
      product.clock.shift(50 * minute);
      await Promise.all(Array.from({ length: 20 }, profile));
      expect(await tokenRequests()).toBe(round);
    }
    expect((await present()).status).toBe('ACTIVE');
  });

  it('are refreshed and the call repeated when the provider refuses a young one', async () => {
    await product.admin('POST', 'access-tokens/expire', {});
    expect((await profile())?.name).toMatch(/\w/);
    expect(await tokenRequests()).toBe(1);
    expect(await product.requests('companyinfo')).toMatchObject([{ status: 401 }, { status: 200 }]);
  });

  it('refresh once for many callers that were all refused', async () => {
    await product.admin('POST', 'access-tokens/expire', {});
    await Promise.all(Array.from({ length: 10 }, profile));
    expect(await tokenRequests()).toBe(1);
  });

  it.each([
    ['an outage', { status: 503 }],
    ['too many requests', { status: 429 }],
    ['an answer that is cut off', { malformed: true }],
    ['a dropped line', { drop: true }],
    ['silence', { delayMs: 2_000 }],
  ])('stay in use while they are valid and refreshing meets %s', async (_, fault) => {
    product.clock.shift(49 * minute);
    await failToken(fault);
    expect((await profile())?.name).toMatch(/\w/);
    expect((await present()).status).toBe('ACTIVE');
    await expect.poll(async () => (await row()).lease_owner, { timeout: 5_000 }).toBe(null);
    const asked = await tokenRequests();
    // Once, and once more where the answer was lost: QuickBooks takes a used token for a while.
    expect(asked).toBeLessThanOrEqual(2);
    await profile();
    expect(await tokenRequests(), 'a failed refresh cools down').toBe(asked);
  });

  it('that ran out during an outage fail the call, never the connection', async () => {
    product.clock.shift(61 * minute);
    await failToken({ status: 503 });
    await expect(profile()).rejects.toMatchObject({ problem: { code: 'PROVIDER_ERROR', retryable: true } });
    expect(await present()).toMatchObject({ status: 'ACTIVE' });
  });

  it('whose grant is gone demote the connection, in one event, and cost no further request', async () => {
    await product.admin('POST', 'grants/revoke', { realmId: mainRealmId });
    await Promise.all(
      Array.from({ length: 5 }, () =>
        expect(profile()).rejects.toMatchObject({ problem: { code: 'REAUTHORIZATION_REQUIRED' } }),
      ),
    );
    const dead = await present();
    expect(dead).toMatchObject({ status: 'NEEDS_REAUTHORIZATION', problem: { actor: 'USER' } });
    const asked = (await product.requests('/')).length;
    await expect(product.api.profile(dead, patience())).rejects.toThrow('authorized again');
    expect((await product.requests('/')).length).toBe(asked);
    const events = await product.db
      .selectFrom('sync_events')
      .select(['source', 'problem'])
      .orderBy('sequence')
      .execute();
    expect(events.filter((event) => event.source === 'SYSTEM')).toMatchObject([
      { problem: { code: 'REAUTHORIZATION_REQUIRED' } },
    ]);
  });

  it('that do not open demote the connection with a log line, and crash nothing', async () => {
    const { access_token_encrypted: sealed } = await row();
    sealed[sealed.length - 1]! ^= 1;
    await product.db.updateTable('oauth_tokens').set({ access_token_encrypted: sealed }).execute();
    await expect(profile()).rejects.toMatchObject({ problem: { code: 'REAUTHORIZATION_REQUIRED' } });
    expect((await present()).status).toBe('NEEDS_REAUTHORIZATION');
    expect(product.logs()).toContain('a stored secret does not open');
    expect((await product.connected('acme')).id).toBe(connection.id);
  });

  it('come back by themselves when it was only the operator’s key that was missing', async () => {
    const keys = await product.db.selectFrom('account_keys').selectAll().execute();
    await product.db.deleteFrom('account_keys').execute();
    await expect(profile()).rejects.toMatchObject({
      problem: { code: 'REAUTHORIZATION_REQUIRED', actor: 'OPERATOR' },
    });
    expect(await present()).toMatchObject({
      status: 'NEEDS_REAUTHORIZATION',
      problem: { actor: 'OPERATOR' },
    });
    await product.db.insertInto('account_keys').values(keys).execute();
    expect((await profile())?.name).toMatch(/\w/);
    expect(await present()).toMatchObject({ status: 'ACTIVE', problem: null });
  });

  it('whose data key was damaged can be replaced by connecting again', async () => {
    await product.db
      .updateTable('account_keys')
      .set({ sealed_key: Buffer.alloc(61, 1) })
      .execute();
    await expect(profile()).rejects.toMatchObject({ problem: { code: 'REAUTHORIZATION_REQUIRED' } });
    expect((await product.connected('acme')).id).toBe(connection.id);
    expect((await profile())?.name).toMatch(/\w/);
  });

  it('that are still valid do not wait for a token endpoint that hangs', async () => {
    product.clock.shift(50 * minute);
    await failToken({ delayMs: 4_000 });
    const started = performance.now();
    expect((await profile())?.name).toMatch(/\w/);
    expect(performance.now() - started).toBeLessThan(2_500);
  });

  it('stay in use while our client credentials are refused', async () => {
    product.clock.shift(50 * minute);
    await failToken({ status: 401, body: { error: 'invalid_client' } });
    expect((await profile())?.name).toMatch(/\w/);
    expect((await present()).status).toBe('ACTIVE');
  });

  it('copied to another account do not open there', async () => {
    const rival = await product.connected('rival');
    const own = await row();
    await product.db
      .updateTable('oauth_tokens')
      .set({ access_token_encrypted: own.access_token_encrypted })
      .where('account_id', '=', 'rival')
      .execute();
    await expect(product.api.profile(rival, patience())).rejects.toMatchObject({
      problem: { code: 'REAUTHORIZATION_REQUIRED' },
    });
  });

  it('keep their refresh token when an answer names none', async () => {
    const before = await row();
    await product.admin('PUT', 'settings', { omitRefreshToken: true });
    expect((await product.connections.refresh(identityOf('acme'), connection.id)).problem).toBeNull();
    expect((await row()).refresh_token_encrypted).toEqual(before.refresh_token_encrypted);
    await product.admin('PUT', 'settings', { omitRefreshToken: false });
    expect((await product.connections.refresh(identityOf('acme'), connection.id)).problem).toBeNull();
    expect((await row()).version).toBe(3);
  });

  it('show the trouble of a refresh that was asked for, until one succeeds', async () => {
    await failToken({ status: 503, count: 1 });
    expect(await product.connections.refresh(identityOf('acme'), connection.id)).toMatchObject({
      connection: { status: 'ACTIVE', problem: { code: 'PROVIDER_ERROR', actor: 'PROVIDER' } },
      problem: { code: 'PROVIDER_ERROR' },
    });
    expect(await product.connections.refresh(identityOf('acme'), connection.id)).toMatchObject({
      connection: { status: 'ACTIVE', problem: null },
      problem: null,
    });
  });

  it('are erased by a disconnect even while the provider is down, and revoked later', async () => {
    await product.admin('POST', 'faults', { count: 50, status: 503, match: { pathContains: '/revoke' } });
    const { revocation } = await product.connections.disconnect(identityOf('acme'), connection.id);
    expect(revocation).toBe('PENDING');
    expect(await product.db.selectFrom('oauth_tokens').selectAll().execute()).toEqual([]);
    expect((await product.connections.disconnect(identityOf('acme'), connection.id)).revocation).toBe(
      'PENDING',
    );

    await product.admin('DELETE', 'faults');
    await product.work();
    await product.db.executeQuery(
      (await import('kysely')).sql`update pgboss.job set start_after = now()`.compile(product.db),
    );
    await expect
      .poll(
        async () => (await product.connections.disconnect(identityOf('acme'), connection.id)).revocation,
        {
          timeout: 15_000,
        },
      )
      .toBe('REVOKED');
    expect((await product.requests('/revoke')).at(-1)).toMatchObject({ status: 200 });
  });

  it('refreshed while a disconnect ends the connection are not stored', async () => {
    await failToken({ delayMs: 300, count: 1 });
    const refreshing = product.connections.refresh(identityOf('acme'), connection.id);
    await expect.poll(async () => product.statements.length).toBeGreaterThan(0);
    await product.connections.disconnect(identityOf('acme'), connection.id);
    expect((await refreshing).problem?.code).toBe('NOT_CONNECTED');
    expect(await product.db.selectFrom('oauth_tokens').selectAll().execute()).toEqual([]);
  });
});
