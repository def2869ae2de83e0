import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consent, visit } from './support/browser.ts';
import { migratedDataDir } from './support/migratedDump.ts';
import { runMain, startProduct, type Product } from './support/product.ts';

const secret = 'a shared secret of at least thirty-two bytes';
const list = '{ connections { id } }';

const bearer = async (claims: Record<string, unknown> = {}, seconds = 300, key = secret) => {
  const usual = {
    account_id: 'acme',
    scope: 'integrations:read',
    iss: 'https://id.example.com',
    aud: 'integrations',
  };
  const token = await new SignJWT({ ...usual, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
    .sign(new TextEncoder().encode(key));
  return { authorization: `Bearer ${token}` };
};

describe('the HTTP edge', () => {
  let product: Product;
  const post = (body: BodyInit, headers: Record<string, string>) =>
    fetch(`${product.url}/graphql`, { method: 'POST', body, headers });

  beforeAll(async () => {
    product = await startProduct({
      AUTH_JWT_SECRET: secret,
      AUTH_ISSUER: 'https://id.example.com',
      AUTH_AUDIENCE: 'integrations',
      ROUTER_SECRET: 'old,new',
    });
  });
  afterAll(async () => {
    await product?.stop();
    await product?.remove();
  });

  const proof = { 'x-router-secret': 'new' };

  it('answers who proves both the router and an account', async () => {
    const answer = await product.graphql(list, {}, { ...proof, ...(await bearer()) });
    expect(answer).toEqual({ status: 200, data: { connections: [] } });
  });

  it.each([
    ['no token', async () => proof],
    ['an account header instead of a token', async () => ({ ...proof, 'x-account-id': 'acme' })],
    ['an expired token', async () => ({ ...proof, ...(await bearer({}, -3_600)) })],
    ['a token of another key', async () => ({ ...proof, ...(await bearer({}, 300, 'x'.repeat(40))) })],
    [
      'a token of another issuer',
      async () => ({ ...proof, ...(await bearer({ iss: 'https://evil.test' })) }),
    ],
    ['a token for another audience', async () => ({ ...proof, ...(await bearer({ aud: 'billing' })) })],
    ['a token without an account', async () => ({ ...proof, ...(await bearer({ account_id: undefined })) })],
    ['no router proof', async () => bearer()],
    ['a wrong router proof', async () => ({ 'x-router-secret': 'ne', ...(await bearer()) })],
  ])('executes nothing for %s', async (_, headers) => {
    for (const query of [
      list,
      '{ _entities(representations: []) { __typename } }',
      '{ integrations { id } }',
    ]) {
      const answer = await product.graphql(query, {}, (await headers()) as Record<string, string>);
      expect(answer.status).toBe(401);
      expect(answer.data ?? null).toBeNull();
      expect(answer.errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
    }
  });

  it('lets the composition read the schema without an identity', async () => {
    const answer = await product.graphql('{ _service { sdl } }', {}, proof);
    expect(answer.data._service.sdl).toContain('type Connection');
  });

  it('refuses writes without the scope for them, and operator fields without theirs', async () => {
    const headers = { ...proof, ...(await bearer()) };
    const write = await product.graphql(
      'mutation { connect(input: { integrationId: "quickbooks" }) { problem { code } } }',
      {},
      headers,
    );
    expect(write.errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    const redrive = 'mutation { redriveDeliveries(input: { deliveryIds: [] }) { problem { code } } }';
    const writer = { ...proof, ...(await bearer({ scope: 'integrations:write' })) };
    expect((await product.graphql(redrive, {}, writer)).errors?.[0]?.extensions.code).toBe('FORBIDDEN');
  });

  it.each([
    ['a body over 1 MiB', 'x'.repeat(1024 * 1024 + 1), 'application/json', 413],
    ['another content type', 'query=1', 'application/x-www-form-urlencoded', 415],
    ['plain text', list, 'text/plain', 415],
    ['what is not JSON', '{"query":', 'application/json', 400],
    ['JSON that is no request', '[1]', 'application/json', 400],
    ['an empty body', '', 'application/json', 400],
    ['a query that does not parse', '{"query":"{"}', 'application/json', 400],
    ['a field that does not exist', '{"query":"{ nothing }"}', 'application/json', 400],
  ])('refuses %s', async (_, body, type, status) => {
    const answer = await post(body, { 'content-type': type, ...proof, ...(await bearer()) });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toContain('json');
    const { errors } = (await answer.json()) as { errors: { extensions: { code: string } }[] };
    expect(errors[0]!.extensions.code).toMatch(
      /^(BAD_REQUEST|GRAPHQL_PARSE_FAILED|GRAPHQL_VALIDATION_FAILED)$/,
    );
  });

  it('refuses a body that says it is compressed, whatever it is', async () => {
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip', ...proof };
    const answer = await post(JSON.stringify({ query: list }), { ...headers, ...(await bearer()) });
    expect(answer.status).toBe(415);
    expect(await answer.json()).toMatchObject({ errors: [{ extensions: { code: 'BAD_REQUEST' } }] });
  });

  it('answers a bad argument with its code', async () => {
    const source = '{ connections(status: [NOSUCH]) { id } }';
    const answer = await product.graphql(source, {}, { ...proof, ...(await bearer()) });
    expect(answer.errors?.[0]?.extensions.code).toBe('GRAPHQL_VALIDATION_FAILED');
  });

  it('refuses a subscription with a clear code', async () => {
    const source = 'subscription { connectionChanged { id } }';
    const answer = await product.graphql(source, {}, { ...proof, ...(await bearer()) });
    expect(answer.errors?.[0]?.extensions.code).toBe('SUBSCRIPTIONS_NOT_SUPPORTED');
  });

  it('does not answer simple requests that a foreign page could send', async () => {
    const address = `${product.url}/graphql?query=${encodeURIComponent(list)}`;
    const answer = await fetch(address, { headers: { ...proof, ...(await bearer()) } });
    expect(answer.status).toBe(400);
  });

  it('does not use a state up for a HEAD, which link scanners send', async () => {
    expect((await fetch(`${product.url}/oauth/quickbooks/callback`, { method: 'HEAD' })).status).toBe(404);
  });

  it.each(['/nothing', '/oauth/nosuch/callback?state=x', '/oauth/quickbooks'])(
    'knows no %s',
    async (path) => {
      expect((await fetch(product.url + path)).status).toBe(404);
    },
  );

  it('shows a page for a callback that has nowhere to return to, with nothing of its query', async () => {
    const canary = '<script>alert(1)</script>';
    const query = new URLSearchParams({
      state: 'x'.repeat(43),
      code: canary,
      error_description: canary,
      realmId: '1',
    });
    const answer = await fetch(`${product.url}/oauth/quickbooks/callback?${query}`);
    const page = await answer.text();
    expect(answer.status).toBe(400);
    expect(page).toContain('INVALID_INPUT');
    expect(page).not.toContain('<script');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
  });

  it('shows its metrics to who proves nothing, and lets nobody keep them', async () => {
    const answer = await fetch(`${product.url}/metrics`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const page = await answer.text();
    expect(page).toMatch(/^integrations_breaker_state\{integration="quickbooks"\} 0$/m);
    expect(page).toMatch(/^integrations_queue_depth\{integration="quickbooks",priority="poll"\} 0$/m);
    expect(page).toMatch(/^nodejs_eventloop_lag_seconds /m);
    expect((await fetch(`${product.url}/metrics`, { method: 'POST' })).status).toBe(404);
  });

  it('cuts a sender off who never ends its headers', async () => {
    const socket = connect(Number(new URL(product.url).port), '127.0.0.1');
    socket.write('POST /graphql HTTP/1.1\r\nHost: x\r\n');
    const started = performance.now();
    await new Promise((resolve) => socket.once('close', resolve).resume());
    expect(performance.now() - started).toBeLessThan(8_000);
  });
});

describe('the metrics of a running product', () => {
  let product: Product;
  let id: string;
  const sample = async (name: string) => {
    const page = await (await fetch(`${product.url}/metrics`)).text();
    const line = page.split('\n').find((one) => one.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.slice(name.length));
  };
  const refreshes = (outcome: string) =>
    sample(`integrations_token_refreshes_total{integration="quickbooks",outcome="${outcome}"}`);
  const requests = (outcome: string) =>
    sample(`integrations_provider_requests_total{integration="quickbooks",outcome="${outcome}"}`);
  const providerSaw = async (path: string) => {
    const answer = await fetch(`${product.sandboxUrl}/_admin/requests`);
    const log = ((await answer.json()) as { requests: { path: string }[] }).requests;
    return log.filter((request) => request.path.includes(path)).length;
  };
  const refresh = async () => {
    const source = 'mutation ($id: ID!) { refresh(input: { connectionId: $id }) { problem { code } } }';
    return (await product.graphql(source, { id })).data.refresh.problem?.code ?? 'OK';
  };

  beforeAll(async () => {
    product = await startProduct();
    const { data } = await product.graphql(
      'mutation { connect(input: { integrationId: "quickbooks" }) { authorizationUrl connection { id } } }',
    );
    id = data.connect.connection.id;
    const { pathname, search } = new URL(await consent(data.connect.authorizationUrl));
    await visit(product.url + pathname + search);
  });
  afterAll(async () => {
    await product?.stop();
    await product?.remove();
  });

  it('count what the provider saw', async () => {
    const connecting = (await providerSaw('/tokens/bearer')) + (await providerSaw('/companyinfo/'));
    expect(connecting).toBeGreaterThan(1);
    const counted = await requests('OK');
    const timed = await sample('integrations_provider_request_seconds_count{integration="quickbooks"}');
    // Meanwhile all records are read for the first time.
    const all = (await providerSaw('/tokens/bearer')) + (await providerSaw('/v3/company/'));
    for (const count of [counted, timed]) {
      expect(count).toBeGreaterThanOrEqual(connecting);
      expect(count).toBeLessThanOrEqual(all);
    }
  });

  it('count a refresh once, whoever else joined it, and one that failed by its problem', async () => {
    const before = await providerSaw('/tokens/bearer');
    expect(await refreshes('OK')).toBe(0);
    await Promise.all(Array.from({ length: 10 }, refresh));
    const made = (await providerSaw('/tokens/bearer')) - before;
    expect(made).toBeGreaterThan(0);
    expect(await refreshes('OK')).toBe(made);

    await fetch(`${product.sandboxUrl}/_admin/faults`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ count: 50, match: { pathContains: '/tokens/bearer' }, status: 503 }),
    });
    expect(await refresh()).toBe('PROVIDER_ERROR');
    expect(await refreshes('PROVIDER_ERROR')).toBe(1);
    expect(await refreshes('OK')).toBe(made);
    expect(await requests('PROVIDER_ERROR')).toBe((await providerSaw('/tokens/bearer')) - before - made);
  });

  it('count every event that is stored', async () => {
    const source = `query ($id: ID!, $after: String) { connection(id: $id) {
      events(first: 100, after: $after) { nodes { kind } pageInfo { hasNextPage endCursor } } } }`;
    let changes = 0;
    for (let after: string | null = null, more = true; more;) {
      const page: { nodes: { kind: string }[]; pageInfo: { hasNextPage: boolean; endCursor: string } } = (
        await product.graphql(source, { id, after })
      ).data.connection.events;
      changes += page.nodes.filter((node) => node.kind === 'CONNECTION_CHANGED').length;
      after = page.pageInfo.endCursor;
      more = page.pageInfo.hasNextPage;
    }
    expect(changes).toBeGreaterThan(1);
    expect(await sample('integrations_events_total{kind="CONNECTION_CHANGED"}')).toBe(changes);
  });

  it('hold no id of an account or a connection', async () => {
    const page = await (await fetch(`${product.url}/metrics`)).text();
    expect(page).not.toContain(id);
    expect(page).not.toContain('demo');
  });
});

describe('the console', () => {
  it('opens in a browser outside production', async () => {
    const product = await startProduct();
    try {
      const answer = await fetch(`${product.url}/graphql`, { headers: { accept: 'text/html' } });
      expect(answer.headers.get('content-type')).toContain('text/html');
      const page = await answer.text();
      expect(page).toContain('GraphiQL');
      expect(page).toContain('x-account-id');
      const [, options] = /YogaGraphiQL\.renderYogaGraphiQL\([^{]*(\{.*\}),\s*\)/.exec(page)!;
      const { subscriptionsEndpoint, ...others } = JSON.parse(options!) as Record<string, unknown>;
      expect(subscriptionsEndpoint).toBe('/graphql/stream');
      // It would take the place of the other address: the page then asks for subscriptions where there are none.
      expect(others).not.toHaveProperty('endpoint');
      expect(product.output()).toContain('x-account-id is believed without proof');
    } finally {
      await product.stop();
      await product.remove();
    }
  });
});

describe('a start that cannot succeed', () => {
  it.each([
    ['a setting', { PORT: 'x' }, /^PORT must be/],
    ['the keys', { ENCRYPTION_KEYS: 'a:short' }, /^ENCRYPTION_KEYS/],
    [
      'an unreachable database',
      { DATABASE_URL: 'postgres://u:hunter2@127.0.0.1:1/x' },
      /^DATABASE_URL.*127\.0\.0\.1, port 1\b/,
    ],
    ['production without its settings', { NODE_ENV: 'production' }, /^production needs/],
  ])('says in one line what is wrong with %s, and ends with 1', async (_, settings, line) => {
    const child = runMain({
      PORT: '0',
      SANDBOX_PORT: '0',
      DATA_DIR: join(tmpdir(), `integrations-${randomUUID()}`),
      ...settings,
    });
    expect(await child.exited).toBe(1);
    const output = child.output().trim();
    expect(output).toMatch(line);
    expect(output.split('\n')).toHaveLength(1);
    expect(output).not.toContain('hunter2');
  });

  it('says which process holds the data directory', async () => {
    const product = await startProduct();
    const second = runMain({ PORT: '0', SANDBOX_PORT: '0', DATA_DIR: product.dataDir });
    expect(await second.exited).toBe(1);
    expect(second.output()).toMatch(/process \d+|pid \d+/i);
    await product.stop();
    await product.remove();
  });

  it('says which port is in use', async () => {
    const product = await startProduct();
    const DATA_DIR = await migratedDataDir();
    const second = runMain({ PORT: new URL(product.url).port, SANDBOX_PORT: '0', DATA_DIR });
    expect(await second.exited).toBe(1);
    expect(second.output()).toMatch(/PORT \d+ is in use/);
    await product.stop();
    await product.remove();
    await rm(DATA_DIR, { recursive: true });
  });

  it.each([
    ['--help', 0, /npm start/],
    ['nonsense', 1, /there is no command nonsense/],
  ])('explains itself on %s', async (argument, code, text) => {
    const child = runMain({}, [argument]);
    expect(await child.exited).toBe(code);
    expect(child.output()).toMatch(text);
  });
});
