import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { startSandbox } from '../../../src/sandbox/sandbox.ts';
import { manualClock } from '../../support/manualClock.ts';
import {
  enterpriseTeamId,
  mainTeamId,
  openSlack,
  otherTeamId,
  readScopes,
  redirectUri,
  type Json,
  type SlackTest,
} from './slackSandbox.ts';

const hourMs = 3_600_000;
let sandbox: SlackTest;
const open = async (settings: Record<string, unknown> = {}) => {
  sandbox = await openSlack({ settings });
};
afterEach(() => sandbox.close());

const errorOf = async (token: string) => (await sandbox.call('auth.test', { token })).json.error as unknown;
const newCode = async (fields: Record<string, string> = {}) =>
  (await sandbox.consent(fields)).searchParams.get('code') ?? '';
const exchange = async (code: string, fields: Record<string, string> = {}) =>
  (await sandbox.access({ code, redirect_uri: redirectUri, ...fields })).json;

describe('the authorization page', () => {
  beforeEach(() => open());
  const ask = (fields: Record<string, string> = {}) => {
    const query = new URLSearchParams({
      client_id: sandbox.slack.clientId,
      scope: readScopes,
      redirect_uri: redirectUri,
      state: 'xyz',
      ...fields,
    });
    return fetch(`${sandbox.slack.authorizeUrl}?${query}`, { redirect: 'manual' });
  };

  it('offers the workspaces, names each scope and escapes what it was given', async () => {
    const answer = await ask({ user_scope: 'search:read', state: '"><script>alert(1)</script>' });
    const html = await answer.text();
    expect(answer.status).toBe(200);
    expect(html.match(/type="radio"/g)).toHaveLength(3);
    expect(html).toContain('Harbor &amp; Main Transport Brokers');
    for (const scope of ['channels:read', 'team:read', 'users:read', 'search:read'])
      expect(html).toContain(`<code>${scope}</code>`);
    expect(html).not.toContain('<script>');
  });

  it('has chosen the workspace that `team` names', async () => {
    const html = await (await ask({ team: otherTeamId })).text();
    expect(html.match(/value="(\w+)" checked/)?.[1]).toBe(otherTeamId);
  });

  it.each([
    ['an unknown app', { client_id: '1.2' }, 'invalid_client_id'],
    ['no address', { redirect_uri: '' }, 'bad_redirect_uri'],
    ['a redirect to plain http elsewhere', { redirect_uri: 'http://evil.example/' }, 'bad_redirect_uri'],
    ['a redirect that looks local', { redirect_uri: 'http://localhost.evil.example/' }, 'bad_redirect_uri'],
    ['a redirect with a fragment', { redirect_uri: 'https://app.example/#x' }, 'bad_redirect_uri'],
    ['a script for a redirect', { redirect_uri: 'javascript:alert(1)' }, 'bad_redirect_uri'],
    ['no scopes', { scope: '' }, 'invalid_scope'],
    ['an unknown scope', { scope: 'channels:read,everything' }, 'everything'],
    ['scopes parted by spaces', { scope: 'channels:read users:read' }, 'channels:read users:read'],
    ['a user scope for the bot', { scope: 'search:read' }, 'search:read'],
    ['a plain code challenge', { code_challenge: 'a'.repeat(43), code_challenge_method: 'plain' }, 'S256'],
  ])('shows what is wrong, and redirects nobody, for %s', async (_case, fields, words) => {
    const answer = await ask(fields);
    expect([answer.status, answer.headers.get('location')]).toEqual([400, null]);
    expect(await answer.text()).toContain(words);
  });

  it('sends a refusal back, keeping the query of the address', async () => {
    const location = await sandbox.consent({
      decision: 'cancel',
      redirect_uri: 'https://app.example/cb?tenant=7',
    });
    expect(location.href).toBe('https://app.example/cb?tenant=7&error=access_denied&state=a+state');
  });
});

describe('oauth.v2.access with a code', () => {
  it('answers with exactly the members that Slack sends, with rotation', async () => {
    await open();
    const answer = await sandbox.access({ code: await newCode(), redirect_uri: redirectUri });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(answer.json).toEqual({
      ok: true,
      app_id: expect.stringMatching(/^A\w+$/) as unknown,
      authed_user: { id: expect.stringMatching(/^U\w+$/) as unknown },
      scope: readScopes,
      token_type: 'bot',
      access_token: expect.stringMatching(/^xoxe\.xoxb-1-\w{100,}$/) as unknown,
      refresh_token: expect.stringMatching(/^xoxe-1-\w{100,}$/) as unknown,
      expires_in: 43_200,
      bot_user_id: expect.stringMatching(/^U\w+$/) as unknown,
      team: { id: mainTeamId, name: 'Prairie Gateway Logistics' },
      enterprise: null,
      is_enterprise_install: false,
    });
  });

  it('gives tokens without an end where rotation is off', async () => {
    await open({ tokenRotation: false });
    const tokens = await sandbox.install();
    expect(tokens.access_token).toMatch(/^xoxb-\d+-\d+-\w{24}$/);
    expect(tokens).not.toHaveProperty('refresh_token');
    expect(tokens).not.toHaveProperty('expires_in');
    await sandbox.clock.advance(10_000 * hourMs);
    expect(await errorOf(tokens.access_token)).toBeUndefined();
  });

  it('puts a user’s token below authed_user, with a line of its own', async () => {
    await open();
    const tokens = await sandbox.install({ user_scope: 'channels:read,search:read' });
    expect(tokens.authed_user).toMatchObject({
      scope: 'channels:read,search:read',
      token_type: 'user',
      access_token: expect.stringMatching(/^xoxe\.xoxp-1-/) as unknown,
      expires_in: 43_200,
    });
    const { json } = await sandbox.refresh(tokens.authed_user.refresh_token);
    expect(json).toMatchObject({ ok: true, token_type: 'user', scope: 'channels:read,search:read' });
    expect(json).not.toHaveProperty('bot_user_id');
    expect(await errorOf(tokens.access_token)).toBeUndefined();
  });

  it('has no token at the top where only user scopes were asked for', async () => {
    await open();
    const tokens = await sandbox.install({ scope: '', user_scope: 'users:read' });
    expect(tokens).not.toHaveProperty('access_token');
    const { json } = await sandbox.call('auth.test', { token: tokens.authed_user.access_token });
    expect(json).toMatchObject({ ok: true, user_id: tokens.authed_user.id, user: 'dana.broker' });
    expect(json).not.toHaveProperty('bot_id');
    const { members } = (await sandbox.call('users.list', { token: tokens.authed_user.access_token })).json;
    expect(members.some(({ is_bot }: Json) => is_bot)).toBe(false);
  });

  it('names the organization that a workspace belongs to', async () => {
    await open();
    const tokens = await sandbox.install({ team: enterpriseTeamId });
    const enterprise = { id: 'E09PACIFIC1', name: 'Pacific Brokerage Group' };
    expect(tokens).toMatchObject({ enterprise, is_enterprise_install: false });
    const { json } = await sandbox.call('auth.test', { token: tokens.access_token });
    expect(json.enterprise_id).toBe(enterprise.id);
  });

  it('takes the client’s credentials by Basic, in a form and in JSON', async () => {
    await open();
    const { clientId: client_id, clientSecret: client_secret, tokenUrl } = sandbox.slack;
    const fields = async () => ({
      client_id,
      client_secret,
      code: await newCode(),
      redirect_uri: redirectUri,
    });
    const form = await fetch(tokenUrl, { method: 'POST', body: new URLSearchParams(await fields()) });
    expect(await form.json()).toMatchObject({ ok: true });
    const headers = { 'content-type': 'application/json; charset=utf-8' };
    const json = await fetch(tokenUrl, { method: 'POST', headers, body: JSON.stringify(await fields()) });
    expect(await json.json()).toMatchObject({ ok: true });
    expect(await exchange(await newCode())).toMatchObject({ ok: true });
  });

  it.each([
    ['invalid_client_id', { client_id: 'x' }],
    ['bad_client_secret', { client_secret: 'x' }],
    ['invalid_grant_type', { grant_type: 'password' }],
    ['invalid_code', { code: 'x' }],
    ['invalid_code', { code: '' }],
    ['bad_redirect_uri', { redirect_uri: `${redirectUri}/` }],
    ['bad_redirect_uri', { redirect_uri: '' }],
    ['invalid_refresh_token', { grant_type: 'refresh_token', refresh_token: 'xoxe-1-x' }],
    ['invalid_refresh_token', { grant_type: 'refresh_token' }],
  ])('refuses with %s, by HTTP 200, for %j', async (error, fields) => {
    await open();
    const { clientId: client_id, clientSecret: client_secret, tokenUrl } = sandbox.slack;
    const right = { client_id, client_secret, code: await newCode(), redirect_uri: redirectUri };
    const body = new URLSearchParams({ ...right, ...fields });
    const answer = await fetch(tokenUrl, { method: 'POST', body });
    expect([answer.status, await answer.json()]).toEqual([200, { ok: false, error }]);
  });

  it('takes a code once, within ten minutes', async () => {
    await open();
    const [used, early, late] = [await newCode(), await newCode(), await newCode()];
    const { access_token } = await exchange(used);
    expect(await exchange(used)).toEqual({ ok: false, error: 'code_already_used' });
    expect(await errorOf(access_token)).toBeUndefined();
    await sandbox.clock.advance(10 * 60_000 - 1);
    expect((await exchange(early)).ok).toBe(true);
    await sandbox.clock.advance(1);
    expect(await exchange(late)).toEqual({ ok: false, error: 'invalid_code' });
  });

  it('needs the verifier when, and only when, a challenge was sent', async () => {
    await open();
    const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk';
    const challenge = {
      code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
      code_challenge_method: 'S256',
    };
    expect((await exchange(await newCode(challenge))).error).toBe('invalid_code');
    expect((await exchange(await newCode(challenge), { code_verifier: `${verifier}x` })).error).toBe(
      'invalid_code',
    );
    expect((await exchange(await newCode(challenge), { code_verifier: verifier })).ok).toBe(true);
    expect((await exchange(await newCode())).ok).toBe(true);
  });
});

describe('token rotation', () => {
  it('answers a refresh with exactly the members that Slack sends', async () => {
    await open();
    const before = await sandbox.install();
    const { status, json } = await sandbox.refresh(before.refresh_token);
    expect(status).toBe(200);
    expect(Object.keys(json).sort()).toEqual(
      [
        'ok',
        'app_id',
        'access_token',
        'refresh_token',
        'expires_in',
        'token_type',
        'scope',
        'bot_user_id',
        'team',
        'enterprise',
        'is_enterprise_install',
      ].sort(),
    );
    expect(json.access_token).not.toBe(before.access_token);
    expect(json.refresh_token).not.toBe(before.refresh_token);
    expect(await errorOf(before.access_token)).toBeUndefined();
    expect(await errorOf(json.access_token)).toBeUndefined();
  });

  it('expires access tokens after twelve hours', async () => {
    await open();
    const { access_token } = await sandbox.install();
    await sandbox.clock.advance(12 * hourMs - 1);
    expect(await errorOf(access_token)).toBeUndefined();
    await sandbox.clock.advance(1);
    expect(await errorOf(access_token)).toBe('token_expired');
  });

  it('takes a refresh token once, and again within the grace', async () => {
    await open({ refreshGraceSeconds: 30 });
    const { refresh_token } = await sandbox.install();
    const first = (await sandbox.refresh(refresh_token)).json;
    await sandbox.clock.advance(29_999);
    const second = (await sandbox.refresh(refresh_token)).json;
    expect(second.ok).toBe(true);
    await sandbox.clock.advance(1);
    expect((await sandbox.refresh(refresh_token)).json).toEqual({
      ok: false,
      error: 'invalid_refresh_token',
    });
    // Both successors are good: whoever lost an answer goes on with the other.
    expect((await sandbox.refresh(first.refresh_token)).json.ok).toBe(true);
    expect((await sandbox.refresh(second.refresh_token)).json.ok).toBe(true);
  });

  it('can be strict', async () => {
    await open({ refreshGraceSeconds: 0 });
    const { refresh_token } = await sandbox.install();
    expect((await sandbox.refresh(refresh_token)).json.ok).toBe(true);
    expect((await sandbox.refresh(refresh_token)).json.error).toBe('invalid_refresh_token');
  });

  it('leaves two access tokens of a line in force', async () => {
    await open();
    const tokens: Json[] = [await sandbox.install({ user_scope: 'users:read' })];
    for (let count = 0; count < 3; count += 1)
      tokens.push((await sandbox.refresh(tokens.at(-1).refresh_token)).json);
    const errors = await Promise.all(tokens.map(({ access_token }) => errorOf(access_token)));
    expect(errors).toEqual(['token_revoked', 'token_revoked', undefined, undefined]);
    expect(await errorOf(tokens[0].authed_user.access_token)).toBeUndefined();
  });

  it('lets fifty concurrent refreshes through', async () => {
    await open();
    const { refresh_token } = await sandbox.install();
    const answers = await Promise.all(Array.from({ length: 50 }, () => sandbox.refresh(refresh_token)));
    expect(answers.every(({ json }) => json.ok)).toBe(true);
    const errors = await Promise.all(answers.map(({ json }) => errorOf(json.access_token)));
    expect(errors.filter((error) => error === undefined)).toHaveLength(2);
  });
});

describe('an app installed again', () => {
  it('has the scopes of both times, in tokens old and new', async () => {
    await open();
    const first = await sandbox.install({ scope: 'channels:read' });
    const second = await sandbox.install({ scope: 'users:read' });
    expect(second.scope).toBe('channels:read,users:read');
    const { headers } = await sandbox.call('users.list', { token: first.access_token });
    expect(headers.get('x-oauth-scopes')).toBe('channels:read,users:read');
  });

  it('goes on with the token line that it has', async () => {
    await open();
    const tokens = [await sandbox.install(), await sandbox.install(), await sandbox.install()];
    const errors = await Promise.all(tokens.map(({ access_token }) => errorOf(access_token)));
    expect(errors).toEqual(['token_revoked', undefined, undefined]);
  });

  it('can begin a line of its own, and ends with the others', async () => {
    await open({ reinstall: 'own-line' });
    const tokens = [await sandbox.install(), await sandbox.install(), await sandbox.install()];
    const errors = () => Promise.all(tokens.map(({ access_token }) => errorOf(access_token)));
    expect(await errors()).toEqual([undefined, undefined, undefined]);
    await sandbox.admin('POST', 'slack/grants/revoke', { teamId: mainTeamId });
    expect(await errors()).toEqual(['account_inactive', 'account_inactive', 'account_inactive']);
  });
});

describe('auth.revoke', () => {
  it('ends one token where tokens rotate, and the app stays', async () => {
    await open();
    const { access_token: token, refresh_token } = await sandbox.install();
    expect((await sandbox.call('auth.revoke', { token })).json).toEqual({ ok: true, revoked: true });
    expect(await errorOf(token)).toBe('token_revoked');
    const renewed = (await sandbox.refresh(refresh_token)).json;
    expect(await errorOf(renewed.access_token)).toBeUndefined();
  });

  it('ends the authorization where they do not', async () => {
    await open({ tokenRotation: false });
    const { access_token: token } = await sandbox.install();
    expect((await sandbox.call('auth.revoke', { token })).json.revoked).toBe(true);
    expect(await errorOf(token)).toBe('account_inactive');
    const { grants } = (await sandbox.admin('GET', 'slack/grants')).json;
    expect(grants).toMatchObject([{ teamId: mainTeamId, endedBy: 'app' }]);
  });

  it.each(['1', 'true'])('ends nothing with test=%s', async (test) => {
    await open();
    const { access_token: token } = await sandbox.install();
    expect((await sandbox.call('auth.revoke', { token, test })).json).toEqual({ ok: true, revoked: false });
    expect(await errorOf(token)).toBeUndefined();
  });
});

describe('apps.uninstall', () => {
  const uninstall = (token: string, fields: Record<string, string> = {}) => {
    const { clientId: client_id, clientSecret: client_secret } = sandbox.slack;
    return sandbox.call('apps.uninstall', { token, client_id, client_secret, ...fields });
  };

  it('ends all tokens of the workspace, and no others', async () => {
    await open();
    const tokens = await sandbox.install({ user_scope: 'users:read' });
    const other = await sandbox.install({ team: otherTeamId });
    expect((await uninstall(tokens.access_token)).json).toEqual({ ok: true });
    expect(await errorOf(tokens.access_token)).toBe('account_inactive');
    expect(await errorOf(tokens.authed_user.access_token)).toBe('token_revoked');
    expect((await sandbox.refresh(tokens.refresh_token)).json.error).toBe('invalid_refresh_token');
    expect(await errorOf(other.access_token)).toBeUndefined();
    expect((await uninstall(tokens.access_token)).json.error).toBe('account_inactive');
  });

  it('leaves a bot user that is deactivated until the app comes back', async () => {
    await open({ rateLimits: false });
    const tokens = await sandbox.install({ user_scope: 'users:read' });
    await uninstall(tokens.access_token);
    const again = await sandbox.install();
    expect(again.bot_user_id).toBe(tokens.bot_user_id);
    const bot = await sandbox.call('users.info', { token: again.access_token, user: again.bot_user_id });
    expect(bot.json.user).toMatchObject({ is_bot: true, deleted: false, name: 'freight_desk_sync' });
    expect(await errorOf(tokens.access_token)).toBe('account_inactive');
  });

  it.each([
    ['invalid_client_id', { client_id: 'x' }],
    ['bad_client_secret', { client_secret: 'x' }],
    ['invalid_arguments', { client_secret: '' }],
  ])('refuses with %s for %j', async (error, fields) => {
    await open();
    const { access_token } = await sandbox.install();
    expect((await uninstall(access_token, fields)).json).toMatchObject({ ok: false, error });
    expect(await errorOf(access_token)).toBeUndefined();
  });
});

describe('the admin routes for tokens', () => {
  it('expire access tokens of one workspace or of all', async () => {
    await open();
    const [main, other] = [await sandbox.install(), await sandbox.install({ team: otherTeamId })];
    const expire = async (body: object) =>
      (await sandbox.admin('POST', 'slack/access-tokens/expire', body)).json.expired as unknown;
    expect(await expire({ teamId: mainTeamId })).toBe(1);
    expect([await errorOf(main.access_token), await errorOf(other.access_token)]).toEqual([
      'token_expired',
      undefined,
    ]);
    expect((await sandbox.refresh(main.refresh_token)).json.ok).toBe(true);
    expect(await expire({})).toBe(2);
  });

  it('revoke the tokens of a user, and uninstall the app with the last', async () => {
    await open();
    const tokens = await sandbox.install({ user_scope: 'users:read' });
    const revoke = async (userId?: string) =>
      (await sandbox.admin('POST', 'slack/tokens/revoke', { teamId: mainTeamId, userId })).json
        .revoked as unknown;
    expect(await revoke(tokens.authed_user.id)).toBe(1);
    expect(await errorOf(tokens.authed_user.access_token)).toBe('token_revoked');
    expect(await errorOf(tokens.access_token)).toBeUndefined();
    expect([await revoke(), await revoke()]).toEqual([1, 0]);
    expect(await errorOf(tokens.access_token)).toBe('account_inactive');
  });
});

describe('the state file', () => {
  let directory: string;
  let stateFile: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'slack-sandbox-'));
    stateFile = join(directory, 'sandbox.json');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('keeps installations, changes and the request URL over a restart, and no token', async () => {
    const clock = manualClock();
    sandbox = await openSlack({ clock, stateFile });
    const receiver = await sandbox.receive();
    const code = await newCode();
    const tokens = await sandbox.install({ user_scope: 'users:read' });
    await sandbox.refresh(tokens.refresh_token);
    const made = await sandbox.change({ change: 'create-channel', name: 'kept' });
    const before = (
      await sandbox.call('conversations.info', { token: tokens.access_token, channel: made.id })
    ).json;
    await sandbox.close();

    const text = readFileSync(stateFile, 'utf8');
    const secrets = [code, tokens.access_token, tokens.refresh_token, tokens.authed_user.access_token];
    for (const secret of secrets) expect(text).not.toContain(secret);
    expect(statSync(stateFile).mode & 0o777).toBe(0o600);

    await clock.advance(30_000);
    sandbox = await openSlack({ clock, stateFile });
    expect(
      (await sandbox.call('conversations.info', { token: tokens.access_token, channel: made.id })).json,
    ).toEqual(before);
    expect((await exchange(code)).ok).toBe(true);
    // Still in its grace, which began before the restart.
    expect((await sandbox.refresh(tokens.refresh_token)).json.ok).toBe(true);
    await clock.advance(30_000);
    expect((await sandbox.refresh(tokens.refresh_token)).json.error).toBe('invalid_refresh_token');
    expect((await sandbox.admin('GET', 'slack/request-url')).json).toEqual({ url: receiver.url });
    expect((await sandbox.change({ change: 'create-channel', name: 'later' })).id > made.id).toBe(true);
  });

  it('stops the start when it holds something else', async () => {
    await open();
    writeFileSync(stateFile, '{"slack":{"seededAt":"yesterday"}}');
    await expect(startSandbox({ port: 0, clock: systemClock, stateFile })).rejects.toThrow(stateFile);
  });
});
