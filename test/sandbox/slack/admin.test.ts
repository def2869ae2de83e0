import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  mainTeamId,
  openSlack,
  otherTeamId,
  redirectUri,
  type Json,
  type SlackTest,
} from './slackSandbox.ts';

let sandbox: SlackTest;
const written: object[] = [];
beforeEach(async () => {
  written.length = 0;
  sandbox = await openSlack({ log: (line) => written.push(line) });
});
afterEach(() => sandbox.close());

const requests = async (): Promise<Json[]> => (await sandbox.admin('GET', 'requests')).json.requests;
const addFault = async (rule: object) =>
  expect((await sandbox.admin('POST', 'faults', rule)).status).toBe(201);

describe('the request log', () => {
  it('tells of Slack’s requests by workspace, and of token requests by grant', async () => {
    const { access_token: token, refresh_token } = await sandbox.install();
    await sandbox.admin('DELETE', 'requests');
    await sandbox.call('users.list', { token });
    await sandbox.refresh(refresh_token);
    await sandbox.access({ grant_type: 'my secret' });
    expect(await requests()).toMatchObject([
      { method: 'POST', path: '/slack/api/users.list', status: 200, teamId: mainTeamId },
      { path: '/slack/api/oauth.v2.access', grantType: 'refresh_token', teamId: mainTeamId },
      { path: '/slack/api/oauth.v2.access', grantType: 'other' },
    ]);
  });

  it('holds, like all else that can be read, no token, code or secret', async () => {
    const receiver = await sandbox.receive();
    const code = (await sandbox.consent({ user_scope: 'users:read' })).searchParams.get('code') ?? '';
    const tokens = (await sandbox.access({ code, redirect_uri: redirectUri })).json;
    const { clientSecret, apiUrl } = sandbox.slack;
    await fetch(`${apiUrl}/oauth.v2.access?code=${code}&client_secret=${clientSecret}`);
    await fetch(`${apiUrl}/auth.test?token=${tokens.access_token}`);
    await sandbox.refresh(tokens.refresh_token);
    await sandbox.change({ change: 'rename-team', name: 'New' });
    await receiver.next();
    await sandbox.admin('POST', 'slack/grants/revoke', { teamId: mainTeamId });
    const paths = ['requests', 'slack/grants', 'slack/deliveries', 'slack/settings', 'slack/request-url'];
    const read = await Promise.all(paths.map((path) => sandbox.admin('GET', path)));
    const page = await (await fetch(`${sandbox.url}/`)).text();
    const text = JSON.stringify([read.map(({ json }) => json), written, page, receiver.all]);
    const { access_token, refresh_token, authed_user } = tokens;
    const secrets = [access_token, refresh_token, authed_user.access_token, authed_user.refresh_token, code];
    for (const secret of [...secrets, clientSecret, sandbox.slack.signingSecret])
      expect(text).not.toContain(secret);
    expect(text).toContain('token=[redacted]');
  });
});

describe('injected faults', () => {
  it.each([
    [429, 'ratelimited'],
    [500, 'internal_error'],
    [503, 'service_unavailable'],
    [504, 'request_timeout'],
    [401, 'invalid_auth'],
  ])('speak as Slack would with status %i', async (status, error) => {
    await addFault({ status, headers: { 'retry-after': '3' } });
    const answer = await sandbox.call('team.info', {});
    expect([answer.status, answer.json]).toEqual([status, { ok: false, error }]);
    expect(answer.headers.get('retry-after')).toBe('3');
    expect(answer.headers.get('x-slack-req-id')).toMatch(/^[0-9a-f]{32}$/);
  });

  it('lose a rotated refresh token, which its grace gives back', async () => {
    const { refresh_token } = await sandbox.install();
    await addFault({ afterProcessing: true, match: { pathContains: 'oauth.v2.access' } });
    await expect(sandbox.refresh(refresh_token)).rejects.toThrow('fetch failed');
    expect((await sandbox.refresh(refresh_token)).json.ok).toBe(true);
  });

  it('cut an answer in half', async () => {
    const { access_token: token } = await sandbox.install();
    await addFault({ malformed: true });
    expect(await sandbox.call('team.info', { token })).toMatchObject({ status: 200, json: undefined });
  });
});

describe('the admin API', () => {
  it.each([
    ['PUT', 'settings', { tokenRotation: 'yes' }, 'tokenRotation'],
    ['PUT', 'settings', { speed: 1 }, 'speed'],
    ['PUT', 'settings', { events: ['everything'] }, 'events'],
    ['POST', 'grants/revoke', {}, 'teamId'],
    ['POST', 'grants/revoke', { teamId: 'T1' }, 'teamId'],
    ['POST', 'changes', { teamId: mainTeamId, change: 'dance' }, 'change'],
    [
      'POST',
      'changes',
      { teamId: mainTeamId, change: 'rename-channel', channel: 'C1', name: 'x' },
      'channel_not_found',
    ],
    [
      'POST',
      'changes',
      { teamId: mainTeamId, change: 'create-channel', name: 'Not Allowed' },
      'invalid_name',
    ],
    ['POST', 'changes', { teamId: mainTeamId, change: 'create-channel', name: 'general' }, 'name_taken'],
    ['POST', 'changes', { teamId: mainTeamId, change: 'change-user', id: 'U1', user: {} }, 'user_not_found'],
    ['PUT', 'request-url', { url: 'ftp://localhost/' }, 'url'],
    ['POST', 'delivery-rules', { signature: 'wrong' }, 'signature'],
    ['POST', 'events', { teamId: mainTeamId, event: {} }, 'event.type'],
  ])('names what is wrong in %s %s %j', async (method, path, body, name) => {
    const { status, json } = await sandbox.admin(method, `slack/${path}`, body);
    expect([status, json.error]).toEqual([400, expect.stringContaining(name)]);
  });

  it('keeps the settings that are not named, and resets them all', async () => {
    await sandbox.admin('PUT', 'slack/settings', { refreshGraceSeconds: 5, tierLimits: { tier2: 7 } });
    const { json } = await sandbox.admin('PUT', 'slack/settings', { tokenRotation: false });
    expect(json).toMatchObject({
      refreshGraceSeconds: 5,
      tokenRotation: false,
      tierLimits: { tier2: 7, tier3: 50 },
    });
    expect((await sandbox.admin('DELETE', 'slack/settings')).json).toMatchObject({
      refreshGraceSeconds: 60,
      tokenRotation: true,
      tierLimits: { tier2: 20 },
    });
  });

  it('leaves QuickBooks’ settings and grants alone', async () => {
    await sandbox.install();
    await sandbox.admin('PUT', 'slack/settings', { rateLimits: false });
    expect((await sandbox.admin('GET', 'settings')).json).toMatchObject({ rateLimits: true });
    expect((await sandbox.admin('GET', 'grants')).json).toEqual({ grants: [] });
  });

  it('lists the workspaces', async () => {
    const { workspaces } = (await sandbox.admin('GET', 'slack/workspaces')).json;
    expect(workspaces).toMatchObject([
      { id: mainTeamId, channels: 110, users: 22 },
      { id: otherTeamId, name: 'Blue Ridge Freight Partners' },
      { enterprise: { id: 'E09PACIFIC1' } },
    ]);
    expect(await (await fetch(`${sandbox.url}/`)).text()).toContain('110 channels, 22 users');
  });
});

describe('activity', () => {
  /** Everything that the app can read. */
  const picture = async (token: string) => {
    const channels = await sandbox.call('conversations.list', { token, limit: '1000' });
    const users = await sandbox.call('users.list', { token });
    return JSON.stringify([channels.json.channels, users.json.members]);
  };

  it('changes workspaces on request, and tells of each change', async () => {
    await sandbox.receive();
    const scope = 'channels:read,users:read,channels:history';
    const { access_token: token } = await sandbox.install({ scope });
    const before = await picture(token);
    const done = await sandbox.admin('POST', 'slack/activity', { teamId: mainTeamId, count: 40 });
    expect(done.json).toEqual({ changed: 40 });
    expect(await picture(token)).not.toBe(before);
    const { deliveries } = (await sandbox.admin('GET', 'slack/deliveries')).json;
    const types = new Set(deliveries.map(({ eventType }: Json) => eventType as string));
    for (const type of ['channel_created', 'channel_rename', 'channel_archive', 'team_join', 'user_change'])
      expect(types).toContain(type);
  });

  it('goes on by itself as often as the settings say', async () => {
    const { access_token: token } = await sandbox.install();
    await sandbox.admin('PUT', 'slack/settings', { activityEverySeconds: 10, rateLimits: false });
    const before = await picture(token);
    await sandbox.clock.advance(9999);
    expect(await picture(token)).toBe(before);
    await sandbox.clock.advance(300_001);
    const after = await picture(token);
    expect(after).not.toBe(before);
    await sandbox.admin('PUT', 'slack/settings', { activityEverySeconds: null });
    await sandbox.clock.advance(300_000);
    expect(await picture(token)).toBe(after);
    expect(sandbox.clock.sleeping()).toBe(0);
  });
});

it('stops waiting when it closes', async () => {
  const receiver = await sandbox.receive();
  receiver.answer = () => ({ status: 500 });
  await sandbox.install();
  await sandbox.admin('PUT', 'slack/settings', { activityEverySeconds: 10 });
  await sandbox.change({ change: 'rename-team', name: 'New' });
  await receiver.next();
  await receiver.next();
  await sandbox.close();
  await sandbox.clock.advance(0);
  expect(sandbox.clock.sleeping()).toBe(0);
  expect(written.filter((line) => 'event' in line)).toEqual([]);
});
