import { describe, expect, it } from 'vitest';
import { UnreadableWebhook } from '../../src/providers/announcements.ts';
import { parseMyCarrierPacketsWebhook } from '../../src/providers/myCarrierPacketsWebhooks.ts';
import { quickbooks } from '../../src/providers/quickbooks.ts';
import { parseQuickBooksWebhook } from '../../src/providers/quickbooksWebhooks.ts';
import { parseSlackWebhook } from '../../src/providers/slackWebhooks.ts';

const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

describe('what QuickBooks announces', () => {
  const parse = (value: unknown) => parseQuickBooksWebhook(bytes(value), quickbooks.resources).notices;
  const cloudEvent = (more: object = {}) => ({
    specversion: '1.0',
    id: '88cd52aa-33b6-4351-9aa4-47572edbd068',
    source: 'intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=',
    type: 'qbo.invoice.created.v1',
    datacontenttype: 'application/json',
    time: '2026-09-10T21:31:25.179453123Z',
    intuitentityid: '1234',
    intuitaccountid: '310687',
    data: {},
    ...more,
  });
  const entity = (more: object = {}) => ({
    name: 'Invoice',
    id: '145',
    operation: 'Update',
    lastUpdated: '2025-09-08T20:52:31.657Z',
    ...more,
  });
  const notification = (...entities: object[]) => ({
    eventNotifications: [{ realmId: '310687', dataChangeEvent: { entities } }],
  });

  it('is read from CloudEvents, with or without data', () => {
    const told = {
      account: '310687',
      kind: 'record',
      resource: 'Invoice',
      externalId: '1234',
      change: 'UPSERTED',
      occurredAt: new Date('2026-09-10T21:31:25.179Z'),
    };
    expect(parse([cloudEvent()])).toMatchObject([told]);
    expect(parse([cloudEvent({ data: undefined, datacontenttype: undefined })])).toMatchObject([told]);
  });

  it('is read from eventNotifications of several companies', () => {
    const { eventNotifications } = notification(entity());
    const other = { realmId: '77', dataChangeEvent: { entities: [entity({ id: '9' })] } };
    expect(parse({ eventNotifications: [...eventNotifications, other] })).toMatchObject([
      { account: '310687', externalId: '145' },
      { account: '77', externalId: '9' },
    ]);
  });

  it.each([
    ['Create', 'created', 'UPSERTED'],
    ['Void', 'voided', 'UPSERTED'],
    ['Emailed', 'emailed', 'UPSERTED'],
    ['Delete', 'deleted', 'DELETED'],
    ['delete', 'Deleted', 'DELETED'],
  ])('says by %s and %s that it was %s', (operation, past, change) => {
    expect(parse(notification(entity({ operation })))).toMatchObject([{ change }]);
    expect(parse([cloudEvent({ type: `qbo.invoice.${past}.v1` })])).toMatchObject([{ change }]);
  });

  it('tells both sides of a merge, each under a name of its own', () => {
    const sides = [
      { resource: 'Customer', externalId: '145', change: 'UPSERTED' },
      { resource: 'Customer', externalId: '27', change: 'DELETED' },
    ];
    const merge = { name: 'Customer', operation: 'Merge', deletedId: '27' };
    const legacy = parse(notification(entity(merge)));
    expect(legacy).toMatchObject(sides);
    expect(new Set(legacy.map((one) => one.eventId)).size).toBe(2);
    const type = 'qbo.customer.merged.v1';
    expect(parse([cloudEvent({ type, intuitentityid: '145', data: { deletedid: '27' } })])).toMatchObject(
      sides,
    );
  });

  it('has the same name at each retry and another for each change', () => {
    expect(parse(notification(entity()))).toEqual(parse(notification(entity())));
    const names = [
      entity(),
      entity({ lastUpdated: '2025-09-08T20:52:32.000Z' }),
      entity({ operation: 'Delete' }),
      entity({ id: '146' }),
    ].flatMap((one) => parse(notification(one)).map(({ eventId }) => eventId));
    expect(new Set(names).size).toBe(4);
  });

  it('is nothing where it is about what we do not read', () => {
    expect(parse(notification(entity({ name: 'TimeActivity' })))).toEqual([]);
    expect(parse([cloudEvent({ type: 'qbo.billpayment.created.v1' })])).toEqual([]);
    expect(parse([])).toEqual([]);
  });

  it.each([
    [{}],
    [null],
    ['text'],
    [[{}]],
    [[cloudEvent({ id: undefined })]],
    [{ eventNotifications: [{}] }],
  ])('refuses %j', (value) => {
    expect(() => parse(value)).toThrow(UnreadableWebhook);
  });

  it('refuses what is not JSON, or not UTF-8', () => {
    for (const body of [Buffer.from('{'), Buffer.from(''), Buffer.from([0x22, 0xff, 0x22])])
      expect(() => parseQuickBooksWebhook(body, [])).toThrow(UnreadableWebhook);
  });
});

describe('what Slack announces', () => {
  const parse = (value: unknown) => parseSlackWebhook(bytes(value));
  const envelope = (event: object, more: object = {}) => ({
    token: 'x',
    team_id: 'T0001',
    api_app_id: 'A1',
    type: 'event_callback',
    event_id: 'Ev08MFMKH6',
    event_time: 1_234_567_890,
    event,
    ...more,
  });

  it('is answered with its challenge', () => {
    expect(parse({ token: 'x', challenge: '3eZbrw1a', type: 'url_verification' })).toEqual({
      notices: [],
      challenge: '3eZbrw1a',
    });
  });

  it.each([
    [{ type: 'channel_created', channel: { id: 'C1', name: 'fun' } }, 'Channel', 'C1', 'UPSERTED'],
    [{ type: 'channel_rename', channel: { id: 'C1' } }, 'Channel', 'C1', 'UPSERTED'],
    [{ type: 'channel_archive', channel: 'C1', user: 'U1' }, 'Channel', 'C1', 'UPSERTED'],
    [{ type: 'channel_deleted', channel: 'C1' }, 'Channel', 'C1', 'DELETED'],
    [{ type: 'user_change', user: { id: 'U1' } }, 'User', 'U1', 'UPSERTED'],
    [{ type: 'team_join', user: { id: 'U2' } }, 'User', 'U2', 'UPSERTED'],
    [{ type: 'team_rename', name: 'New' }, 'Team', 'T0001', 'UPSERTED'],
  ])('%j', (event, resource, externalId, change) => {
    expect(parse(envelope(event)).notices).toEqual([
      {
        account: 'T0001',
        eventId: 'Ev08MFMKH6',
        occurredAt: new Date(1_234_567_890_000),
        ...{ kind: 'record', resource, externalId, change },
      },
    ]);
  });

  it('names the users whose tokens were revoked, and everybody where the app was uninstalled', () => {
    expect(
      parse(envelope({ type: 'tokens_revoked', tokens: { oauth: ['U1'], bot: ['B1'] } })).notices,
    ).toMatchObject([{ kind: 'revoked', users: ['B1', 'U1'] }]);
    expect(parse(envelope({ type: 'app_uninstalled' })).notices).toMatchObject([
      { kind: 'revoked', users: null },
    ]);
  });

  it('says that some were held back', () => {
    const told = {
      type: 'app_rate_limited',
      team_id: 'T0001',
      minute_rate_limited: 1_518_467_820,
      api_app_id: 'A1',
    };
    expect(parse(told).notices).toMatchObject([{ kind: 'missed', account: 'T0001' }]);
  });

  it('is nothing where it is about what we do not read', () => {
    expect(parse(envelope({ type: 'message', channel: 'C1', text: 'hi' })).notices).toEqual([]);
  });

  it('is of the enterprise where there is no workspace', () => {
    const told = envelope({ type: 'app_uninstalled' }, { team_id: null, enterprise_id: 'E1' });
    expect(parse(told).notices).toMatchObject([{ account: 'E1' }]);
  });

  it.each([
    [{}],
    [[]],
    [{ type: 'url_verification' }],
    [envelope({}, { event_id: undefined })],
    [envelope({}, { team_id: {} })],
  ])('refuses %j', (value) => {
    expect(() => parse(value)).toThrow(UnreadableWebhook);
  });
});

describe('what MyCarrierPackets announces', () => {
  const told = (more: object = {}) =>
    bytes({
      eventType: 'carrier.incident_report.created',
      eventDateTime: '2025-04-29T22:16:41.5102923Z',
      eventData: {
        carrier: { dotNumber: 9_999_997, docketNumber: 'MC9999997' },
        customer: { customerID: 1, companyName: 'Us' },
      },
      ...more,
    });

  it('is about the carrier that it names', () => {
    expect(parseMyCarrierPacketsWebhook(told()).notices).toMatchObject([
      {
        account: null,
        ...{ kind: 'record', resource: 'Carrier', externalId: '9999997', change: 'UPSERTED' },
        occurredAt: new Date('2025-04-29T22:16:41.510Z'),
      },
    ]);
  });

  it('is about the packet too where one was completed', () => {
    const body = told({ eventType: 'carrier.packet.completed' });
    expect(parseMyCarrierPacketsWebhook(body).notices).toMatchObject([
      { resource: 'Carrier' },
      { resource: 'CompletedPacket', externalId: '9999997' },
    ]);
  });

  it('has the same name for the same body only', () => {
    const name = (body: Buffer) => parseMyCarrierPacketsWebhook(body).notices[0]!.eventId;
    expect(name(told())).toBe(name(told()));
    expect(name(told())).not.toBe(name(told({ eventDateTime: '2025-04-29T22:16:42.5102923Z' })));
  });

  it('is nothing where no carrier is named, and refused where no type is', () => {
    expect(parseMyCarrierPacketsWebhook(told({ eventData: {} })).notices).toEqual([]);
    expect(() => parseMyCarrierPacketsWebhook(bytes({}))).toThrow(UnreadableWebhook);
  });
});
