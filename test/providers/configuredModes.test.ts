/** What descriptions can say of tokens and accounts, through the whole product: what is sent, and what is stored. */
import { afterEach, describe, expect, it } from 'vitest';
import { identityOf, openCore, type TestCore } from '../support/core.ts';
import { embeddedDatabase } from '../support/databases.ts';
import { setUp } from '../support/described.ts';
import { answeringServer, type AnsweringServer, type Asked } from '../support/httpServer.ts';

let server: AnsweringServer;
let product: TestCore;
let asked: Asked[];
let tokens: number;

/** A provider that gives a token for everything, and knows one account. */
async function open(description: string, clientSecret = 'acme-secret'): Promise<void> {
  asked = [];
  tokens = 0;
  server = await answeringServer((request) => {
    asked.push(request);
    if (!request.path.startsWith('/token'))
      return { status: 200, body: { id: '7', name: 'Record', team: { id: 'T1' } } };
    const form = new URLSearchParams(request.body);
    if (form.get('password') === 'wrong' || form.get('refresh_token') === 'renew-2')
      return { status: 400, body: { error: 'invalid_grant' } };
    tokens += 1;
    const refreshToken = `renew-${tokens}`;
    const answer = { access_token: `token-${tokens}`, refresh_token: refreshToken, expires_in: 3_600 };
    return { status: 200, body: { ...answer, member: { id: 'M1' } } };
  });
  const yaml = `integrations:\n  - ${description.trim().replaceAll('URL', server.url)}`;
  const credentials = { clientId: 'acme-id', clientSecret };
  product = await openCore(embeddedDatabase, { others: [setUp(yaml, credentials)] });
}
afterEach(async () => {
  await product.close();
  await server.close();
});

const connectInBrowser = async (more: Record<string, string> = {}) => {
  const url = new URL(await product.authorizationUrl('acme', { integrationId: 'acme' }));
  const state = url.searchParams.get('state')!;
  const query = new URLSearchParams({ state, code: 'code-1', ...more });
  return { url, answer: await product.callback(`http://localhost:4000/x?${query.toString()}`, 'acme') };
};
const present = async () => (await product.connections.list('acme'))[0]!;
const formOf = (request: Asked | undefined) => Object.fromEntries(new URLSearchParams(request?.body));

describe('a described integration', () => {
  it('of a public client proves itself by PKCE alone', async () => {
    await open(
      `
    id: acme
    displayName: Acme
    authorizeUrl: URL/authorize
    tokenUrl: URL/token
    revokeUrl: URL/token/revoke
    clientAuth: none
    api: { baseUrl: 'URL' }
    profile: { path: /me, idPath: id }
`,
      '',
    );
    const { url, answer } = await connectInBrowser();
    expect(answer.problem).toBeNull();
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      client_id: 'acme-id',
      code_challenge_method: 'S256',
    });
    expect(formOf(asked[0])).toMatchObject({
      client_id: 'acme-id',
      code_verifier: expect.stringMatching(/^[\w-]{43}$/) as unknown,
    });
    const connection = await present();
    await product.connections.disconnect(identityOf('acme'), connection.id);
    expect(formOf(asked.at(-1))).toEqual({ token: 'renew-1', client_id: 'acme-id' });
    for (const { headers, body } of asked)
      expect(`${headers.authorization} ${body}`).not.toMatch(/secret|Basic/);
  });

  it('may carry its token in another header, and find its account in the redirect', async () => {
    await open(`
    id: acme
    displayName: Acme
    authorizeUrl: URL/authorize
    tokenUrl: URL/token
    accountId: { from: callback, path: shop, pattern: '[a-z]+\\.example' }
    api: { baseUrl: 'URL', tokenHeader: x-acme-token, headers: { x-shop: '{accountId}' } }
    resources: { Order: { path: '/orders/{id}' } }
`);
    expect((await connectInBrowser({ shop: 'evil.example/' })).answer).toMatchObject({
      problem: { code: 'INVALID_INPUT' },
    });
    expect(asked).toEqual([]);
    expect((await connectInBrowser({ shop: 'books.example' })).answer.problem).toBeNull();
    const connection = await present();
    expect(connection).toMatchObject({ status: 'ACTIVE', externalId: 'books.example' });
    const patience = { deadlineAtMs: product.clock.now() + 5_000 };
    const found = await product.api.records(connection, 'Order', ['7'], patience);
    expect(found.get('7')).toMatchObject({ payload: { name: 'Record' } });
    expect(asked.at(-1)).toMatchObject({
      path: '/orders/7',
      headers: { 'x-acme-token': 'token-1', 'x-shop': 'books.example', accept: 'application/json' },
    });
    expect(asked.at(-1)!.headers).not.toHaveProperty('authorization');
    expect(await product.api.profile(connection, patience)).toBeNull();
  });

  it('may be connected with a user name and a password, which are used again when the refresh token is dead', async () => {
    await open(`
    id: acme
    displayName: Acme
    authMode: oauth2_password
    tokenUrl: URL/token
    tokenParams: { scope: books }
    clientAuth: body
    accountId: { from: token, path: member.id }
    api: { baseUrl: 'URL' }
`);
    const connect = (password: string) =>
      product.connections.connect({
        ...{ accountId: 'acme', userId: 'user-1', integrationId: 'acme' },
        credentials: { username: 'ann', password },
      });
    expect(await connect('wrong')).toMatchObject({ problem: { code: 'AUTHORIZATION_DENIED' } });
    expect(await connect('right')).toMatchObject({
      connection: { status: 'ACTIVE', externalId: 'M1' },
      problem: null,
    });
    const { id } = await present();
    for (let i = 0; i < 2; i++)
      expect(await product.connections.refresh(identityOf('acme'), id)).toMatchObject({ problem: null });
    const client = { client_id: 'acme-id', client_secret: 'acme-secret' };
    const byPassword = {
      grant_type: 'password',
      username: 'ann',
      password: 'right',
      scope: 'books',
      ...client,
    };
    expect(asked.slice(1).map(formOf)).toEqual([
      byPassword,
      { grant_type: 'refresh_token', refresh_token: 'renew-1', ...client },
      { grant_type: 'refresh_token', refresh_token: 'renew-2', ...client },
      byPassword,
    ]);
    expect(product.logs()).not.toMatch(/"right"|acme-secret|renew-|token-\d/);
  });
});
