import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { myCarrierPackets } from '../../src/providers/myCarrierPackets.ts';
import { identityOf, openCore, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { answeringServer, type AnsweringServer } from '../support/httpServer.ts';

const password = 'correct horse battery staple';

/** A token endpoint as the vendor's clients describe it: refresh tokens are good once, and no client is asked for. */
function tokenServer() {
  const state = {
    password,
    refreshWorks: true,
    expiresIn: 1_209_599,
    grants: [] as string[],
    live: new Set<string>(),
  };
  const answer = (body: string): { status: number; body: object } => {
    const form = new URLSearchParams(body);
    const grant = form.get('grant_type')!;
    state.grants.push(grant);
    const presented = form.get('refresh_token') ?? '';
    const accepted =
      grant === 'password'
        ? form.get('password') === state.password
        : state.refreshWorks && state.live.delete(presented);
    if (!accepted) return { status: 400, body: { error: 'invalid_grant' } };
    const refreshToken = randomUUID();
    state.live.add(refreshToken);
    return {
      status: 200,
      body: {
        access_token: randomUUID(),
        token_type: 'bearer',
        expires_in: state.expiresIn,
        refresh_token: refreshToken,
        userName: form.get('username') ?? 'tms@carrier.test',
      },
    };
  };
  return { state, answer };
}

describe.each(databaseKinds)('a connection by user name and password, %s', (_kind, open) => {
  let server: AnsweringServer;
  let product: TestCore;
  let state: ReturnType<typeof tokenServer>['state'];
  beforeEach(async () => {
    const tokens = tokenServer();
    state = tokens.state;
    server = await answeringServer((request) =>
      request.path.startsWith('/token')
        ? tokens.answer(request.body)
        : {
            status: 200,
            body: { DOTNumber: 9_999_997, LegalName: 'Test', CarrierW9Forms: [{ SSN: '123-45-6789' }] },
          },
    );
    const endpoints = {
      authorizeUrl: '',
      revokeUrl: '',
      tokenUrl: `${server.url}/token`,
      apiUrl: server.url,
    };
    product = await openCore(open, {
      others: [{ provider: myCarrierPackets, endpoints, limits: myCarrierPackets.limits }],
    });
  });
  afterEach(async () => {
    await product.close();
    await server.close();
  });

  const connect = (secret = password, more: object = {}) =>
    product.connections.connect({
      ...{ accountId: 'acme', userId: 'user-1', integrationId: 'mycarrierpackets' },
      credentials: { username: 'tms@carrier.test', password: secret },
      ...more,
    });
  const connected = async () => (await connect()).connection!;
  const present = async (id: string) => (await product.connections.find('acme', [id])).get(id)!;
  const refresh = (id: string) => product.connections.refresh(identityOf('acme'), id);

  it('is active at once, and keeps nothing where the provider refuses', async () => {
    expect(await connect('wrong')).toMatchObject({
      connection: null,
      problem: { code: 'AUTHORIZATION_DENIED', actor: 'USER' },
    });
    expect(await product.connections.list('acme')).toEqual([]);
    expect(await connect()).toMatchObject({
      connection: { status: 'ACTIVE', externalId: 'tms@carrier.test' },
      authorizationUrl: null,
      problem: null,
    });
    expect(await connect()).toMatchObject({ problem: { code: 'ALREADY_CONNECTED' } });
    expect(state.grants).toEqual(['password', 'password']);
  });

  it('asks for what is missing', async () => {
    for (const credentials of [undefined, {}, { username: 'tms', password: '' }])
      expect(await connect('', { credentials })).toMatchObject({ problem: { code: 'INVALID_INPUT' } });
    expect(state.grants).toEqual([]);
  });

  it('is renewed by refresh token, and with the password where that is refused, once', async () => {
    const { id } = await connected();
    expect(await refresh(id)).toMatchObject({ problem: null });
    state.refreshWorks = false;
    expect(await refresh(id)).toMatchObject({ problem: null, connection: { status: 'ACTIVE' } });
    expect(state.grants).toEqual(['password', 'refresh_token', 'refresh_token', 'password']);
  });

  it('falls back once for all who wait', async () => {
    const { id } = await connected();
    state.refreshWorks = false;
    product.clock.shift(15 * 86_400_000);
    const connection = await present(id);
    const reads = Array.from({ length: 20 }, () =>
      product.api.records(connection, 'Carrier', ['9999997'], { deadlineAtMs: product.clock.now() + 5_000 }),
    );
    for (const found of await Promise.all(reads)) expect(found.size).toBe(1);
    expect(state.grants).toEqual(['password', 'refresh_token', 'password']);
  });

  it('that is refused both ways waits for a person, without another request', async () => {
    const { id } = await connected();
    state.password = 'changed';
    state.refreshWorks = false;
    for (let i = 0; i < 3; i++)
      expect(await refresh(id)).toMatchObject({
        connection: { status: 'NEEDS_REAUTHORIZATION' },
        problem: { code: 'REAUTHORIZATION_REQUIRED', actor: 'USER' },
      });
    await product.upkeep.refreshDue();
    expect(state.grants).toEqual(['password', 'refresh_token', 'password']);
    expect(await connect('changed')).toMatchObject({ connection: { id, status: 'ACTIVE' }, problem: null });
  });

  it('belongs to one user name until it is ended', async () => {
    const { id } = await connected();
    state.password = 'changed';
    state.refreshWorks = false;
    await refresh(id);
    const other = { credentials: { username: 'other@carrier.test', password: 'changed' } };
    expect(await connect('', other)).toMatchObject({ problem: { code: 'ACCOUNT_MISMATCH' } });
    await product.connections.disconnect(identityOf('acme'), id);
    expect(await connect('', other)).toMatchObject({ problem: null, connection: { status: 'ACTIVE' } });
  });

  it('has nothing to revoke, and leaves no secret behind', async () => {
    const { id } = await connected();
    expect(await product.connections.setWebhookSecret('acme', id, 'a webhook secret')).toMatchObject({
      problem: null,
    });
    expect(await product.connections.disconnect(identityOf('acme'), id)).toMatchObject({
      revocation: 'NOT_SUPPORTED',
      connection: { status: 'DISCONNECTED' },
    });
    for (const table of ['oauth_tokens', 'webhook_secrets', 'token_revocations'] as const)
      expect(await product.db.selectFrom(table).selectAll().execute()).toEqual([]);
  });

  it('shows carriers without their bank and tax data', async () => {
    const { id } = await connected();
    const [record] = await product.api
      .records(await present(id), 'Carrier', ['9999997'], { deadlineAtMs: product.clock.now() + 5_000 })
      .then((found) => [...found.values()]);
    expect(record!.payload).toMatchObject({ LegalName: 'Test', CarrierW9Forms: [{ SSN: '***' }] });
    expect(product.logs()).not.toContain('123-45');
    expect(product.logs()).not.toContain(password);
  });
});
