import { createHmac } from 'node:crypto';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock, type Clock } from '../src/clock.ts';
import { createResolveIdentity, UnauthenticatedError, whenOver, whyOver } from '../src/identity.ts';
import { createRouterProof } from '../src/routerProof.ts';
import { manualClock } from './support/manualClock.ts';

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

/** Nothing is set for it: it has no end, and no person unless `payload` names one. */
const endless = (payload: Record<string, unknown>) =>
  new SignJWT({ iss: base.issuer, aud: base.audience, ...payload })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(secret));

describe('an identity by secret', () => {
  const resolve = createResolveIdentity({ ...base, kind: 'secret', secret }, systemClock);
  const ask = (jwt: string, more = {}) => resolve({ ...nothing, authorization: `Bearer ${jwt}`, ...more });

  it('takes account, person and scopes from the token', async () => {
    expect(await ask(await token())).toEqual({
      accountId: 'acme',
      userId: 'user-1',
      scopes: new Set(['integrations:read', 'integrations:write']),
      expiresAt: expect.any(Date),
      key: null,
    });
  });

  it('expires when its token would be refused', async () => {
    const identity = (await ask(await token(claims, -57)))!;
    const leftMs = identity.expiresAt!.getTime() - Date.now();
    expect(leftMs).toBeGreaterThan(1_000);
    expect(leftMs).toBeLessThanOrEqual(3_000);
    const at = (now: number) => whyOver(identity, { ...systemClock, now: () => now });
    expect(at(identity.expiresAt!.getTime() - 1)).toBeUndefined();
    expect(at(identity.expiresAt!.getTime())).toBe('expired');
  });

  it('does not expire where its token does not', async () => {
    const { expiresAt, ...rest } = (await ask(await endless(claims)))!;
    expect(expiresAt).toBeNull();
    expect(whyOver({ ...rest, expiresAt }, { ...systemClock, now: () => 8.64e15 })).toBeUndefined();
  });

  it('tells once when it has expired, at once where that is long ago, and not where it was cancelled', async () => {
    const clock = manualClock();
    const identity = (seconds: number | null) => ({
      ...{ accountId: 'acme', userId: null, scopes: new Set<string>(), key: null },
      expiresAt: seconds === null ? null : new Date(clock.now() + seconds * 1_000),
    });
    const told: string[] = [];
    whenOver(identity(10), clock, () => told.push('ten'));
    whenOver(identity(-10), clock, () => told.push('past'));
    whenOver(identity(10), clock, () => told.push('cancelled'))();
    whenOver(identity(null), clock, () => told.push('never'))();
    await clock.advance(0);
    expect(told).toEqual(['past']);
    await clock.advance(9_999);
    expect(told).toEqual(['past']);
    await clock.advance(86_400_000);
    expect(told).toEqual(['past', 'ten']);
  });

  it.each([
    [{ sub: 'x'.repeat(256) }, { userId: 'x'.repeat(256) }],
    [{ sub: 'x'.repeat(257) }, { userId: null }],
    [{ sub: ' ' }, { userId: null }],
    [{ sub: 7 }, { userId: null }],
    [{ sub: undefined }, { userId: null }],
    [{ scope: ' a  b ' }, { scopes: new Set(['a', 'b']) }],
    [{ scope: ['a'] }, { scopes: new Set() }],
    [{ scope: undefined }, { scopes: new Set() }],
    [{ account_id: 'x'.repeat(256) }, { accountId: 'x'.repeat(256) }],
  ])('reads the claims %j', async (more, expected) => {
    expect(await ask(await endless({ ...claims, ...more }))).toMatchObject(expected);
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

  it.each(['Basic abc', 'Bearer', 'Bearer a b', 'x', 'XBearer abc', 'Bearer abc\n', 'Bearer'])(
    'is refused for the header %j',
    async (authorization) => {
      await expect(resolve({ ...nothing, authorization })).rejects.toThrow(
        'the Authorization header must be: Bearer <token>',
      );
    },
  );

  it('takes the word Bearer in any case, and any number of spaces', async () => {
    const authorization = `bEARER   ${await token()}`;
    expect(await resolve({ ...nothing, authorization })).toMatchObject({ accountId: 'acme' });
  });

  it.each([
    ['the token has expired', () => token(claims, -120)],
    ['the token does not verify', () => token(claims, 300, 'another secret that is long enough for HS256')],
    ['the token has no usable claim account_id', () => token({ account_id: 'x'.repeat(257) })],
    ['the token has no usable claim account_id', () => token({ account_id: 'a\0' })],
    ['the token has no usable claim account_id', () => token({ account_id: '\ud83d' })],
  ])('says why: %s', async (message, make) => {
    const error = await ask(await make()).catch((e: unknown) => e);
    expect(error).toMatchObject({ name: 'UnauthenticatedError', message });
  });
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
      expect(identity?.scopes).toEqual(
        new Set(['integrations:read', 'integrations:write', 'integrations:admin']),
      );
      expect(identity).toMatchObject({ userId: null, expiresAt: null });
    },
  );

  it.each([
    ...['10.0.0.1', '192.168.1.1', '::ffff:10.0.0.1', '2001:db8::1', '128.0.0.1', 'localhost', undefined],
    ...['10.127.0.1', '127.evil.example', '127.0.0.1.evil.example', '2001:db8::ffff:127.0.0.1'],
  ])('refuses it from %s', async (from) => {
    const asked = resolve({ ...nothing, accountHeader: 'demo', remoteAddress: from });
    await expect(asked).rejects.toThrow(/^x-account-id is believed from this machine only/);
  });

  it('takes accounts and people by usable names only', async () => {
    const ask = (accountHeader: string, userHeader?: string) =>
      resolve({ ...nothing, accountHeader, userHeader });
    for (const bad of ['', ' ', 'x'.repeat(257), 'a\0', '\udfff']) {
      await expect(ask(bad)).rejects.toThrow('x-account-id is empty or too long');
      expect(await ask('demo', bad)).toMatchObject({ accountId: 'demo', userId: null });
    }
    const longest = 'x'.repeat(256);
    expect(await ask(longest, longest)).toMatchObject({ accountId: longest, userId: longest });
  });

  it('believes what the router forwards, and nobody else who forwards it', async () => {
    const payload = { ...claims, sub: 'user-1', iss: base.issuer, aud: base.audience };
    const ask = (more: object) => resolve({ ...nothing, forwarded: { payload }, ...more });
    expect(await ask({ isRouter: true })).toMatchObject({ accountId: 'acme', userId: 'user-1' });
    expect(await ask({ isRouter: false })).toBeUndefined();
    expect(await ask({})).toBeUndefined();
    const header = { accountHeader: 'acme', userHeader: 'user-1' };
    expect(await ask({ isRouter: true, ...header })).toMatchObject({ accountId: 'acme' });
    await expect(ask({ isRouter: true, accountHeader: 'rival' })).rejects.toThrow(
      'the request names two identities',
    );
    expect(await resolve({ ...nothing, isRouter: true, accountHeader: 'demo' })).toMatchObject({
      accountId: 'demo',
    });
  });

  it('is absent without the header', async () => {
    expect(await resolve(nothing)).toBeUndefined();
  });
});

describe('the keys of the identity provider', () => {
  let server: Server;
  let fetches = 0;
  let answer: (response: ServerResponse) => void;
  /** The process has run for longer than keys are kept. */
  let shiftedMs = 7_200_000;
  const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + shiftedMs };
  const made = async (kid: string) => {
    const { privateKey, publicKey } = await generateKeyPair('ES256');
    return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' } };
  };
  const publish = (...keys: { jwk: object }[]) => {
    answer = (response) => response.end(JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }));
  };
  const tokenOf = async ({ kid, privateKey }: { kid: string; privateKey: CryptoKey }) =>
    `Bearer ${await new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid })
      .setIssuer(base.issuer)
      .setAudience(base.audience)
      .setExpirationTime(Math.floor(Date.now() / 1000) + 86_400)
      .sign(privateKey)}`;
  const opened = (own: Clock = clock) => {
    const { port } = server.address() as AddressInfo;
    const resolve = createResolveIdentity(
      { ...base, kind: 'jwks', url: `http://127.0.0.1:${port}/jwks` },
      own,
    );
    return (authorization: string) => resolve({ ...nothing, authorization });
  };
  /** For jose, which reads the system's clock, as well. */
  const later = (ms: number) => {
    shiftedMs += ms;
    vi.setSystemTime(Date.now() + ms);
  };

  beforeAll(async () => {
    server = createServer((_, response) => {
      fetches++;
      answer(response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'] });
    fetches = 0;
  });
  afterEach(() => vi.useRealTimers());
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  it('are fetched again for a key that is not known yet, and the old one is refused then', async () => {
    const [before, after] = [await made('before'), await made('after')];
    publish(before);
    const resolve = opened();
    expect(await resolve(await tokenOf(before))).toMatchObject({ accountId: 'acme' });
    publish(after);
    later(5_001);
    expect(await resolve(await tokenOf(after))).toMatchObject({ accountId: 'acme' });
    await expect(resolve(await tokenOf(before))).rejects.toThrow(UnauthenticatedError);
    expect(fetches).toBe(2);
  });

  it('are withdrawn by an answer without them, told once to each who waits and has not left', async () => {
    const [one, other] = [await made('one'), await made('other')];
    publish(one, other);
    const resolve = opened();
    const identity = (await resolve(await tokenOf(one)))!;
    const stays = (await resolve(await tokenOf(other)))!;
    const told: string[] = [];
    const cancels = [identity, identity, stays].map((whose, i) =>
      whenOver(whose, clock, (why) => told.push(`${i} ${why}`)),
    );
    cancels[1]!();
    // None of these says that it is withdrawn.
    for (const trouble of [503, 500]) {
      answer = (response) => response.writeHead(trouble).end('{"keys":[]}');
      later(61_000);
      await resolve(await tokenOf(one));
    }
    expect([told, whyOver(identity, clock)]).toEqual([[], undefined]);
    publish(other);
    later(61_000);
    await expect(resolve(await tokenOf(one))).rejects.toThrow(UnauthenticatedError);
    expect([told, whyOver(identity, clock), whyOver(stays, clock)]).toEqual([
      ['0 withdrawn'],
      'withdrawn',
      undefined,
    ]);
    // Who comes too late is told as well, but never before there is something to cancel.
    const cancel = whenOver(identity, clock, () => told.push('late'));
    whenOver(identity, clock, () => told.push('cancelled'))();
    expect(told).toHaveLength(1);
    await Promise.resolve();
    expect(told).toEqual(['0 withdrawn', 'late']);
    cancel();
    // A key that comes back is another: who was told is not asked to come again.
    publish(one, other);
    later(61_000);
    const again = (await resolve(await tokenOf(one)))!;
    expect([whyOver(again, clock), whyOver(identity, clock)]).toEqual([undefined, 'withdrawn']);
    for (const one of cancels) one();
  });

  it('are looked at each minute while somebody waits for the end of one, on one timer', async () => {
    const [one, other] = [await made('one'), await made('other')];
    publish(one, other);
    const timers = new Set<{ ms: number; work: () => void }>();
    const timer: Clock['timer'] = (ms, work) => {
      const own = { ms, work };
      timers.add(own);
      return () => void timers.delete(own);
    };
    const resolve = opened({ ...clock, timer });
    const identity = (await resolve(await tokenOf(one)))!;
    await resolve(await tokenOf(other));
    expect(timers.size).toBe(0);
    const told: string[] = [];
    const waiting = [1, 2].map(() => whenOver(identity, clock, (why) => told.push(why)));
    const ring = () => {
      const [next] = timers;
      timers.delete(next!);
      next!.work();
    };
    for (const count of [2, 3]) {
      expect([...timers].map(({ ms }) => ms)).toEqual([60_000]);
      ring();
      await expect.poll(() => fetches).toBe(count);
    }
    waiting[0]!();
    waiting[0]!();
    expect(timers.size).toBe(1);
    waiting[1]!();
    expect(timers.size).toBe(0);
    const last = whenOver(identity, clock, (why) => told.push(why));
    expect(timers.size).toBe(1);
    publish(other);
    ring();
    await expect.poll(() => told).toEqual(['withdrawn']);
    expect(timers.size).toBe(0);
    last();
  });

  it('are fetched once in five seconds, however many unknown keys tokens name', async () => {
    const known = await made('known');
    publish(known);
    const resolve = opened();
    await resolve(await tokenOf(known));
    const token = async (i: number) => resolve(await tokenOf({ ...known, kid: `unknown-${i}` }));
    for (const part of [0, 1]) {
      if (part === 1) later(5_001);
      const ends = await Promise.allSettled(Array.from({ length: 500 }, (_, i) => token(part * 500 + i)));
      for (const end of ends)
        expect((end as PromiseRejectedResult).reason).toBeInstanceOf(UnauthenticatedError);
    }
    expect(fetches).toBe(2);
  });

  it('serve on for an hour while the provider does not answer, at one try in five seconds', async () => {
    const known = await made('known');
    publish(known);
    const resolve = opened();
    await resolve(await tokenOf(known));
    answer = (response) => response.writeHead(503).end('{}');
    later(20 * 60_000);
    for (let i = 0; i < 100; i++) await resolve(await tokenOf(known));
    const unknown = await tokenOf({ ...known, kid: 'unknown' });
    for (let i = 0; i < 100; i++) await expect(resolve(unknown)).rejects.toThrow(UnauthenticatedError);
    expect(fetches).toBe(2);
    later(61 * 60_000);
    for (let i = 0; i < 50; i++) {
      const error = await resolve(i % 2 === 0 ? unknown : await tokenOf(known)).catch((e: unknown) => e);
      // Not the token's fault.
      expect(error).toBeInstanceOf(Error);
      expect(error).not.toBeInstanceOf(UnauthenticatedError);
    }
    expect(fetches).toBe(3);
    publish(known);
    later(5_001);
    expect(await resolve(await tokenOf(known))).toMatchObject({ accountId: 'acme' });
  });

  it.each([
    ['a failure that has keys', 503, '{"keys":[]}'],
    ['no keys', 200, '{}'],
    ['no JSON', 200, '<html>'],
  ])('stay what they were where the provider answers %s', async (_, status, body) => {
    const known = await made('known');
    publish(known);
    const resolve = opened();
    await resolve(await tokenOf(known));
    answer = (response) => response.writeHead(status).end(body);
    later(20 * 60_000);
    expect(await resolve(await tokenOf(known))).toMatchObject({ accountId: 'acme' });
    expect(fetches).toBe(2);
    later(41 * 60_000);
    await expect(resolve(await tokenOf(known))).rejects.toThrow(
      body.startsWith('{') ? `AUTH_JWKS_URL answered ${status}` : /JSON/,
    );
  });
});

describe('an identity that a gateway forwards', () => {
  const resolve = createResolveIdentity({ ...base, kind: 'secret', secret }, systemClock);
  const payload = (more: object = {}) => ({
    ...{ ...claims, sub: 'user-1', iss: base.issuer, aud: base.audience },
    exp: Math.floor(Date.now() / 1000) + 300,
    ...more,
  });
  const ask = (forwarded: unknown, more: object = {}) => resolve({ ...nothing, forwarded, ...more });
  const acme = { accountId: 'acme', userId: 'user-1' };

  it('is believed of the router, within its time, issuer and audience', async () => {
    const router = { isRouter: true };
    expect(await ask({ payload: payload() }, router)).toMatchObject(acme);
    for (const wrong of [
      { exp: Math.floor(Date.now() / 1000) - 120 },
      { iss: 'https://evil.test' },
      { aud: 'billing' },
      { account_id: undefined },
      { nbf: Math.floor(Date.now() / 1000) + 120 },
    ])
      await expect(ask({ payload: payload(wrong) }, router)).rejects.toThrow(UnauthenticatedError);
  });

  it('is the token’s where there is one: what else a payload says is not looked at', async () => {
    const forwarded = {
      token: await token(),
      payload: payload({ exp: 1, iss: 'x', scope: 'integrations:admin' }),
    };
    const identity = (await ask(forwarded))!;
    expect(identity).toMatchObject(acme);
    expect(identity.scopes).toEqual(new Set(['integrations:read', 'integrations:write']));
    expect(identity.expiresAt!.getTime()).toBeGreaterThan(Date.now());
  });

  it('may leave out what it does not have', async () => {
    expect(await ask({ payload: payload(), token: null }, { isRouter: true })).toMatchObject(acme);
    expect(await ask({ payload: null, token: await token() })).toMatchObject(acme);
    expect(await ask(null, { authorization: `Bearer ${await token()}` })).toMatchObject(acme);
  });

  it('is believed of nobody else', async () => {
    await expect(ask({ payload: payload() })).rejects.toThrow(
      'extensions.jwt.payload is believed of the router only: send a token',
    );
    const authorization = `Bearer ${await token()}`;
    await expect(ask({ payload: payload() }, { authorization })).rejects.toThrow(UnauthenticatedError);
  });

  it.each([true, false])('is verified where it is a token, router or not (%s)', async (isRouter) => {
    const jwt = await token();
    for (const forwarded of [
      { token: jwt },
      { token: { value: jwt, prefix: 'Bearer' } },
      { token: jwt, payload: payload() },
    ])
      expect(await ask(forwarded, { isRouter })).toMatchObject(acme);
    const other = await token(claims, 300, 'another secret that is long enough for HS256');
    await expect(ask({ token: other, payload: payload() }, { isRouter })).rejects.toThrow(
      UnauthenticatedError,
    );
  });

  it('is refused where two places name different people', async () => {
    const rival = await token({ ...claims, account_id: 'rival' });
    const authorization = `Bearer ${await token()}`;
    for (const isRouter of [true, false]) {
      for (const forwarded of [
        { token: rival },
        { token: await token(), payload: payload({ account_id: 'rival' }) },
        { token: await token(), payload: payload({ sub: 'user-2' }) },
      ])
        await expect(ask(forwarded, { authorization, isRouter })).rejects.toThrow(UnauthenticatedError);
      expect(await ask({ token: await token() }, { authorization, isRouter })).toMatchObject(acme);
    }
    const forwarded = { payload: payload({ account_id: 'rival' }) };
    await expect(ask(forwarded, { authorization, isRouter: true })).rejects.toThrow(
      'the request names two identities',
    );
  });

  it.each([{}, 'x', 1, [], { payload: 'x' }, { payload: [] }, { token: 1 }, { token: {} }])(
    'is refused for %j',
    async (forwarded) => {
      await expect(ask(forwarded, { isRouter: true })).rejects.toThrow(
        'extensions.jwt must have a payload or a token',
      );
    },
  );
});

describe('the router proof', () => {
  const holds = (secret: string | undefined, secrets: string[]) =>
    createRouterProof(secrets).holds({ secret, request: undefined });

  it.each([
    // Nobody is believed to be the router where nothing is set.
    [undefined, [], false],
    ['a', [], false],
    [undefined, ['a'], false],
    ['', ['a'], false],
    ['a', ['a'], true],
    ['b', ['a', 'b'], true],
    ['ab', ['a', 'b'], false],
  ])('of %j against %j is %s', (header, secrets, expected) => {
    expect(holds(header, secrets)).toBe(expected);
  });

  it('is required once any way is set', () => {
    expect(createRouterProof([]).isRequired).toBe(false);
    expect(createRouterProof(['a']).isRequired).toBe(true);
    expect(createRouterProof([], ['a']).isRequired).toBe(true);
  });

  it('is in each request where requests are signed', () => {
    expect(createRouterProof([]).isInRequests).toBe(false);
    expect(createRouterProof(['a']).isInRequests).toBe(false);
    expect(createRouterProof(['a'], ['b']).isInRequests).toBe(true);
  });

  const query = 'query ($r: [_Any!]!) { _entities(representations: $r) { __typename } }';
  const variables = { r: [{ id: 'x', __typename: 'Account', b: { z: 1, a: 'ü' } }], a: null };
  const signed = (text: string, key = 'hive') => createHmac('sha256', key).update(text).digest('base64');
  const good = signed(
    `{"query":${JSON.stringify(query)},"variables":{"a":null,"r":[{"__typename":"Account","b":{"a":"ü","z":1},"id":"x"}]}}`,
  );
  const proof = createRouterProof([], ['old', 'hive']);
  const of = (request: unknown) => proof.holds({ secret: 'hive', request });
  const withSignature = (signature: unknown, more: object = {}) => ({
    ...{ query, variables, extensions: { 'hmac-signature': signature } },
    ...more,
  });

  it('by signature holds for the query and the variables that were signed, in whatever order', () => {
    expect(of(withSignature(good))).toBe(true);
    const { r, a } = variables;
    expect(of(withSignature(good, { variables: { a, r } }))).toBe(true);
    const alone = { query: '{ a }', extensions: { 'hmac-signature': signed('{"query":"{ a }"}') } };
    expect(of(alone)).toBe(true);
    expect(of({ ...alone, variables: {} })).toBe(true);
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['no signature', { query, variables }],
    ['no extensions', withSignature(good, { extensions: null })],
    ['no query', { extensions: { 'hmac-signature': signed('{}') } }],
    ['another query', withSignature(good, { query: `${query} ` })],
    ['other variables', withSignature(good, { variables: { ...variables, a: 1 } })],
    ['no variables', withSignature(good, { variables: undefined })],
    ['a signature by another key', withSignature(signed(query, 'other'))],
    ['half of it', withSignature(good.slice(0, 20))],
    ['a signature that is none', withSignature({})],
    ['an empty one', withSignature('')],
    [
      'variables without an end',
      withSignature(good, {
        variables: JSON.parse(`{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`) as unknown,
      }),
    ],
  ])('by signature does not hold for %s', (_, request) => {
    expect(of(request)).toBe(false);
  });
});
