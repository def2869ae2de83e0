import { describe, expect, it } from 'vitest';
import type { ChangePage, ChangeReads, Position } from '../../src/providers/changes.ts';
import { myCarrierPackets } from '../../src/providers/myCarrierPackets.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';
import { slack } from '../../src/providers/slack.ts';

const now = new Date('2026-11-23T12:00:00.000Z');
const ago = (ms: number) => new Date(now.getTime() - ms);
const day = 86_400_000;
const target = { apiUrl: 'https://api.example', externalId: '77' };
const answer = (body: unknown) => ({ status: 200, headers: {}, body: JSON.stringify(body) });
/** Through JSON, as a position is kept over a crash. */
const kept = (position: Position | undefined) => JSON.parse(JSON.stringify(position)) as Position;
const asked = (reads: ChangeReads, position: Position) => {
  const { method, url, body } = reads.request(target, kept(position));
  const { pathname, searchParams } = new URL(url);
  return {
    method,
    path: pathname,
    query: Object.fromEntries(searchParams),
    form: Object.fromEntries(new URLSearchParams(body)),
  };
};
const parse = (reads: ChangeReads, position: Position, body: unknown): ChangePage =>
  reads.parse(answer(body), kept(position));

describe('QuickBooks', () => {
  const reads = quickbooks.changes('Invoice');
  const object = (id: number, more: object = {}) => ({
    Id: String(id),
    SyncToken: '0',
    MetaData: { LastUpdatedTime: '2026-11-23T03:00:00-08:00' },
    ...more,
  });
  const cdc = (...objects: object[]) => ({
    CDCResponse: [{ QueryResponse: [{ Invoice: objects, startPosition: 1, maxResults: objects.length }] }],
    time: '2026-11-23T04:00:00.000-08:00',
  });
  const query = (...objects: object[]) => ({
    QueryResponse: { Invoice: objects },
    time: '2026-11-23T04:00:00-08:00',
  });
  const sameTime = '2026-11-23T11:00:00.000Z';
  const thousand = Array.from({ length: 1_000 }, (_, i) => object(i + 1));

  it('is asked for what changed since, with its deletions', () => {
    const position = reads.begin(ago(day), now);
    expect(asked(reads, position)).toMatchObject({
      path: '/v3/company/77/cdc',
      query: { entities: 'Invoice', changedSince: '2026-11-22T12:00:00.000Z', minorversion: '75' },
    });
    const deleted = object(5, { status: 'Deleted', domain: 'QBO' });
    const page = parse(reads, position, cdc(object(41), deleted));
    expect(page).toMatchObject({
      changes: [
        { kind: 'UPSERTED', externalId: '41', snapshot: { updatedAt: new Date('2026-11-23T11:00:00Z') } },
        { kind: 'DELETED', externalId: '5', deletedAt: new Date('2026-11-23T11:00:00Z') },
      ],
      at: now,
      next: undefined,
      isWhole: false,
    });
  });

  it('has no changes where the entity is empty', () => {
    const position = reads.begin(ago(day), now);
    for (const body of [cdc(), { CDCResponse: [{ QueryResponse: [{}] }], time: '2026-11-23T12:00:00Z' }])
      expect(parse(reads, position, body)).toMatchObject({ changes: [], next: undefined, at: now });
  });

  it('goes on by query where a thousand are all that it tells', () => {
    const page = parse(reads, reads.begin(ago(day), now), cdc(...thousand));
    expect(page.changes).toHaveLength(1_000);
    expect(asked(reads, page.next!).query.query).toBe(
      "select * from Invoice where MetaData.LastUpdatedTime >= '2026-11-22T12:00:00.000Z' orderby MetaData.LastUpdatedTime startposition 1 maxresults 1000",
    );
    const second = parse(reads, page.next!, query(...thousand));
    // Begins at the last one seen: what is deleted or changed meanwhile moves no other over the edge.
    expect(asked(reads, second.next!).query.query).toBe(
      `select * from Invoice where MetaData.LastUpdatedTime >= '${sameTime}' orderby MetaData.LastUpdatedTime startposition 1 maxresults 1000`,
    );
    // A thousand of one time leave only their number.
    const third = parse(reads, second.next!, query(...thousand));
    expect(asked(reads, third.next!).query.query).toContain(
      `LastUpdatedTime >= '${sameTime}' orderby MetaData.LastUpdatedTime startposition 1001 `,
    );
    expect(parse(reads, second.next!, query(object(7)))).toMatchObject({ next: undefined, isWhole: false });
  });

  it.each([
    [28 * day, '/v3/company/77/cdc'],
    [29.5 * day, '/v3/company/77/query'],
    [400 * day, '/v3/company/77/query'],
  ])('looks back %i ms by %s', (ms, path) => {
    expect(asked(reads, reads.begin(ago(ms), now)).path).toBe(path);
  });

  it('reads everything where nothing was read before, the inactive of name lists too', () => {
    const all = quickbooks.changes('Customer');
    const position = all.begin(null, now);
    expect(asked(all, position).query.query).toBe(
      'select * from Customer where Active in (true, false) orderby MetaData.LastUpdatedTime startposition 1 maxresults 1000',
    );
    expect(parse(all, position, { QueryResponse: {}, time: '2026-11-23T12:00:00Z' })).toMatchObject({
      changes: [],
      next: undefined,
      isWhole: true,
    });
  });

  it('pages by what it received: one page may hold one more than was asked for', () => {
    const position = reads.begin(null, now);
    const { next } = parse(reads, position, query(...thousand, object(1_001)));
    const again = parse(reads, next!, query(...thousand, object(1_001)));
    expect(asked(reads, again.next!).query.query).toContain('startposition 1002 ');
  });
});

describe('Slack', () => {
  const reads = slack.changes('User');
  const member = { id: 'U1', name: 'spengler', updated: 1_502_138_686, deleted: false };

  it('lists everything, page by page', () => {
    const position = reads.begin(ago(day), now);
    expect(asked(reads, position)).toMatchObject({
      method: 'POST',
      path: '/users.list',
      form: { limit: '200' },
    });
    const page = parse(reads, position, {
      ok: true,
      members: [member, { ...member, id: 'U2', deleted: true }],
      response_metadata: { next_cursor: 'dXNlcjpVMEc5V0ZYTlo=' },
    });
    expect(page).toMatchObject({
      changes: [
        { kind: 'UPSERTED', externalId: 'U1', snapshot: { updatedAt: new Date(1_502_138_686_000) } },
        { externalId: 'U2', snapshot: { payload: { deleted: true } } },
      ],
      isWhole: true,
    });
    expect(asked(reads, page.next!).form).toMatchObject({ cursor: 'dXNlcjpVMEc5V0ZYTlo=' });
    const last = { ok: true, members: [], response_metadata: { next_cursor: '' } };
    expect(parse(reads, page.next!, last).next).toBeUndefined();
  });

  it('reads archived channels too, and the workspace as one', () => {
    const channels = slack.changes('Channel');
    expect(asked(channels, channels.begin(null, now)).form).toMatchObject({ exclude_archived: 'false' });
    const team = slack.changes('Team');
    expect(asked(team, team.begin(null, now)).path).toBe('/team.info');
    expect(parse(team, team.begin(null, now), { ok: true, team: { id: 'T1', name: 'Us' } })).toMatchObject({
      changes: [{ externalId: 'T1' }],
      next: undefined,
      isWhole: true,
    });
  });
});

describe('MyCarrierPackets', () => {
  const changed = (dotNumber: number) => ({
    ChangeDateTime: '2026-11-23T11:30:00',
    ChangeCategories: ['Insurance'],
    CarrierDetails: { docketNumber: 'MC1', dotNumber: { status: 'ACTIVE', Value: String(dotNumber) } },
  });
  const page = (count: number) => ({
    RequestDateTimeUtc: '2026-11-23T12:00:01',
    CarrierList: Array.from({ length: count }, (_, i) => changed(i + 1)),
  });

  it('is asked for what changed between two times, page by page', () => {
    const reads = myCarrierPackets.changes('CarrierChange');
    const position = reads.begin(ago(3_600_000), now);
    expect(asked(reads, position)).toMatchObject({
      method: 'POST',
      path: '/api/v1/Carrier/CarriersChanges',
      query: {
        fromDate: '2026-11-23T11:00:00',
        toDate: '2026-11-23T12:00:00',
        pageNumber: '1',
        pageSize: '250',
      },
    });
    const first = parse(reads, position, page(250));
    expect(first).toMatchObject({ at: new Date('2026-11-23T12:00:01Z'), isWhole: false });
    expect(first.changes[0]).toMatchObject({
      externalId: '1',
      snapshot: { updatedAt: new Date('2026-11-23T11:30:00Z'), payload: { ChangeCategories: ['Insurance'] } },
    });
    expect(asked(reads, first.next!).query).toMatchObject({ pageNumber: '2', toDate: '2026-11-23T12:00:00' });
    expect(parse(reads, first.next!, page(3)).next).toBeUndefined();
  });

  it('says of carriers only which ones to read', () => {
    const reads = myCarrierPackets.changes('Carrier');
    expect(parse(reads, reads.begin(ago(day), now), page(2)).changes).toEqual([
      { kind: 'UPSERTED', externalId: '1' },
      { kind: 'UPSERTED', externalId: '2' },
    ]);
  });

  it('lists completed packets of a month at first', () => {
    const reads = myCarrierPackets.changes('CompletedPacket');
    const position = reads.begin(null, now);
    expect(asked(reads, position)).toMatchObject({
      path: '/api/v1/Carrier/CompletedPackets',
      query: { fromDate: '2026-10-24T12:00:00', toDate: '2026-11-23T12:00:00' },
    });
    const packet = { DOTNumber: 9_999_997, LegalName: 'Test', CompletedDate: '2026-11-20T08:00:00.123' };
    expect(parse(reads, position, [packet])).toMatchObject({
      changes: [{ externalId: '9999997', snapshot: { updatedAt: new Date('2026-11-20T08:00:00.123Z') } }],
      next: undefined,
      at: now,
    });
  });
});
