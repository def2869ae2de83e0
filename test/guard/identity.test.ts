import { createHmac } from 'node:crypto';
import { createGatewayRuntime } from '@graphql-hive/gateway-runtime';
import { SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createResolveIdentity } from '../../src/identity.ts';
import { embeddedDatabase } from '../support/databases.ts';
import { openEdge, secret, type Edge } from '../subscriptions/support.ts';
import { transports } from './transports.ts';

const issuer = 'https://id.example.com';
const audience = 'integrations';
const all = Object.entries(transports);
const claims = (more: object = {}) => ({
  ...{ account_id: 'acme', scope: 'integrations:read', sub: 'user-1', iss: issuer, aud: audience },
  exp: Math.floor(Date.now() / 1_000) + 300,
  ...more,
});
const token = async (more: object = {}, key = secret) =>
  new SignJWT(claims(more)).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(key));
const bearer = async (more: object = {}, key = secret) => ({
  authorization: `Bearer ${await token(more, key)}`,
});
const proof = { 'x-router-secret': 'proof' };
const query = '{ connections { id } }';

/** A subscription, which callbacks would start, and what no other transport runs. */
const bodyFor = (transport: string, extensions: object = {}) =>
  transport === 'callbacks'
    ? {
        query: 'subscription { connectionChanged { id } }',
        extensions: {
          subscription: { callbackUrl: 'http://127.0.0.1:1/', subscriptionId: 'a', verifier: 'v' },
          ...extensions,
        },
      }
    : { query, extensions };
const resolveIdentity = createResolveIdentity(
  { kind: 'secret', secret, accountClaim: 'account_id', issuer, audience },
  systemClock,
);

describe.each(all)('who is not known over %s', (transport, send) => {
  let edge: Edge;
  beforeAll(async () => {
    edge = await openEdge(embeddedDatabase, { routerSecrets: ['proof'], resolveIdentity });
  });
  afterAll(() => edge?.close());

  it.each<[string, () => Promise<Record<string, string>>, number]>([
    ['no token', async () => ({ ...proof }), 4401],
    ['another issuer', async () => ({ ...proof, ...(await bearer({ iss: 'https://evil.test' })) }), 4403],
    ['another audience', async () => ({ ...proof, ...(await bearer({ aud: 'billing' })) }), 4403],
    ['an expired token', async () => ({ ...proof, ...(await bearer({ exp: 1_000 })) }), 4403],
    [
      'the algorithm none',
      async () => ({ ...proof, authorization: `Bearer ${new UnsecuredJWT(claims()).encode()}` }),
      4403,
    ],
    ['another key', async () => ({ ...proof, ...(await bearer({}, 'x'.repeat(40))) }), 4403],
    [
      'a forged account header',
      async () => ({ ...proof, 'x-account-id': 'acme', 'x-user-id': 'user-1' }),
      4401,
    ],
    ['no router proof', async () => bearer(), 4403],
    ['a wrong router proof', async () => ({ 'x-router-secret': 'proo', ...(await bearer()) }), 4403],
  ])('is refused for %s, and nothing runs', async (_, headers, code) => {
    edge.product.statements.length = 0;
    const answered = await send(edge, bodyFor(transport), await headers());
    const codes = answered.errors.map(({ extensions }) => extensions.code);
    expect([answered.how, codes, answered.data ?? undefined]).toEqual(
      transport === 'WebSocket' ? [code, [], undefined] : [401, ['UNAUTHENTICATED'], undefined],
    );
    expect(edge.product.statements.filter((sql) => sql.includes('"connections"'))).toEqual([]);
    expect(edge.product.feed.readers()).toBe(0);
  });

  it.each<[string, () => Promise<object>]>([
    ['another account', async () => ({ token: await token({ account_id: 'rival' }) })],
    ['another person', async () => ({ payload: claims({ sub: 'user-2' }) })],
    ['what does not verify', async () => ({ token: await token({}, 'x'.repeat(40)) })],
  ])('is refused where extensions.jwt says %s than the header', async (_, jwt) => {
    const body = bodyFor(transport, { jwt: await jwt() });
    const { how, errors } = await send(edge, body, { ...proof, ...(await bearer()) });
    expect(errors.map(({ extensions }) => extensions.code)).toEqual(['UNAUTHENTICATED']);
    expect(how).toBe(transport === 'WebSocket' ? 'error' : 401);
  });
});

describe('extensions.jwt', () => {
  let edge: Edge;
  let open: Edge;
  beforeAll(async () => {
    edge = await openEdge(embeddedDatabase, { routerSecrets: ['proof'], resolveIdentity });
    open = await openEdge(embeddedDatabase, { resolveIdentity });
  });
  afterAll(() => Promise.all([edge?.close(), open?.close()]));
  const known = all.filter(([transport]) => transport === 'HTTP' || transport === 'server-sent events');

  it.each(known)(
    'is who asks over %s: the payload of the router, and a token of anybody',
    async (_, send) => {
      const of = (jwt: object) => ({ query, extensions: { jwt } });
      const good = { how: 200, errors: [], data: { connections: [] } };
      expect(await send(edge, of({ payload: claims() }), proof)).toEqual(good);
      expect(await send(edge, of({ token: { value: await token(), prefix: 'Bearer' } }), proof)).toEqual(
        good,
      );
      expect(await send(open, of({ token: await token() }))).toEqual(good);
      expect(await send(open, of({ payload: claims() }))).toMatchObject({ how: 401 });
    },
  );
});

describe('an operation over a WebSocket', () => {
  it('runs where its extensions.jwt is whom the socket belongs to', async () => {
    const edge = await openEdge(embeddedDatabase, { routerSecrets: ['proof'], resolveIdentity });
    const headers = { ...proof, ...(await bearer()) };
    for (const jwt of [{ payload: claims() }, { token: await token() }])
      expect(await transports['WebSocket']!(edge, { query, extensions: { jwt } }, headers)).toEqual({
        ...{ how: 'next', errors: [], data: { connections: [] } },
      });
    await edge.close();
  });
});

describe('the signature of Hive Gateway', () => {
  let edge: Edge;
  beforeAll(async () => {
    edge = await openEdge(embeddedDatabase, { routerHmacSecrets: ['hive'], resolveIdentity });
  });
  afterAll(() => edge?.close());
  const signed = (text: string) => ({
    query: text,
    extensions: {
      'hmac-signature': createHmac('sha256', 'hive')
        .update(JSON.stringify({ query: text }))
        .digest('base64'),
    },
  });

  it.each(all)('is asked of each operation over %s', async (transport, send) => {
    const headers = await bearer();
    const refused = await send(edge, bodyFor(transport), headers);
    expect(refused.errors.map(({ extensions }) => extensions.code)).toEqual(['UNAUTHENTICATED']);
    expect(refused.how).toBe(transport === 'WebSocket' ? 'error' : 401);
    const answered = await send(edge, signed(query), headers);
    expect([answered.data, answered.errors]).toEqual([{ connections: [] }, []]);
  });

  it('is what the gateway itself sends', async () => {
    const { authorization } = await bearer();
    const ask = async (hmac: string) => {
      const gateway = createGatewayRuntime({
        logging: false,
        proxy: { endpoint: `${edge.url}/graphql` },
        schema:
          'type Query { connections: [Connection!]! connection(id: ID!): Connection } type Connection { id: ID! }',
        hmacSignature: { secret: hmac },
        propagateHeaders: { fromClientToSubgraphs: () => ({ authorization }) },
      });
      const answer = await gateway.fetch('http://localhost/graphql', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          query: 'query Own($id: ID!) { connections { id } connection(id: $id) { id } }',
          variables: { id: 'ü' },
        }),
      });
      const body = (await answer.json()) as { data?: unknown; errors?: { extensions?: { code: string } }[] };
      await gateway[Symbol.asyncDispose]();
      return body;
    };
    expect(await ask('hive')).toEqual({ data: { connections: [], connection: null } });
    expect((await ask('another')).errors).not.toHaveLength(0);
  });
});

describe('in production', () => {
  let edge: Edge;
  let proved: Edge;
  beforeAll(async () => {
    edge = await openEdge(embeddedDatabase, { production: true, resolveIdentity });
    proved = await openEdge(embeddedDatabase, {
      production: true,
      routerSecrets: ['proof'],
      resolveIdentity,
    });
  });
  afterAll(() => Promise.all([edge?.close(), proved?.close()]));
  const sdl = { query: '{ _service { sdl } }' };

  it.each(all)('the schema is not told over %s, and errors suggest no names', async (transport, send) => {
    const headers = await bearer();
    const how = transport === 'WebSocket' ? 'error' : 400;
    const introspected = await send(edge, { query: '{ __schema { queryType { name } } }' }, headers);
    expect(introspected.how).toBe(how);
    expect(introspected.errors[0]!.extensions.code).toBe('GRAPHQL_VALIDATION_FAILED');
    expect(introspected.data ?? null).toBeNull();
    const misspelt = await send(edge, { query: '{ conections { id } }' }, headers);
    expect(misspelt).toMatchObject({
      how,
      errors: [{ message: expect.not.stringMatching(/did you mean/i) as string }],
    });
    expect(JSON.stringify(misspelt)).not.toContain('stack');
  });

  it('the schema is shown to the router without an identity, and to nobody else', async () => {
    const { HTTP: send } = transports;
    expect(await send!(edge, sdl)).toMatchObject({ how: 401 });
    expect(await send!(edge, sdl, proof)).toMatchObject({ how: 401 });
    expect(await send!(proved, sdl)).toMatchObject({ how: 401 });
    expect(await send!(proved, sdl, await bearer())).toMatchObject({ how: 401 });
    expect(await send!(proved, sdl, proof)).toMatchObject({ how: 200, data: { _service: {} } });
  });

  it('there is no console', async () => {
    const answer = await fetch(`${edge.url}/graphql`, { headers: { accept: 'text/html' } });
    expect(answer.status).toBe(401);
    const known = await fetch(`${edge.url}/graphql`, {
      headers: { accept: 'text/html', ...(await bearer()) },
    });
    expect(known.status).toBe(400);
    for (const page of [answer, known]) expect(await page.text()).not.toContain('GraphiQL');
  });

  it.each([
    ['a GET without a header that a form cannot send', 'GET', {}, 400],
    ['a form', 'POST', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
    ['an upload', 'POST', { 'content-type': 'multipart/form-data; boundary=x' }, 415],
    ['plain text', 'POST', { 'content-type': 'text/plain' }, 415],
    ['a POST without a type', 'POST', {}, 415],
  ])('%s is refused, which any page could send', async (_, method, headers, status) => {
    const search = method === 'GET' ? `?${new URLSearchParams({ query }).toString()}` : '';
    const answer = await fetch(`${edge.url}/graphql${search}`, {
      method,
      headers: { ...(await bearer()), ...(headers as Record<string, string>) },
      ...(method === 'POST' && { body: new TextEncoder().encode(JSON.stringify({ query })) }),
    });
    expect(answer.status).toBe(status);
    expect(await answer.text()).not.toContain('"data"');
  });
});
