import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sealedPlace, type ConnectionRef } from '../../src/oauth/accountKeys.ts';
import type { GrantTokens } from '../../src/oauth/protocol.ts';
import { databaseKinds } from '../support/databases.ts';
import { masterKey } from '../support/sealedAccounts.ts';
import { openGrants, type Grants } from './grantParts.ts';

const patienceMs = 2_000;
const both: GrantTokens = { accessToken: 'the-access', refreshToken: 'the-refresh' };

describe.each(databaseKinds)('tokens to be revoked, %s', (_kind, open) => {
  let parts: Grants;
  beforeEach(async () => {
    parts = await openGrants(open);
  });
  afterEach(() => parts.close());

  const keep = (ref: ConnectionRef, tokens = both, externalId: string | null = 'ext') =>
    parts.db.transaction().execute((trx) => parts.revocations.keep(trx, ref, tokens, externalId));
  const kept = async (integrationId: string, tokens = both, externalId: string | null = 'ext') => {
    const ref = await parts.connection('a', integrationId, externalId, 'DISCONNECTED');
    return { ref, id: (await keep(ref, tokens, externalId))! };
  };
  const rows = () => parts.db.selectFrom('token_revocations').selectAll().execute();
  const attempt = (id: string, ms = patienceMs) => parts.revocations.attempt('a', id, ms);

  it('wait sealed, with nothing but the tokens, and a job that tries again a little later', async () => {
    const withMore = { ...both, scopes: ['all'], externalUserId: 'somebody' };
    const { ref, id } = await kept('single', withMore);
    const [row, ...others] = await rows();
    expect(others).toEqual([]);
    expect(row).toMatchObject({
      ...{ id, account_id: 'a', connection_id: ref.id, integration_id: 'single', external_id: 'ext' },
      ...{ sending_until: null, held_until: null },
    });
    const openSealed = await parts.keys.opener(parts.db, 'a');
    const text = openSealed(sealedPlace(ref, 'token_revocations', 'token_encrypted'), row!.token_encrypted);
    expect(JSON.parse(text)).toEqual(both);
    const { rows: jobs } = await sql<{ data: object; inMs: number }>`
      select data, extract(epoch from start_after - clock_timestamp())::float8 * 1000 as "inMs"
      from pgboss.job where name = 'token-revocation'`.execute(parts.db);
    expect(jobs).toEqual([{ data: { accountId: 'a', id }, inMs: expect.any(Number) as number }]);
    expect(jobs[0]!.inMs).toBeGreaterThan(7_000);
    expect(jobs[0]!.inMs).toBeLessThan(10_500);
  });

  it('are none where a provider revokes nothing, or is not there any more', async () => {
    expect((await kept('silent')).id).toBeUndefined();
    expect((await kept('unknown')).id).toBeUndefined();
    expect(await rows()).toEqual([]);
  });

  it('are sent once, and gone when the provider has agreed', async () => {
    const { ref, id } = await kept('single');
    expect(await parts.revocations.isPending(ref)).toBe(true);
    expect(await parts.revocations.isPending({ ...ref, accountId: 'b' })).toBe(false);
    expect(await attempt(id)).toBe('REVOKED');
    expect(parts.requests).toMatchObject([
      { path: '/revoke', body: expect.stringContaining('the-refresh') as string },
    ]);
    expect(await rows()).toEqual([]);
    expect(await parts.revocations.isPending(ref)).toBe(false);
    expect(await attempt(id)).toBe('REVOKED');
    expect(parts.requests).toHaveLength(1);
  });

  it('of the version before are one token and nothing else', async () => {
    const { ref, id } = await kept('single');
    const seal = await parts.keys.sealer(parts.db, 'a');
    const sealed = seal(sealedPlace(ref, 'token_revocations', 'token_encrypted'), 'bare-token');
    await parts.db.updateTable('token_revocations').set({ token_encrypted: sealed }).execute();
    expect(await attempt(id)).toBe('REVOKED');
    expect(parts.requests[0]!.body).toContain('bare-token');
  });

  it('stay while the provider fails, and can be tried again at once', async () => {
    const { id } = await kept('single');
    parts.answer({ status: 500 }, {});
    expect(await attempt(id)).toBe('PENDING');
    expect(parts.logs()).toMatch(/the provider has not revoked yet; trying again later/);
    expect(parts.logs()).not.toMatch(/the-refresh|the-access/);
    expect(await rows()).toMatchObject([{ id, sending_until: null }]);
    expect(await attempt(id)).toBe('REVOKED');
  });

  it('are waited for no longer than somebody has patience', async () => {
    const { id } = await kept('single');
    parts.answer({ afterMs: 1_500 });
    const since = performance.now();
    expect(await attempt(id, 200)).toBe('PENDING');
    expect(performance.now() - since).toBeLessThan(1_200);
  });

  it('are sent by one at a time', async () => {
    const { id } = await kept('single');
    parts.answer({ afterMs: 300 });
    const ends = await Promise.all([attempt(id), attempt(id), attempt(id)]);
    expect(ends.toSorted()).toEqual(['PENDING', 'PENDING', 'REVOKED']);
    expect(parts.requests).toHaveLength(1);
  });

  it.each([
    ['company', 'ext', 'ACTIVE', 0],
    ['company', 'ext', 'DISCONNECTED', 1],
    ['company', 'other', 'ACTIVE', 1],
    ['single', 'ext', 'ACTIVE', 1],
  ] as const)(
    'are not sent where that would end somebody’s connection: %s, %s %s',
    async (integrationId, externalId, status, sent) => {
      const { id } = await kept(integrationId);
      await parts.connection('b', integrationId, externalId, status);
      expect(await attempt(id)).toBe('REVOKED');
      expect(parts.requests).toHaveLength(sent);
      expect(parts.logs().includes('not revoked: the external account is connected again')).toBe(sent === 0);
      expect(await rows()).toEqual([]);
    },
  );

  it('are sent where nobody knows whose they are', async () => {
    const { id } = await kept('company', both, null);
    await parts.connection('b', 'company', null);
    expect(await attempt(id)).toBe('REVOKED');
    expect(parts.requests).toHaveLength(1);
  });

  it('that do not open wait for their key, and are given up where they are damaged', async () => {
    const { id } = await kept('single');
    const elsewhere = parts.revocationsBy(masterKey('k2', 2));
    expect(await elsewhere.attempt('a', id, patienceMs)).toBe('PENDING');
    expect(parts.logs()).toMatch(/"code":"NOT_CONFIGURED"/);
    expect(await rows()).toHaveLength(1);
    await sql`update token_revocations set token_encrypted =
      set_byte(token_encrypted, 40, get_byte(token_encrypted, 40) # 1)`.execute(parts.db);
    expect(await attempt(id)).toBe('REVOKED');
    expect(parts.logs()).toMatch(
      /"reason":"CORRUPT".*a token that does not open cannot be revoked: given up/,
    );
    expect(parts.requests).toEqual([]);
    expect(await rows()).toEqual([]);
  });

  it('of an integration that is not set up any more wait', async () => {
    const { ref, id } = await kept('single');
    const seal = await parts.keys.sealer(parts.db, 'a');
    const gone = { ...ref, integrationId: 'gone' };
    const sealed = seal(sealedPlace(gone, 'token_revocations', 'token_encrypted'), JSON.stringify(both));
    await parts.db
      .updateTable('token_revocations')
      .set({ integration_id: 'gone', token_encrypted: sealed })
      .execute();
    expect(await attempt(id)).toBe('PENDING');
    expect(parts.logs()).toMatch(/gone is not set up any more/);
  });

  describe('whose access token has run out', () => {
    const ranOut = { body: { ok: false, error: 'token_expired' } };
    const renewed = {
      body: { ok: true, access_token: 'new-access', refresh_token: 'new-refresh', expires_in: 9 },
    };

    it('are renewed first, and what that gives is stored before it is used', async () => {
      const { ref, id } = await kept('workspace');
      parts.answer(ranOut, renewed, { status: 500 }, { body: { ok: true } });
      expect(await attempt(id)).toBe('PENDING');
      expect(parts.requests.map(({ path }) => path)).toEqual(['/revoke', '/token', '/revoke']);
      expect(parts.requests[1]!.body).toContain('the-refresh');
      const [row] = await rows();
      const openSealed = await parts.keys.opener(parts.db, 'a');
      const text = openSealed(sealedPlace(ref, 'token_revocations', 'token_encrypted'), row!.token_encrypted);
      expect(JSON.parse(text)).toEqual({ accessToken: 'new-access', refreshToken: 'new-refresh' });
      expect(await attempt(id)).toBe('REVOKED');
      expect(await rows()).toEqual([]);
    });

    it('keep their refresh token where the answer names none', async () => {
      const { ref, id } = await kept('workspace');
      parts.answer(ranOut, { body: { ok: true, access_token: 'new-access' } }, { status: 500 });
      await attempt(id);
      const openSealed = await parts.keys.opener(parts.db, 'a');
      const place = sealedPlace(ref, 'token_revocations', 'token_encrypted');
      expect(JSON.parse(openSealed(place, (await rows())[0]!.token_encrypted))).toEqual({
        ...{ accessToken: 'new-access', refreshToken: 'the-refresh' },
      });
    });

    it('are over where the grant is', async () => {
      const { id } = await kept('workspace');
      parts.answer(ranOut, { body: { ok: false, error: 'invalid_refresh_token' } });
      expect(await attempt(id)).toBe('REVOKED');
      expect(parts.requests).toHaveLength(2);
    });

    it('stay where they cannot be renewed now, or by nothing', async () => {
      const { id } = await kept('workspace');
      parts.answer(ranOut, { status: 500 });
      expect(await attempt(id)).toBe('PENDING');
      const bare = await kept('workspace', { accessToken: 'only' });
      parts.answer(ranOut);
      expect(await attempt(bare.id)).toBe('PENDING');
      expect(await rows()).toHaveLength(2);
      expect(parts.requests.map(({ path }) => path)).toEqual(['/revoke', '/token', '/revoke']);
    });
  });

  describe('while a new grant is on its way', () => {
    const held = async () => (await rows()).map(({ held_until }) => held_until !== null);

    it('hold off, and go on when there is none', async () => {
      const { ref, id } = await kept('company');
      await parts.revocations.hold({ ...ref, accountId: 'b' });
      expect(await held()).toEqual([false]);
      await parts.revocations.hold(ref);
      const [row] = await rows();
      const leftMs = row!.held_until!.getTime() - Date.now();
      expect(leftMs).toBeGreaterThan(100_000);
      expect(leftMs).toBeLessThan(125_000);
      expect(await attempt(id)).toBe('PENDING');
      expect(parts.logs()).toMatch(/is under way, or waits for a new grant/);
      expect(parts.requests).toEqual([]);
      await parts.revocations.resume(ref);
      expect(await attempt(id)).toBe('REVOKED');
    });

    it('hold off for a while only', async () => {
      const { ref, id } = await kept('company');
      await parts.revocations.hold(ref, 50);
      await sleep(80);
      expect(await attempt(id)).toBe('REVOKED');
    });

    it('do not where they end one authorization and nothing else', async () => {
      const { ref, id } = await kept('single');
      await parts.revocations.hold(ref);
      expect(await held()).toEqual([false]);
      await parts.db
        .updateTable('token_revocations')
        .set({ held_until: new Date(Date.now() + 60_000) })
        .execute();
      await parts.revocations.resume(ref);
      await parts.db.transaction().execute((trx) => parts.revocations.supersede(trx, ref, 'ext'));
      expect(await held()).toEqual([true]);
      expect(await attempt(id)).toBe('PENDING');
    });

    it('are waited for where one is being sent', async () => {
      const { ref, id } = await kept('company');
      parts.answer({ afterMs: 400 });
      const sending = attempt(id);
      while (parts.requests.length === 0) await sleep(5);
      let over = false;
      const holding = parts.revocations.hold(ref).then(() => (over = true));
      await sleep(150);
      expect(over).toBe(false);
      expect(await sending).toBe('REVOKED');
      await holding;
    });

    it('are never sent once that is there, and those of other external accounts go on', async () => {
      const { ref } = await kept('company');
      const other = await kept('company', both, 'another');
      const theirs = await parts.connection('b', 'company', null, 'DISCONNECTED');
      await keep(theirs);
      await parts.revocations.hold(ref);
      await parts.db.transaction().execute((trx) => parts.revocations.supersede(trx, ref, 'ext'));
      const left = await rows();
      expect(left.map(({ account_id, external_id }) => `${account_id}: ${external_id}`).toSorted()).toEqual([
        'a: another',
        'b: ext',
      ]);
      expect(await attempt(other.id)).toBe('REVOKED');
    });
  });

  it('are worked off by a job', async () => {
    const { id } = await kept('single');
    await sql`update pgboss.job set start_after = now() - interval '1 second'`.execute(parts.db);
    await parts.revocations.work();
    for (let i = 0; i < 200 && (await rows()).length > 0; i++) await sleep(50);
    expect(await rows()).toEqual([]);
    expect(parts.requests).toHaveLength(1);
    expect(await attempt(id)).toBe('REVOKED');
  });
});
