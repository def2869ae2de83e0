import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Connection } from '../../src/connections/connection.ts';
import { identityOf, openCore, returnTo, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { setUp } from '../support/described.ts';
import { oidcServer, signIn, type OidcServer } from '../support/oidcProvider.ts';

const entry = (url: string) => `
integrations:
  - id: acme-crm
    displayName: Acme CRM
    authorizeUrl: ${url}/authorize
    tokenUrl: ${url}/token
    revokeUrl: ${url}/revoke
    issuer: ${url}
    issExpected: true
    authorizeParams: { prompt: consent }
    defaultScopes: [openid, profile, offline_access]
    api: { baseUrl: '${url}/v1' }
    profile: { path: /me, idPath: sub, namePath: name }
    rateLimits: [{ limit: 1000, windowSec: 1 }]
    resources:
      Customer:
        path: /customers/{id}
        recordPath: data
        updatedAtPath: changed_at
        mask: [ssn]
`;

describe.each(databaseKinds)('an integration by configuration, at oidc-provider, %s', (_kind, open) => {
  let server: OidcServer;
  let product: TestCore;
  beforeEach(async () => {
    server = await oidcServer('http://localhost:4000/oauth/acme-crm/callback');
    product = await openCore(open, { others: [setUp(entry(server.url))], interactiveDeadlineMs: 10_000 });
  });
  afterEach(async () => {
    await product.close();
    await server.close();
  });

  const redirected = async (login = 'alice') =>
    signIn(await product.authorizationUrl('acme', { integrationId: 'acme-crm', returnTo }), login);
  const connected = async (login?: string): Promise<Connection> => {
    const { connectionId, problem } = await product.callback(await redirected(login), 'acme-crm');
    expect(problem).toBeNull();
    return present(connectionId!);
  };
  const present = async (id: string) => (await product.connections.find('acme', [id])).get(id)!;
  const read = async ({ id }: Connection, ids: string[]) => {
    const fields = ids.map(
      (one, i) => `r${i}: record(resource: "Customer", externalId: "${one}") { payload updatedAt }`,
    );
    const { data, errors } = await product.query(
      `query ($id: ID!) { connection(id: $id) { ${fields.join(' ')} } }`,
      { id },
    );
    return { data: data?.connection as Record<string, unknown>, errors };
  };

  it('connects in the browser, and reads', async () => {
    const location = await redirected();
    expect(new URL(location).searchParams.get('iss')).toBe(server.url);
    const answer = await product.callback(location, 'acme-crm');
    expect(answer).toMatchObject({ problem: null, returnTo });
    const connection = await present(answer.connectionId!);
    expect(connection).toMatchObject({
      status: 'ACTIVE',
      externalId: 'alice',
      scopes: expect.arrayContaining(['openid', 'profile', 'offline_access']) as unknown,
    });
    expect(server.tokenRequests).toEqual(['authorization_code ok']);
    const { data } = await product.query(
      '{ integration(id: "acme-crm") { name auth scopes resources health connection { profile { id name } rateLimit { limit } } } }',
    );
    expect(data).toEqual({
      integration: {
        name: 'Acme CRM',
        auth: 'OAUTH2',
        scopes: ['openid', 'profile', 'offline_access'],
        resources: ['Customer'],
        health: 'HEALTHY',
        connection: { profile: { id: 'alice', name: 'Name of alice' }, rateLimit: { limit: 1_000 } },
      },
    });
    expect(await read(connection, ['7'])).toMatchObject({
      errors: undefined,
      data: {
        r0: {
          payload: { id: '7', name: 'Customer 7', ssn: '***' },
          updatedAt: '2026-11-01T10:00:00.000Z',
        },
      },
    });
    expect(product.logs()).not.toMatch(/acme-secret|123-45-6789/);
  });

  it.each([
    ['another issuer', (url: URL) => url.searchParams.set('iss', 'https://evil.example')],
    ['no issuer', (url: URL) => url.searchParams.delete('iss')],
    ['the issuer with a slash', (url: URL) => url.searchParams.set('iss', `${url.searchParams.get('iss')}/`)],
  ])('refuses a redirect from %s, without a token request', async (_what, change) => {
    const location = new URL(await redirected());
    change(location);
    const answer = await product.callback(location.href, 'acme-crm');
    expect(answer).toMatchObject({ problem: { code: 'INVALID_INPUT' }, returnTo });
    expect(await present(answer.connectionId!)).toMatchObject({ status: 'PENDING' });
    expect(server.tokenRequests).toEqual([]);
  });

  it('refreshes once for 50 callers at once, and the grant lives on', async () => {
    const connection = await connected();
    server.tokenRequests.length = 0;
    product.clock.shift(2 * 3_600_000);
    const ids = Array.from({ length: 50 }, (_, i) => String(i));
    const answers = await Promise.all(ids.map((id) => read(connection, [id])));
    for (const [i, { data, errors }] of answers.entries()) {
      expect(errors).toBeUndefined();
      expect(data.r0).toMatchObject({ payload: { id: String(i) } });
    }
    expect(server.tokenRequests).toEqual(['refresh_token ok']);
    // A second one with the same token would have ended the grant: the next refresh tells.
    product.clock.shift(2 * 3_600_000);
    expect(await product.connections.refresh(identityOf('acme'), connection.id)).toMatchObject({
      problem: null,
    });
    expect(await read(connection, ['51'])).toMatchObject({ errors: undefined });
    expect(server.tokenRequests).toEqual(['refresh_token ok', 'refresh_token ok']);
    expect(server.revokedGrants()).toBe(0);
  });

  it('asks the person once the server has ended the grant, and asks the server no more', async () => {
    const connection = await connected();
    // Somebody else uses our refresh token twice: reuse detection ends the grant.
    const { refresh_token: stolen } = server.latest();
    for (let i = 0; i < 2; i++)
      await server.post('/token', { grant_type: 'refresh_token', refresh_token: stolen });
    expect(server.revokedGrants()).toBe(1);
    const { errors } = await read(connection, ['1']);
    expect(errors?.[0]?.originalError).toMatchObject({ code: 'REAUTHORIZATION_REQUIRED' });
    expect(await present(connection.id)).toMatchObject({
      status: 'NEEDS_REAUTHORIZATION',
      problem: { actor: 'USER' },
    });
    const asked = server.tokenRequests.length;
    await read(connection, ['2']);
    expect(server.tokenRequests.length).toBe(asked);

    // The same connection is authorized anew, for the same account only.
    const other = await product.callback(await redirected('mallory'), 'acme-crm');
    expect(other).toMatchObject({ problem: { code: 'ACCOUNT_MISMATCH' } });
    expect((await connected('alice')).id).toBe(connection.id);
    expect(await read(connection, ['3'])).toMatchObject({ errors: undefined });
  });

  it('leaves no living token behind when it is disconnected', async () => {
    const connection = await connected();
    const { access_token: accessToken, refresh_token: refreshToken } = server.latest();
    expect([await server.isActive(accessToken), await server.isActive(refreshToken)]).toEqual([true, true]);
    const { data } = await product.query(
      'mutation ($id: ID!) { disconnect(input: { connectionId: $id }) { revocation connection { status } } }',
      { id: connection.id },
    );
    expect(data).toEqual({ disconnect: { revocation: 'REVOKED', connection: { status: 'DISCONNECTED' } } });
    expect([await server.isActive(accessToken), await server.isActive(refreshToken)]).toEqual([false, false]);
    expect(await product.db.selectFrom('oauth_tokens').selectAll().execute()).toEqual([]);
  });
});
