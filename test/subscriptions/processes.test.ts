import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migratedPostgresUrl } from '../support/databases.ts';
import { startProduct, type Product } from '../support/product.ts';
import { everything, stream, until, type Streaming } from './support.ts';

describe('subscriptions of several processes on one PostgreSQL', () => {
  let database: { url: string; drop(): Promise<void> };
  let products: Product[];
  beforeAll(async () => {
    database = await migratedPostgresUrl();
    const settings = {
      DATABASE_URL: database.url,
      ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
      QUICKBOOKS_CLIENT_ID: 'an id',
      QUICKBOOKS_CLIENT_SECRET: 'a secret',
    };
    products = [await startProduct(settings), await startProduct(settings)];
  });
  afterAll(async () => {
    await Promise.all(products?.map((product) => product.stop()) ?? []);
    await Promise.all(products?.map((product) => product.remove()) ?? []);
    await database?.drop();
  });

  const follow = async (product: Product): Promise<Streaming> => {
    const headers = { 'x-account-id': 'demo' };
    const opened = await stream(
      `${product.url}/graphql/stream?${new URLSearchParams({ query: everything })}`,
      { headers },
    );
    await until(async () => (await subscribers(product)) > 0);
    // Counted before it has found out where it begins.
    await new Promise((resolve) => setTimeout(resolve, 200));
    return opened;
  };
  const subscribers = async (product: Product) => {
    const text = await (await fetch(`${product.url}/metrics`)).text();
    return Number(/^integrations_subscribers (\d+)/m.exec(text)![1]);
  };
  /** Appends one event in `product`. */
  const change = async (product: Product) => {
    const { data } = await product.graphql(
      'mutation { connect(input: { integrationId: "quickbooks" }) { connection { id } problem { code } } }',
    );
    expect(data.connect.problem).toBeNull();
  };
  /** How long it took the event to come. */
  const delayMs = async (opened: Streaming) => {
    const count = opened.results().length;
    await change(products[0]!);
    const startedAt = performance.now();
    await opened.until(count + 1);
    return performance.now() - startedAt;
  };
  const cutLines = async (): Promise<number> => {
    const client = new pg.Client(database.url);
    await client.connect();
    const { rowCount } = await client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid() and query ilike 'listen%'`,
    );
    await client.end();
    return rowCount!;
  };

  it('tell of what happens in another process at once, and count their subscribers', async () => {
    const opened = await follow(products[1]!);
    expect(await subscribers(products[1]!)).toBe(1);
    expect(await subscribers(products[0]!)).toBe(0);
    const delays: number[] = [];
    for (let i = 0; i < 5; i++) delays.push(await delayMs(opened));
    expect(delays.toSorted((a, b) => a - b)[2]).toBeLessThan(500);
    opened.stop();
    await until(async () => (await subscribers(products[1]!)) === 0);
  });

  it('lose nothing when the line for notifications is cut, and are late by two seconds at most', async () => {
    const opened = await follow(products[1]!);
    for (let i = 0; i < 5; i++) {
      expect(await cutLines()).toBeGreaterThan(0);
      expect(await delayMs(opened)).toBeLessThan(2_500);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    const client = new pg.Client(database.url);
    await client.connect();
    const { rows } = await client.query<{ id: string }>(
      'select id from sync_events order by sequence desc limit 5',
    );
    await client.end();
    const ids = opened.results().map(({ data }) => data.syncEvents.id as string);
    expect(ids).toEqual(rows.map(({ id }) => id).toReversed());
    opened.stop();
  });

  it('are completed when their process is told to go away, which then goes at once', async () => {
    const opened = await follow(products[1]!);
    const startedAt = Date.now();
    expect(await products[1]!.stop()).toBe(0);
    expect(Date.now() - startedAt).toBeLessThan(5_000);
    await opened.ended;
    expect(opened.events.at(-1)!.event).toBe('complete');
  });
});
