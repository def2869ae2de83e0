import { describe, expect, it } from 'vitest';
import {
  codeExchangeRequest,
  passwordRequest,
  processTokenResponse,
  refreshRequest,
  revokeRequest,
  tokenToRevoke,
} from '../../src/oauth/protocol.ts';
import { authorizationUrl, callbackParameters } from '../../src/oauth/redirect.ts';
import { answer, describedWith as provider } from '../support/described.ts';

const client = { clientId: 'id', clientSecret: 'secret' };

describe('token requests', () => {
  const grant = { code: 'c', redirectUri: 'https://us.example/cb', codeVerifier: undefined };
  const exchange = (more: object) => {
    const { endpoints, oauth } = provider(more);
    return codeExchangeRequest(endpoints, oauth, client, grant);
  };
  const refresh = (more: object) => {
    const { endpoints, oauth } = provider(more);
    return refreshRequest(endpoints, oauth, client, 'r');
  };
  const form = (body: string | undefined) => Object.fromEntries(new URLSearchParams(body));

  it('are a form with Basic unless said otherwise', () => {
    const request = exchange({});
    expect(request).toMatchObject({
      url: 'https://login.acme.example/token/',
      headers: { authorization: 'Basic aWQ6c2VjcmV0', 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect(form(request.body)).toEqual({
      grant_type: 'authorization_code',
      code: 'c',
      redirect_uri: 'https://us.example/cb',
    });
  });

  it('carry what is added to the first one, to refreshes, and to all', () => {
    const more = {
      clientAuth: 'body',
      tokenParams: { audience: 'a' },
      refreshParams: { mode: 'b' },
      tokenHeaders: { 'X-Version': '2' },
      refreshUrl: 'https://login.acme.example/renew',
    };
    const [first, again] = [exchange(more), refresh(more)];
    expect(form(first.body)).toMatchObject({ audience: 'a', client_id: 'id', client_secret: 'secret' });
    expect(form(again.body)).toEqual({
      ...{ mode: 'b', grant_type: 'refresh_token', refresh_token: 'r' },
      ...{ client_id: 'id', client_secret: 'secret' },
    });
    expect([first.url, again.url]).toEqual([
      'https://login.acme.example/token/',
      'https://login.acme.example/renew',
    ]);
    expect([first.headers['x-version'], again.headers['x-version']]).toEqual(['2', '2']);
  });

  it('are JSON where the provider wants that', () => {
    const request = refresh({ clientAuth: 'body', bodyFormat: 'json' });
    expect(request.headers['content-type']).toBe('application/json');
    expect(JSON.parse(request.body!)).toEqual({
      ...{ grant_type: 'refresh_token', refresh_token: 'r', client_id: 'id', client_secret: 'secret' },
    });
  });

  it('of a public client name it, and nothing secret (RFC 6749 §3.2.1)', () => {
    const request = exchange({ clientAuth: 'none' });
    expect(request.headers).not.toHaveProperty('authorization');
    expect(form(request.body)).toMatchObject({ client_id: 'id' });
    expect(request.body).not.toContain('secret');
  });

  it('with a user name and password need no client where there is none', () => {
    const more = {
      authMode: 'oauth2_password',
      authorizeUrl: undefined,
      clientAuth: 'none',
      profile: undefined,
    };
    const { endpoints, oauth, auth } = provider(more);
    expect(auth).toBe('CREDENTIALS');
    const request = passwordRequest(endpoints, oauth, undefined, { username: 'u', password: 'p' });
    expect(form(request.body)).toEqual({ grant_type: 'password', username: 'u', password: 'p' });
  });

  it('revoke the token that the provider takes, in the form that it takes', () => {
    const of = (revoke: object | undefined) => {
      const { endpoints, oauth } = provider({ revokeUrl: 'https://login.acme.example/revoke', revoke });
      const token = tokenToRevoke(oauth, { accessToken: 'a', refreshToken: 'r' });
      return revokeRequest(endpoints, oauth, client, token).body;
    };
    expect(of(undefined)).toBe('token=r');
    expect(of({ tokenKind: 'access' })).toBe('token=a');
    expect(of({ style: 'json' })).toBe('{"token":"r"}');
    for (const none of [{}, { revoke: { style: 'none' } }])
      expect(provider(none).oauth.revocation).toBe('none');
    const ends = { revokeUrl: 'https://login.acme.example/revoke', revoke: { ends: 'account' } };
    expect(provider(ends).oauth.revokes).toBe('externalAccount');
  });
});

describe('the authorization request', () => {
  it('names its scopes as the provider does', () => {
    const { endpoints, oauth } = provider({
      scopeParam: 'permissions',
      scopeSeparator: ',',
      authorizeParams: { prompt: 'consent' },
    });
    const request = { clientId: 'id', redirectUri: 'https://us.example', scopes: ['a', 'b'], state: 's' };
    const query = new URL(authorizationUrl(endpoints, oauth, request)).searchParams;
    expect(Object.fromEntries(query)).toMatchObject({ permissions: 'a,b', prompt: 'consent' });
    expect(query.has('scope')).toBe(false);
    expect(authorizationUrl(endpoints, oauth, { ...request, scopes: [] })).not.toContain('permissions');
  });
});

describe('the redirect', () => {
  const state = 'x'.repeat(43);
  const read = (more: object, query: Record<string, string>) =>
    callbackParameters(new URLSearchParams({ state, code: 'c', ...query }), provider(more).oauth);

  it('names the account where the provider says so there, in the form that it has', () => {
    const more = { accountId: { from: 'callback', path: 'shop', pattern: '[a-z]+\\.example' } };
    expect(read(more, { shop: 'acme.example' })).toMatchObject({ kind: 'code', externalId: 'acme.example' });
    for (const shop of ['acme.example.evil', 'xacme.examplex/', '..', ''])
      expect(read(more, { shop })).toMatchObject({ kind: 'invalid' });
    expect(read({ accountId: { from: 'callback', path: 'shop' } }, { shop: '..' })).toMatchObject({
      kind: 'invalid',
    });
  });

  it('must come from the issuer that was asked, whatever it says (RFC 9207 §2.4)', () => {
    const issuer = 'https://login.acme.example';
    const cases: [issExpected: boolean, iss: string | undefined, kind: string][] = [
      [false, undefined, 'code'],
      [false, issuer, 'code'],
      [false, `${issuer}/`, 'invalid'],
      [false, 'https://LOGIN.acme.example', 'invalid'],
      [false, '', 'invalid'],
      [true, undefined, 'invalid'],
      [true, issuer, 'code'],
    ];
    for (const [issExpected, iss, kind] of cases)
      expect(read({ issuer, issExpected }, iss === undefined ? {} : { iss })).toMatchObject({ kind });
    const declined = new URLSearchParams({ state, error: 'access_denied', iss: 'https://evil.example' });
    expect(callbackParameters(declined, provider({ issuer }).oauth)).toMatchObject({ kind: 'invalid' });
    expect(read({}, { iss: 'https://anybody.example' })).toMatchObject({ kind: 'code' });
  });
});

describe('a token answer', () => {
  const context = { requestedScopes: ['a', 'offline'], sentAtMs: 0, purpose: 'exchange' as const };
  const process = (more: object, body: object | string, status = 200) =>
    processTokenResponse(answer(body, {}, status), provider(more).oauth, context);

  it('has its members where the description says, and its lifetimes in the unit that it says', () => {
    const more = {
      tokenResponse: {
        accessTokenPath: 'data.token',
        refreshTokenPath: 'data.renew',
        expiresInPath: 'data.life',
        expiresInUnit: 'milliseconds',
        refreshExpiresInPath: 'data.renewLife',
        hardExpiresInPath: 'data.allLife',
        scopePath: 'data.may',
      },
      accountId: { from: 'token', path: 'data.team.0.id' },
    };
    const data = {
      token: 't',
      renew: 'r',
      life: 60_000,
      renewLife: '120000',
      allLife: 3_600_000.5,
      may: 'a b',
    };
    expect(process(more, { access_token: 'x', data: { ...data, team: [{ id: 42 }] } })).toMatchObject({
      accessToken: 't',
      refreshToken: 'r',
      expiresAt: new Date(60_000),
      refreshExpiresAt: new Date(120_000),
      hardExpiresAt: new Date(3_600_000),
      scopes: ['a', 'b'],
      externalId: '42',
    });
    expect(process(more, { data: { ...data, team: [{ id: 2 ** 60 }] } })).toMatchObject({ externalId: null });
    const minutes = { tokenResponse: { expiresInUnit: 'minutes' } };
    expect(process(minutes, { access_token: 't', expires_in: 5 })).toMatchObject({
      expiresAt: new Date(300_000),
    });
  });

  it('with a token twice is refused, wherever that stands', () => {
    const more = { tokenResponse: { accessTokenPath: 'data.token' } };
    const twice = ['{"data":{"token":"a","token":"b"}}', '{"data":{"token":"a"},"data":{"token":"b"}}'];
    for (const body of twice) expect(process(more, body)).toMatchObject({ code: 'PROVIDER_ERROR' });
    const elsewhere = '{"token":"a","data":{"token":"b"},"more":{"token":"c"}}';
    expect(process(more, elsewhere)).toMatchObject({ accessToken: 'b' });
  });

  it('need not name scopes that the provider never names', () => {
    const more = { unansweredScopes: ['offline', 'openid'] };
    expect(process(more, { access_token: 't', scope: 'a' })).toMatchObject({ scopes: ['a', 'offline'] });
    expect(process({}, { access_token: 't', scope: 'a' })).toMatchObject({ scopes: ['a'] });
    expect(process(more, { access_token: 't' })).toMatchObject({ scopes: ['a', 'offline'] });
  });

  it('has its errors where the description says, in words that it knows', () => {
    const more = {
      tokenResponse: {
        errorPath: 'fault.code',
        errors: {
          grantEnded: ['gone'],
          codeExpired: ['spent'],
          clientRefused: ['who'],
          unavailable: ['down'],
        },
      },
    };
    const codes = { gone: 'AUTHORIZATION_EXPIRED', spent: 'AUTHORIZATION_EXPIRED', who: 'NOT_CONFIGURED' };
    for (const [error, code] of Object.entries({ ...codes, down: 'PROVIDER_ERROR', odd: 'BAD_REQUEST' }))
      expect(process(more, { fault: { code: error } }, 400)).toMatchObject({ code, providerCode: error });
  });
});
