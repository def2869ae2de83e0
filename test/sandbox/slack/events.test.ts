import { verifySlackRequest } from '@slack/bolt';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signatureOf } from '../../../src/sandbox/slack/signature.ts';
import {
  enterpriseTeamId,
  mainTeamId,
  openSlack,
  otherTeamId,
  type Json,
  type Received,
  type Receiver,
  type SlackTest,
} from './slackSandbox.ts';

const scopes = 'channels:read,groups:read,users:read,team:read,channels:history,groups:history,chat:write';
let sandbox: SlackTest;
let receiver: Receiver;
let tokens: Json;
beforeEach(async () => {
  sandbox = await openSlack();
  receiver = await sandbox.receive();
  tokens = await sandbox.install({ scope: scopes });
});
afterEach(() => sandbox.close());

const set = (settings: object) => sandbox.admin('PUT', 'slack/settings', settings);
const rule = async (given: object) =>
  expect((await sandbox.admin('POST', 'slack/delivery-rules', given)).status).toBe(201);
const deliveries = async (): Promise<Json[]> =>
  (await sandbox.admin('GET', 'slack/deliveries')).json.deliveries;
const rename = (name: string) => sandbox.change({ change: 'rename-team', name });
/** Until so many attempts were made, and have their outcome. */
const attempted = async (count: number): Promise<Json[]> => {
  for (let tries = 0; tries < 1000; tries += 1) {
    const attempts = (await deliveries()).flatMap((one) => one.attempts as Json[]);
    if (attempts.length >= count) return attempts;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`no ${count} attempts: ${JSON.stringify(await deliveries())}`);
};
const asleep = async () => {
  while (sandbox.clock.sleeping() === 0) await new Promise((resolve) => setImmediate(resolve));
};
const retriesOf = ({ headers }: Received) => [headers['x-slack-retry-num'], headers['x-slack-retry-reason']];
/** As Bolt judges it, at the sandbox's time. Throws what it finds wrong. */
const verify = ({ headers, body }: Received) =>
  verifySlackRequest({
    signingSecret: sandbox.slack.signingSecret,
    body,
    headers: {
      'x-slack-signature': String(headers['x-slack-signature']),
      'x-slack-request-timestamp': Number(headers['x-slack-request-timestamp']),
    },
    nowMilliseconds: sandbox.clock.now(),
  });

describe('the signature', () => {
  it('is that of Slack’s published example', () => {
    const body =
      'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V' +
      '&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=' +
      '&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN' +
      '&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c';
    expect(signatureOf('8f742231b10e8888abcd99yyyzzz85a5', 1_531_420_618, body)).toBe(
      'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
    );
  });

  it('passes Bolt’s check, over the bytes that were sent', async () => {
    await rename('Café “Prairie” & Söhne');
    const received = await receiver.next();
    expect(() => verify(received)).not.toThrow();
    expect(received.envelope.event.name).toBe('Café “Prairie” & Söhne');
    expect(received.headers['x-slack-request-timestamp']).toBe('1767614400');
    expect(received.headers['content-type']).toBe('application/json');
    expect(retriesOf(received)).toEqual([undefined, undefined]);
  });

  it.each(['wrong-secret', 'truncated'])('does not pass it when it is to be %s', async (signature) => {
    await rule({ signature });
    await rename('New');
    const received = await receiver.next();
    expect(() => verify(received)).toThrow('signature mismatch');
  });

  it('can be missing', async () => {
    await rule({ signature: 'missing' });
    await rename('New');
    expect((await receiver.next()).headers).not.toHaveProperty('x-slack-signature');
  });

  it('can be of a stale timestamp, or of one from the future, which Bolt does not mind', async () => {
    await rule({ timestampOffsetSeconds: -400 });
    await rule({ timestampOffsetSeconds: 400 });
    await rename('Stale');
    const stale = await receiver.next();
    expect(stale.headers['x-slack-request-timestamp']).toBe('1767614000');
    expect(() => verify(stale)).toThrow('stale');
    await rename('Early');
    const early = await receiver.next();
    expect(early.headers['x-slack-request-timestamp']).toBe('1767614800');
    expect(() => verify(early)).not.toThrow();
  });
});

describe('the request URL', () => {
  let server: Server;
  let url: string;
  let answer: (challenge: string) => { status: number; type?: string; body: string } | undefined;
  let seen: Received[];
  beforeEach(async () => {
    seen = [];
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const envelope = JSON.parse(body) as Json;
        seen.push({ headers: request.headers, body, envelope });
        const given = answer(envelope.challenge as string);
        if (given)
          response.writeHead(given.status, { 'content-type': given.type ?? 'text/plain' }).end(given.body);
      });
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });
  const put = () => sandbox.admin('PUT', 'slack/request-url', { url });

  it.each([
    ['text', 'text/plain', (challenge: string) => challenge],
    ['a form', 'application/x-www-form-urlencoded', (challenge: string) => `challenge=${challenge}`],
    ['JSON', 'application/json; charset=utf-8', (challenge: string) => JSON.stringify({ challenge })],
  ])('is taken when the challenge comes back as %s', async (_case, type, body) => {
    answer = (challenge) => ({ status: 200, type, body: body(challenge) });
    expect(await put()).toMatchObject({ status: 200, json: { url } });
    expect(seen).toHaveLength(1);
    expect(Object.keys(seen[0]!.envelope)).toEqual(['token', 'challenge', 'type']);
    expect(seen[0]!.envelope.type).toBe('url_verification');
    expect(() => verify(seen[0]!)).not.toThrow();
  });

  it.each([
    ['another text', () => ({ status: 200, body: 'hello' }), 'challenge'],
    ['JSON that is none', () => ({ status: 200, type: 'application/json', body: '{' }), 'challenge'],
    ['a refusal', (challenge: string) => ({ status: 401, body: challenge }), '401'],
  ])('stays as it was after %s', async (_case, given, words) => {
    answer = given;
    const { status, json } = await put();
    expect([status, json.error]).toEqual([400, expect.stringContaining(words)]);
    expect((await sandbox.admin('GET', 'slack/request-url')).json).toEqual({ url: receiver.url });
  });

  it('is refused after three seconds without an answer', async () => {
    answer = () => undefined;
    const waiting = put();
    await asleep();
    await sandbox.clock.advance(3000);
    expect((await waiting).json.error).toContain('http_timeout');
  });

  it('can be taken away: then nothing is sent', async () => {
    expect((await sandbox.admin('PUT', 'slack/request-url', { url: null })).status).toBe(200);
    await rename('Unheard');
    expect(await deliveries()).toEqual([]);
  });
});

describe('an envelope', () => {
  it('has the members that Slack sends', async () => {
    await rename('New');
    const { envelope } = await receiver.next();
    expect(envelope).toEqual({
      token: 'SandboxVerificationToken',
      team_id: mainTeamId,
      context_team_id: mainTeamId,
      context_enterprise_id: null,
      api_app_id: tokens.app_id,
      event: {
        type: 'team_rename',
        name: 'New',
        event_ts: expect.stringMatching(/^1767614400\.\d{6}$/) as unknown,
      },
      type: 'event_callback',
      event_id: expect.stringMatching(/^Ev[0-9A-Z]{9,}$/) as unknown,
      event_time: 1_767_614_400,
      authorizations: [
        {
          enterprise_id: null,
          team_id: mainTeamId,
          user_id: tokens.bot_user_id,
          is_bot: true,
          is_enterprise_install: false,
        },
      ],
      is_ext_shared_channel: false,
      event_context: expect.stringMatching(/^4-[\w-]+$/) as unknown,
    });
  });

  it('names the organization, and whom it was told for before there were authorizations', async () => {
    await set({ legacyEnvelope: true });
    const { bot_user_id } = await sandbox.install({ team: enterpriseTeamId, scope: scopes });
    await sandbox.change({ teamId: enterpriseTeamId, change: 'rename-team', name: 'New' });
    expect((await receiver.next()).envelope).toMatchObject({
      enterprise_id: 'E09PACIFIC1',
      context_enterprise_id: 'E09PACIFIC1',
      authorizations: [{ enterprise_id: 'E09PACIFIC1' }],
      authed_users: [bot_user_id],
      authed_teams: [enterpriseTeamId],
    });
  });
});

describe('events', () => {
  const membersOf = {
    channel_created: ['type', 'channel', 'event_ts'],
    channel_rename: ['type', 'channel', 'event_ts'],
    channel_archive: ['type', 'channel', 'user', 'is_moved', 'event_ts'],
    channel_unarchive: ['type', 'channel', 'user', 'is_moved', 'event_ts'],
    channel_deleted: ['type', 'channel', 'actor_id', 'event_ts'],
    member_joined_channel: ['type', 'user', 'channel', 'channel_type', 'team', 'inviter', 'event_ts'],
    team_join: ['type', 'user', 'event_ts'],
    user_change: ['type', 'user', 'cache_ts', 'event_ts'],
    message: ['user', 'text', 'team', 'type', 'channel', 'channel_type', 'ts', 'event_ts'],
  };
  const eventOf = async (type: keyof typeof membersOf): Promise<Json> => {
    const { event } = (await receiver.next()).envelope;
    expect(event.type).toBe(type);
    expect(Object.keys(event)).toEqual(membersOf[type]);
    return event;
  };

  it('tell of a channel’s life', async () => {
    const { id } = await sandbox.change({ change: 'create-channel', name: 'born' });
    const created = await eventOf('channel_created');
    expect(created.channel).toMatchObject({ id, name: 'born', is_archived: false, is_moved: 0 });
    expect(created.channel).not.toHaveProperty('is_member');
    await sandbox.change({ change: 'rename-channel', channel: id, name: 'grown' });
    expect((await eventOf('channel_rename')).channel).toEqual({
      id,
      is_channel: true,
      is_mpim: false,
      name: 'grown',
      name_normalized: 'grown',
      created: 1_767_614_400,
    });
    await sandbox.change({ change: 'archive-channel', channel: id });
    expect((await eventOf('channel_archive')).channel).toBe(id);
    await sandbox.change({ change: 'unarchive-channel', channel: id });
    expect((await eventOf('channel_unarchive')).channel).toBe(id);
    await sandbox.change({ change: 'delete-channel', channel: id });
    expect((await eventOf('channel_deleted')).channel).toBe(id);
  });

  it('tell of people, with their addresses only to those who may see them', async () => {
    const hired = { name: 'ada', realName: 'Ada Nwosu' };
    const { id } = await sandbox.change({ change: 'add-user', user: hired });
    const joined = await eventOf('team_join');
    expect(joined.user).toMatchObject({ id, real_name: 'Ada Nwosu', deleted: false });
    expect(joined.user.profile).not.toHaveProperty('email');
    await sandbox.install({ scope: 'users:read.email' });
    await sandbox.change({ change: 'change-user', id, user: { isDeactivated: true } });
    expect((await eventOf('user_change')).user).toMatchObject({
      id,
      deleted: true,
      profile: { email: 'ada@prairiegateway.example' },
    });
  });

  it('tell of messages where the bot is', async () => {
    const { id } = await sandbox.change({ change: 'create-channel', name: 'talk' });
    await eventOf('channel_created');
    await sandbox.change({ change: 'post', channel: id, text: 'unheard' });
    await sandbox.change({ change: 'invite', channel: id });
    expect((await eventOf('member_joined_channel')).user).toBe(tokens.bot_user_id);
    const { ts } = await sandbox.change({ change: 'post', channel: id, text: 'heard' });
    expect(await eventOf('message')).toMatchObject({
      text: 'heard',
      channel: id,
      channel_type: 'channel',
      ts,
      event_ts: ts,
    });
    await sandbox.call('chat.postMessage', { token: tokens.access_token, channel: id, text: 'our own' });
    expect((await receiver.next()).envelope.event).toMatchObject({
      text: 'our own',
      user: tokens.bot_user_id,
      bot_id: expect.stringMatching(/^B/) as unknown,
    });
  });

  it('tell of a private channel under names of its own, where the bot is', async () => {
    const { id } = await sandbox.change({ change: 'create-channel', name: 'hidden', isPrivate: true });
    await sandbox.change({ change: 'rename-channel', channel: id, name: 'hidden-2' });
    await sandbox.change({ change: 'invite', channel: id });
    await eventOf('member_joined_channel');
    await sandbox.change({ change: 'rename-channel', channel: id, name: 'hidden-3' });
    expect((await receiver.next()).envelope.event).toMatchObject({
      type: 'group_rename',
      channel: { id, name: 'hidden-3' },
    });
  });

  it('tell nothing to an app without the scope, the subscription or the installation', async () => {
    await sandbox.install({ team: otherTeamId, scope: 'team:read' });
    await set({ events: ['team_rename', 'user_change'] });
    const user = (await sandbox.call('users.list', { token: tokens.access_token })).json.members[0].id;
    await sandbox.change({ change: 'create-channel', name: 'unsubscribed' });
    await sandbox.change({ teamId: otherTeamId, change: 'add-user', user: { name: 'a', realName: 'A' } });
    await sandbox.change({ teamId: enterpriseTeamId, change: 'rename-team', name: 'Not installed' });
    await sandbox.change({ change: 'change-user', id: user, user: { title: 'Heard' } });
    expect((await receiver.next()).envelope.event.type).toBe('user_change');
    expect(await deliveries()).toHaveLength(1);
  });

  it('tell a user’s token what the bot may not know', async () => {
    const { authed_user } = await sandbox.install({
      team: otherTeamId,
      scope: 'channels:read',
      user_scope: 'team:read',
    });
    await sandbox.change({ teamId: otherTeamId, change: 'rename-team', name: 'New' });
    expect((await receiver.next()).envelope.authorizations).toMatchObject([
      { user_id: authed_user.id, is_bot: false },
    ]);
  });

  it('can be anything', async () => {
    const event = { type: 'reaction_added', reaction: 'truck' };
    const sent = await sandbox.admin('POST', 'slack/events', { teamId: mainTeamId, event });
    expect(sent.json).toEqual({ sent: true });
    expect((await receiver.next()).envelope.event).toMatchObject(event);
    const nowhere = await sandbox.admin('POST', 'slack/events', { teamId: otherTeamId, event });
    expect(nowhere.json).toEqual({ sent: false });
  });
});

describe('the end of tokens', () => {
  const types = async (count: number) => {
    const found: Json[] = [];
    while (found.length < count) found.push((await receiver.next()).envelope);
    return found;
  };
  const uninstall = () =>
    sandbox.call('apps.uninstall', {
      token: tokens.access_token,
      client_id: sandbox.slack.clientId,
      client_secret: sandbox.slack.clientSecret,
    });

  it.each([
    ['tokens-first', ['tokens_revoked', 'app_uninstalled']],
    ['app-first', ['app_uninstalled', 'tokens_revoked']],
  ])('by an uninstallation is told twice, %s', async (uninstallOrder, order) => {
    await set({ uninstallOrder });
    tokens = await sandbox.install({ user_scope: 'users:read' });
    await uninstall();
    expect((await deliveries()).map(({ eventType }) => eventType as unknown)).toEqual(order);
    const envelopes = await types(2);
    const revoked = envelopes.find(({ event }) => event.type === 'tokens_revoked');
    expect(revoked.event.tokens).toEqual({ oauth: [tokens.authed_user.id], bot: [tokens.bot_user_id] });
    const uninstalled = envelopes.find(({ event }) => event.type === 'app_uninstalled');
    expect(Object.keys(uninstalled.event)).toEqual(['type', 'event_ts']);
    expect(uninstalled.team_id).toBe(mainTeamId);
  });

  it('by a person in the workspace is told as well, and no more events come', async () => {
    const revoked = await sandbox.admin('POST', 'slack/grants/revoke', { teamId: mainTeamId });
    expect(revoked.json).toEqual({ revoked: 1 });
    await types(2);
    await rename('Unheard');
    expect(await deliveries()).toHaveLength(2);
    expect((await sandbox.admin('POST', 'slack/grants/revoke', { teamId: mainTeamId })).json).toEqual({
      revoked: 0,
    });
  });

  it('of one user is told without an uninstallation', async () => {
    const { authed_user } = await sandbox.install({ user_scope: 'users:read' });
    await sandbox.admin('POST', 'slack/tokens/revoke', { teamId: mainTeamId, userId: authed_user.id });
    expect((await receiver.next()).envelope.event.tokens).toEqual({ oauth: [authed_user.id], bot: [] });
    expect(await deliveries()).toHaveLength(1);
  });

  it('by auth.revoke is told where it ends the authorization, not where tokens rotate', async () => {
    await sandbox.call('auth.revoke', { token: tokens.access_token });
    expect(await deliveries()).toEqual([]);
    await set({ tokenRotation: false });
    const { access_token: token } = await sandbox.install({ team: otherTeamId });
    await sandbox.call('auth.revoke', { token });
    const told = (await types(2)).map(({ event }) => event.type as string).sort();
    expect(told).toEqual(['app_uninstalled', 'tokens_revoked']);
  });
});

describe('a delivery that fails', () => {
  it('is tried again at once, after one minute and after five, signed anew', async () => {
    receiver.answer = (index) => ({ status: index < 3 ? 500 : 200 });
    await rename('New');
    await attempted(2);
    await sandbox.clock.advance(59_999);
    expect(receiver.all).toHaveLength(2);
    await sandbox.clock.advance(1);
    await attempted(3);
    await asleep();
    await sandbox.clock.advance(300_000);
    const attempts = await attempted(4);
    expect(attempts.map(({ at, status, failure }) => [at, status, failure] as unknown)).toEqual([
      ['2026-01-05T12:00:00.000Z', 500, 'http_error'],
      ['2026-01-05T12:00:00.000Z', 500, 'http_error'],
      ['2026-01-05T12:01:00.000Z', 500, 'http_error'],
      ['2026-01-05T12:06:00.000Z', 200, null],
    ]);
    expect(receiver.all.map(retriesOf)).toEqual([
      [undefined, undefined],
      ['1', 'http_error'],
      ['2', 'http_error'],
      ['3', 'http_error'],
    ]);
    expect(new Set(receiver.all.map(({ body }) => body)).size).toBe(1);
    expect(receiver.all.map(({ headers }) => headers['x-slack-request-timestamp'])).toEqual([
      '1767614400',
      '1767614400',
      '1767614460',
      '1767614760',
    ]);
    expect(() => verify(receiver.all[3]!)).not.toThrow();
    expect(await deliveries()).toMatchObject([{ state: 'delivered', eventType: 'team_rename' }]);
  });

  it('is given up after the third retry', async () => {
    await set({ retryScale: 0 });
    receiver.answer = () => ({ status: 503 });
    await rename('New');
    await attempted(4);
    expect(receiver.all).toHaveLength(4);
    expect(await deliveries()).toMatchObject([{ state: 'failed' }]);
  });

  it('is not tried again where the answer says X-Slack-No-Retry', async () => {
    receiver.answer = () => ({ status: 500, headers: { 'x-slack-no-retry': '1' } });
    await rename('New');
    await attempted(1);
    expect(await deliveries()).toMatchObject([{ state: 'failed', attempts: [{ status: 500 }] }]);
    expect(sandbox.clock.sleeping()).toBe(0);
  });

  it('has taken three seconds, or found nobody there', async () => {
    receiver.answer = () => 'hang';
    await rename('Slow');
    while (receiver.all.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await sandbox.clock.advance(2999);
    expect(receiver.all).toHaveLength(1);
    await sandbox.clock.advance(1);
    const received = [await receiver.next(), await receiver.next()];
    expect(received.map(retriesOf)).toEqual([
      [undefined, undefined],
      ['1', 'http_timeout'],
    ]);
    await receiver.close();
    await sandbox.clock.advance(3000);
    await asleep();
    await sandbox.clock.advance(60_000);
    const failures = (await attempted(3)).map(({ failure }) => failure as string);
    expect(failures[0]).toBe('http_timeout');
    expect(failures[2]).toBe('connection_failed');
  });

  it('follows two redirects with the same request, and no more', async () => {
    await set({ retryScale: 0 });
    const path = () => new URL(receiver.url).href;
    receiver.answer = (index) =>
      index < 2 ? { status: 302 - index, headers: { location: path() } } : { status: 200 };
    await rename('Moved');
    expect(await attempted(1)).toMatchObject([{ status: 200, failure: null }]);
    expect(new Set(receiver.all.map(({ body }) => body)).size).toBe(1);
    receiver.answer = () => ({ status: 302, headers: { location: path() } });
    await rename('Lost');
    await attempted(5);
    expect((await deliveries())[1].attempts[0]).toMatchObject({
      status: null,
      failure: 'too_many_redirects',
    });
  });
});

describe('misbehaviour on request', () => {
  it('sends an event again under the same id', async () => {
    await rule({ duplicates: 2, eventType: 'team_rename' });
    await rename('New');
    await attempted(3);
    const ids = receiver.all.map(({ envelope }) => envelope.event_id as string);
    expect(new Set(ids).size).toBe(1);
    expect(receiver.all.map(retriesOf)).toEqual(Array(3).fill([undefined, undefined]));
    await rename('Newer');
    await attempted(4);
    expect(receiver.all).toHaveLength(4);
  });

  it('lets later events overtake', async () => {
    await rule({ after: 2 });
    for (const name of ['First', 'Second', 'Third']) await rename(name);
    await attempted(3);
    const names = receiver.all.map(({ envelope }) => envelope.event.name as string);
    expect(names).toHaveLength(3);
    expect(names.at(-1)).toBe('First');
  });

  it('waits, on the sandbox’s clock', async () => {
    await rule({ delayMs: 90_000 });
    await rename('Late');
    await asleep();
    await sandbox.clock.advance(89_999);
    expect(receiver.all).toEqual([]);
    await sandbox.clock.advance(1);
    const received = await receiver.next();
    expect(received.envelope.event_time).toBe(1_767_614_400);
    expect(received.headers['x-slack-request-timestamp']).toBe('1767614490');
  });

  it('loses events', async () => {
    await rule({ lost: true });
    await rename('Lost');
    await rename('Found');
    expect((await receiver.next()).envelope.event.name).toBe('Found');
    expect(await deliveries()).toMatchObject([{ state: 'lost', attempts: [] }, {}]);
  });

  it('is over when the rules are cleared', async () => {
    await rule({ lost: true, count: 5 });
    await sandbox.admin('DELETE', 'slack/delivery-rules');
    await rename('Found');
    expect((await receiver.next()).envelope.event.name).toBe('Found');
  });

  it('drops what is above the hour’s limit, and says so once a minute', async () => {
    await set({ eventsPerHour: 2 });
    for (const name of ['One', 'Two', 'Three', 'Four']) await rename(name);
    await attempted(3);
    expect(receiver.all).toHaveLength(3);
    const notice = receiver.all.find(({ envelope }) => envelope.type === 'app_rate_limited');
    expect(notice?.envelope).toEqual({
      token: 'SandboxVerificationToken',
      type: 'app_rate_limited',
      team_id: mainTeamId,
      minute_rate_limited: 1_767_614_400,
      api_app_id: tokens.app_id,
    });
    await sandbox.clock.advance(60_000);
    await rename('Five');
    await attempted(4);
    expect(receiver.all[3]!.envelope.minute_rate_limited).toBe(1_767_614_460);
    await sandbox.clock.advance(3_600_000);
    await rename('Six');
    await attempted(5);
    expect(receiver.all[4]!.envelope.event.name).toBe('Six');
  });
});
