import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Connection } from '../../src/connections/connection.ts';
import { openCore, otherWebhookSecret, type TestCore } from '../support/core.ts';
import { databaseKinds } from '../support/databases.ts';
import { otherRealmId } from '../support/sandbox.ts';
import { cloudEvents, openReceiver, type CloudEvent, type TestReceiver } from '../support/webhooks.ts';

describe.each(databaseKinds)('webhooks, %s', (_kind, open) => {
  let product: TestCore;
  let receiver: TestReceiver;
  let account: string;
  let connection: Connection;
  beforeAll(async () => {
    product = await openCore(open);
    product.deliveries.start();
    receiver = await openReceiver(product);
  });
  afterAll(async () => {
    await receiver.close();
    await product.close();
  });
  beforeEach(async () => {
    account = `account-${randomUUID()}`;
    connection = await product.connected(account);
  });

  // Whoever stays connected to the company is told of all that is said of it.
  afterEach(async () => {
    const { rows } = await sql<{ account_id: string; id: string }>`
      select account_id, id from connections where status <> 'DISCONNECTED'`.execute(product.db);
    for (const { account_id: accountId, id } of rows)
      await product.connections.disconnect({ accountId, userId: null }, id);
  });

  const told = (...events: Partial<CloudEvent>[]) =>
    cloudEvents(
      events.map((event) => ({
        id: randomUUID(),
        realm: connection.externalId!,
        entity: 'invoice',
        externalId: '41',
        ...event,
      })),
    );
  const deliveries = (accountId = account) =>
    product.db
      .selectFrom('webhook_deliveries')
      .selectAll()
      .where('account_id', '=', accountId)
      .orderBy('received_at')
      .orderBy('arrival')
      .execute();
  const worked = (accountId = account) =>
    vi.waitFor(
      async () => {
        const rows = await deliveries(accountId);
        expect(rows.length).toBeGreaterThan(0);
        expect(rows.filter(({ status }) => status === 'RECEIVED' || status === 'FAILED')).toEqual([]);
      },
      { timeout: 20_000, interval: 20 },
    );
  const events = (accountId = account) =>
    product.db
      .selectFrom('sync_events')
      .select(['kind', 'source', 'resource', 'external_id', 'sequence', 'generation'])
      .where('account_id', '=', accountId)
      .where('kind', 'like', 'RECORD_%')
      .orderBy('sequence')
      .execute();
  const record = (externalId: string, resource = 'Invoice') =>
    product.db
      .selectFrom('external_records')
      .selectAll()
      .where('account_id', '=', account)
      .where('resource', '=', resource)
      .where('external_id', '=', externalId)
      .executeTakeFirst();

  it('stores what it acknowledges, reads the record and tells of it', async () => {
    const answer = await receiver.quickbooks(told({ id: 'event-1', externalId: '41' }));
    expect(answer.status).toBe(200);
    expect(await deliveries()).toMatchObject([
      { event_id: expect.stringContaining('event-1'), connection_id: connection.id, generation: 1 },
    ]);
    await worked();
    expect(await record('41')).toMatchObject({ deleted: false, payload: { Id: '41' } });
    expect(await events()).toMatchObject([
      { kind: 'RECORD_CREATED', source: 'WEBHOOK', resource: 'Invoice', external_id: '41', generation: 1 },
    ]);
    const { data } = await product.query(
      `query ($id: ID!) { connection(id: $id) {
        webhookUrl deliveries { nodes { eventId status attempts problem { code } connection { id } } }
        syncStatuses(resource: "Invoice") { lastWebhookAt delivery recordCount } } }`,
      { id: connection.id },
      account,
    );
    expect(data?.connection).toEqual({
      webhookUrl: 'http://localhost:4000/webhooks/quickbooks',
      deliveries: {
        nodes: [
          {
            eventId: expect.stringContaining('event-1'),
            status: 'PROCESSED',
            attempts: 1,
            problem: null,
            connection: { id: connection.id },
          },
        ],
      },
      syncStatuses: [{ lastWebhookAt: expect.stringMatching(/^20/), delivery: 'WEBHOOK', recordCount: 1 }],
    });
  });

  it('takes one delivery sent a hundred times at once as one: one row, one set of events', async () => {
    const body = told({ externalId: '41' }, { externalId: '1', entity: 'customer' });
    const answers = await Promise.all(Array.from({ length: 100 }, () => receiver.quickbooks(body)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    await worked();
    expect(await deliveries()).toHaveLength(2);
    expect(await events()).toHaveLength(2);
    expect((await receiver.quickbooks(body)).status).toBe(200);
    expect(await deliveries()).toHaveLength(2);
  });

  it('reads what a body announces in one request, and a record that is told of twice once', async () => {
    const some = Array.from({ length: 30 }, (_, i) => String(41 + i));
    const patience = { deadlineAtMs: product.clock.now() + 5_000 };
    const invoices = [...(await product.api.records(connection, 'Invoice', some, patience)).keys()].slice(
      0,
      3,
    );
    const ids = [...invoices, ...invoices];
    await product.admin('DELETE', 'requests');
    await receiver.quickbooks(told(...ids.map((externalId) => ({ externalId }))));
    await worked();
    expect(await deliveries()).toHaveLength(6);
    expect(await events()).toHaveLength(3);
    expect(await product.requests('/query')).toHaveLength(1);
  });

  it('splits a body that speaks of several companies, and tells each only its own', async () => {
    const other = `${account}-other`;
    const { externalId: realm } = await product.connected(other, { realmId: otherRealmId });
    const of = (externalId: string, company: string) => told({ externalId, realm: company });
    await receiver.quickbooks([
      ...of('41', connection.externalId!),
      ...of('42', realm!),
      ...of('43', 'nobodys-company'),
    ]);
    await Promise.all([worked(), worked(other)]);
    expect((await deliveries()).map(({ notice }) => notice)).toMatchObject([{ externalId: '41' }]);
    expect((await deliveries(other)).map(({ notice }) => notice)).toMatchObject([{ externalId: '42' }]);
    expect((await events()).map((event) => event.external_id)).toEqual(['41']);
  });

  it('tells every account that is connected to the same company', async () => {
    const second = `${account}-second`;
    await product.connected(second);
    await receiver.quickbooks(told({ externalId: '41' }));
    await Promise.all([worked(), worked(second)]);
    expect(await events()).toHaveLength(1);
    expect(await events(second)).toHaveLength(1);
  });

  it('keeps what it is told of a company that nobody has connected, for who connects it soon', async () => {
    await product.connections.disconnect({ accountId: account, userId: null }, connection.id);
    const late = `${account}-late`;
    // Every other account of these tests is connected to the same company.
    const realm = `realm-${randomUUID()}`;
    expect((await receiver.quickbooks(told({ externalId: '41', realm }))).status).toBe(200);
    const unclaimed = () =>
      product.db
        .selectFrom('webhook_deliveries')
        .select(['id', 'account_external_id', 'connection_id'])
        .where('account_external_id', '=', realm)
        .execute();
    expect(await unclaimed()).toMatchObject([{ connection_id: null }]);
    const { id } = await product.connected(late);
    await product.db.updateTable('connections').set({ external_id: realm }).where('id', '=', id).execute();
    await vi.waitFor(async () => expect(await unclaimed()).toMatchObject([{ connection_id: id }]), {
      timeout: 10_000,
    });
  });

  it('shows the record of an event as it is now', async () => {
    await receiver.quickbooks(told({ externalId: '41', time: '2020-01-01T00:00:00Z' }));
    await worked();
    const shown = async () => {
      const { data, errors } = await product.query(
        `query ($id: ID!) { connection(id: $id) { events(first: 100) { nodes {
          kind record { id externalId payload updatedAt deleted } } } } }`,
        { id: connection.id },
        account,
      );
      expect(errors).toBeUndefined();
      const { nodes } = (data as { connection: { events: { nodes: { record: unknown }[] } } }).connection
        .events;
      return nodes.map(({ record: one }) => one).filter((one) => one !== null);
    };
    expect(await shown()).toMatchObject([{ externalId: '41', payload: { Id: '41' }, deleted: false }]);
    await receiver.quickbooks(told({ externalId: '41', operation: 'deleted', time: '2030-01-01T00:00:00Z' }));
    await worked();
    const gone = { externalId: '41', payload: null, updatedAt: '2030-01-01T00:00:00.000Z', deleted: true };
    expect(await shown()).toMatchObject([gone, gone]);
  });

  it('marks as gone what was deleted, also where it was never seen, and late news of it changes nothing', async () => {
    await receiver.quickbooks(told({ externalId: '41', time: '2020-01-01T00:00:00Z' }));
    await worked();
    const gone = { externalId: '41', operation: 'deleted', time: '2030-01-01T00:00:00Z' };
    await receiver.quickbooks(told(gone));
    await worked();
    expect(await record('41')).toMatchObject({ deleted: true, payload: null });
    await receiver.quickbooks(told({ externalId: '41', time: '2020-01-02T00:00:00Z' }));
    await receiver.quickbooks(told({ ...gone, externalId: '999999' }));
    await worked();
    expect(await record('41')).toMatchObject({ deleted: true });
    expect(await record('999999')).toMatchObject({ deleted: true });
    expect((await events()).map(({ kind, external_id: id }) => [kind, id])).toEqual([
      ['RECORD_CREATED', '41'],
      ['RECORD_DELETED', '41'],
      ['RECORD_DELETED', '999999'],
    ]);
  });

  it('accepts every secret that is set, and no other', async () => {
    expect((await receiver.quickbooks(told({}), otherWebhookSecret)).status).toBe(200);
    const refused = await receiver.quickbooks(told({}), 'somebody-elses-secret');
    expect([refused.status, await refused.json()]).toEqual([
      401,
      { error: 'The signature does not verify.' },
    ]);
  });

  it('answers Slack’s challenge, once it is signed', async () => {
    const challenge = { type: 'url_verification', challenge: 'say-this', token: 'x' };
    const answer = await receiver.slack(challenge);
    expect([answer.status, await answer.json()]).toEqual([200, { challenge: 'say-this' }]);
    expect((await receiver.slack(challenge, { secret: 'wrong-secret' })).status).toBe(401);
  });

  it.each([-301, 301])('refuses what was signed %i s from now', async (apart) => {
    const atSeconds = Math.floor(product.clock.now() / 1_000) + apart;
    const body = { type: 'url_verification', challenge: 'say-this' };
    expect((await receiver.slack(body, { atSeconds })).status).toBe(401);
  });

  it('demotes a connection that the provider says was ended, unless it was authorized anew since', async () => {
    const slackConnection = await product.connected(account, {}, 'slack');
    const uninstalled = (at: number) => ({
      type: 'event_callback',
      team_id: slackConnection.externalId,
      event_id: `Ev${randomUUID()}`,
      event_time: Math.floor(at / 1_000),
      event: { type: 'app_uninstalled' },
    });
    const status = async () =>
      (await product.connections.find(account, [slackConnection.id])).get(slackConnection.id);
    await receiver.slack(uninstalled(slackConnection.connectedAt!.getTime() - 60_000));
    await worked();
    expect((await status())?.status).toBe('ACTIVE');
    await receiver.slack(uninstalled(product.clock.now() + 1_000));
    await worked();
    expect(await status()).toMatchObject({
      status: 'NEEDS_REAUTHORIZATION',
      problem: { code: 'REAUTHORIZATION_REQUIRED', actor: 'USER' },
    });
  });
});
