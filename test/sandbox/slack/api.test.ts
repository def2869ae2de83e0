import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  enterpriseTeamId,
  mainTeamId,
  openSlack,
  readScopes,
  type Json,
  type SlackAnswer,
  type SlackTest,
} from './slackSandbox.ts';

const allScopes =
  'channels:read,groups:read,im:read,mpim:read,users:read,users:read.email,team:read,chat:write,channels:history,groups:history';
let sandbox: SlackTest;
let token: string;
let botUserId: string;
const install = async (fields: Record<string, string>) => {
  const tokens = await sandbox.install(fields);
  return { token: tokens.access_token as string, userId: tokens.bot_user_id as string };
};
beforeEach(async () => {
  sandbox = await openSlack({ settings: { rateLimits: false } });
  ({ token, userId: botUserId } = await install({ scope: allScopes }));
});
afterEach(() => sandbox.close());

const call = async (method: string, fields: Record<string, string> = {}) =>
  (await sandbox.call(method, { token, ...fields })).json;
const send = async (method: string, init: RequestInit, query = ''): Promise<SlackAnswer> => {
  const response = await fetch(`${sandbox.slack.apiUrl}/${method}${query}`, init);
  return { status: response.status, headers: response.headers, json: (await response.json()) as Json };
};
const bearer = () => ({ authorization: `Bearer ${token}` });
const channelNamed = async (name: string): Promise<Json> => {
  const { channels } = await call('conversations.list', {
    limit: '1000',
    types: 'public_channel,private_channel',
  });
  return channels.find((one: Json) => one.name === name);
};

describe('a call', () => {
  it('answers with Slack’s headers', async () => {
    const { status, headers } = await sandbox.call('team.info', { token });
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(headers.get('x-slack-req-id')).toMatch(/^[0-9a-f]{32}$/);
    expect(headers.get('x-oauth-scopes')).toBe(allScopes);
    expect(headers.get('x-accepted-oauth-scopes')).toBe('team:read');
    expect(headers.get('cache-control')).toContain('no-store');
  });

  it('has its refusals, too, with HTTP 200 and a request id', async () => {
    const { status, headers, json } = await sandbox.call('users.info', { token, user: 'U1' });
    expect([status, json]).toEqual([200, { ok: false, error: 'user_not_found' }]);
    expect(headers.get('x-slack-req-id')).toMatch(/^[0-9a-f]{32}$/);
    expect(headers.get('x-oauth-scopes')).toBe(allScopes);
  });

  it.each([
    ['no token', {}, 'not_authed'],
    ['an unknown one', { authorization: 'Bearer xoxb-1-2-3' }, 'invalid_auth'],
    ['another scheme', { authorization: 'Basic eHg6eXk=' }, 'not_authed'],
  ])('with %s is refused', async (_case, headers, error) => {
    expect((await send('auth.test', { method: 'POST', headers })).json).toEqual({ ok: false, error });
  });

  it('takes its token in the form, and not in the query', async () => {
    const body = new URLSearchParams({ token });
    expect((await send('auth.test', { method: 'POST', body })).json.ok).toBe(true);
    expect((await send('auth.test', { method: 'GET' }, `?token=${token}`)).json.error).toBe('not_authed');
  });

  it('takes arguments by GET, form and multipart form', async () => {
    const { id } = await channelNamed('dispatch');
    const query = `?channel=${id}`;
    const multipart = new FormData();
    multipart.append('channel', id);
    const answers = [
      await send('conversations.info', { headers: bearer() }, query),
      await send('conversations.info', { method: 'POST', headers: bearer() }, query),
      await send('conversations.info', { method: 'POST', headers: bearer(), body: multipart }),
    ];
    expect(answers.map(({ json }) => json.channel?.name)).toEqual(['dispatch', 'dispatch', 'dispatch']);
  });

  it('has JSON bodies passed over by methods that only read', async () => {
    const { id } = await channelNamed('dispatch');
    const headers = { ...bearer(), 'content-type': 'application/json; charset=utf-8' };
    const init = { method: 'POST', headers, body: JSON.stringify({ channel: id }) };
    expect((await send('conversations.info', init)).json).toEqual({
      ok: false,
      error: 'invalid_arguments',
      response_metadata: { messages: ['[ERROR] missing required field: channel [json-pointer:/channel]'] },
    });
  });

  it.each([
    ['missing_charset', 'application/json', '{"channel":"%","text":"x"}'],
    ['superfluous_charset', 'application/x-www-form-urlencoded; charset=utf-8', 'channel=%&text=x'],
  ])('is warned of %s', async (warning, contentType, body) => {
    const { id } = await channelNamed('dispatch');
    await sandbox.change({ change: 'invite', channel: id });
    const headers = { ...bearer(), 'content-type': contentType };
    const { json } = await send('chat.postMessage', { method: 'POST', headers, body: body.replace('%', id) });
    expect(json).toMatchObject({ ok: true, warning, response_metadata: { warnings: [warning] } });
  });

  it.each([
    ['invalid_json', 'application/json', '{'],
    ['json_not_object', 'application/json', '[]'],
    ['invalid_post_type', 'text/plain', 'channel=x'],
    ['invalid_form_data', 'multipart/form-data; boundary=x', 'nonsense'],
    // JSON calls carry their token in the header.
    ['not_authed', 'application/json', '{"token":"%"}'],
  ])('is refused with %s for %s', async (error, contentType, body) => {
    const headers = { 'content-type': contentType, ...(error !== 'not_authed' && bearer()) };
    const init = { method: 'POST', headers, body: body.replace('%', token) };
    expect((await send('chat.postMessage', init)).json).toMatchObject({ ok: false, error });
  });

  it('of a method that is not there is named', async () => {
    const refusal = (req_method: string) => ({ ok: false, error: 'unknown_method', req_method });
    expect(await call('channels.list')).toEqual(refusal('channels.list'));
    expect(await call('constructor')).toEqual(refusal('constructor'));
  });

  it.each(['org_login_required', 'team_added_to_org', 'account_inactive'])(
    'fails with %s where the workspace is so',
    async (error) => {
      await sandbox.admin('PUT', 'slack/settings', { workspaceErrors: { [mainTeamId]: error } });
      expect(await call('auth.test')).toEqual({ ok: false, error });
      const other = await install({ team: enterpriseTeamId });
      expect((await sandbox.call('auth.test', other)).json.ok).toBe(true);
    },
  );
});

describe('scopes', () => {
  it.each([
    ['conversations.list', {}, 'channels:read'],
    ['conversations.list', { types: 'private_channel' }, 'groups:read'],
    ['conversations.list', { types: 'public_channel,im' }, 'channels:read'],
    ['users.list', {}, 'users:read'],
    ['users.info', { user: 'USLACKBOT' }, 'users:read'],
    ['chat.postMessage', { channel: 'general', text: 'x' }, 'chat:write'],
  ])('of %s %j are checked: %s is needed', async (method, fields, needed) => {
    const { token: poor } = await install({ team: enterpriseTeamId, scope: 'team:read' });
    const { json, headers } = await sandbox.call(method, { token: poor, ...fields });
    expect(json).toEqual({ ok: false, error: 'missing_scope', needed, provided: 'team:read' });
    expect(headers.get('x-oauth-scopes')).toBe('team:read');
  });

  it('of conversations.info are any that name a kind of conversation', async () => {
    const { token: poor } = await install({ team: enterpriseTeamId, scope: 'team:read' });
    const { json } = await sandbox.call('conversations.info', { token: poor, channel: 'C1' });
    expect(json).toMatchObject({
      error: 'missing_scope',
      needed: 'channels:read,groups:read,mpim:read,im:read',
    });
    const { token: groups } = await install({ team: enterpriseTeamId, scope: 'groups:read' });
    const all = await sandbox.install({ team: enterpriseTeamId, scope: 'channels:read' });
    const { json: list } = await sandbox.call('conversations.list', { token: all.access_token });
    const found = await sandbox.call('conversations.info', { token: groups, channel: list.channels[0].id });
    expect(found.json.ok).toBe(true);
  });

  it('decide whether addresses are shown', async () => {
    const user = (await call('users.list')).members[0].id as string;
    expect((await call('users.info', { user })).user.profile.email).toBe(
      'dana.broker@prairiegateway.example',
    );
    const { token: poor } = await install({ team: enterpriseTeamId, scope: readScopes });
    const { members } = (await sandbox.call('users.list', { token: poor })).json;
    expect(members.every(({ profile }: Json) => !('email' in profile))).toBe(true);
  });
});

describe('auth.test', () => {
  it('says who the token is', async () => {
    expect(await call('auth.test')).toEqual({
      ok: true,
      url: 'https://prairie-gateway.slack.example/',
      team: 'Prairie Gateway Logistics',
      user: 'freight_desk_sync',
      team_id: mainTeamId,
      user_id: botUserId,
      bot_id: expect.stringMatching(/^B\w+$/) as unknown,
      is_enterprise_install: false,
      expires_in: 43_200,
    });
  });
});

describe('team.info', () => {
  it('tells of the token’s own workspace only', async () => {
    const { team } = await call('team.info');
    expect(team).toMatchObject({
      id: mainTeamId,
      name: 'Prairie Gateway Logistics',
      domain: 'prairie-gateway',
      email_domain: 'prairiegateway.example',
      icon: { image_default: true },
    });
    expect((await call('team.info', { team: mainTeamId })).ok).toBe(true);
    expect((await call('team.info', { team: enterpriseTeamId })).error).toBe('team_not_found');
  });
});

describe('conversations.list', () => {
  const pages = async (fields: Record<string, string>): Promise<Json[][]> => {
    const found: Json[][] = [];
    for (let cursor = ''; ;) {
      const page = await call('conversations.list', { ...fields, ...(cursor && { cursor }) });
      found.push(page.channels);
      cursor = page.response_metadata.next_cursor;
      if (cursor === '') return found;
    }
  };

  it('gives pages of a hundred', async () => {
    const [first, second, ...more] = await pages({});
    expect(more).toEqual([]);
    // Private channels that the bot is not in are no part of it.
    expect([first?.length, second?.length]).toEqual([100, 8]);
    const ids = [...first!, ...second!].map(({ id }) => id as string);
    expect(new Set(ids).size).toBe(108);
    for (const id of ids) expect(id).toMatch(/^[A-Z][A-Z0-9]{2,20}$/);
  });

  it('gives short and empty pages before the end, as it filters what a page holds', async () => {
    const found = await pages({ limit: '2', exclude_archived: 'true' });
    expect(found.map(({ length }) => length)).toContain(1);
    expect(found.flat()).toHaveLength(105);
    const groups = await pages({ limit: '50', types: 'private_channel' });
    expect(groups.map(({ length }) => length)).toEqual([0, 0, 0]);
  });

  it('holds less than was asked for where the settings say so', async () => {
    await sandbox.admin('PUT', 'slack/settings', { pageFill: 0.25 });
    expect((await pages({ limit: '100' })).map(({ length }) => length)).toEqual([25, 25, 25, 25, 8]);
  });

  it('misses nothing and repeats nothing while channels come and go', async () => {
    const first = await call('conversations.list', { limit: '50' });
    const victim = await call('conversations.list', { limit: '51' });
    // The channel that the cursor names.
    await sandbox.change({ change: 'delete-channel', channel: victim.channels[50].id });
    const created = await sandbox.change({ change: 'create-channel', name: 'made-meanwhile' });
    const rest: Json[] = (
      await call('conversations.list', { limit: '999', cursor: first.response_metadata.next_cursor })
    ).channels;
    const ids = [...first.channels, ...rest].map(({ id }) => id as string);
    expect(new Set(ids).size).toBe(108);
    expect(ids.at(-1)).toBe(created.id);
  });

  it.each([
    ['invalid_cursor', { cursor: 'nonsense' }],
    ['invalid_cursor', { cursor: Buffer.from('user:U07P00000001').toString('base64') }],
    ['invalid_limit', { limit: '0' }],
    ['invalid_limit', { limit: '1001' }],
    ['invalid_arguments', { limit: 'ten' }],
    ['invalid_types', { types: 'public_channel,secret_channel' }],
  ])('refuses with %s for %j', async (error, fields) => {
    expect(await call('conversations.list', fields)).toMatchObject({ ok: false, error });
  });

  it('shows private channels that the bot was invited to, when they are asked for', async () => {
    const owner = (await call('users.list')).members[0].id as string;
    const made = await sandbox.change({
      change: 'create-channel',
      name: 'secret',
      isPrivate: true,
      by: owner,
    });
    expect(await channelNamed('secret')).toBeUndefined();
    expect((await call('conversations.info', { channel: made.id })).error).toBe('channel_not_found');
    await sandbox.change({ change: 'invite', channel: made.id });
    expect(await channelNamed('secret')).toMatchObject({
      id: made.id,
      is_private: true,
      is_group: true,
      is_channel: false,
      is_member: true,
      num_members: 2,
    });
    const { channels } = await call('conversations.list', { limit: '1000' });
    expect(channels.map(({ name }: Json) => name)).not.toContain('secret');
  });
});

describe('conversations.info', () => {
  it('has the members that Slack sends', async () => {
    const { id } = await channelNamed('billing');
    const { channel } = await call('conversations.info', { channel: id });
    expect(Object.keys(channel).sort()).toEqual(
      (
        'id name is_channel is_group is_im is_mpim is_private created is_archived is_general unlinked ' +
        'name_normalized is_shared is_org_shared is_pending_ext_shared pending_shared context_team_id updated ' +
        'parent_conversation creator is_ext_shared shared_team_ids pending_connected_team_ids is_member topic ' +
        'purpose properties previous_names'
      )
        .split(' ')
        .sort(),
    );
    expect(channel).toMatchObject({ previous_names: ['invoicing'], is_member: false, is_archived: false });
    // Seconds and milliseconds.
    expect(String(channel.created)).toHaveLength(10);
    expect(String(channel.updated)).toHaveLength(13);
    const counted = await call('conversations.info', { channel: id, include_num_members: 'true' });
    expect(counted.channel.num_members).toBeGreaterThan(0);
  });

  it('refuses unknown and deleted channels', async () => {
    expect((await call('conversations.info', { channel: 'C404' })).error).toBe('channel_not_found');
    const { id } = await channelNamed('weather');
    await sandbox.change({ change: 'delete-channel', channel: id });
    expect((await call('conversations.info', { channel: id })).error).toBe('channel_not_found');
  });
});

describe('users.list', () => {
  it('holds people, those who left, bots and Slackbot, in one page unless a limit is given', async () => {
    const { members, response_metadata, cache_ts } = await call('users.list');
    expect(response_metadata).toEqual({ next_cursor: '' });
    expect(cache_ts).toBe(1_767_614_400);
    expect(members).toHaveLength(23);
    expect(members.filter(({ deleted }: Json) => deleted)).toHaveLength(3);
    const bot = members.find(({ id }: Json) => id === botUserId);
    expect(bot).toMatchObject({ is_bot: true, profile: { bot_id: expect.stringMatching(/^B/) as unknown } });
    expect(members.find(({ id }: Json) => id === 'USLACKBOT')).toMatchObject({ is_bot: false });
    const ids: string[] = [];
    for (let cursor: string | undefined; cursor !== '';) {
      const page: Json = await call('users.list', { limit: '10', ...(cursor !== undefined && { cursor }) });
      ids.push(...page.members.map(({ id }: Json) => id as string));
      cursor = page.response_metadata.next_cursor as string;
    }
    expect(ids).toEqual(members.map(({ id }: Json) => id as string));
  });

  it('leaves out the standing of those who left', async () => {
    const { members } = await call('users.list');
    const [gone, here] = [true, false].map((left) => members.find(({ deleted }: Json) => deleted === left));
    expect(gone).not.toHaveProperty('is_admin');
    expect(here).toMatchObject({ is_admin: true, is_owner: true, tz: 'America/Chicago', tz_offset: -21_600 });
    expect(String(here.updated)).toHaveLength(10);
  });

  it('adds the locale on request', async () => {
    expect((await call('users.info', { user: 'USLACKBOT' })).user).not.toHaveProperty('locale');
    expect((await call('users.info', { user: 'USLACKBOT', include_locale: '1' })).user.locale).toBe('en-US');
  });
});

describe('chat.postMessage', () => {
  it('posts as the bot, into a channel by id or name', async () => {
    const { id } = await channelNamed('dispatch');
    await sandbox.change({ change: 'invite', channel: id });
    const answer = await call('chat.postMessage', { channel: id, text: 'Load 48211 is rolling' });
    expect(answer).toMatchObject({
      ok: true,
      channel: id,
      ts: expect.stringMatching(/^1767614400\.\d{6}$/) as unknown,
      message: {
        type: 'message',
        user: botUserId,
        text: 'Load 48211 is rolling',
        team: mainTeamId,
        bot_profile: { name: 'Freight Desk Sync' },
      },
    });
    expect(answer.message.ts).toBe(answer.ts);
    const again = await call('chat.postMessage', { channel: '#dispatch', text: 'x', thread_ts: answer.ts });
    expect(again.message.thread_ts).toBe(answer.ts);
    expect(again.ts > answer.ts).toBe(true);
  });

  it('takes blocks as JSON in a form or in a JSON body', async () => {
    const { id } = await channelNamed('dispatch');
    await sandbox.change({ change: 'invite', channel: id });
    const blocks = [{ type: 'divider' }];
    const form = await call('chat.postMessage', { channel: id, blocks: JSON.stringify(blocks) });
    expect(form.message).toMatchObject({ text: '', blocks });
    const headers = { ...bearer(), 'content-type': 'application/json; charset=utf-8' };
    const body = JSON.stringify({ channel: id, blocks });
    expect((await send('chat.postMessage', { method: 'POST', headers, body })).json.message).toMatchObject({
      blocks,
    });
  });

  it.each([
    ['invalid_arguments', { text: 'x' }],
    ['channel_not_found', { channel: 'C404', text: 'x' }],
    ['channel_not_found', { channel: 'leadership', text: 'x' }],
    ['not_in_channel', { channel: 'weather', text: 'x' }],
    ['is_archived', { channel: 'tms-migration', text: 'x' }],
    ['no_text', { channel: 'dispatch' }],
    ['no_text', { channel: 'dispatch', text: '', blocks: '[]' }],
    ['msg_too_long', { channel: 'dispatch', text: 'x'.repeat(40_001) }],
    ['invalid_blocks', { channel: 'dispatch', blocks: '{"type":"divider"}' }],
  ])('refuses with %s', async (error, fields) => {
    await sandbox.change({ change: 'invite', channel: (await channelNamed('dispatch')).id });
    expect(await call('chat.postMessage', fields)).toMatchObject({ ok: false, error });
  });

  it('needs no membership of public channels with chat:write.public', async () => {
    ({ token } = await install({ scope: 'chat:write.public' }));
    expect((await call('chat.postMessage', { channel: 'weather', text: 'x' })).ok).toBe(true);
    expect((await call('chat.postMessage', { channel: 'leadership', text: 'x' })).error).toBe(
      'channel_not_found',
    );
  });
});
