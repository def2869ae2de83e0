import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { embeddedDatabase } from '../support/databases.ts';
import { failureOf, openGrants, type Grants } from './grantParts.ts';

const minute = 60_000;
const granted = {
  body: { access_token: 'new', refresh_token: 'next', token_type: 'bearer', expires_in: 60 },
};

describe('the token endpoint', () => {
  let parts: Grants;
  beforeEach(async () => {
    parts = await openGrants(embeddedDatabase, 400);
    parts.answer(granted);
  });
  afterEach(() => parts.close());

  const sent = () => parts.requests.map(({ body }) => Object.fromEntries(new URLSearchParams(body)));

  it('exchanges codes, refreshes, takes a user name and password, and revokes', async () => {
    const { endpoint } = parts;
    const code = { code: 'c', redirectUri: 'https://us.example/', codeVerifier: 'v', scopes: ['one'] };
    expect(await endpoint.exchange('single', code)).toMatchObject({ accessToken: 'new', scopes: ['one'] });
    expect(await endpoint.refresh('single', 'old', ['two'])).toMatchObject({ scopes: ['two'] });
    const user = { username: 'me', password: 'secret' };
    expect(await endpoint.password('single', user)).toMatchObject({ refreshToken: 'next', scopes: [] });
    await endpoint.revoke('single', 'old');
    expect(sent()).toMatchObject([
      {
        ...{ grant_type: 'authorization_code', code: 'c', redirect_uri: 'https://us.example/' },
        code_verifier: 'v',
      },
      { grant_type: 'refresh_token', refresh_token: 'old' },
      { grant_type: 'password', ...user },
      { token: 'old' },
    ]);
    expect(endpoint.timeoutMs).toBe(400);
  });

  it('asks for its leave before the first byte, and counts a token’s life from there', async () => {
    const before: number[] = [];
    const set = await parts.endpoint.refresh('single', 'old', [], {
      beforeSend: () => {
        before.push(parts.requests.length);
        parts.shift(minute);
        return Promise.resolve();
      },
    });
    expect(before).toEqual([0]);
    expect(Math.abs(set.issuedAt.getTime() - parts.now().getTime())).toBeLessThan(10_000);
    expect(set.expiresAt!.getTime() - set.issuedAt.getTime()).toBe(minute);
    const refused = parts.endpoint.password(
      'single',
      { username: 'u', password: 'p' },
      {
        beforeSend: () => Promise.reject(new Error('not now')),
      },
    );
    await expect(refused).rejects.toThrow('not now');
    expect(parts.requests).toHaveLength(1);
  });

  it('sends a grant once, whatever becomes of it, and gives up in its own time', async () => {
    parts.answer({ status: 503 }, granted);
    expect(await failureOf(parts.endpoint.refresh('single', 'old', []))).toMatchObject({
      ...{ code: 'PROVIDER_ERROR', sent: true, status: 503 },
    });
    expect(parts.requests).toHaveLength(1);
    parts.answer({ ...granted, afterMs: 2_000 });
    expect(await failureOf(parts.endpoint.refresh('single', 'old', []))).toMatchObject({ code: 'TIMEOUT' });
    expect(
      await failureOf(parts.endpoint.revoke('single', 'old', parts.now().getTime() + 100)),
    ).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
  });

  it('says what an answer means, by what was asked', async () => {
    parts.answer({ status: 400, body: { error: 'invalid_grant' } });
    const code = { code: 'c', redirectUri: 'https://us.example/', codeVerifier: undefined, scopes: [] };
    const { endpoint } = parts;
    expect((await failureOf(endpoint.exchange('single', code))).code).toBe('AUTHORIZATION_EXPIRED');
    expect((await failureOf(endpoint.refresh('single', 'old', []))).code).toBe('REAUTHORIZATION_REQUIRED');
    const user = { username: 'u', password: 'p' };
    expect((await failureOf(endpoint.password('single', user))).code).toBe('AUTHORIZATION_DENIED');
    expect(await endpoint.revoke('single', 'old')).toBeUndefined();
    parts.answer({ status: 500 });
    expect((await failureOf(endpoint.revoke('single', 'old'))).code).toBe('PROVIDER_ERROR');
  });

  it('needs credentials where the client has to prove who it is, and says which settings they are', async () => {
    const missing = async (id: string) =>
      (await failureOf((async () => parts.endpoint.revoke(id, 'x'))())).problem;
    expect(await missing('bare-client')).toMatchObject({
      ...{ code: 'NOT_CONFIGURED' },
      message: 'QuickBooks Online has no client credentials: set BARE_CLIENT_CLIENT_ID and _CLIENT_SECRET.',
    });
    expect(await missing('no-such')).toMatchObject({
      message: 'no-such has no client credentials: set NO_SUCH_CLIENT_ID and _CLIENT_SECRET.',
    });
    expect(parts.requests).toEqual([]);
    await parts.endpoint.revoke('anonymous', 'x');
    expect(sent()).toEqual([{ token: 'x' }]);
  });

  it('is spared a herd, each integration on its own', async () => {
    await Promise.all(Array.from({ length: 26 }, () => parts.endpoint.revoke('single', 'x')));
    const [first, last] = [parts.requests[0]!.at, parts.requests.at(-1)!.at];
    // Twenty a second, a quarter of them at once.
    expect(last - first).toBeGreaterThan(900);
  });
});
