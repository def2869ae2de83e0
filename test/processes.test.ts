import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../src/clock.ts';
import { startSandbox, type Sandbox } from '../src/sandbox/sandbox.ts';
import { consent, visit } from './support/browser.ts';
import { emptyPostgresUrl } from './support/databases.ts';
import { startProduct, type Product } from './support/product.ts';

const connect =
  'mutation { connect(input: { integrationId: "quickbooks" }) { authorizationUrl connection { id } } }';
const list = '{ connections { id status externalId problem { code } profile { name } } }';

/** Several real processes of the product on one PostgreSQL, with one emulated QuickBooks. */
describe('processes that share a database', () => {
  let sandbox: Sandbox;
  let database: { url: string; drop(): Promise<void> };
  let running: Product[];
  let settings: Record<string, string>;

  const start = async (count: number) => {
    const started = await Promise.all(Array.from({ length: count }, () => startProduct(settings)));
    running.push(...started);
    return started;
  };
  const rows = async (sql: string) => {
    const client = new pg.Client(database.url);
    await client.connect();
    const { rows: found } = await client.query<Record<string, unknown>>(sql);
    await client.end();
    return found;
  };
  const requests = async (pathContains: string) => {
    const answer = await (await fetch(`${sandbox.url}/_admin/requests`)).json();
    return (answer as { requests: { path: string }[] }).requests.filter(({ path }) =>
      path.includes(pathContains),
    );
  };
  const admin = (path: string, body: object) =>
    fetch(`${sandbox.url}/_admin/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  /** The provider redirects to the public URL; a load balancer may hand that to any process. */
  const callback = (product: Product, location: string) =>
    visit(`${product.url}${new URL(location).pathname}${new URL(location).search}`);

  beforeEach(async () => {
    running = [];
    sandbox = await startSandbox({ port: 0, clock: systemClock });
    database = await emptyPostgresUrl();
    const { quickbooks } = sandbox;
    settings = {
      DATABASE_URL: database.url,
      DATABASE_POOL_SIZE: '4',
      ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
      PUBLIC_URL: 'http://localhost:4000',
      QUICKBOOKS_CLIENT_ID: quickbooks.clientId,
      QUICKBOOKS_CLIENT_SECRET: quickbooks.clientSecret,
      QUICKBOOKS_AUTHORIZE_URL: quickbooks.authorizeUrl,
      QUICKBOOKS_TOKEN_URL: quickbooks.tokenUrl,
      QUICKBOOKS_REVOKE_URL: quickbooks.revokeUrl,
      QUICKBOOKS_API_URL: quickbooks.apiUrl,
    };
  });
  afterEach(async () => {
    await Promise.all(running.map((product) => product.stop('SIGKILL')));
    await Promise.all(running.map((product) => product.remove()));
    await sandbox.close();
    await database.drop();
  });

  it('start five at a time on an empty database, which is migrated once', async () => {
    const started = performance.now();
    const products = await start(5);
    for (const product of products) expect((await fetch(`${product.url}/readyz`)).status).toBe(200);
    expect(performance.now() - started).toBeLessThan(30_000);
    expect(products.filter((product) => product.output().includes('"migrated"'))).toHaveLength(1);
    const ends = await Promise.all(products.map((product) => product.stop()));
    expect(new Set(ends)).toEqual(new Set([0]));
  });

  it('exchange a code once, whichever of them its 50 simultaneous callbacks reach', async () => {
    const products = await start(4);
    const { data } = await products[0]!.graphql(connect);
    const location = await consent(data.connect.authorizationUrl as string);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => callback(products[i % products.length]!, location)),
    );
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
    expect(answers.filter((answer) => answer.body.includes('AUTHORIZATION_EXPIRED'))).toHaveLength(49);
    expect(await requests('/tokens/bearer')).toHaveLength(1);
    for (const product of products) {
      const seen = await product.graphql(list);
      expect(seen.data.connections).toMatchObject([{ status: 'ACTIVE', problem: null }]);
      expect(seen.data.connections[0].profile.name).toMatch(/\w/);
    }
  });

  it('leave no half-made connection when one is killed between the exchange and the commit', async () => {
    const [victim] = await start(1);
    const { data } = await victim!.graphql(connect);
    const location = await consent(data.connect.authorizationUrl as string);
    await admin('faults', { delayMs: 30_000, match: { pathContains: 'companyinfo' } });
    const cut = callback(victim!, location).catch((error: unknown) => error);
    await expect.poll(async () => (await requests('/tokens/bearer')).length).toBe(1);
    await victim!.stop('SIGKILL');
    expect(await cut).toBeInstanceOf(Error);
    expect(await rows('select status from connections')).toEqual([{ status: 'PENDING' }]);
    expect(await rows('select 1 from oauth_tokens')).toEqual([]);

    await fetch(`${sandbox.url}/_admin/faults`, { method: 'DELETE' });
    const [next] = await start(1);
    const late = await callback(next!, location);
    expect(late.body).toContain('AUTHORIZATION_EXPIRED');
    const again = await next!.graphql(connect);
    expect(again.data.connect.connection.id).toBe(data.connect.connection.id);
    await callback(next!, await consent(again.data.connect.authorizationUrl as string));
    expect((await next!.graphql(list)).data.connections).toMatchObject([{ status: 'ACTIVE' }]);
    const printed = victim!.output() + next!.output();
    for (const name of ['code', 'state'])
      expect(printed).not.toContain(new URL(location).searchParams.get(name));
  });

  it('all stay away when the provider told one of them to, say so, and come back', async () => {
    const [one, other] = await start(2);
    const { data } = await one!.graphql(connect);
    await callback(one!, await consent(data.connect.authorizationUrl as string));
    await admin('faults', {
      status: 429,
      headers: { 'retry-after': '6' },
      match: { pathContains: '/customer/' },
    });
    const read = (product: Product) =>
      product.graphql('{ connections { record(resource: "Customer", externalId: "1") { externalId } } }');
    const told = await read(one!);
    expect(told.errors?.[0]?.extensions).toMatchObject({ code: 'RATE_LIMITED', retryAfterSeconds: 6 });
    const before = (await requests('/company/')).length;
    const asked = await read(other!);
    expect(asked.errors?.[0]?.extensions.code).toBe('RATE_LIMITED');
    expect(asked.errors?.[0]?.extensions.retryAfterSeconds).toBeGreaterThan(4);
    const shown = await other!.graphql(
      '{ connections { problem { code retryAfterSeconds } rateLimit { remaining pausedUntil } } }',
    );
    expect(shown.data.connections).toMatchObject([
      {
        problem: { code: 'RATE_LIMITED' },
        rateLimit: { remaining: 0, pausedUntil: expect.any(String) as string },
      },
    ]);
    expect((await requests('/company/')).length).toBe(before);
    await systemClock.sleep(
      Date.parse(shown.data.connections[0].rateLimit.pausedUntil as string) - Date.now() + 50,
    );
    for (const product of [one!, other!]) expect((await read(product)).errors).toBeUndefined();
  });

  it('store no token and no state in the clear', async () => {
    const [product] = await start(1);
    const { data } = await product!.graphql(connect);
    await callback(product!, await consent(data.connect.authorizationUrl as string));
    const tables = (await rows(`select tablename from pg_tables where schemaname = 'public'`)) as {
      tablename: string;
    }[];
    expect(await rows('select 1 from oauth_tokens where length(access_token_encrypted) > 500')).toHaveLength(
      1,
    );
    const state = new URL(data.connect.authorizationUrl as string).searchParams.get('state')!;
    for (const { tablename } of tables) {
      const text = JSON.stringify(await rows(`select * from ${tablename}`), (_, value: unknown) => {
        const bytes = value as { type?: unknown; data?: unknown } | null;
        return bytes?.type === 'Buffer' ? Buffer.from(bytes.data as number[]).toString('latin1') : value;
      });
      // The forms of the sandbox's access and refresh tokens, as of QuickBooks'.
      expect(text).not.toMatch(/eyJ[\w-]+\.|(AB|RT)1[\w-]{10}/);
      expect(text).not.toContain(state);
    }
  });
});
