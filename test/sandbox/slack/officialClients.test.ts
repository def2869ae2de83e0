/** Slack's own packages, unmodified, as independent judges of the emulation. */
import { App, HTTPReceiver, LogLevel } from '@slack/bolt';
import { InstallProvider, MemoryInstallationStore, type InstallationStore, type Logger } from '@slack/oauth';
import { ErrorCode, WebClient } from '@slack/web-api';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock, type Clock } from '../../../src/clock.ts';
import { mainTeamId, openSlack, otherTeamId, readScopes, type Json, type SlackTest } from './slackSandbox.ts';

// The packages compare times with the machine's clock.
let sandbox: SlackTest<Clock>;
beforeEach(async () => {
  sandbox = await openSlack({ clock: systemClock });
});
afterEach(() => sandbox.close());

/** The install provider logs a denial as an error. */
const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  setLevel: () => undefined,
  getLevel: () => LogLevel.ERROR,
  setName: () => undefined,
};
const clientOptions = () => ({ slackApiUrl: `${sandbox.slack.apiUrl}/`, logLevel: LogLevel.ERROR });

describe('@slack/web-api', () => {
  const newClient = async (options: ConstructorParameters<typeof WebClient>[1] = {}) => {
    const scope = `${readScopes},chat:write,chat:write.public`;
    const { access_token } = await sandbox.install({ scope });
    return new WebClient(access_token as string, { ...clientOptions(), ...options });
  };

  it('reads who it is, its workspace, channels and users', async () => {
    const client = await newClient();
    const identity = await client.auth.test();
    expect(identity).toMatchObject({ ok: true, team_id: mainTeamId, user: 'freight_desk_sync' });
    expect(identity.response_metadata?.scopes).toContain('channels:read');
    expect((await client.team.info()).team).toMatchObject({ id: mainTeamId, domain: 'prairie-gateway' });
    const { channels = [] } = await client.conversations.list({ limit: 3 });
    const { channel } = await client.conversations.info({
      channel: channels[0]!.id!,
      include_num_members: true,
    });
    expect(channel).toMatchObject({ name: 'general', is_general: true });
    const { members = [] } = await client.users.list({});
    const { user } = await client.users.info({ user: members[0]!.id! });
    expect(user).toMatchObject({ real_name: 'Dana Broker', is_primary_owner: true });
  });

  it('turns pages, short ones too', async () => {
    await sandbox.admin('PUT', 'slack/settings', { pageFill: 0.5 });
    const client = await newClient();
    const sizes: number[] = [];
    const names = new Set<string>();
    for await (const page of client.paginate('conversations.list', { limit: 60, exclude_archived: true })) {
      const { channels = [] } = page as { channels?: { name: string }[] };
      sizes.push(channels.length);
      for (const { name } of channels) names.add(name);
    }
    expect(sizes).toHaveLength(4);
    expect(Math.max(...sizes)).toBe(30);
    expect(names.size).toBe(105);
  });

  it('sees refusals as platform errors', async () => {
    const client = await newClient();
    await expect(client.conversations.info({ channel: 'C404' })).rejects.toMatchObject({
      code: ErrorCode.PlatformError,
      data: { ok: false, error: 'channel_not_found' },
    });
    await expect(client.conversations.list({ types: 'private_channel' })).rejects.toMatchObject({
      data: {
        error: 'missing_scope',
        needed: 'groups:read',
        response_metadata: { acceptedScopes: expect.any(Array) as unknown },
      },
    });
    const stranger = new WebClient('xoxb-1-2-3', clientOptions());
    await expect(stranger.auth.test()).rejects.toMatchObject({ data: { error: 'invalid_auth' } });
  });

  it('sees a throttle, with the time to wait', async () => {
    await sandbox.admin('PUT', 'slack/settings', { tierLimits: { tier3: 1 } });
    const client = await newClient({ rejectRateLimitedCalls: true });
    await client.team.info();
    const refusal = client.team.info();
    await expect(refusal).rejects.toMatchObject({ code: ErrorCode.RateLimitedError });
    const { retryAfter } = (await refusal.catch((error: unknown) => error)) as { retryAfter: number };
    expect(retryAfter).toBeGreaterThan(50);
    expect(retryAfter).toBeLessThanOrEqual(60);
  });

  it('waits a throttle out', async () => {
    const client = await newClient();
    const post = () => client.chat.postMessage({ channel: 'general', text: 'Load 48211 is rolling' });
    const answers = [await post(), await post(), await post(), await post()];
    expect(new Set(answers.map(({ ts }) => ts)).size).toBe(4);
    const requests: Json[] = (await sandbox.admin('GET', 'requests')).json.requests;
    const statuses = requests
      .filter(({ path }) => path.endsWith('postMessage'))
      .map(({ status }) => status as number);
    expect(statuses).toEqual([200, 200, 200, 429, 200]);
  });

  it('sees what is injected: an outage and a lost answer', async () => {
    const client = await newClient({ retryConfig: { retries: 0 } });
    await sandbox.admin('POST', 'faults', { status: 503 });
    await expect(client.team.info()).rejects.toMatchObject({ code: ErrorCode.HTTPError, statusCode: 503 });
    await sandbox.admin('POST', 'faults', { drop: true, match: { pathContains: 'team.info' } });
    await expect(client.team.info()).rejects.toMatchObject({ code: ErrorCode.RequestError });
    await sandbox.admin('POST', 'faults', { body: { ok: false, error: 'fatal_error' } });
    await expect(client.team.info()).rejects.toMatchObject({ data: { error: 'fatal_error' } });
    expect((await client.team.info()).ok).toBe(true);
  });

  it('revokes and uninstalls', async () => {
    const client = await newClient();
    expect(await client.auth.revoke({ test: true })).toMatchObject({ ok: true, revoked: false });
    const { clientId: client_id, clientSecret: client_secret } = sandbox.slack;
    expect((await client.apps.uninstall({ client_id, client_secret })).ok).toBe(true);
    await expect(client.auth.test()).rejects.toMatchObject({ data: { error: 'account_inactive' } });
  });
});

describe('@slack/oauth', () => {
  let server: Server;
  let origin: string;
  let store: InstallationStore;
  let provider: InstallProvider;
  beforeEach(async () => {
    store = new MemoryInstallationStore();
    server = createServer((request, response) => {
      const options = {
        scopes: readScopes.split(','),
        userScopes: ['users:read'],
        redirectUri: `${origin}/callback`,
      };
      const handle = request.url?.startsWith('/install')
        ? provider.handleInstallPath(request, response, {}, options)
        : provider.handleCallback(request, response, {
            success: (_installation, _options, _request, res) => void res.end('installed'),
            failure: (error, _options, _request, res) => void res.end(`failed: ${error.code}`),
          });
      void handle;
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    provider = new InstallProvider({
      clientId: sandbox.slack.clientId,
      clientSecret: sandbox.slack.clientSecret,
      stateSecret: 'a secret of the app',
      authorizationUrl: sandbox.slack.authorizeUrl,
      installationStore: store,
      directInstall: true,
      logger: silent,
      clientOptions: clientOptions(),
    });
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  /** What a browser does: keeps the cookie, reads the page, presses a button. Returns the app's last words. */
  const installBy = async (decision: string, team: string): Promise<string> => {
    const start = await fetch(`${origin}/install`, { redirect: 'manual' });
    const cookie = start.headers.get('set-cookie')?.split(';', 1)[0] ?? '';
    const address = start.headers.get('location') ?? '';
    const html = await (await fetch(address)).text();
    const form = new URLSearchParams({ decision, team });
    for (const [, name = '', value = ''] of html.matchAll(
      /<input type="hidden" name="([^"]*)" value="([^"]*)">/g,
    ))
      form.append(name, value.replaceAll('&amp;', '&'));
    const action = /<form method="post" action="([^"]*)"/.exec(html)?.[1] ?? '';
    const pressed = await fetch(new URL(action, address), { method: 'POST', body: form, redirect: 'manual' });
    return (await fetch(pressed.headers.get('location') ?? '', { headers: { cookie } })).text();
  };
  const query = { teamId: mainTeamId, enterpriseId: undefined, isEnterpriseInstall: false };
  const botTokenOf = async () => (await provider.authorize(query)).botToken ?? '';
  const whoIs = (token: string) => new WebClient(token, clientOptions()).auth.test();

  it('installs the app into a workspace', async () => {
    expect(await installBy('allow', mainTeamId)).toBe('installed');
    const { botToken = '', userToken = '', ...rest } = await provider.authorize(query);
    expect(rest).toMatchObject({ teamId: mainTeamId, botId: expect.stringMatching(/^B/) as unknown });
    expect(rest.botTokenExpiresAt! - Date.now() / 1000).toBeGreaterThan(43_000);
    expect(await whoIs(botToken)).toMatchObject({ user_id: rest.botUserId, bot_id: rest.botId });
    expect(await whoIs(userToken)).toMatchObject({ user: 'dana.broker' });
  });

  it('rotates the bot’s and the user’s tokens, again and again', async () => {
    // It refreshes what has two hours left or less: here always.
    await sandbox.admin('PUT', 'slack/settings', { accessTokenLifetimeSeconds: 7200 });
    await installBy('allow', mainTeamId);
    const tokens = [await botTokenOf(), await botTokenOf(), await botTokenOf()];
    expect(new Set(tokens).size).toBe(3);
    const dead = whoIs(tokens[0]!);
    await expect(dead).rejects.toMatchObject({ data: { error: 'token_revoked' } });
    expect((await whoIs(tokens[2]!)).ok).toBe(true);
    const requests: Json[] = (await sandbox.admin('GET', 'requests')).json.requests;
    expect(requests.filter(({ grantType }) => grantType === 'refresh_token')).toHaveLength(6);
    expect(requests.filter(({ teamId }) => teamId === mainTeamId).length).toBeGreaterThan(6);
  });

  it('installs without rotation', async () => {
    await sandbox.admin('PUT', 'slack/settings', { tokenRotation: false });
    expect(await installBy('allow', mainTeamId)).toBe('installed');
    const installation = await provider.authorize(query);
    expect(installation).not.toHaveProperty('botRefreshToken');
    expect((await whoIs(installation.botToken!)).ok).toBe(true);
  });

  it('hears of a denial', async () => {
    expect(await installBy('cancel', otherTeamId)).toBe('failed: slack_oauth_installer_authorization_error');
  });
});

describe('@slack/bolt', () => {
  it('answers the handshake, and hears events that pass its check', async () => {
    const { access_token } = await sandbox.install({ scope: readScopes });
    const receiver = new HTTPReceiver({
      signingSecret: sandbox.slack.signingSecret,
      endpoints: '/events',
      logLevel: LogLevel.ERROR,
    });
    const app = new App({
      token: access_token as string,
      receiver,
      clientOptions: clientOptions(),
      logLevel: LogLevel.ERROR,
    });
    const heard: string[] = [];
    app.event('team_rename', async ({ event }) => void heard.push(event.name));
    const server = (await app.start({ port: 0, host: '127.0.0.1' })) as Server;
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`;
      expect(await sandbox.admin('PUT', 'slack/request-url', { url })).toMatchObject({ status: 200 });
      await sandbox.admin('PUT', 'slack/settings', { retryScale: 0 });
      await sandbox.admin('POST', 'slack/delivery-rules', { signature: 'wrong-secret' });
      await sandbox.change({ change: 'rename-team', name: 'Forged' });
      await sandbox.change({ change: 'rename-team', name: 'Genuine' });
      const states = async () =>
        (await sandbox.admin('GET', 'slack/deliveries')).json.deliveries.map(
          ({ state }: Json) => state as string,
        ) as string[];
      while ((await states()).includes('waiting')) await new Promise((resolve) => setTimeout(resolve, 10));
      expect(await states()).toEqual(['failed', 'delivered']);
      expect(heard).toEqual(['Genuine']);
    } finally {
      await app.stop();
    }
  });
});
