import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { authorizationOf, type Authorization } from '../../src/oauth/authorization.ts';
import { confirmWithinMs } from '../../src/oauth/pendingGrants.ts';
import type { TokenSet } from '../../src/oauth/protocol.ts';
import { databaseKinds } from '../support/databases.ts';
import { openGrants, type Grants } from './grantParts.ts';

const tokens: TokenSet = {
  ...{ accessToken: 'the-access', refreshToken: 'the-refresh', scopes: ['2026-01-01T00:00:00.000Z'] },
  ...{ issuedAt: new Date(1_000), expiresAt: new Date(2_000), refreshExpiresAt: new Date(4_000) },
  ...{ hardExpiresAt: new Date(3_000), externalId: null, externalUserId: 'person' },
};

describe.each(databaseKinds)('grants that nobody has confirmed, %s', (_kind, open) => {
  let parts: Grants;
  beforeEach(async () => {
    parts = await openGrants(open);
  });
  afterEach(() => parts.close());

  let made = 0;
  const roundTrip = async (
    integrationId = 'single',
    accountId = 'a',
    userId: string | null = 'user-1',
  ): Promise<Authorization> => {
    const ref = await parts.connection(accountId, integrationId, null, 'DISCONNECTED');
    const row = await parts.db
      .insertInto('oauth_authorizations')
      .values({
        state_hash: Buffer.from(`state ${++made}`),
        ...{ account_id: accountId, user_id: userId, connection_id: ref.id, integration_id: integrationId },
        ...{ redirect_uri: 'https://us.example/callback', scopes: ['one'], expires_at: parts.now() },
      })
      .returningAll()
      .executeTakeFirstOrThrow();
    return authorizationOf(row);
  };
  const keep = (authorization: Authorization, externalId = 'ext') =>
    parts.db
      .transaction()
      .execute((trx) => parts.pendingGrants.keep(trx, authorization, { tokens, externalId }));
  const redeem = (code: string, accountId = 'a', userId: string | null = 'user-1') =>
    parts.db.transaction().execute((trx) => parts.pendingGrants.redeem(trx, { accountId, userId }, code));
  const rows = () => parts.db.selectFrom('oauth_authorizations').selectAll().orderBy('state_hash').execute();
  const damage = () =>
    parts.db
      .updateTable('oauth_authorizations')
      .set({ grant_encrypted: Buffer.from('damaged, but long enough to look like a sealed value'.repeat(2)) })
      .execute();

  it('are kept sealed, under the hash of a code, for ten minutes', async () => {
    const other = await roundTrip();
    const { code, completeBy } = await keep(await roundTrip());
    expect(code).toMatch(/^[\w-]{43}$/);
    expect(completeBy.getTime() - parts.now().getTime()).toBeGreaterThan(9.9 * 60_000);
    expect(completeBy.getTime() - parts.now().getTime()).toBeLessThanOrEqual(10 * 60_000);
    const all = await rows();
    const row = all.find(({ connection_id }) => connection_id !== other.id)!;
    expect(row.completion_hash).toEqual(createHash('sha256').update(code).digest());
    expect(row.complete_by).toEqual(completeBy);
    expect(row.grant_encrypted!.toString('latin1')).not.toMatch(/the-access|the-refresh/);
    expect(all.filter(({ grant_encrypted }) => grant_encrypted !== null)).toHaveLength(1);
  });

  it('are given to whoever asked for them, once', async () => {
    const authorization = await roundTrip();
    const { code } = await keep(authorization);
    const again = await keep(await roundTrip());
    expect(await redeem(code)).toEqual({ authorization, tokens, externalId: 'ext' });
    expect(await redeem(code)).toBeUndefined();
    const [row] = await rows();
    expect(row).toMatchObject({ completion_hash: null, grant_encrypted: null });
    expect(await redeem(again.code)).toMatchObject({ externalId: 'ext' });
  });

  it('are given to one of many who hurry', async () => {
    const { code } = await keep(await roundTrip());
    const given = await Promise.all(Array.from({ length: 5 }, () => redeem(code)));
    expect(given.filter((one) => one !== undefined)).toHaveLength(1);
  });

  it('are given to nobody else, and stay for their owner', async () => {
    const { code } = await keep(await roundTrip());
    const nameless = await keep(await roundTrip('single', 'a', null));
    for (const [text, accountId, userId] of [
      [code, 'b', 'user-1'],
      [code, 'a', 'user-2'],
      [code, 'a', null],
      [nameless.code, 'a', 'user-1'],
      [`${code}x`, 'a', 'user-1'],
      [`x${code}`, 'a', 'user-1'],
      [code.slice(1), 'a', 'user-1'],
      ['x'.repeat(43), 'a', 'user-1'],
      ['', 'a', 'user-1'],
    ] as const)
      expect([text, await redeem(text, accountId, userId)]).toEqual([text, undefined]);
    expect(await redeem(code)).toBeDefined();
    expect(await redeem(nameless.code, 'a', null)).toBeDefined();
  });

  it('are given to nobody once their time is over', async () => {
    const { code } = await keep(await roundTrip());
    parts.shift(confirmWithinMs);
    expect(await redeem(code)).toBeUndefined();
    parts.shift(-1_000);
    expect(await redeem(code)).toBeDefined();
  });

  it('that do not open are nobody’s, with a line in the log', async () => {
    const authorization = await roundTrip();
    const { code } = await keep(authorization);
    await damage();
    expect(await redeem(code)).toBeUndefined();
    expect(parts.logs()).toContain('a grant does not open');
    expect(parts.logs()).toContain(authorization.id);
    expect((await rows())[0]!.completion_hash).not.toBeNull();
  });

  describe('when their time is over', () => {
    const revocations = () => parts.db.selectFrom('token_revocations').selectAll().execute();

    it('are revoked where that ends them and nothing else, and forgotten in any case', async () => {
      const [single, company] = [await roundTrip('single'), await roundTrip('company')];
      await keep(single, 'one');
      await keep(company, 'two');
      parts.shift(confirmWithinMs - 1_000);
      const young = await keep(await roundTrip('single'), 'three');
      expect(await parts.pendingGrants.dropExpired(10)).toBe(0);
      parts.shift(1_000);
      expect(await parts.pendingGrants.dropExpired(10)).toBe(2);
      expect(await revocations()).toMatchObject([
        { account_id: 'a', connection_id: single.id, integration_id: 'single', external_id: 'one' },
      ]);
      expect((await rows()).map(({ grant_encrypted }) => grant_encrypted !== null)).toEqual([
        false,
        false,
        true,
      ]);
      const lines = parts
        .logs()
        .split('\n')
        .filter((line) => line.includes('a grant was not confirmed'));
      const revoked = lines.map((line) => JSON.parse(line) as { connectionId: string; revoked: boolean });
      expect(new Map(revoked.map((line) => [line.connectionId, line.revoked]))).toEqual(
        new Map([
          [single.id, true],
          [company.id, false],
        ]),
      );
      expect(await parts.pendingGrants.dropExpired(10)).toBe(0);
      expect(await redeem(young.code)).toMatchObject({ externalId: 'three' });
    });

    it('go a few at a time, the oldest first, whosever they are', async () => {
      for (const [i, accountId] of ['a', 'b', 'c'].entries()) {
        await keep(await roundTrip('single', accountId), `ext ${i}`);
        parts.shift(1_000);
      }
      parts.shift(confirmWithinMs);
      expect(await parts.pendingGrants.dropExpired(2)).toBe(2);
      expect((await revocations()).map(({ account_id }) => account_id).toSorted()).toEqual(['a', 'b']);
      expect(await parts.pendingGrants.dropExpired(2)).toBe(1);
    });

    it('are forgotten where they do not open, or belong to an integration that is gone', async () => {
      await keep(await roundTrip('single'));
      await keep(await roundTrip('gone'));
      await damage();
      parts.shift(confirmWithinMs);
      expect(await parts.pendingGrants.dropExpired(10)).toBe(2);
      expect(await revocations()).toEqual([]);
      expect((await rows()).every(({ grant_encrypted }) => grant_encrypted === null)).toBe(true);
    });

    it('are left to the person who has just confirmed', async () => {
      const { code } = await keep(await roundTrip());
      await redeem(code);
      parts.shift(confirmWithinMs);
      expect(await parts.pendingGrants.dropExpired(10)).toBe(0);
      expect(await revocations()).toEqual([]);
    });
  });
});
