import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../src/clock.ts';
import { createResolveIdentity, hasExpired, hasRouterProof, UnauthenticatedError } from '../src/identity.ts';

const secret = 'a secret of at least thirty-two bytes, for HS256';
const base = { accountClaim: 'account_id', issuer: 'https://id.example.com', audience: 'integrations' };
const nothing = {
  authorization: undefined,
  accountHeader: undefined,
  userHeader: undefined,
  remoteAddress: '127.0.0.1',
};
const claims = { account_id: 'acme', scope: 'integrations:read integrations:write' };

const token = (payload: Record<string, unknown> = claims, seconds = 300, key = secret) =>
  new SignJWT(payload)
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('user-1')
    .setIssuer(base.issuer)
    .setAudience(base.audience)
    .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
    .sign(new TextEncoder().encode(key));

describe('an identity by secret', () => {
  const resolve = createResolveIdentity({ ...base, kind: 'secret', secret }, systemClock);
  const ask = (jwt: string, more = {}) => resolve({ ...nothing, authorization: `Bearer ${jwt}`, ...more });

  it('takes account, person and scopes from the token', async () => {
    expect(await ask(await token())).toEqual({
      accountId: 'acme',
      userId: 'user-1',
      scopes: new Set(['integrations:read', 'integrations:write']),
      expiresAt: expect.any(Date),
    });
  });

  it('expires when its token would be refused', async () => {
    const identity = (await ask(await token(claims, -57)))!;
    const leftMs = identity.expiresAt!.getTime() - Date.now();
    expect(leftMs).toBeGreaterThan(1_000);
    expect(leftMs).toBeLessThanOrEqual(3_000);
    expect(hasExpired(identity, { ...systemClock, now: () => identity.expiresAt!.getTime() - 1 })).toBe(
      false,
    );
    expect(hasExpired(identity, { ...systemClock, now: () => identity.expiresAt!.getTime() })).toBe(true);
  });

  it('is absent without a token, whatever the account header says', async () => {
    expect(await resolve({ ...nothing, accountHeader: 'acme' })).toBeUndefined();
  });

  it('is not changed by a forged account header', async () => {
    expect(await ask(await token(), { accountHeader: 'other' })).toMatchObject({ accountId: 'acme' });
  });

  it.each([
    ['an expired token', () => token(claims, -120)],
    ['another key', () => token(claims, 300, 'another secret that is long enough for HS256')],
    ['no account claim', () => token({ scope: 'integrations:read' })],
    ['an empty account claim', () => token({ account_id: ' ' })],
    ['an account claim that is no string', () => token({ account_id: { $ne: '' } })],
    ['the algorithm none', () => new UnsecuredJWT(claims).setIssuer(base.issuer).encode()],
    ['half a token', async () => (await token()).slice(0, 40)],
    [
      'another issuer',
      () =>
        new SignJWT(claims)
          .setProtectedHeader({ alg: 'HS256' })
          .setIssuer('https://evil.test')
          .setAudience(base.audience)
          .sign(new TextEncoder().encode(secret)),
    ],
    [
      'another audience',
      () =>
        new SignJWT(claims)
          .setProtectedHeader({ alg: 'HS256' })
          .setIssuer(base.issuer)
          .setAudience('billing')
          .sign(new TextEncoder().encode(secret)),
    ],
  ])('is refused for %s', async (_, make) => {
    await expect(ask(await make())).rejects.toThrow(UnauthenticatedError);
  });

  it.each(['Basic abc', 'Bearer', 'Bearer a b', 'x'])(
    'is refused for the header %j',
    async (authorization) => {
      await expect(resolve({ ...nothing, authorization })).rejects.toThrow(UnauthenticatedError);
    },
  );
});

describe('an identity by JWKS', () => {
  let server: Server;
  let keys: Awaited<ReturnType<typeof generateKeyPair>>;
  const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
  const signed = (alg: string, key: Parameters<SignJWT['sign']>[0], kid = 'k1') =>
    new SignJWT(claims)
      .setProtectedHeader({ alg, kid })
      .setIssuer(base.issuer)
      .setAudience(base.audience)
      .setExpirationTime('5m')
      .sign(key);

  beforeAll(async () => {
    keys = await generateKeyPair('RS256');
    const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' };
    server = createServer((_, response) => response.end(JSON.stringify({ keys: [jwk] })));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  it('verifies with the published key', async () => {
    const resolve = createResolveIdentity({ ...base, kind: 'jwks', url: url() }, systemClock);
    const authorization = `Bearer ${await signed('RS256', keys.privateKey)}`;
    expect(await resolve({ ...nothing, authorization })).toMatchObject({ accountId: 'acme' });
  });

  it('refuses an unknown key, and a shared secret where keys are public', async () => {
    const resolve = createResolveIdentity({ ...base, kind: 'jwks', url: url() }, systemClock);
    const other = await generateKeyPair('RS256');
    for (const jwt of [
      await signed('RS256', other.privateKey),
      await signed('RS256', other.privateKey, 'k2'),
      await signed('HS256', new TextEncoder().encode(JSON.stringify(await exportJWK(keys.publicKey)))),
    ])
      await expect(resolve({ ...nothing, authorization: `Bearer ${jwt}` })).rejects.toThrow(
        UnauthenticatedError,
      );
  });

  it('does not take its own trouble for a bad token', async () => {
    const nobody = { ...base, kind: 'jwks', url: 'http://127.0.0.1:1/jwks' } as const;
    const resolve = createResolveIdentity(nobody, systemClock);
    const authorization = `Bearer ${await signed('RS256', keys.privateKey)}`;
    const error = await resolve({ ...nothing, authorization }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(UnauthenticatedError);
  });
});

describe('an identity in development', () => {
  const resolve = createResolveIdentity({ ...base, kind: 'development' }, systemClock);

  it.each(['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1'])(
    'believes the account header from %s',
    async (from) => {
      const identity = await resolve({ ...nothing, accountHeader: 'demo', remoteAddress: from });
      expect(identity).toMatchObject({ accountId: 'demo' });
      expect(identity?.scopes).toContain('integrations:admin');
    },
  );

  it.each(['10.0.0.1', '192.168.1.1', '::ffff:10.0.0.1', '2001:db8::1', '128.0.0.1', 'localhost', undefined])(
    'refuses it from %s',
    async (from) => {
      const asked = resolve({ ...nothing, accountHeader: 'demo', remoteAddress: from });
      await expect(asked).rejects.toThrow(UnauthenticatedError);
    },
  );

  it('is absent without the header', async () => {
    expect(await resolve(nothing)).toBeUndefined();
  });
});

describe('the router proof', () => {
  it.each([
    [undefined, [], true],
    [undefined, ['a'], false],
    ['', ['a'], false],
    ['a', ['a'], true],
    ['b', ['a', 'b'], true],
    ['ab', ['a', 'b'], false],
  ])('of %j against %j is %s', (header, secrets, expected) => {
    expect(hasRouterProof(header, secrets)).toBe(expected);
  });
});
