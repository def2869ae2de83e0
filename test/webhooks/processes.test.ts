import { randomUUID } from 'node:crypto';
import { connect, createServer, type AddressInfo } from 'node:net';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Database } from '../../src/db/database.ts';
import { myCarrierPacketsScheme } from '../../src/providers/signatures.ts';
import { sign } from '../../src/webhooks/verify.ts';
import type { Product } from '../support/product.ts';
import { tcpProxy } from '../support/tcpProxy.ts';
import { cloudEvents } from '../support/webhooks.ts';
import { openWebhookProcesses, type WebhookProcesses } from '../support/webhookProcesses.ts';

const until = (check: () => Promise<void>, timeout = 20_000) => vi.waitFor(check, { timeout, interval: 25 });

/** Real processes of the product on one PostgreSQL. */
describe('webhooks that reach several processes', { timeout: 120_000 }, () => {
  let processes: WebhookProcesses;
  let database: Database;
  beforeEach(async () => {
    processes = await openWebhookProcesses('postgres');
  });
  afterEach(() => processes.close());

  const started = async (count: number, more?: Record<string, string>) => {
    const first = await processes.start(more);
    const others = await Promise.all(Array.from({ length: count - 1 }, () => processes.start(more)));
    database = await processes.look();
    return [first, ...others];
  };
  const one = (realm: string, externalId = '41', id: string = randomUUID()) =>
    cloudEvents([{ id, realm, entity: 'invoice', externalId }]);
  const deliveries = () => database.db.selectFrom('webhook_deliveries').selectAll().execute();
  /** Of the invoice that the deliveries name: the backfill brings others, and may bring this one first. */
  const events = () =>
    database.db
      .selectFrom('sync_events')
      .select(['kind', 'external_id'])
      .where('kind', 'like', 'RECORD_%')
      .where('resource', '=', 'Invoice')
      .where('external_id', '=', '41')
      .execute();
  const processed = (count: number) =>
    until(async () => {
      const rows = await deliveries();
      expect(rows.map(({ status }) => status)).toEqual(Array.from({ length: count }, () => 'PROCESSED'));
    });

  it('are stored and applied once: fifty times at once to each of four', async () => {
    const products = await started(4);
    const { realm } = await processes.connect(products[0]!, 'acme');
    const body = one(realm);
    const answers = await Promise.all(
      products.flatMap((product) => Array.from({ length: 50 }, () => processes.tell(product, body))),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 200 }, () => 200));
    await processed(1);
    expect(await events()).toEqual([{ kind: 'RECORD_CREATED', external_id: '41' }]);
  });

  it('are taken for known when their sender never saw the answer and comes again', async () => {
    const [product] = await started(1);
    const { realm } = await processes.connect(product!, 'acme');
    let cuts = 0;
    // Lets the request through and cuts the line in place of the answer.
    const line = createServer((near) => {
      const far = connect(Number(new URL(product!.url).port), '127.0.0.1');
      near.on('error', () => {}).pipe(far);
      far
        .on('error', () => {})
        .once('data', () => {
          cuts++;
          near.destroy();
          far.destroy();
        });
    });
    await new Promise<void>((resolve) => line.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(line.address() as AddressInfo).port}`;
    const body = one(realm);
    for (let i = 1; i <= 3; i++) {
      await expect(processes.tell({ url }, body)).rejects.toThrow('fetch failed');
      expect(cuts).toBe(i);
    }
    expect((await processes.tell(product!, body)).status).toBe(200);
    await processed(1);
    expect(await events()).toHaveLength(1);
    line.close();
  });

  it('are taken over from a process that was killed, once its lease is over, and applied once', async () => {
    const [doomed] = await started(1);
    const { id, realm } = await processes.connect(doomed!, 'acme');
    await processes.admin('POST', 'faults', {
      count: 1,
      delayMs: 60_000,
      match: { pathContains: 'invoice/' },
    });
    expect((await processes.tell(doomed!, one(realm))).status).toBe(200);
    const queue = () =>
      database.db
        .selectFrom('delivery_queues')
        .selectAll()
        .where('connection_id', '=', id)
        .executeTakeFirst();
    await until(async () => expect((await queue())?.lease_owner).toEqual(expect.any(String)));
    await doomed!.stop('SIGKILL');
    const heir = await processes.start();
    // More for the same connection: not the heir's to work off yet.
    expect((await processes.tell(heir, one(realm))).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect((await deliveries()).map(({ status }) => status)).toEqual(['RECEIVED', 'RECEIVED']);
    await sql`update delivery_queues set lease_until = now() - interval '1 second'`.execute(database.db);
    await processed(2);
    expect(await events()).toHaveLength(1);
  });

  it('are neither lost nor acknowledged while the database is away', async () => {
    const port = Number(new URL(processes.databaseUrl).port);
    const proxy = await tcpProxy(port);
    const behind = new URL(processes.databaseUrl);
    behind.port = String(proxy.port);
    const [product] = await started(1, { DATABASE_URL: behind.href });
    const { realm } = await processes.connect(product!, 'acme');
    const { username, password } = processes.sandbox.myCarrierPackets;
    const connected = await product!.graphql(
      `mutation ($credentials: ConnectCredentialsInput) {
        connect(input: { integrationId: "mycarrierpackets", credentials: $credentials }) { connection { id } problem { code } } }`,
      { credentials: { username, password, webhookSecret: 'the-secret-of-mine' } },
      { 'x-account-id': 'acme' },
    );
    const { id } = connected.data.connect.connection;
    const packet = Buffer.from(
      '{"eventType":"carrier.updated","eventData":{"carrier":{"dotNumber":9999997}}}',
    );
    const tellOwn = () =>
      fetch(`${product!.url}/webhooks/mycarrierpackets/${id}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...sign(myCarrierPacketsScheme, 'the-secret-of-mine', packet),
        },
        body: packet,
      });
    const body = one(realm);
    for (const state of ['cut', 'freeze'] as const) {
      proxy[state]();
      const startedAt = performance.now();
      for (const answer of await Promise.all([processes.tell(product!, body), tellOwn()])) {
        expect([state, answer.status]).toEqual([state, 503]);
        expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      }
      // Intuit and Slack wait three seconds.
      expect(performance.now() - startedAt).toBeLessThan(3_000);
      proxy.restore();
      await until(async () => expect((await processes.tell(product!, body)).status).toBe(200));
      await until(async () => expect((await tellOwn()).status).toBe(200));
    }
    await processed(2);
    expect(await events()).toHaveLength(1);
    await product!.stop('SIGKILL');
    await proxy.close();
  });

  it('are accepted throughout a change of secret, by both secrets for a day and by the new one after it', async () => {
    const products = await started(2);
    const { username, password } = processes.sandbox.myCarrierPackets;
    const headers = { 'x-account-id': 'acme' };
    const answer = await products[0]!.graphql(
      `mutation ($credentials: ConnectCredentialsInput) {
        connect(input: { integrationId: "mycarrierpackets", credentials: $credentials }) { connection { id } } }`,
      { credentials: { username, password, webhookSecret: 'secret number 0' } },
      headers,
    );
    const { id } = answer.data.connect.connection as { id: string };
    let sent = 0;
    const tell = async (product: Product, secret: string) => {
      const body = Buffer.from(
        `{"eventType":"carrier.updated","n":${sent++},"eventData":{"carrier":{"dotNumber":9999997}}}`,
      );
      const response = await fetch(`${product.url}/webhooks/mycarrierpackets/${id}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...sign(myCarrierPacketsScheme, secret, body) },
        body,
      });
      return response.status;
    };
    let latest = 0;
    let over = false;
    const statuses: number[] = [];
    const load = products.flatMap((product) =>
      Array.from({ length: 4 }, async () => {
        while (!over)
          for (const age of [0, 1])
            statuses.push(await tell(product, `secret number ${Math.max(0, latest - age)}`));
      }),
    );
    for (let next = 1; next <= 5; next++) {
      // Two at once, of different processes: one of them is the last.
      const set = (product: Product) =>
        product.graphql(
          'mutation ($input: SetWebhookSecretInput!) { setWebhookSecret(input: $input) { problem { code } } }',
          { input: { connectionId: id, secret: `secret number ${next}` } },
          headers,
        );
      for (const { data } of await Promise.all(products.map(set)))
        expect(data.setWebhookSecret.problem).toBeNull();
      latest = next;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    over = true;
    await Promise.all(load);
    expect(statuses.length).toBeGreaterThan(100);
    expect(new Set(statuses)).toEqual(new Set([200]));
    const secrets = await database.db.selectFrom('webhook_secrets').select('accepted_until').execute();
    expect(secrets.filter((row) => row.accepted_until === null)).toHaveLength(1);
    expect(secrets).toHaveLength(6);

    await sql`update webhook_secrets set accepted_until = now() where accepted_until is not null`.execute(
      database.db,
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (const product of products) {
      expect(await tell(product, 'secret number 5')).toBe(200);
      for (const old of [0, 4]) expect(await tell(product, `secret number ${old}`)).toBe(401);
    }
  });
});
