import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Connection } from '../../src/connections/connection.ts';
import type { OAuthFacts, Provider } from '../../src/providers/provider.ts';
import { slack } from '../../src/providers/slack.ts';
import { identityOf, openCore, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { answeringServer, type AnsweringServer } from '../support/httpServer.ts';

const day = 86_400_000;

/** Slack's adapter as another company's: bearer tokens, scopes with spaces, the team in a member of its own. */
const facts: OAuthFacts = {
  ...slack.oauth,
  scopes: ['read', 'write'],
  scopeSeparator: ' ',
  externalIdFields: ['team'],
  tokenTypes: ['bearer'],
  refreshExpiresInField: 'refresh_expires_in',
  hardExpiresInField: 'hard_expires_in',
  revocation: 'none',
  replay: 'strict',
};
const provider: Provider = { ...slack, id: 'other', name: 'Other', oauth: facts };

describe.each(databaseKinds)('token answers of every shape, %s', (_kind, open) => {
  let server: AnsweringServer;
  let product: TestCore;
  /** What the token endpoint says next; the last one stays. */
  let answers: { status: number; body: object }[];
  /** What the API says of each token. */
  let refusedTokens: Set<string>;
  let asked: { grant: string | null; refreshToken: string | null }[];
  let calls: string[];

  beforeEach(async () => {
    answers = [];
    asked = [];
    calls = [];
    refusedTokens = new Set();
    server = await answeringServer(({ path, body, headers }) => {
      const form = new URLSearchParams(body);
      if (path === '/token') {
        asked.push({ grant: form.get('grant_type'), refreshToken: form.get('refresh_token') });
        return answers.length > 1 ? answers.shift()! : answers[0]!;
      }
      const token = headers.authorization!.replace('Bearer ', '');
      calls.push(token);
      const error = refusedTokens.has(token) ? 'token_expired' : undefined;
      return { status: 200, body: error ? { ok: false, error } : { ok: true, team_id: 'T1', team: 'Team' } };
    });
    const endpoints = {
      authorizeUrl: `${server.url}/authorize`,
      tokenUrl: `${server.url}/token`,
      revokeUrl: '',
      apiUrl: server.url,
    };
    const credentials = { clientId: 'client', clientSecret: 'secret' };
    product = await openCore(open, {
      others: [
        { provider, endpoints, credentials, limits: [{ name: 'all', limit: 1_000, windowMs: 1_000 }] },
      ],
    });
  });
  afterEach(async () => {
    await product.close();
    await server.close();
  });

  const gives = (...bodies: object[]) => {
    answers = bodies.map((body) => ({
      status: 'error' in body ? 400 : 200,
      body: { token_type: 'Bearer', team: 'T1', ...body },
    }));
  };
  const full = { access_token: 'at-1', refresh_token: 'rt-1', expires_in: 3_600, scope: 'read write' };
  const connected = async (body: object = full): Promise<Connection> => {
    gives(body);
    const url = new URL(await product.authorizationUrl('acme', { integrationId: 'other' }));
    const back = `http://localhost:4000/oauth/other/callback?code=c&state=${url.searchParams.get('state')}`;
    const { connectionId, problem } = await product.callback(back, 'other');
    expect(problem).toBeNull();
    asked.length = 0;
    calls.length = 0;
    return present(connectionId!);
  };
  const present = async (id: string) => (await product.connections.find('acme', [id])).get(id)!;
  const refresh = (id: string) => product.connections.refresh(identityOf('acme'), id);
  const read = async (id: string) =>
    product.api.profile(await present(id), { deadlineAtMs: product.clock.now() + 5_000 });
  const events = async () => {
    const rows = await product.db
      .selectFrom('sync_events')
      .select(['change', 'user_id'])
      .orderBy('sequence')
      .execute();
    return rows.map((row) => row.change);
  };

  it('keep the refresh token where none comes, and take the new one where one does', async () => {
    const { id } = await connected();
    gives({ ...full, access_token: 'at-2', refresh_token: undefined });
    await refresh(id);
    gives({ ...full, access_token: 'at-3', refresh_token: 'rt-2' });
    await refresh(id);
    await refresh(id);
    expect(asked.map((one) => one.refreshToken)).toEqual(['rt-1', 'rt-1', 'rt-2']);
  });

  it('with fewer scopes are recorded, and a problem where ours are missing, until they are back', async () => {
    const { id } = await connected({ ...full, scope: 'read write extra' });
    gives({ ...full, scope: 'read write' });
    await refresh(id);
    expect(await present(id)).toMatchObject({ status: 'ACTIVE', scopes: ['read', 'write'], problem: null });
    gives({ ...full, scope: 'read' });
    await refresh(id);
    const reduced = {
      status: 'ACTIVE',
      scopes: ['read'],
      problem: {
        code: 'SCOPES_INSUFFICIENT',
        message: expect.stringContaining('write') as string,
        actor: 'USER',
      },
    };
    expect(await present(id)).toMatchObject(reduced);
    await read(id);
    expect(await present(id)).toMatchObject(reduced);
    expect(await product.authorizationUrl('acme', { integrationId: 'other' })).toContain('/authorize');
    gives(full);
    await refresh(id);
    expect(await present(id)).toMatchObject({ status: 'ACTIVE', scopes: ['read', 'write'], problem: null });
  });

  it('without an end are used until they are refused, and never refreshed before', async () => {
    for (const expires_in of [undefined, 0, -1, 'soon']) {
      const { id, nextRefreshAt, tokenExpiresAt } = await connected({ ...full, expires_in });
      expect([nextRefreshAt, tokenExpiresAt]).toEqual([null, null]);
      product.clock.shift(400 * day);
      await read(id);
      await product.upkeep.refreshDue();
      expect(asked).toEqual([]);
      await product.connections.disconnect(identityOf('acme'), id);
    }
  });

  it('with an absurd end have one within ten years', async () => {
    const { id, tokenExpiresAt } = await connected({ ...full, expires_in: 1e12 });
    expect(tokenExpiresAt!.getTime() - Date.now()).toBeLessThan(3_651 * day);
    await read(id);
    expect(asked).toEqual([]);
  });

  it('without a refresh token are used to their end, and then a person is asked for', async () => {
    const { id } = await connected({ ...full, refresh_token: undefined });
    product.clock.shift(55 * 60_000);
    await read(id);
    await product.upkeep.refreshDue();
    expect(await refresh(id)).toMatchObject({ problem: null, connection: { status: 'ACTIVE' } });
    product.clock.shift(10 * 60_000);
    await expect(read(id)).rejects.toMatchObject({ code: 'REAUTHORIZATION_REQUIRED' });
    expect(await present(id)).toMatchObject({ status: 'NEEDS_REAUTHORIZATION' });
    expect(asked).toEqual([]);
  });

  it('say when the refresh token itself ends: a problem two weeks before, which connecting again cures', async () => {
    const { id, reauthorizeBy } = await connected({ ...full, refresh_expires_in: 100 * 86_400 });
    expect(reauthorizeBy!.getTime() - Date.now()).toBeGreaterThan(99 * day);
    product.clock.shift(85 * day);
    expect((await present(id)).problem).toBeNull();
    product.clock.shift(2 * day);
    expect(await present(id)).toMatchObject({
      status: 'ACTIVE',
      problem: { code: 'REAUTHORIZATION_REQUIRED', actor: 'USER' },
    });
    const again = await connected({ ...full, refresh_expires_in: 100 * 86_400 });
    expect(again).toMatchObject({ id, status: 'ACTIVE', problem: null, generation: 2 });
  });

  it('keep an end that no refresh moves, though refreshes do not repeat it', async () => {
    const { id } = await connected({
      ...full,
      hard_expires_in: 50 * 86_400,
      refresh_expires_in: 20 * 86_400,
    });
    for (let i = 0; i < 4; i++) {
      product.clock.shift(15 * day);
      gives({ ...full, refresh_expires_in: 20 * 86_400 });
      if (i < 3) await refresh(id);
    }
    const { reauthorizeBy } = await present(id);
    expect(reauthorizeBy!.getTime() - Date.now()).toBeLessThan(50 * day + 60_000);
  });

  it('that another process has replaced are used instead of refreshing', async () => {
    const { id } = await connected();
    const connection = await present(id);
    const patience = { deadlineAtMs: product.clock.now() + 5_000 };
    // Read by this process, refused by the provider, and replaced in between.
    refusedTokens.add('at-1');
    gives({ ...full, access_token: 'at-2' });
    const other = product.tokens.renew(connection, 'user-2');
    await product.api.profile(connection, patience);
    await other;
    expect(asked).toHaveLength(1);
    expect(calls.at(-1)).toBe('at-2');
  });

  it('that are refused when they are new end the connection after one refresh and one more call', async () => {
    const { id } = await connected();
    refusedTokens = new Set(['at-1', 'at-2']);
    gives({ ...full, access_token: 'at-2' });
    await expect(read(id)).rejects.toMatchObject({ code: 'REAUTHORIZATION_REQUIRED' });
    expect([asked.length, calls]).toEqual([1, ['at-1', 'at-2']]);
    expect(await present(id)).toMatchObject({ status: 'NEEDS_REAUTHORIZATION' });
    await expect(read(id)).rejects.toMatchObject({ code: 'REAUTHORIZATION_REQUIRED' });
    expect(calls).toHaveLength(2);
  });

  it('leave the history of what became of the connection', async () => {
    const { id } = await connected();
    await refresh(id);
    gives({ error: 'temporarily_unavailable' });
    await refresh(id);
    gives(full);
    await refresh(id);
    gives({ error: 'invalid_grant' });
    await refresh(id);
    await connected();
    await product.connections.disconnect(identityOf('acme'), id);
    expect(await events()).toEqual([
      'AUTHORIZATION_STARTED',
      'CONNECTED',
      'REFRESHED',
      'REFRESH_FAILED',
      'RECOVERED',
      'REAUTHORIZATION_REQUIRED',
      'AUTHORIZATION_STARTED',
      'CONNECTED',
      'DISCONNECTED',
    ]);
  });
});
