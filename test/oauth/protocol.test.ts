import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HttpResponse } from '../../src/calls/http.ts';
import { systemClock } from '../../src/clock.ts';
import {
  codeExchangeRequest,
  passwordRequest,
  processRevokeResponse,
  processTokenResponse,
  refreshDueAt,
  refreshRequest,
  revokeRequest,
  tokenToRevoke,
} from '../../src/oauth/protocol.ts';
import {
  authorizationUrl,
  callbackParameters,
  codeChallenge,
  hashState,
  newCodeVerifier,
  newState,
} from '../../src/oauth/redirect.ts';
import type { Endpoints, OAuthFacts } from '../../src/providers/provider.ts';

const endpoints: Endpoints = {
  authorizeUrl: 'https://auth.example/authorize?tenant=7',
  tokenUrl: 'https://auth.example/token',
  revokeUrl: 'https://auth.example/revoke',
  apiUrl: 'https://api.example',
};
const facts: OAuthFacts = {
  grant: 'authorization_code',
  scopes: ['books', 'people'],
  scopeSeparator: ' ',
  pkce: 'S256',
  clientAuthentication: 'basic',
  authorizeParams: { prompt: 'consent', state: 'not ours' },
  tokenHeaders: { 'x-hard-expiry': 'true' },
  externalIdParam: { name: 'realmId', pattern: /^\d{1,20}$/ },
  refreshExpiresInField: 'x_refresh_token_expires_in',
  hardExpiresInField: 'x_refresh_token_hard_expires_in',
  reauthorizationErrors: ['invalid_grant', 'token_revoked'],
  replay: 'strict',
  revocation: 'json',
  revokes: 'authorization',
};
const credentials = { clientId: 'app:1 é', clientSecret: 'p%2B+&=~' };
/** RFC 6749 §2.3.1 and appendix B, by hand. */
const basic = `Basic ${Buffer.from('app%3A1+%C3%A9:p%252B%2B%26%3D%7E').toString('base64')}`;

describe('the authorization request', () => {
  it('carries what RFC 6749 §4.1.1 and RFC 7636 §4.3 ask for, and the provider’s own parameters', () => {
    const url = authorizationUrl(endpoints, facts, {
      clientId: 'app+1',
      redirectUri: 'https://us.example/oauth/x/callback?a=b',
      scopes: ['books', 'people'],
      state: 'st-1',
      codeChallenge: 'ch_1',
    });
    expect(url).toContain('https://auth.example/authorize?');
    expect(url).toContain('scope=books%20people');
    expect(url).not.toContain('+');
    expect(Object.fromEntries(new URL(url).searchParams)).toEqual({
      tenant: '7',
      prompt: 'consent',
      response_type: 'code',
      client_id: 'app+1',
      redirect_uri: 'https://us.example/oauth/x/callback?a=b',
      scope: 'books people',
      state: 'st-1',
      code_challenge: 'ch_1',
      code_challenge_method: 'S256',
    });
  });

  it('has no challenge without PKCE, and separates scopes as the provider does', () => {
    const request = { clientId: 'a', redirectUri: 'https://us.example/cb', scopes: ['x', 'y'], state: 's' };
    const url = new URL(authorizationUrl(endpoints, { ...facts, scopeSeparator: ',' }, request));
    expect(url.searchParams.get('scope')).toBe('x,y');
    expect([...url.searchParams.keys()].filter((name) => name.startsWith('code_challenge'))).toEqual([]);
  });

  it('agrees with the example of RFC 7636, appendix B', () => {
    expect(codeChallenge('dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk')).toBe(
      'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    );
  });

  it('has a state and a verifier of 256 bits in 43 unreserved characters, new each time', () => {
    const made = Array.from({ length: 100 }, () => [
      newState(systemClock),
      newCodeVerifier(systemClock),
    ]).flat();
    expect(new Set(made).size).toBe(200);
    for (const text of made) expect(text).toMatch(/^[\w-]{43}$/);
  });

  it('is stored by the SHA-256 of its state', () => {
    expect(hashState('abc').toString('hex')).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });
});

describe('requests to the token endpoint', () => {
  it('exchange a code', () => {
    const grant = { code: 'c/1', redirectUri: 'https://us.example/cb', codeVerifier: 'v-1' };
    const request = codeExchangeRequest(endpoints, facts, credentials, grant);
    expect(request).toEqual({
      method: 'POST',
      url: 'https://auth.example/token',
      headers: {
        accept: 'application/json',
        authorization: basic,
        'content-type': 'application/x-www-form-urlencoded',
        'x-hard-expiry': 'true',
      },
      body: 'grant_type=authorization_code&code=c%2F1&redirect_uri=https%3A%2F%2Fus.example%2Fcb&code_verifier=v-1',
    });
    const withoutPkce = codeExchangeRequest(endpoints, facts, credentials, {
      ...grant,
      codeVerifier: undefined,
    });
    expect(new URLSearchParams(withoutPkce.body).has('code_verifier')).toBe(false);
  });

  it('refresh', () => {
    const request = refreshRequest(endpoints, facts, credentials, 'r t+1');
    expect(request).toMatchObject({ method: 'POST', url: 'https://auth.example/token' });
    expect(request.headers).toMatchObject({ authorization: basic, 'x-hard-expiry': 'true' });
    expect(request.body).toBe('grant_type=refresh_token&refresh_token=r+t%2B1');
  });

  it('carry the credentials in the body where the provider wants them there', () => {
    const request = refreshRequest(endpoints, { ...facts, clientAuthentication: 'body' }, credentials, 'r');
    expect(request.headers).not.toHaveProperty('authorization');
    expect(Object.fromEntries(new URLSearchParams(request.body))).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'r',
      client_id: credentials.clientId,
      client_secret: credentials.clientSecret,
    });
  });

  it('revoke with a JSON body', () => {
    expect(revokeRequest(endpoints, facts, credentials, 't"1')).toEqual({
      method: 'POST',
      url: 'https://auth.example/revoke',
      headers: { accept: 'application/json', authorization: basic, 'content-type': 'application/json' },
      body: '{"token":"t\\"1"}',
    });
  });

  it('revoke as RFC 7009 has it', () => {
    expect(revokeRequest(endpoints, { ...facts, revocation: 'rfc7009' }, credentials, 't&1')).toEqual({
      method: 'POST',
      url: 'https://auth.example/revoke',
      headers: {
        accept: 'application/json',
        authorization: basic,
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: 'token=t%261',
    });
  });
});

const sentAtMs = Date.UTC(2026, 0, 5, 12);
const context = { requestedScopes: ['books', 'people'], sentAtMs, purpose: 'refresh' } as const;
const answer = (status: number, body: unknown, headers: Record<string, string> = {}): HttpResponse => ({
  status,
  headers,
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
const process = (
  response: HttpResponse,
  purpose: 'exchange' | 'refresh' = 'refresh',
  own: OAuthFacts = facts,
) => processTokenResponse(response, own, { ...context, purpose });
const granted = { access_token: 'at-1', token_type: 'bearer', expires_in: 3600, refresh_token: 'rt-1' };
const inSeconds = (seconds: number) => new Date(sentAtMs + seconds * 1000);

describe('requests as other providers want them', () => {
  const form = (text: string) => Object.fromEntries(new URLSearchParams(text));
  const grant = { code: 'c', redirectUri: 'https://us.example/cb', codeVerifier: undefined };

  it('have no verifier where there was no challenge, and the provider’s own members beside ours', () => {
    const own = { ...facts, tokenParams: { audience: 'a', code: 'not ours' } };
    expect(form(codeExchangeRequest(endpoints, own, credentials, grant).body!)).toEqual({
      ...{ grant_type: 'authorization_code', code: 'c', redirect_uri: 'https://us.example/cb' },
      audience: 'a',
    });
  });

  it('refresh at an address and with members of their own', () => {
    const own = { ...facts, refreshParams: { audience: 'b', grant_type: 'not ours' } };
    const request = refreshRequest({ ...endpoints, refreshUrl: 'https://r.example' }, own, credentials, 'r');
    expect(request.url).toBe('https://r.example');
    expect(form(request.body!)).toEqual({ grant_type: 'refresh_token', refresh_token: 'r', audience: 'b' });
  });

  it('ask with a user name and a password', () => {
    const own = { ...facts, tokenParams: { audience: 'a' } };
    const request = passwordRequest(endpoints, own, credentials, { username: 'u', password: 'p' });
    expect(request).toMatchObject({ method: 'POST', url: endpoints.tokenUrl });
    expect(request.headers).toMatchObject({ authorization: basic, 'x-hard-expiry': 'true' });
    const members = { grant_type: 'password', username: 'u', password: 'p', audience: 'a' };
    expect(form(request.body!)).toEqual(members);
  });

  it.each([
    ['none', credentials, {}],
    ['public', credentials, { client_id: credentials.clientId }],
    ['body', credentials, { client_id: credentials.clientId, client_secret: credentials.clientSecret }],
    ['basic', undefined, {}],
    ['body', undefined, {}],
  ] as const)('show the client by %s, and only by that', (clientAuthentication, client, shown) => {
    const request = refreshRequest(endpoints, { ...facts, clientAuthentication }, client, 'r');
    expect(request.headers).toEqual({
      ...{ accept: 'application/json', 'x-hard-expiry': 'true' },
      'content-type': 'application/x-www-form-urlencoded',
    });
    expect(form(request.body!)).toEqual({ grant_type: 'refresh_token', refresh_token: 'r', ...shown });
  });

  it('are JSON where the provider wants that', () => {
    const request = refreshRequest(endpoints, { ...facts, bodyFormat: 'json' }, credentials, 'r');
    expect(request.headers).toMatchObject({ 'content-type': 'application/json', authorization: basic });
    expect(JSON.parse(request.body!)).toEqual({ grant_type: 'refresh_token', refresh_token: 'r' });
  });

  it('uninstall Slack’s app by its bearer, with the client in the body', () => {
    expect(revokeRequest(endpoints, { ...facts, revocation: 'slack' }, credentials, 'xoxb-1')).toEqual({
      ...{ method: 'POST', url: endpoints.revokeUrl },
      headers: {
        ...{ accept: 'application/json', authorization: 'Bearer xoxb-1' },
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: new URLSearchParams({
        ...{ client_id: credentials.clientId, client_secret: credentials.clientSecret },
      }).toString(),
    });
  });

  it('revoke the token that stands for the grant', () => {
    const both = { accessToken: 'a', refreshToken: 'r' };
    expect(tokenToRevoke(facts, both)).toBe('r');
    expect(tokenToRevoke(facts, { accessToken: 'a' })).toBe('a');
    expect(tokenToRevoke({ ...facts, revokedToken: 'access' }, both)).toBe('a');
    expect(tokenToRevoke({ ...facts, revocation: 'slack' }, both)).toBe('a');
  });
});

describe('answers as other providers give them', () => {
  const context = { requestedScopes: ['books', 'people'], sentAtMs: 1_000_000, purpose: 'refresh' as const };
  const read = (body: unknown, own: Partial<OAuthFacts> = {}, status = 200) =>
    processTokenResponse(answer(status, body), { ...facts, ...own }, context);

  it.each(['null', '[]', '"text"', '1', 'true', '', '{', '<html>'])('are none where they are %s', (body) => {
    expect(read(body)).toEqual({
      code: 'PROVIDER_ERROR',
      message: "The provider's token answer is too large or not a JSON object.",
    });
  });

  it.each([
    [{ access_token: 7 }, 'has no usable access token'],
    [{}, 'has no usable access token'],
    [{ access_token: 'a b' }, 'has no usable access token'],
    [{ access_token: 'a', refresh_token: 7 }, 'has no usable refresh token'],
    [{ access_token: 'a', refresh_token: 'ü' }, 'has no usable refresh token'],
    [{ access_token: 'a', token_type: 'mac' }, 'is of a type other than bearer'],
    [{ access_token: 'a', token_type: 7 }, 'is of a type other than bearer'],
    ['{"access_token":"a","access_token":"b"}', 'has a token twice'],
    ['{"access_token":"a","refresh_token":"b","refresh_token":"b"}', 'has a token twice'],
  ])('are unusable as %j', (body, what) => {
    expect(read(body)).toEqual({
      code: 'PROVIDER_ERROR',
      message: `The provider's token answer ${what}.`,
    });
  });

  it.each([
    [429, {}, 'RATE_LIMITED', 'The provider asks us to send fewer token requests.'],
    [503, {}, 'PROVIDER_ERROR', 'The provider could not answer a token request.'],
    [400, { error: 'invalid_client' }, 'NOT_CONFIGURED', 'The provider refused our client id and secret.'],
    [400, { error: 'odd' }, 'BAD_REQUEST', 'The provider refused a token request of ours.'],
    [
      ...[400, { error: 'invalid_grant' }, 'REAUTHORIZATION_REQUIRED'],
      'The provider has ended the authorization: connect again.',
    ],
  ] as [number, object, string, string][])(
    'say with %i %j in our words what is wrong',
    (status, body, code, message) => {
      expect(read(body, {}, status)).toMatchObject({ code, message });
    },
  );

  it.each(['AUTHORIZATION_EXPIRED', 'NOT_CONFIGURED', 'RATE_LIMITED', 'PROVIDER_ERROR'] as const)(
    'have codes of their own for %s',
    (code) => {
      const own = { errors: { [code]: ['theirs'] } };
      expect(read({ error: 'theirs' }, own, 400)).toMatchObject({ code, providerCode: 'theirs' });
      expect(read({ error: 'others' }, own, 400)).toMatchObject({ code: 'BAD_REQUEST' });
      // Some say 200 whatever happened.
      expect(read({ error: 'theirs' }, own, 200)).toMatchObject({ code });
    },
  );

  it('say where their members are', () => {
    const own: Partial<OAuthFacts> = {
      answer: {
        ...{
          accessToken: 'data.token',
          refreshToken: 'data.again',
          scope: 'data.may',
          expiresIn: 'data.ttl',
        },
        error: 'data.wrong',
      },
      ...{ externalIdFields: ['team.id', 'org'], externalUserIdField: 'user.id', tokenTypes: ['bot'] },
    };
    const data = { token: 'a', again: 'r', may: 'books', ttl: 60 };
    expect(read({ data, token_type: 'Bot', org: 7, user: { id: 'U1' } }, own)).toMatchObject({
      ...{ accessToken: 'a', refreshToken: 'r', scopes: ['books'], externalId: '7', externalUserId: 'U1' },
      expiresAt: new Date(1_060_000),
    });
    expect(read({ data: { wrong: 'invalid_grant' } }, own)).toMatchObject({
      code: 'REAUTHORIZATION_REQUIRED',
    });
    expect(read({ data, token_type: 'bearer' }, own)).toMatchObject({ code: 'PROVIDER_ERROR' });
    expect(read('{"data":{"token":"a","token":"b"},"token_type":"bot"}', own)).toMatchObject({
      message: "The provider's token answer has a token twice.",
    });
  });

  it.each([
    [undefined, 90, 90_000],
    ['seconds', '90.9', 90_000],
    ['minutes', 1.5, 90_000],
    ['milliseconds', 90_999, 90_000],
  ] as const)('count lifetimes in %s: %j', (lifetimeUnit, expires_in, ms) => {
    const own = lifetimeUnit === undefined ? {} : { lifetimeUnit };
    const { expiresAt } = read({ access_token: 'a', expires_in }, own) as { expiresAt: Date };
    expect(expiresAt.getTime() - context.sentAtMs).toBe(ms);
  });

  it('name what was granted by commas or spaces or in a list, and may leave out what they always grant', () => {
    const scopes = (scope: unknown, own: Partial<OAuthFacts> = {}) =>
      (read({ access_token: 'a', scope }, own) as { scopes: string[] }).scopes;
    expect(scopes('x  y x')).toEqual(['x', 'y']);
    expect(scopes('x,y')).toEqual(['x,y']);
    expect(scopes('x,y, z', { scopeSeparator: ',' })).toEqual(['x', 'y', 'z']);
    expect(scopes(['x', '', 'y'])).toEqual(['x', 'y']);
    expect(scopes('x', { unansweredScopes: ['people', 'other'] })).toEqual(['x', 'people']);
    for (const none of [undefined, null, '', ' ', [], [7], { a: 1 }, 7])
      expect(scopes(none)).toEqual(['books', 'people']);
  });

  it('have ids that are safe to show', () => {
    const id = (value: unknown) =>
      (
        read({ access_token: 'a', id: value, other: 'o' }, { externalIdFields: ['id', 'other'] }) as {
          externalId: string;
        }
      ).externalId;
    expect(id('x'.repeat(200))).toBe('x'.repeat(200));
    expect(id(9)).toBe('9');
    for (const none of [undefined, null, '', 'x'.repeat(201), 'ü', 'a\nb', 1.5, {}, [], true])
      expect(id(none)).toBe('o');
  });
});

describe('Slack’s answer to a revocation', () => {
  const slackFacts: OAuthFacts = { ...facts, revocation: 'slack' };
  it.each([
    [200, { ok: true }],
    [200, { ok: false, error: 'token_revoked' }],
    [200, { ok: false, error: 'account_inactive' }],
    [200, { ok: false, error: 'invalid_auth' }],
    [400, { ok: false, error: 'invalid_auth' }],
  ])('%i %j is the end of the grant', (status, body) => {
    expect(processRevokeResponse(answer(status, body), slackFacts)).toBe('REVOKED');
  });

  it.each([
    [200, { ok: false, error: 'token_expired' }, 'BAD_REQUEST', 'token_expired'],
    [200, { ok: false, error: 'client_id_token_mismatch' }, 'BAD_REQUEST', 'client_id_token_mismatch'],
    [503, { ok: false, error: 'invalid_auth' }, 'PROVIDER_ERROR', 'invalid_auth'],
    [429, { ok: false, error: 'invalid_auth' }, 'RATE_LIMITED', 'invalid_auth'],
  ])('%i %j is not', (status, body, code, providerCode) => {
    expect(processRevokeResponse(answer(status, body), slackFacts)).toMatchObject({ code, providerCode });
  });

  it('is nobody else’s: there a success is one, and a token that ran out is gone', () => {
    expect(processRevokeResponse(answer(200, { ok: false, error: 'x' }), facts)).toBe('REVOKED');
    expect(processRevokeResponse(answer(204, ''), facts)).toBe('REVOKED');
    expect(processRevokeResponse(answer(400, { error: 'token_expired' }), facts)).toBe('REVOKED');
    expect(processRevokeResponse(answer(400, ' '), facts)).toBe('REVOKED');
    expect(processRevokeResponse(answer(400, {}), facts)).toBe('REVOKED');
    expect(processRevokeResponse(answer(302, { error: 'invalid_token' }), facts)).toMatchObject({
      code: 'PROVIDER_ERROR',
    });
  });
});

describe('processTokenResponse', () => {
  it('reads what QuickBooks answers, counting from when the request was sent', () => {
    const body = {
      ...granted,
      x_refresh_token_expires_in: 8_640_000,
      x_refresh_token_hard_expires_in: 157_680_000,
      id_token: 'eyJ',
    };
    expect(process(answer(200, body))).toEqual({
      accessToken: 'at-1',
      refreshToken: 'rt-1',
      issuedAt: new Date(sentAtMs),
      expiresAt: inSeconds(3600),
      scopes: ['books', 'people'],
      refreshExpiresAt: inSeconds(8_640_000),
      externalId: null,
      externalUserId: null,
      hardExpiresAt: inSeconds(157_680_000),
    });
  });

  it.each([
    ['3600', 3600],
    [3600.9, 3600],
    ['3600.9', 3600],
    [1, 1],
    [1_209_599, 1_209_599],
    [undefined, null],
    [null, null],
    [0, null],
    ['0', null],
    [0.5, null],
    [-1, null],
    ['-1', null],
    ['', null],
    [' 3600', null],
    ['1e3', null],
    ['0x10', null],
    ['soon', null],
    [true, null],
    [[3600], null],
    [{}, null],
    [1e12, 315_360_000],
    ['999999999999999999999', 315_360_000],
    [Number.MAX_VALUE, 315_360_000],
  ])('takes a lifetime of %j for %j seconds', (lifetime, seconds) => {
    const expected = seconds === null ? null : inSeconds(seconds);
    expect(process(answer(200, { ...granted, expires_in: lifetime }))).toMatchObject({ expiresAt: expected });
    expect(process(answer(200, { ...granted, x_refresh_token_expires_in: lifetime }))).toMatchObject({
      refreshExpiresAt: expected,
    });
  });

  it('takes a lifetime beyond all numbers for unlimited ten years', () => {
    const body = JSON.stringify(granted).replace('3600', '1e999');
    expect(process(answer(200, body))).toMatchObject({ expiresAt: inSeconds(315_360_000) });
  });

  it.each([
    [undefined, ' ', ['books', 'people']],
    [null, ' ', ['books', 'people']],
    ['', ' ', ['books', 'people']],
    [7, ' ', ['books', 'people']],
    ['books', ' ', ['books']],
    ['books  people books', ' ', ['books', 'people']],
    ['a,b c', ' ', ['a,b', 'c']],
    ['a,b c', ',', ['a', 'b', 'c']],
    [['a', 'b'], ' ', ['a', 'b']],
    [['a', 1], ' ', ['books', 'people']],
  ] as const)('reads scope %j, separated by %j, as %j', (scope, scopeSeparator, scopes) => {
    const set = process(answer(200, { ...granted, scope }), 'refresh', { ...facts, scopeSeparator });
    expect(set).toMatchObject({ scopes });
  });

  it.each([
    ['leaves the refresh token out', { refresh_token: undefined }],
    ['has null for it', { refresh_token: null }],
    ['has an empty one', { refresh_token: '' }],
  ])('has no refresh token when the answer %s', (_, change) => {
    expect(process(answer(200, { ...granted, ...change }))).not.toHaveProperty('refreshToken');
  });

  it.each(['bearer', 'Bearer', 'BEARER', undefined, null])('accepts the token type %j', (token_type) => {
    expect(process(answer(200, { ...granted, token_type }))).toMatchObject({ accessToken: 'at-1' });
  });

  it('accepts a token that nearly fills the largest answer', () => {
    const accessToken = 'x'.repeat(65_000);
    expect(process(answer(200, { access_token: accessToken }))).toMatchObject({ accessToken });
  });

  it('accepts any 2xx, members it does not know, and token names below the top', () => {
    const body = `{"more":{"access_token":"x","access_token":"y"},"s":"\\"access_token\\":","a":["access_token",{"access_token":1}],${JSON.stringify(granted).slice(1)}`;
    expect(process(answer(201, body))).toMatchObject({ accessToken: 'at-1', refreshToken: 'rt-1' });
  });

  const whole = JSON.stringify(granted);
  it.each([
    ['HTML', '<html><body>Welcome</body></html>'],
    ['nothing', ''],
    ['truncated JSON', whole.slice(0, -3)],
    ['an array', `[${whole}]`],
    ['null', 'null'],
    ['a string', '"at-1"'],
    ['no access token', { ...granted, access_token: undefined }],
    ['an empty access token', { ...granted, access_token: '' }],
    ['an access token that is a number', { ...granted, access_token: 12 }],
    ['an access token with a line break', { ...granted, access_token: 'a\r\nx-evil: 1' }],
    ['an access token with a space', { ...granted, access_token: 'a b' }],
    ['an access token beyond ASCII', { ...granted, access_token: 'tökén' }],
    ['a refresh token that is an object', { ...granted, refresh_token: {} }],
    ['a refresh token with a line break', { ...granted, refresh_token: 'a\nb' }],
    ['the token type mac', { ...granted, token_type: 'mac' }],
    ['the token type N_A', { ...granted, token_type: 'N_A' }],
    ['a token type that is a number', { ...granted, token_type: 1 }],
    ['two access tokens', whole.replace('{', '{"access_token":"at-0",')],
    ['two refresh tokens', whole.replace('{', '{"refresh_token" : "rt-0",')],
    ['two equal access tokens', whole.replace('{', '{"access_token":"at-1",')],
    ['a second access token in disguise', whole.replace('{', '{"\\u0061ccess_token":"at-0",')],
    ['more than 64 KiB', { ...granted, padding: 'x'.repeat(65_536) }],
    ['more than 64 KiB in wide characters', { ...granted, padding: '€'.repeat(22_000) }],
    ['a token of more than 64 KiB', { ...granted, access_token: 'x'.repeat(70_000) }],
  ])('refuses a 200 with %s as PROVIDER_ERROR', (_, body) => {
    const result = process(answer(200, body));
    expect(result).toMatchObject({ code: 'PROVIDER_ERROR' });
    expect(JSON.stringify(result)).not.toMatch(/at-[01]|rt-[01]/);
  });

  const html = '<html>Sorry</html>';
  it.each([
    [400, { error: 'invalid_grant' }, 'REAUTHORIZATION_REQUIRED', 'AUTHORIZATION_EXPIRED'],
    [401, { error: 'invalid_grant' }, 'REAUTHORIZATION_REQUIRED', 'AUTHORIZATION_EXPIRED'],
    [200, { ok: false, error: 'token_revoked' }, 'REAUTHORIZATION_REQUIRED', 'AUTHORIZATION_EXPIRED'],
    [400, { error: 'token_revoked' }, 'REAUTHORIZATION_REQUIRED', 'AUTHORIZATION_EXPIRED'],
    [401, { error: 'invalid_client' }, 'NOT_CONFIGURED', 'NOT_CONFIGURED'],
    [400, { error: 'invalid_client' }, 'NOT_CONFIGURED', 'NOT_CONFIGURED'],
    [400, { error: 'unauthorized_client' }, 'NOT_CONFIGURED', 'NOT_CONFIGURED'],
    [400, { error: 'invalid_request' }, 'BAD_REQUEST', 'BAD_REQUEST'],
    [400, { error: 'invalid_scope' }, 'BAD_REQUEST', 'BAD_REQUEST'],
    [400, { error: 'unsupported_grant_type' }, 'BAD_REQUEST', 'BAD_REQUEST'],
    [400, { error: 'constructor' }, 'BAD_REQUEST', 'BAD_REQUEST'],
    [400, { error: 'temporarily_unavailable' }, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [400, { error: 'server_error' }, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [400, html, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [400, '{"error":"invalid_gr', 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [400, { error: { message: 'invalid_grant' } }, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [400, { error: 'invalid_grant', padding: 'x'.repeat(65_536) }, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [401, '', 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [403, html, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [404, html, 'BAD_REQUEST', 'BAD_REQUEST'],
    [405, '', 'BAD_REQUEST', 'BAD_REQUEST'],
    [302, '', 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [408, '', 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [429, '', 'RATE_LIMITED', 'RATE_LIMITED'],
    [429, { error: 'invalid_grant' }, 'RATE_LIMITED', 'RATE_LIMITED'],
    [500, { error: 'invalid_grant' }, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [500, granted, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [502, html, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [503, { error: 'invalid_client' }, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
  ])('judges %i %j as %s for a refresh and %s for an exchange', (status, body, refresh, exchange) => {
    expect(process(answer(status, body), 'refresh')).toMatchObject({ code: refresh });
    expect(process(answer(status, body), 'exchange')).toMatchObject({ code: exchange });
  });

  it('keeps the provider’s code and request id, and none of its words', () => {
    const body = { error: 'invalid_grant', error_description: 'Incorrect token rt-canary' };
    const result = process(answer(400, body, { 'x-request-id': '1-6a2f-77', 'retry-after': '3' }));
    expect(result).toMatchObject({ providerCode: 'invalid_grant', requestId: '1-6a2f-77' });
    expect(JSON.stringify(result)).not.toContain('canary');
    const odd = process(answer(400, { error: 'Bearer rt-canary' }, { 'x-request-id': 'a b' }));
    expect(odd).toMatchObject({ code: 'BAD_REQUEST', providerCode: 'unreadable' });
    expect(odd).not.toHaveProperty('requestId');
  });

  it('reads the request id where the provider’s facts say it is', () => {
    const own = { ...facts, requestIdHeaders: ['intuit_tid'] };
    const refused = answer(400, { error: 'invalid_grant' }, { intuit_tid: '1-6a', 'x-request-id': 'a' });
    expect(process(refused, 'refresh', own)).toMatchObject({ requestId: '1-6a' });
  });

  it('never throws, whatever the body', () => {
    fc.assert(
      fc.property(fc.constantFrom(200, 400, 500), fc.oneof(fc.string(), fc.json()), (status, body) => {
        expect(process(answer(status, body))).toHaveProperty('code');
      }),
    );
  });
});

describe('processRevokeResponse', () => {
  it.each([
    [200, ''],
    [204, ''],
    [200, '<html>ok</html>'],
    [400, { error: 'invalid_grant' }],
    [400, { error: 'invalid_token' }],
    [400, ''],
    [400, { error: 'invalid_request', error_description: 'Token invalid' }],
    [400, { error: 'invalid_request', error_description: 'Incorrect or invalid refresh token' }],
    [400, { error: 'invalid_request', error_description: 'The token has already been revoked' }],
    [400, { error: 'invalid_request', error_description: 'Token not found.' }],
  ])('takes %i %j for revoked', (status, body) => {
    expect(processRevokeResponse(answer(status, body), facts)).toBe('REVOKED');
  });

  it.each([
    [400, { error: 'invalid_request', error_description: 'token is missing' }, 'BAD_REQUEST'],
    [400, { error: 'invalid_request', error_description: 'Invalid token endpoint' }, 'BAD_REQUEST'],
    [400, { error: 'unsupported_token_type' }, 'BAD_REQUEST'],
    [400, '<html>a proxy</html>', 'PROVIDER_ERROR'],
    [401, { error: 'invalid_client', error_description: 'invalid token' }, 'NOT_CONFIGURED'],
    [401, { error: 'invalid_token' }, 'BAD_REQUEST'],
    [404, '', 'BAD_REQUEST'],
    [429, { error: 'invalid_token' }, 'RATE_LIMITED'],
    [503, { error: 'invalid_token' }, 'PROVIDER_ERROR'],
  ])('takes %i %j for %s', (status, body, code) => {
    expect(processRevokeResponse(answer(status, body), facts)).toMatchObject({ code });
  });
});

describe('callbackParameters', () => {
  const state = newState(systemClock);
  const read = (query: string, own = facts) => callbackParameters(new URLSearchParams(query), own);
  const { externalIdParam: param, ...withoutParam } = facts;

  it('reads a code', () => {
    expect(read(`code=Ab%2F1&state=${state}&realmId=9130357766&iss=x`)).toEqual({
      kind: 'code',
      state,
      code: 'Ab/1',
      externalId: '9130357766',
    });
    expect(read(`code=a&state=${state}&${param!.name}=x`, withoutParam)).toMatchObject({ externalId: null });
  });

  it.each([
    ['access_denied', 'AUTHORIZATION_DENIED'],
    ['server_error', 'PROVIDER_ERROR'],
    ['temporarily_unavailable', 'PROVIDER_ERROR'],
    ['invalid_scope', 'BAD_REQUEST'],
    ['unauthorized_client', 'BAD_REQUEST'],
    ['toString', 'BAD_REQUEST'],
  ])('reads the error %s as %s', (error, code) => {
    expect(read(`error=${error}&error_description=%3Cscript%3E&state=${state}`)).toEqual({
      kind: 'error',
      state,
      code,
      providerError: error === 'toString' ? 'unreadable' : error,
    });
  });

  const code = 'code=a&realmId=1';
  it.each([
    ['no state', code],
    ['an empty state', `${code}&state=`],
    ['two equal states', `${code}&state=${state}&state=${state}`],
    ['a shorter state', `${code}&state=${state.slice(1)}`],
    ['a longer state', `${code}&state=${state}A`],
    ['SQL for a state', `${code}&state=${encodeURIComponent(`'; drop table connections; --`.padEnd(43))}`],
    ['an error and no state', 'error=access_denied'],
  ])('refuses %s without believing any state', (_, query) => {
    expect(read(query)).toEqual({ kind: 'invalid', state: undefined, reason: expect.any(String) as unknown });
  });

  it.each([
    ['two codes', `code=a&code=b&realmId=1&state=${state}`, 'twice'],
    ['two realms', `code=a&realmId=1&realmId=2&state=${state}`, 'twice'],
    ['two equal errors', `error=access_denied&error=access_denied&state=${state}`, 'twice'],
    ['a code and an error', `code=a&error=access_denied&realmId=1&state=${state}`, 'both'],
    ['neither code nor error', `realmId=1&state=${state}`, 'no usable code'],
    ['an empty code', `code=&realmId=1&state=${state}`, 'no usable code'],
    ['a code with a line break', `code=a%0Ab&realmId=1&state=${state}`, 'no usable code'],
    ['a code of 4,097 characters', `code=${'a'.repeat(4097)}&realmId=1&state=${state}`, 'no usable code'],
    ['no realm', `code=a&state=${state}`, 'no usable realmId'],
    ['an empty realm', `code=a&realmId=&state=${state}`, 'no usable realmId'],
    ['a realm that is a path', `code=a&realmId=1%2F..%2F2&state=${state}`, 'no usable realmId'],
    ['a realm of 21 digits', `code=a&realmId=${'1'.repeat(21)}&state=${state}`, 'no usable realmId'],
  ])('refuses %s, naming the state that it spends', (_, query, reason) => {
    expect(read(query)).toEqual({
      kind: 'invalid',
      state,
      reason: expect.stringContaining(reason) as unknown,
    });
  });

  it('takes answers of its issuer only, where it has one (RFC 9207)', () => {
    const issuer = 'https://auth.example';
    const from = (iss: string | undefined, issExpected?: boolean) =>
      read(`code=a&state=${state}&realmId=1${iss === undefined ? '' : `&iss=${encodeURIComponent(iss)}`}`, {
        ...{ ...facts, issuer },
        ...(issExpected !== undefined && { issExpected }),
      });
    const wrong = expect.objectContaining({ kind: 'invalid' }) as unknown;
    expect(from(issuer)).toMatchObject({ kind: 'code' });
    expect(from(issuer, true)).toMatchObject({ kind: 'code' });
    expect(from(undefined)).toMatchObject({ kind: 'code' });
    expect(from(undefined, false)).toMatchObject({ kind: 'code' });
    expect(from(undefined, true)).toEqual(wrong);
    for (const other of ['https://evil.example', '', `${issuer}/`]) expect(from(other)).toEqual(wrong);
  });

  it('takes the longest code', () => {
    expect(read(`code=${'a'.repeat(4096)}&realmId=1&state=${state}`)).toMatchObject({ kind: 'code' });
  });
});

describe('refreshDueAt', () => {
  it('falls in 75 to 80 % of any lifetime from 60 s to 30 d, whatever the jitter', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 60, max: 30 * 86_400 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 0, max: 4e12 }),
        (lifetimeSeconds, jitter, issuedAtMs) => {
          const lifetimeMs = lifetimeSeconds * 1000;
          const due = refreshDueAt(new Date(issuedAtMs), new Date(issuedAtMs + lifetimeMs), jitter)!;
          const age = (due.getTime() - issuedAtMs) / lifetimeMs;
          // Dates have whole milliseconds.
          expect(age).toBeGreaterThan(0.75 - 1 / lifetimeMs);
          expect(age).toBeLessThanOrEqual(0.8);
        },
      ),
    );
  });

  it('uses the whole width: tokens issued together are not renewed together', () => {
    const at = (jitter: number) => refreshDueAt(new Date(0), new Date(3_600_000), jitter)?.getTime();
    expect([at(0), at(0.5), at(1)]).toEqual([2_880_000, 2_790_000, 2_700_000]);
  });

  it('is never for a token without a known lifetime', () => {
    expect(refreshDueAt(new Date(0), null, 0.5)).toBeNull();
  });
});
