import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Connection } from '../../src/connections/connection.ts';
import { openCore, type TestCore } from '../support/core.ts';
import { postgresDatabase } from '../support/databases.ts';

const hour = 3_600_000;
const day = 24 * hour;

/** Each ends in the data that the provider has, without anybody's help. */
describe('a sync ends in the provider’s data though', () => {
  let product: TestCore;
  let connection: Connection;
  beforeEach(async () => {
    product = await openCore(postgresDatabase, { pollIntervalMs: 300 });
    product.polling.start();
    connection = await product.connected('acme');
    await polled();
  });
  afterEach(() => product.close());

  /** Every resource, with success, from now on. */
  const polled = async () => {
    const from = product.clock.now();
    await vi.waitFor(
      async () => {
        const rows = await product.db.selectFrom('sync_statuses').selectAll().execute();
        for (const row of rows) {
          expect(row).toMatchObject({ state: 'IDLE', problem: null });
          expect(row.last_synced_at!.getTime()).toBeGreaterThan(from);
        }
      },
      { timeout: 25_000, interval: 50 },
    );
  };
  const record = async (operation: string, entity: string, fields: object) => {
    const answer = await fetch(`${product.sandbox.url}/_admin/records`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ realmId: connection.externalId, operation, entity, record: fields }),
    });
    expect(answer.status).toBe(200);
    return ((await answer.json()) as Record<string, { Id: string }>)[entity]!.Id;
  };
  const customer = (name: string) => record('create', 'Customer', { DisplayName: name });
  /** No round runs until `resumed`. */
  const parked = () =>
    vi.waitFor(
      async () => {
        const far = { next_poll_at: new Date(8e12) };
        await product.db.updateTable('sync_rounds').set(far).where('lease_owner', 'is', null).execute();
        const rows = await product.db.selectFrom('sync_rounds').select('next_poll_at').execute();
        expect(rows.every((row) => row.next_poll_at?.getTime() === 8e12)).toBe(true);
      },
      { timeout: 10_000, interval: 20 },
    );
  const resumed = () =>
    product.db
      .updateTable('sync_rounds')
      .set({ next_poll_at: new Date(0) })
      .execute();
  const kinds = ['Customer', 'Invoice'];
  const brief = (entity: string, list: readonly unknown[]) =>
    (list as { Id: string; SyncToken: string }[])
      .map((one) => `${entity} ${one.Id}, version ${one.SyncToken}`)
      .toSorted();
  const stored = async () => {
    const rows = await product.db
      .selectFrom('external_records')
      .select(['resource', 'payload'])
      .where('resource', 'in', kinds)
      .where('deleted', '=', false)
      .execute();
    return kinds.flatMap((entity) =>
      brief(
        entity,
        rows.filter((row) => row.resource === entity).map((row) => row.payload),
      ),
    );
  };
  const provided = async () => {
    const { value: token } = await product.tokens.accessToken(connection);
    const found = [];
    for (const entity of kinds) {
      const where = entity === 'Customer' ? ' where Active in (true, false)' : '';
      const query = encodeURIComponent(`select * from ${entity}${where} maxresults 1000`);
      const answer = await fetch(
        `${product.sandbox.quickbooks.apiUrl}/v3/company/${connection.externalId}/query?query=${query}`,
        { headers: { authorization: `Bearer ${token}`, accept: 'application/json' } },
      );
      const { QueryResponse: there } = (await answer.json()) as { QueryResponse: Record<string, unknown[]> };
      found.push(...brief(entity, there[entity]!));
    }
    return found;
  };
  let names = 0;
  const happenings = async () => {
    await customer(`New Shipper ${++names}`);
    const Id = await customer(`Old Name ${names}`);
    await record('update', 'Customer', { Id, DisplayName: `New Name ${names}` });
    const [invoice] = await product.db
      .selectFrom('external_records')
      .select('external_id')
      .where('resource', '=', 'Invoice')
      .where('deleted', '=', false)
      .limit(1)
      .execute();
    await record('delete', 'Invoice', { Id: invoice!.external_id });
  };
  const tellsOnce = async () => {
    const doubles = await product.db
      .selectFrom('sync_events')
      .select(['resource', 'external_id', 'kind'])
      .where('kind', 'in', ['RECORD_CREATED', 'RECORD_DELETED'])
      .groupBy(['resource', 'external_id', 'kind'])
      .having((eb) => eb.fn.countAll(), '>', 1)
      .execute();
    expect(doubles).toEqual([]);
  };

  it('the provider is down for a day', async () => {
    await product.admin('POST', 'faults', { count: 100_000, match: { pathContains: '/v3/' }, status: 503 });
    await vi.waitFor(
      async () => {
        const rows = await product.db.selectFrom('sync_statuses').select('state').execute();
        expect(rows.map((row) => row.state)).not.toContain('IDLE');
      },
      { timeout: 20_000, interval: 50 },
    );
    await happenings();
    product.clock.shift(day);
    await product.admin('DELETE', 'faults');
    await polled();
    expect(await stored()).toEqual(await provided());
    await tellsOnce();
  });

  it('our address for webhooks cannot be reached for a day', async () => {
    await happenings();
    product.clock.shift(day);
    await polled();
    expect(await stored()).toEqual(await provided());
    await tellsOnce();
    await vi.waitFor(
      async () => {
        const rows = await product.db
          .selectFrom('sync_statuses')
          .select(['resource', 'missed_by_webhook', 'delivery'])
          .where('resource', 'in', ['Customer', 'Invoice'])
          .orderBy('resource')
          .execute();
        expect(rows).toEqual([
          { resource: 'Customer', missed_by_webhook: 2, delivery: 'POLL' },
          { resource: 'Invoice', missed_by_webhook: 1, delivery: 'POLL' },
        ]);
      },
      { timeout: 20_000, interval: 50 },
    );
  });

  it('the provider’s clock is set forward by an hour, and back again', async () => {
    for (const clockSkewMs of [hour, 0]) {
      await parked();
      await product.admin('PUT', 'settings', { clockSkewMs });
      await happenings();
      product.clock.shift(hour / 6);
      await resumed();
      await polled();
      await polled();
      expect(await stored()).toEqual(await provided());
    }
    await tellsOnce();
  });

  it('our clock is set forward by an hour, and back again', async () => {
    // The provider shares it here: it is told to stay where it is.
    product.clock.shift(hour);
    await product.admin('PUT', 'settings', { clockSkewMs: -hour });
    await happenings();
    await polled();
    expect(await stored()).toEqual(await provided());

    product.clock.shift(-hour);
    await product.admin('PUT', 'settings', { clockSkewMs: 0 });
    await happenings();
    // What is due by the clock as it was is due within the hour.
    product.clock.shift(hour);
    await polled();
    expect(await stored()).toEqual(await provided());
    await tellsOnce();
  });

  it('nobody has asked for longer than the provider remembers', async () => {
    await parked();
    const cursor = new Date(product.clock.now() - 31 * day);
    await product.db.updateTable('sync_rounds').set({ cursor }).execute();
    await happenings();
    await product.db
      .updateTable('sync_rounds')
      .set({ next_poll_at: new Date(0) })
      .execute();
    await polled();
    expect(await stored()).toEqual(await provided());
    await tellsOnce();
  });
});
