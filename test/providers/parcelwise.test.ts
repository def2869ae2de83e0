import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { UnreadableWebhook } from '../../src/providers/announcements.ts';
import type { Connection } from '../../src/connections/connection.ts';
import { changesOf, configuredParcelwise } from '../contract/cases.ts';
import { identityOf, openCore, type TestCore } from '../support/core.ts';
import { embeddedDatabase } from '../support/databases.ts';
import { answer } from '../support/described.ts';
import { parcelwise } from '../support/parcelwise/provider.ts';
import { startParcelwise, type ParcelwiseServer } from '../support/parcelwise/server.ts';

/** The provider of docs/adding-a-provider.md: what that says of each member. */

describe('classify', () => {
  const judge = (status: number, body: unknown) => parcelwise.classify(answer(body, {}, status), 0)?.code;
  const refusal = (kind: string) => ({ error: { kind, text: 'No.' } });

  it.each([
    [200, { id: 'shp_1' }, undefined],
    [200, '<html>Resting</html>', 'PROVIDER_ERROR'],
    [200, refusal('not_found'), 'NOT_FOUND'],
    [200, refusal('never_seen'), 'PROVIDER_ERROR'],
    [401, refusal('token_expired'), 'UNAUTHENTICATED'],
    [401, refusal('grant_revoked'), 'REAUTHORIZATION_REQUIRED'],
    [403, refusal('missing_scope'), 'SCOPES_INSUFFICIENT'],
    [403, refusal('never_seen'), 'FORBIDDEN'],
    [404, '', 'NOT_FOUND'],
    [429, '', 'RATE_LIMITED'],
    [502, refusal('grant_revoked'), 'PROVIDER_ERROR'],
  ])('judges %i %j as %s', (status, body, code) => {
    expect(judge(status, body)).toBe(code);
  });

  it('keeps the provider’s code, trace and words apart from ours', () => {
    const body = {
      error: { ...refusal('too_many_ids').error, fields: [{ field: 'ids', text: 'At most 50.' }] },
    };
    expect(parcelwise.classify(answer(body, { 'parcelwise-trace': 'trace-1' }, 400), 0)).toEqual({
      ...{ code: 'BAD_REQUEST', providerCode: 'too_many_ids', requestId: 'trace-1' },
      message: 'Parcelwise did not understand a request of ours.',
      details: [{ message: 'No.' }, { message: 'At most 50.', element: 'ids' }],
    });
  });
});

describe('webhook.parse', () => {
  const parse = (body: unknown) =>
    parcelwise.webhook!.parse(Buffer.from(JSON.stringify(body)), parcelwise.resources).notices;
  const event = (type: string, more: object = {}) => ({
    id: 'evt_1',
    type,
    at: '2026-11-01T00:00:00Z',
    ...more,
  });
  const told = { account: 'mer_1', eventId: 'evt_1', occurredAt: new Date('2026-11-01T00:00:00Z') };

  it('says what was announced, and leaves out what is about nothing of ours', () => {
    const object = { object_id: 'shp_100000' };
    const events = [
      event('shipment.updated', object),
      event('shipment.deleted', object),
      event('authorization.ended'),
      event('events.dropped'),
      event('invoice.created', object),
      event('warehouse.updated', object),
    ];
    const record = { ...told, kind: 'record', resource: 'Shipment', externalId: 'shp_100000' };
    expect(parse({ merchant_id: 'mer_1', events })).toEqual([
      { ...record, change: 'UPSERTED' },
      { ...record, change: 'DELETED' },
      { ...told, kind: 'revoked', users: null },
      { ...told, kind: 'missed' },
    ]);
  });

  it.each([[null], [{}], [{ merchant_id: 'mer_1' }], [{ merchant_id: 'mer_1', events: [{}] }]])(
    'does not take %j for a delivery',
    (body) => {
      expect(() => parse(body)).toThrow(UnreadableWebhook);
    },
  );
});

describe('reading from the server', () => {
  let server: ParcelwiseServer;
  let product: TestCore;
  let connection: Connection;
  beforeAll(async () => {
    server = await startParcelwise();
    product = await openCore(embeddedDatabase, { others: [configuredParcelwise(server)] });
    connection = await product.connected('acme', {}, 'parcelwise');
  });
  afterAll(async () => {
    await product?.close();
    await server?.close();
  });
  beforeEach(() => void (server.requests.length = 0));
  const patience = () => ({ deadlineAtMs: product.clock.now() + 5_000 });

  it('lists everything first, page by page, and then what changed, deletions too', async () => {
    const all = await changesOf(product, connection, 'Shipment');
    expect(all).toMatchObject({ pages: 3, isWhole: true });
    expect(new Set(all.changes.map(({ externalId }) => externalId)).size).toBe(450);
    // Times have milliseconds, and two writes may share one.
    await new Promise((resolve) => setTimeout(resolve, 5));
    const since = new Date();
    server.data.write('shipments', 'shp_100007', { status: 'delivered' });
    server.data.remove('shipments', 'shp_100008');
    const { changes, pages, isWhole } = await changesOf(product, connection, 'Shipment', since);
    expect({ pages, isWhole }).toEqual({ pages: 1, isWhole: false });
    expect(changes).toMatchObject([
      { kind: 'UPSERTED', externalId: 'shp_100007', snapshot: { payload: { status: 'delivered' } } },
      { kind: 'DELETED', externalId: 'shp_100008', deletedAt: expect.any(Date) },
    ]);
  });

  it('has every warehouse in one list, which is whole', async () => {
    const { changes, isWhole } = await changesOf(product, connection, 'Warehouse', new Date());
    expect(isWhole).toBe(true);
    expect(changes.map(({ externalId }) => externalId)).toEqual(['whs_bergen', 'whs_leipzig', 'whs_porto']);
  });

  it('is told by the provider’s code that a cursor has run out', async () => {
    const position = { since: null, cursor: 'never given out' };
    const reads = parcelwise.changes('Shipment');
    const { value } = await product.tokens.accessToken(connection);
    const target = { apiUrl: server.endpoints.apiUrl, externalId: 'mer_4711' };
    const { url } = reads.request(target, position);
    const refused = await fetch(url, { headers: { authorization: `Bearer ${value}` } });
    const fault = parcelwise.classify(answer(await refused.text(), {}, refused.status), 0);
    expect(fault).toMatchObject({ code: 'BAD_REQUEST', providerCode: reads.lostPosition });
  });

  it('finds fifty by their ids in one request, without those that do not exist', async () => {
    const ids = Array.from({ length: 49 }, (_, i) => `shp_${100_020 + i}`);
    const found = await product.api.records(connection, 'Shipment', [...ids, 'shp_nobody'], patience());
    expect([...found.keys()]).toEqual(ids);
    expect(server.requests).toHaveLength(1);
  });

  it('needs the person again once Parcelwise has ended the authorization', async () => {
    server.tokens.revoke((await product.tokens.accessToken(connection)).value);
    const { connection: ended, problem } = await product.connections.refresh(
      identityOf('acme'),
      connection.id,
    );
    expect(problem).toMatchObject({ code: 'REAUTHORIZATION_REQUIRED', actor: 'USER' });
    expect(ended).toMatchObject({ status: 'NEEDS_REAUTHORIZATION' });
  });
});
