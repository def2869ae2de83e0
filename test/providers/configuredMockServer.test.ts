/** A described integration against `oauth2-mock-server`, which answers what the test says. */
import { Events, OAuth2Server, type MutableResponse } from 'oauth2-mock-server';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ProblemCode } from '../../src/errors.ts';
import { visit } from '../support/browser.ts';
import { identityOf, openCore, type TestCore } from '../support/core.ts';
import { embeddedDatabase } from '../support/databases.ts';
import { setUp } from '../support/described.ts';

const entry = (url: string) => `
integrations:
  - id: mock
    displayName: Mock
    authorizeUrl: ${url}/authorize
    tokenUrl: ${url}/token
    revokeUrl: ${url}/revoke
    clientAuth: body
    defaultScopes: [openid, books]
    tokenParams: { audience: books }
    tokenResponse:
      # The server always says that it granted "dummy".
      scopePath: granted
      errors: { grantEnded: [token_gone], codeExpired: [code_gone], rateLimited: [slow_down] }
    api: { baseUrl: '${url}' }
    profile: { path: /userinfo, idPath: sub }
`;

let server: OAuth2Server;
let product: TestCore;
let requests: Record<string, unknown>[];
let account = 0;

beforeAll(async () => {
  server = new OAuth2Server();
  await server.issuer.keys.generate('RS256');
  await server.start(0, '127.0.0.1');
  const url = `http://127.0.0.1:${server.address().port}`;
  server.service.on(
    Events.BeforeResponse,
    (_response, request) => void requests.push(request.body as Record<string, unknown>),
  );
  product = await openCore(embeddedDatabase, { others: [setUp(entry(url))] });
});
afterAll(async () => {
  await product.close();
  await server.stop();
});
beforeEach(() => {
  requests = [];
  account += 1;
});

const connect = async () => {
  const accountId = `account-${account}`;
  const url = await product.authorizationUrl(accountId, { integrationId: 'mock' });
  const answer = await product.callback((await visit(url)).location!, 'mock');
  const connection = async () =>
    (await product.connections.find(accountId, [answer.connectionId!])).get(answer.connectionId!)!;
  return { ...answer, connection, id: answer.connectionId!, viewer: identityOf(accountId) };
};
const nextAnswer = (body: object | '', statusCode = 200) =>
  server.service.once(Events.BeforeResponse, (response: MutableResponse) => {
    response.body = body as Record<string, unknown>;
    response.statusCode = statusCode;
  });

describe('a described integration', () => {
  it('connects, refreshes and disconnects', async () => {
    const { connection, problem, id, viewer } = await connect();
    expect(problem).toBeNull();
    expect(await connection()).toMatchObject({ status: 'ACTIVE', externalId: 'johndoe' });
    expect(await product.connections.refresh(viewer, id)).toMatchObject({ problem: null });
    expect(requests).toMatchObject([
      { grant_type: 'authorization_code', audience: 'books', client_id: 'acme-client' },
      { grant_type: 'refresh_token', client_id: 'acme-client' },
    ]);
    expect(requests[1]).not.toHaveProperty('audience');
    expect(await product.connections.disconnect(viewer, id)).toMatchObject({ revocation: 'REVOKED' });
  });

  const bad: [
    what: string,
    body: object | '',
    status: number,
    connecting: ProblemCode,
    refreshing: ProblemCode,
  ][] = [
    ['invalid_grant', { error: 'invalid_grant' }, 400, 'AUTHORIZATION_EXPIRED', 'REAUTHORIZATION_REQUIRED'],
    [
      'invalid_grant as a success',
      { error: 'invalid_grant' },
      200,
      'AUTHORIZATION_EXPIRED',
      'REAUTHORIZATION_REQUIRED',
    ],
    [
      'its own word for it',
      { error: 'token_gone' },
      403,
      'AUTHORIZATION_EXPIRED',
      'REAUTHORIZATION_REQUIRED',
    ],
    [
      'its own word for a spent code',
      { error: 'code_gone' },
      400,
      'AUTHORIZATION_EXPIRED',
      'AUTHORIZATION_EXPIRED',
    ],
    ['its own word for too many', { error: 'slow_down' }, 400, 'RATE_LIMITED', 'RATE_LIMITED'],
    ['invalid_client', { error: 'invalid_client' }, 401, 'NOT_CONFIGURED', 'NOT_CONFIGURED'],
    ['invalid_scope', { error: 'invalid_scope' }, 400, 'BAD_REQUEST', 'BAD_REQUEST'],
    ['invalid_grant with a 503', { error: 'invalid_grant' }, 503, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    ['a 500', {}, 500, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    ['a 429', {}, 429, 'RATE_LIMITED', 'RATE_LIMITED'],
    ['a 400 without a word', {}, 400, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    ['a redirect', {}, 302, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    ['nothing', '', 200, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    ['no token', { token_type: 'bearer' }, 200, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    ['a token that is none', { access_token: 42 }, 200, 'PROVIDER_ERROR', 'PROVIDER_ERROR'],
    [
      'a token of another type',
      { access_token: 'a', token_type: 'mac' },
      200,
      'PROVIDER_ERROR',
      'PROVIDER_ERROR',
    ],
  ];

  it.each(bad)('fails to connect on %s, after one token request', async (_what, body, status, code) => {
    nextAnswer(body, status);
    const { problem, connection } = await connect();
    expect(problem).toMatchObject({ code });
    expect(await connection()).toMatchObject({ status: 'PENDING', problem: { code } });
    expect(requests).toHaveLength(1);
  });

  it.each(bad)(
    'keeps or loses its refresh on %s, after one request',
    async (_what, body, status, _code, code) => {
      const { id, viewer, connection } = await connect();
      requests = [];
      nextAnswer(body, status);
      expect(await product.connections.refresh(viewer, id)).toMatchObject({ problem: { code } });
      expect(await connection()).toMatchObject({
        status: code === 'REAUTHORIZATION_REQUIRED' ? 'NEEDS_REAUTHORIZATION' : 'ACTIVE',
        problem: { code },
      });
      expect(requests).toHaveLength(1);
    },
  );

  it('needs the scopes that it asks for', async () => {
    nextAnswer({ access_token: 'abc', token_type: 'Bearer', granted: 'openid' });
    expect(await connect()).toMatchObject({ problem: { code: 'SCOPES_INSUFFICIENT' } });
  });

  it('is told who declined', async () => {
    server.service.once(Events.BeforeAuthorizeRedirect, ({ url }) => {
      url.searchParams.delete('code');
      url.searchParams.set('error', 'access_denied');
    });
    expect(await connect()).toMatchObject({ problem: { code: 'AUTHORIZATION_DENIED' } });
    expect(requests).toEqual([]);
  });

  it.each([
    ['nobody', {}, 200, 'PROVIDER_ERROR'],
    ['an account with an id too large to be exact', { sub: 2 ** 60 }, 200, 'PROVIDER_ERROR'],
    ['an account with an id that would lead elsewhere', { sub: '..' }, 200, 'PROVIDER_ERROR'],
    ['no access', { error: 'invalid_token' }, 401, 'FORBIDDEN'],
  ])('does not connect %s', async (_what, body, statusCode, code) => {
    server.service.once(Events.BeforeUserinfo, (response) => Object.assign(response, { body, statusCode }));
    const { problem, connection } = await connect();
    expect(problem).toMatchObject({ code });
    expect(await connection()).toMatchObject({ status: 'PENDING' });
  });

  it('goes on revoking where that fails', async () => {
    const { id, viewer } = await connect();
    const refuse = (response: { statusCode: number }) => void (response.statusCode = 503);
    server.service.on(Events.BeforeRevoke, refuse);
    expect(await product.connections.disconnect(viewer, id)).toMatchObject({ revocation: 'PENDING' });
    server.service.off(Events.BeforeRevoke, refuse);
    const left = await product.db.selectFrom('token_revocations').select('connection_id').execute();
    expect(left).toEqual([{ connection_id: id }]);
  });
});
