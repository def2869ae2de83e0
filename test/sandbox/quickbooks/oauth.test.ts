import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { startSandbox } from '../../../src/sandbox/sandbox.ts';
import { manualClock } from '../../support/manualClock.ts';
import {
  mainRealmId,
  openSandbox,
  otherRealmId,
  redirectUri,
  type TestSandbox,
} from '../../support/sandbox.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
let sandbox: TestSandbox;
const open = async (options: Parameters<typeof openSandbox>[0] = {}) =>
  (sandbox = await openSandbox(options));
afterEach(() => sandbox.close());

const refused = { error: 'invalid_grant', error_description: 'Incorrect or invalid refresh token' };
const companyInfo = `companyinfo/${mainRealmId}`;

describe('the authorization endpoint', () => {
  const ask = (fields: Record<string, string>) => {
    const query = new URLSearchParams({
      client_id: sandbox.quickbooks.clientId,
      redirect_uri: redirectUri,
      response_type: 'code',
      scope: 'com.intuit.quickbooks.accounting',
      state: 'xyz',
      ...fields,
    });
    return fetch(`${sandbox.quickbooks.authorizeUrl}?${query}`, { redirect: 'manual' });
  };

  it('offers three companies and escapes what it was given', async () => {
    await open();
    const answer = await ask({ state: '"><script>alert(1)</script>' });
    const html = await answer.text();
    expect(answer.status).toBe(200);
    expect(html.match(/type="radio"/g)).toHaveLength(3);
    expect(html).toContain('Harbor &amp; Main Transport Brokers');
    expect(html).not.toContain('<script>');
  });

  it.each([
    ['an unknown client', { client_id: 'somebody' }],
    ['a redirect to plain http elsewhere', { redirect_uri: 'http://evil.example/callback' }],
    ['a redirect that looks local', { redirect_uri: 'http://localhost.evil.example/' }],
    ['a redirect with a fragment', { redirect_uri: 'https://app.example/#x' }],
    ['a script for a redirect', { redirect_uri: 'javascript:alert(1)' }],
  ])('shows an error page, and redirects nobody, for %s', async (_case, fields) => {
    await open();
    const answer = await ask(fields);
    expect([answer.status, answer.headers.get('location')]).toEqual([400, null]);
  });

  it.each([
    ['unsupported_response_type', { response_type: 'token' }],
    ['invalid_scope', { scope: 'com.intuit.quickbooks.everything' }],
    ['invalid_request', { code_challenge: 'a'.repeat(43), code_challenge_method: 'plain' }],
    ['invalid_request', { code_challenge: 'a'.repeat(43) }],
  ])('redirects with %s for %j', async (error, fields) => {
    await open();
    const answer = await ask(fields);
    const location = new URL(answer.headers.get('location') ?? '');
    expect(answer.status).toBe(302);
    expect(location.searchParams.get('error')).toBe(error);
    expect(location.searchParams.get('state')).toBe('xyz');
  });

  it('answers a cancelled consent with access_denied, keeping the query of the redirect address', async () => {
    await open();
    const location = await sandbox.consent({
      decision: 'cancel',
      redirect_uri: 'https://app.example/cb?tenant=7',
    });
    expect(location.href).toBe('https://app.example/cb?tenant=7&error=access_denied&state=a+state');
  });
});

describe('authorization codes', () => {
  const exchange = (code: string, fields: Record<string, string> = {}) =>
    sandbox.token({ grant_type: 'authorization_code', code, redirect_uri: redirectUri, ...fields });
  const newCode = async (fields: Record<string, string> = {}) =>
    (await sandbox.consent(fields)).searchParams.get('code') ?? '';

  it('are exchanged for exactly the members that QuickBooks sends', async () => {
    await open();
    const answer = await exchange(await newCode());
    expect(answer.status).toBe(200);
    expect(Object.keys(answer.json)).toEqual([
      'token_type',
      'access_token',
      'expires_in',
      'refresh_token',
      'x_refresh_token_expires_in',
    ]);
    expect(answer.json).toMatchObject({
      token_type: 'bearer',
      expires_in: 3600,
      x_refresh_token_expires_in: 8_640_000,
    });
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(answer.headers.get('intuit_tid')).toMatch(/^[\w.:-]+$/);
  });

  it('die, with what they gave, when used twice', async () => {
    await open();
    const code = await newCode();
    const { json: tokens } = await exchange(code);
    expect((await sandbox.api(tokens.access_token, companyInfo)).status).toBe(200);
    expect(await exchange(code)).toMatchObject({ status: 400, json: { error: 'invalid_grant' } });
    expect((await sandbox.api(tokens.access_token, companyInfo)).status).toBe(401);
    expect((await sandbox.refresh(tokens.refresh_token)).json).toEqual(refused);
  });

  it('expire after five minutes', async () => {
    await open();
    const [early, late] = [await newCode(), await newCode()];
    await sandbox.clock.advance(5 * 60_000 - 1);
    expect((await exchange(early)).status).toBe(200);
    await sandbox.clock.advance(1);
    expect((await exchange(late)).json.error).toBe('invalid_grant');
  });

  it('are bound to the redirect address', async () => {
    await open();
    expect((await exchange(await newCode(), { redirect_uri: `${redirectUri}/` })).json.error).toBe(
      'invalid_grant',
    );
  });

  it('need the verifier when, and only when, a challenge was sent', async () => {
    await open();
    const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk';
    const challenge = {
      code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
      code_challenge_method: 'S256',
    };
    expect((await exchange(await newCode(challenge), { code_verifier: verifier })).status).toBe(200);
    expect((await exchange(await newCode(challenge))).json.error).toBe('invalid_grant');
    expect((await exchange(await newCode(challenge), { code_verifier: `${verifier}x` })).json.error).toBe(
      'invalid_grant',
    );
    expect((await exchange(await newCode())).status).toBe(200);
  });
});

describe('client authentication', () => {
  const encoded = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

  it('takes Basic with form-encoded parts, or both in the body', async () => {
    await open();
    const { refresh_token } = await sandbox.connect();
    const { clientId, clientSecret } = sandbox.quickbooks;
    const fields = { grant_type: 'refresh_token', refresh_token };
    const escaped = encoded(`${clientId}:${clientSecret.replaceAll('-', '%2D')}`);
    expect((await sandbox.token(fields, { authorization: escaped })).status).toBe(200);
    const inBody = { ...fields, client_id: clientId, client_secret: clientSecret };
    expect((await sandbox.token(inBody, { authorization: '' })).status).toBe(200);
    expect((await sandbox.token(inBody)).json.error).toBe('invalid_request');
  });

  it.each(['', 'Basic !!!', encoded('nobody:nothing'), encoded('no colon')])(
    'refuses %j with 401',
    async (authorization) => {
      await open();
      const { refresh_token } = await sandbox.connect();
      const answer = await sandbox.token({ grant_type: 'refresh_token', refresh_token }, { authorization });
      expect([answer.status, answer.json.error]).toEqual([401, 'invalid_client']);
      expect(answer.headers.get('www-authenticate')).toContain('Basic');
    },
  );

  it('names what is wrong with a request', async () => {
    await open();
    expect((await sandbox.token({ grant_type: 'password' })).json.error).toBe('unsupported_grant_type');
    expect((await sandbox.token({})).json.error).toBe('invalid_request');
    expect((await sandbox.token({ grant_type: 'refresh_token' })).json.error).toBe('invalid_request');
    const json = await sandbox.token({ grant_type: 'refresh_token' }, { 'content-type': 'application/json' });
    expect(json.json.error).toBe('invalid_request');
  });
});

describe('a refresh', () => {
  it('in stable-24h gives the same token within a day, then a new one, the old one for another day', async () => {
    await open();
    const { refresh_token: first } = await sandbox.connect();
    await sandbox.clock.advance(dayMs - 1);
    expect((await sandbox.refresh(first)).json).toMatchObject({
      refresh_token: first,
      x_refresh_token_expires_in: 8_640_000,
    });
    await sandbox.clock.advance(1);
    const { refresh_token: second } = (await sandbox.refresh(first)).json;
    expect(second).not.toBe(first);
    await sandbox.clock.advance(dayMs - 1);
    const { refresh_token: third } = (await sandbox.refresh(first)).json;
    expect([first, second]).not.toContain(third);
    await sandbox.clock.advance(1);
    expect((await sandbox.refresh(first)).json).toEqual(refused);
    expect((await sandbox.refresh(third)).status).toBe(200);
  });

  it('in rotate-always-strict refuses the old token at once and leaves the grant alive', async () => {
    await open({ settings: { refreshMode: 'rotate-always-strict' } });
    const { refresh_token: first } = await sandbox.connect();
    const { refresh_token: second, access_token } = (await sandbox.refresh(first)).json;
    expect(second).not.toBe(first);
    expect((await sandbox.refresh(first)).json).toEqual(refused);
    expect((await sandbox.api(access_token, companyInfo)).status).toBe(200);
    expect((await sandbox.refresh(second)).status).toBe(200);
  });

  it('in rotate-with-grace accepts the old token for the grace', async () => {
    await open({ settings: { refreshMode: 'rotate-with-grace', graceSeconds: 30 } });
    const { refresh_token: first } = await sandbox.connect();
    await sandbox.refresh(first);
    await sandbox.clock.advance(29_999);
    const again = await sandbox.refresh(first);
    expect(again.status).toBe(200);
    await sandbox.clock.advance(1);
    expect((await sandbox.refresh(first)).json).toEqual(refused);
    expect((await sandbox.refresh(again.json.refresh_token)).status).toBe(200);
  });

  it('in reuse-kills-grant ends everything when an old token comes back', async () => {
    await open({ settings: { refreshMode: 'reuse-kills-grant' } });
    const { refresh_token: first } = await sandbox.connect();
    const [one, two] = await Promise.all([sandbox.refresh(first), sandbox.refresh(first)]);
    expect([one, two].filter(({ status }) => status === 200)).toHaveLength(1);
    const winner = one.status === 200 ? one : two;
    expect((await sandbox.refresh(winner.json.refresh_token)).json).toEqual(refused);
    expect((await sandbox.api(winner.json.access_token, companyInfo)).status).toBe(401);
  });

  it('in hard-expired is always refused', async () => {
    await open();
    const { refresh_token } = await sandbox.connect();
    await sandbox.admin('PUT', 'settings', { refreshMode: 'hard-expired' });
    expect((await sandbox.refresh(refresh_token)).json).toEqual(refused);
  });

  it('rolls the hundred days on, but never past five years from consent', async () => {
    await open({ settings: { refreshTokenLifetimeSeconds: 1000, hardLifetimeSeconds: 1500 } });
    const { refresh_token } = await sandbox.connect();
    await sandbox.clock.advance(900_000);
    const header = { 'x-include-refresh-token-hard-expires-in': 'true' };
    const answer = await sandbox.token({ grant_type: 'refresh_token', refresh_token }, header);
    expect(answer.json).toMatchObject({
      x_refresh_token_expires_in: 600,
      x_refresh_token_hard_expires_in: 600,
    });
    await sandbox.clock.advance(600_000);
    expect((await sandbox.refresh(refresh_token)).json).toEqual(refused);
  });

  it('dies when it is not used in time', async () => {
    await open();
    const { refresh_token } = await sandbox.connect();
    await sandbox.clock.advance(100 * dayMs);
    expect((await sandbox.refresh(refresh_token)).json).toEqual(refused);
  });

  it('can come without a refresh token, with a scope and with another lifetime', async () => {
    await open({
      settings: { omitRefreshToken: true, tokenScope: 'openid', accessTokenLifetimeSeconds: 60 },
    });
    const { refresh_token } = await sandbox.connect();
    const { json } = await sandbox.refresh(refresh_token);
    expect('refresh_token' in json).toBe(false);
    expect(json).toMatchObject({ scope: 'openid', expires_in: 60 });
    await sandbox.clock.advance(2 * dayMs);
    expect((await sandbox.refresh(refresh_token)).status).toBe(200);
    await sandbox.clock.advance(60_000);
    expect((await sandbox.api(json.access_token, companyInfo)).status).toBe(401);
  });
});

describe('the end of a grant', () => {
  const revoke = async (body: string, type: string, authorized = true) => {
    const { revokeUrl, clientId, clientSecret } = sandbox.quickbooks;
    const authorization = `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`;
    const headers = { 'content-type': type, ...(authorized && { authorization }) };
    const answer = await fetch(revokeUrl, { method: 'POST', body, headers });
    return [answer.status, await answer.text()] as const;
  };

  it.each(['access_token', 'refresh_token'] as const)(
    'comes with the revocation of its %s, as JSON or as a form',
    async (name) => {
      await open();
      for (const type of ['application/json', 'application/x-www-form-urlencoded']) {
        const tokens = await sandbox.connect();
        const token = tokens[name];
        const body =
          type === 'application/json' ? JSON.stringify({ token }) : String(new URLSearchParams({ token }));
        expect((await revoke(body, type, false))[0]).toBe(401);
        expect(await revoke(body, type)).toEqual([200, '']);
        expect((await revoke(body, type))[0]).toBe(400);
        expect((await sandbox.refresh(tokens.refresh_token)).json).toEqual(refused);
        expect((await sandbox.api(tokens.access_token, companyInfo)).status).toBe(401);
      }
    },
  );

  it('is refused with 400 for a token that nobody knows', async () => {
    await open();
    expect((await revoke(JSON.stringify({ token: 'unknown' }), 'application/json'))[0]).toBe(400);
    expect((await revoke('{"tok', 'application/json'))[0]).toBe(400);
  });

  it('by the user in QuickBooks shows as 3100 and invalid_grant, for that company only', async () => {
    await open();
    const tokens = await sandbox.connect();
    const other = await sandbox.connect({ realmId: otherRealmId });
    const revoked = await sandbox.admin('POST', 'grants/revoke', { realmId: mainRealmId });
    expect(revoked.json).toEqual({ revoked: 1 });
    const answer = await sandbox.api(tokens.access_token, companyInfo);
    expect([answer.status, answer.at('fault.error.0.code')]).toEqual([403, '3100']);
    expect((await sandbox.refresh(tokens.refresh_token)).json).toEqual(refused);
    expect((await sandbox.refresh(other.refresh_token)).status).toBe(200);
  });
});

describe('the state file', () => {
  it('carries grants, codes and changed records over a restart, without a token in it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sandbox-'));
    const stateFile = join(folder, 'deeper', 'sandbox.json');
    const clock = manualClock(Date.UTC(2026, 0, 5, 23));
    try {
      await open({ stateFile, clock });
      const tokens = await sandbox.connect();
      const code = (await sandbox.consent()).searchParams.get('code') ?? '';
      const made = await sandbox.post(tokens.access_token, 'customer', { DisplayName: 'Tomorrow Foods' });
      const invoices = await sandbox.api(tokens.access_token, 'query?query=select * from Invoice');
      await sandbox.close();

      const text = readFileSync(stateFile, 'utf8');
      for (const secret of [tokens.access_token, tokens.refresh_token, code])
        expect(text).not.toContain(secret);
      expect(text).toContain(createHash('sha256').update(tokens.refresh_token).digest('hex'));
      expect(statSync(stateFile).mode & 0o777).toBe(0o600);

      await clock.advance(2 * hourMs);
      await open({ stateFile, clock });
      expect((await sandbox.api(tokens.access_token, companyInfo)).status).toBe(401);
      const renewed = await sandbox.refresh(tokens.refresh_token);
      expect(renewed.status).toBe(200);
      const found = await sandbox.api(
        renewed.json.access_token,
        `customer/${String(made.at('Customer.Id'))}`,
      );
      expect(made.at('Customer.DisplayName')).toBe('Tomorrow Foods');
      expect(found.at('Customer')).toEqual(made.at('Customer'));
      const again = await sandbox.api(renewed.json.access_token, 'query?query=select * from Invoice');
      expect(invoices.at('QueryResponse.maxResults')).toBe(60);
      expect(again.at('QueryResponse')).toEqual(invoices.at('QueryResponse'));
      const late = await sandbox.token({ grant_type: 'authorization_code', code, redirect_uri: redirectUri });
      expect(late.json.error_description).toBe('Authorization code has expired');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('stops the start, by name, when it is damaged', async () => {
    await open();
    const folder = mkdtempSync(join(tmpdir(), 'sandbox-'));
    const stateFile = join(folder, 'sandbox.json');
    try {
      for (const text of ['{"quick', '[]', '{"quickbooks":{"grants":1}}']) {
        writeFileSync(stateFile, text);
        await expect(startSandbox({ port: 0, clock: manualClock(), stateFile })).rejects.toThrow(stateFile);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
