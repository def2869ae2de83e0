import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Connection } from '../../src/connections/connection.ts';
import { openCore, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { quickBooksCompany, type QuickBooksCompany } from '../support/quickbooksCompany.ts';
import { cloudEvents, openReceiver, type TestReceiver } from '../support/webhooks.ts';

describe.each(databaseKinds)('sync, %s', (_kind, open) => {
  let product: TestCore;
  let receiver: TestReceiver;
  let account: string;
  let connection: Connection;
  let customers: QuickBooksCompany;
  beforeAll(async () => {
    product = await openCore(open, { pollIntervalMs: 400 });
    receiver = await openReceiver(product);
    product.deliveries.start();
    product.polling.start();
  });
  afterAll(async () => {
    await receiver.close();
    await product.close();
  });
  beforeEach(async () => {
    account = `account-${randomUUID()}`;
    connection = await product.connected(account);
    customers = quickBooksCompany(product, connection, 'Customer');
  });
  afterEach(async () => {
    await product.admin('DELETE', 'faults');
    await product.connections.disconnect({ accountId: account, userId: null }, connection.id);
  });

  const status = async (resource = 'Customer') => {
    const { data, errors } = await product.query(
      `query ($id: ID!, $resource: String!) { connection(id: $id) { syncStatuses(resource: $resource) {
        state lastSyncedAt lastPolledAt nextPollAt delivery missedByWebhook recordCount lagSeconds consecutiveFailures
        progress { done } problem { code actor } } } }`,
      { id: connection.id, resource },
      account,
    );
    expect(errors).toBeUndefined();
    return (data as { connection: { syncStatuses: Record<string, unknown>[] } }).connection.syncStatuses[0]!;
  };
  const synced = (resource = 'Customer') =>
    vi.waitFor(
      async () => {
        const now = await status(resource);
        expect(now).toMatchObject({ state: 'IDLE', lastSyncedAt: expect.any(String) });
        return now;
      },
      { timeout: 20_000, interval: 30 },
    );
  const until = (expected: object, resource = 'Customer') =>
    vi.waitFor(async () => expect(await status(resource)).toMatchObject(expected), {
      timeout: 20_000,
      interval: 30,
    });
  const stored = (resource = 'Customer') =>
    product.db
      .selectFrom('external_records')
      .select(['external_id', 'payload', 'deleted'])
      .where('account_id', '=', account)
      .where('resource', '=', resource)
      .orderBy('external_id')
      .execute();
  const events = async (resource = 'Customer') =>
    (
      await product.db
        .selectFrom('sync_events')
        .select(['kind', 'source', 'external_id'])
        .where('account_id', '=', account)
        .where('resource', '=', resource)
        .orderBy('sequence')
        .execute()
    ).map(({ kind, source, external_id: id }) => [kind, source, ...(id === null ? [] : [id])]);
  const due = (resource = 'Customer') =>
    product.db
      .updateTable('sync_rounds')
      .set({ next_poll_at: new Date(0) })
      .where('connection_id', '=', connection.id)
      .where('resource', '=', resource)
      .execute();

  it('reads everything when a connection becomes ACTIVE, and says so', async () => {
    const { recordCount } = await synced();
    expect(recordCount).toBeGreaterThan(10);
    expect(await stored()).toHaveLength(Number(recordCount));
    const told = await events();
    expect(told[0]).toEqual(['SYNC_STARTED', 'BACKFILL']);
    expect(told.at(-1)).toEqual(['SYNC_COMPLETED', 'BACKFILL']);
    expect(told.filter(([kind]) => kind === 'RECORD_CREATED')).toHaveLength(Number(recordCount));
  });

  it('finds by polling what no webhook announced, and counts it', async () => {
    await synced();
    const id = await customers.create({ DisplayName: `New ${randomUUID()}` });
    await until({ missedByWebhook: 1, delivery: 'POLL' });
    expect(await events()).toContainEqual(['RECORD_CREATED', 'POLL', id]);
    // Once, and not again.
    const before = (await status()).lastPolledAt;
    await vi.waitFor(async () => expect((await status()).lastPolledAt).not.toBe(before), { timeout: 10_000 });
    expect(await status()).toMatchObject({ missedByWebhook: 1 });
  });

  it('counts nothing that a webhook announced, be it before the poll or after', async () => {
    await synced();
    const tell = (externalId: string) =>
      receiver.quickbooks(
        cloudEvents([
          {
            ...{ id: randomUUID(), realm: connection.externalId!, entity: 'customer', externalId },
            time: new Date(product.clock.now()).toISOString(),
          },
        ]),
      );
    const first = await customers.create({ DisplayName: `First ${randomUUID()}` });
    await tell(first);
    const second = await customers.create({ DisplayName: `Second ${randomUUID()}` });
    await vi.waitFor(async () => expect((await stored()).map((row) => row.external_id)).toContain(second), {
      timeout: 10_000,
    });
    await tell(second);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(await status()).toMatchObject({ missedByWebhook: 0, delivery: 'WEBHOOK' });
    const created = (await events()).filter(([kind, , id]) => kind === 'RECORD_CREATED' && id === first);
    expect(created).toHaveLength(1);
  });

  it('says that it fails, why, and when it goes on; and goes on when the provider is back', async () => {
    await synced();
    await product.admin('POST', 'faults', {
      count: 10_000,
      match: { pathContains: '/v3/company/' },
      status: 500,
    });
    await until({ state: 'FAILING', problem: { actor: 'PROVIDER' } });
    const { lastSyncedAt } = await status();
    const id = await new Promise<string>((resolve) => setTimeout(() => resolve('done'), 300));
    expect(id).toBe('done');
    expect((await status()).lastSyncedAt).toBe(lastSyncedAt);
    await product.admin('DELETE', 'faults');
    await due();
    await until({ state: 'IDLE', consecutiveFailures: 0, problem: null });
    const told = await events();
    expect(told.filter(([kind]) => kind === 'SYNC_FAILED')).toHaveLength(1);
    expect(told.at(-1)).toEqual(['SYNC_COMPLETED', 'POLL']);
  });

  it('reads everything again by request, and finds what is gone', async () => {
    await synced('Invoice');
    const [first] = await stored('Invoice');
    const invented = '987654';
    await product.db
      .insertInto('external_records')
      .values({
        ...{ account_id: account, connection_id: connection.id, resource: 'Invoice', external_id: invented },
        ...{ payload: '{"Id":"987654"}', updated_at: new Date(0), fetched_at: new Date(0) },
        account_external_id: connection.externalId,
      })
      .execute();
    const { data } = await product.query(
      `mutation ($id: ID!) { syncConnection(input: { connectionId: $id, resource: "Invoice", full: true }) {
        syncStatuses { resource state } problem { code } } }`,
      { id: connection.id },
      account,
    );
    expect(data?.syncConnection).toEqual({
      syncStatuses: [{ resource: 'Invoice', state: 'BACKFILLING' }],
      problem: null,
    });
    await synced('Invoice');
    const rows = await stored('Invoice');
    expect(rows.find((row) => row.external_id === invented)).toMatchObject({ deleted: true });
    expect(rows.find((row) => row.external_id === first!.external_id)).toMatchObject({ deleted: false });
    const told = (await events('Invoice')).filter(([, source]) => source === 'USER');
    expect(told).toEqual([
      ['SYNC_STARTED', 'USER'],
      ['RECORD_DELETED', 'USER', invented],
      ['SYNC_COMPLETED', 'USER'],
    ]);
  });

  it('shows what was asked for during a poll until that is done', async () => {
    await synced('Invoice');
    await product.admin('POST', 'faults', {
      count: 1,
      match: { pathContains: '/v3/company/' },
      delayMs: 1_500,
      afterProcessing: true,
      drop: false,
    });
    await due('Invoice');
    const polls = async () => (await product.requests('/v3/company/')).length;
    const before = await polls();
    await vi.waitFor(async () => expect(await polls()).toBeGreaterThan(before), { timeout: 10_000 });
    const { lastPolledAt } = await status('Invoice');
    await product.query(
      `mutation ($id: ID!) { syncConnection(input: { connectionId: $id, resource: "Invoice", full: true }) {
        problem { code } } }`,
      { id: connection.id },
      account,
    );
    await vi.waitFor(async () => expect((await status('Invoice')).lastPolledAt).not.toBe(lastPolledAt), {
      timeout: 10_000,
      interval: 10,
    });
    const told = async () => (await events('Invoice')).filter(([, source]) => source === 'USER');
    // Whoever sees it idle may rely on that.
    await synced('Invoice');
    expect((await told()).map(([kind]) => kind)).toEqual(['SYNC_STARTED', 'SYNC_COMPLETED']);
  });

  it('pages through what is stored', async () => {
    await synced();
    const found: string[] = [];
    let after: string | null = null;
    do {
      const { data, errors } = await product.query(
        `query ($id: ID!, $after: String) { connection(id: $id) { records(resource: "Customer", first: 5, after: $after) {
          nodes { externalId payload deleted stale } pageInfo { hasNextPage endCursor } } } }`,
        { id: connection.id, after },
        account,
      );
      expect(errors).toBeUndefined();
      const page = (
        data as {
          connection: {
            records: {
              nodes: { externalId: string }[];
              pageInfo: { hasNextPage: boolean; endCursor: string };
            };
          };
        }
      ).connection.records;
      found.push(...page.nodes.map((node) => node.externalId));
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
    } while (after !== null);
    expect(found.toSorted()).toEqual((await stored()).map((row) => row.external_id).toSorted());
  });

  it('stops when the connection ends', async () => {
    await synced();
    await product.connections.disconnect({ accountId: account, userId: null }, connection.id);
    await vi.waitFor(
      async () => {
        const rows = await product.db
          .selectFrom('sync_rounds')
          .select('next_poll_at')
          .where('connection_id', '=', connection.id)
          .execute();
        expect(rows.every((row) => row.next_poll_at === null)).toBe(true);
      },
      { timeout: 10_000 },
    );
    expect(await status()).toMatchObject({ state: 'PAUSED', nextPollAt: null });
  });
});
