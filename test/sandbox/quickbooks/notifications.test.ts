import { createHmac } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signatureHeaders } from '../../../src/sandbox/quickbooks/notifications.ts';
import type { Delivery } from '../../../src/sandbox/quickbooks/webhooks.ts';
import { mainRealmId, openSandbox, otherRealmId, type TestSandbox } from '../../support/sandbox.ts';
import { openReceiver, type Received, type Receiver } from './receiver.ts';

type Json = any; // oxlint-disable-line typescript/no-explicit-any -- its shape is what is asserted

let sandbox: TestSandbox;
let receiver: Receiver;
let token: string;
beforeEach(async () => {
  sandbox = await openSandbox({ settings: { rateLimits: false } });
  receiver = await openReceiver();
  token = (await sandbox.connect()).access_token;
  await sandbox.admin('PUT', 'quickbooks/webhook-endpoint', { url: receiver.url });
});
afterEach(async () => {
  await sandbox.close();
  await receiver.close();
});

const set = (settings: object) => sandbox.admin('PUT', 'settings', settings);
const rule = async (given: object) =>
  expect((await sandbox.admin('POST', 'quickbooks/delivery-rules', given)).status).toBe(201);
const jsonOf = ({ body }: Received) => JSON.parse(body) as Json;
const signatureOf = (body: string, key = sandbox.quickbooks.verifierToken) =>
  createHmac('sha256', key).update(body).digest('base64');
const deliveries = async () =>
  ((await sandbox.admin('GET', 'quickbooks/deliveries')).json as { deliveries: Delivery[] }).deliveries;
/** Until so many attempts were made, and have their outcome. */
const attempted = async (count: number) => {
  for (let tries = 0; tries < 1000; tries += 1) {
    const attempts = (await deliveries()).flatMap((one) => one.attempts);
    if (attempts.length >= count) return attempts;
    await sleep(5);
  }
  throw new Error(`no ${count} attempts: ${JSON.stringify(await deliveries())}`);
};
/** A customer, told by itself. */
const happen = async (DisplayName: string) => {
  const { at } = await sandbox.post(token, 'customer', { DisplayName });
  await sandbox.clock.advance(100);
  return at('Customer.Id') as string;
};

describe('a note', () => {
  it('is signed as in the known example', () => {
    const body =
      '{"eventNotifications":[{"realmId":"1185883450","dataChangeEvent":{"entities":[{"name":"Customer","id":"1",' +
      '"operation":"Create","lastUpdated":"2015-10-05T14:42:19-0700"}]}}]}';
    expect(signatureHeaders(body, 'verifier-token-test', 'right')).toEqual({
      'intuit-signature': 'lAS6c3c7hDd7XEFzaqbcj+/6OSNmjf8eHEHl+BYZqnw=',
    });
  });

  it('is an array of CloudEvents, in the order of what happened', async () => {
    const customer = await sandbox.post(token, 'customer', { DisplayName: 'Café “Prairie” & Söhne' });
    await sandbox.clock.advance(99);
    expect(receiver.all).toEqual([]);
    await sandbox.post(token, 'vendor', { DisplayName: 'Overland' });
    await sandbox.clock.advance(1);
    const [note] = await receiver.received(1);
    expect(note!.headers['content-type']).toBe('application/json');
    expect(note!.headers['intuit-signature']).toBe(signatureOf(note!.body));
    const [first, second, ...more] = jsonOf(note!);
    expect(first).toMatchObject({
      specversion: '1.0',
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4/),
      source: expect.stringMatching(/^intuit\.[\w=]{20}/),
      type: 'qbo.customer.created.v1',
      time: expect.stringMatching(/^2026-01-05T12:00:00\.000/),
      intuitentityid: customer.at('Customer.Id'),
      intuitaccountid: mainRealmId,
    });
    expect(second.type).toBe('qbo.vendor.created.v1');
    expect(more).toEqual([]);
  });

  it('has, now and then, a longer id, nine digits of a second, or no data', async () => {
    await sandbox.admin('POST', 'quickbooks/activity', { realmId: mainRealmId, count: 100 });
    await sandbox.clock.advance(100);
    const events = jsonOf((await receiver.received(1))[0]!) as Json[];
    expect(events.length).toBeGreaterThanOrEqual(100);
    const share = (test: (event: Json) => boolean) => events.filter(test).length / events.length;
    for (const [test, usual] of [
      [({ id }) => /^[0-9a-f-]{36}-\d+-\d+$/.test(id), ({ id }) => /^[0-9a-f-]{36}$/.test(id)],
      [({ time }) => /\.\d{9}Z$/.test(time), ({ time }) => /\.\d{3}Z$/.test(time)],
      [
        (event) => !('data' in event || 'datacontenttype' in event),
        ({ data, datacontenttype }) =>
          JSON.stringify(data) === '{}' && datacontenttype === 'application/json',
      ],
    ] as ((event: Json) => boolean)[][]) {
      expect(share(test!)).toBeGreaterThan(0.05);
      expect(share(test!)).toBeLessThan(0.5);
      expect(share(test!) + share(usual!)).toBeCloseTo(1);
    }
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
  });

  it('is in the legacy form on request, one company in each', async () => {
    await set({ webhookFormat: 'legacy' });
    const other = await sandbox.connect({ realmId: otherRealmId });
    const invoice = (await sandbox.api(token, 'query?query=select * from Invoice maxresults 1')).at(
      'QueryResponse.Invoice.0',
    ) as Json;
    await sandbox.post(token, 'invoice', { Id: invoice.Id, SyncToken: invoice.SyncToken, sparse: true });
    await sandbox.api(other.access_token, `/v3/company/${otherRealmId}/customer`, {
      method: 'POST',
      body: '{"DisplayName":"Elsewhere"}',
    });
    await sandbox.clock.advance(100);
    const notes = (await receiver.received(2)).map((one) => jsonOf(one));
    expect(notes).toContainEqual({
      eventNotifications: [
        {
          realmId: mainRealmId,
          dataChangeEvent: {
            entities: [
              {
                name: 'Invoice',
                id: invoice.Id,
                operation: 'Update',
                lastUpdated: '2026-01-05T12:00:00.000Z',
              },
            ],
          },
        },
      ],
    });
    expect(new Set(notes.map((one) => one.eventNotifications[0].realmId))).toEqual(
      new Set([mainRealmId, otherRealmId]),
    );
  });

  it('holds several companies on request', async () => {
    await set({ webhookFormat: 'legacy', webhooksMixRealms: true });
    await sandbox.connect({ realmId: otherRealmId });
    for (const realmId of [mainRealmId, otherRealmId, mainRealmId])
      await sandbox.admin('POST', 'quickbooks/activity', { realmId, entity: 'Vendor', operation: 'create' });
    await sandbox.clock.advance(100);
    const { eventNotifications } = jsonOf((await receiver.received(1))[0]!);
    expect(eventNotifications).toMatchObject([
      { realmId: mainRealmId, dataChangeEvent: { entities: [{ name: 'Vendor' }, { name: 'Vendor' }] } },
      { realmId: otherRealmId, dataChangeEvent: { entities: [{ name: 'Vendor' }] } },
    ]);
    expect(receiver.all).toHaveLength(1);
  });
});

describe('what is told', () => {
  /** The types of the events that were told, and how they name what they are about. */
  const told = async () => {
    await sandbox.clock.advance(100);
    const notes = await receiver.received(1);
    return notes.flatMap((one) => (jsonOf(one) as Json[]).map(({ type }) => type as string));
  };
  const eventsIn = (note: Json, format: string): Json[] =>
    format === 'legacy' ? note.eventNotifications[0].dataChangeEvent.entities : note;
  const one = async (kind: string) =>
    (await sandbox.api(token, `query?query=select * from ${kind} maxresults 1`)).at(
      `QueryResponse.${kind}.0`,
    ) as Json;

  it('is each write through the API, with what follows from it', async () => {
    const invoice = await one('Estimate');
    const own = { Id: invoice.Id, SyncToken: invoice.SyncToken };
    await sandbox.post(token, 'estimate', { ...own, sparse: true, PrivateNote: 'x' });
    await sandbox.post(token, 'estimate?operation=delete', { ...own, SyncToken: '1' });
    const memo = await one('CreditMemo');
    await sandbox.post(token, 'creditmemo?operation=void', { Id: memo.Id, SyncToken: memo.SyncToken });
    await sandbox.post(token, 'estimate', { ...own, sparse: true }); // refused: it is gone
    expect(await told()).toEqual([
      'qbo.estimate.updated.v1',
      'qbo.estimate.deleted.v1',
      'qbo.creditmemo.voided.v1',
    ]);
  });

  it('is an invoice, too, that a payment pays', async () => {
    const open = (await sandbox.api(token, "query?query=select * from Invoice where Balance > '0'")).at(
      'QueryResponse.Invoice.0',
    ) as Json;
    await sandbox.post(token, 'payment', {
      CustomerRef: open.CustomerRef,
      TotalAmt: open.Balance,
      Line: [{ Amount: open.Balance, LinkedTxn: [{ TxnId: open.Id, TxnType: 'Invoice' }] }],
    });
    expect(await told()).toEqual(['qbo.payment.created.v1', 'qbo.invoice.updated.v1']);
  });

  it('is a batch item by item, and a document that was sent', async () => {
    await sandbox.post(token, 'batch', {
      BatchItemRequest: [
        { bId: '1', operation: 'create', PurchaseOrder: {} },
        { bId: '2', operation: 'create', Vendor: { DisplayName: 'In a batch' } },
      ],
    });
    const { Id } = await one('Invoice');
    const sent = await sandbox.post(token, `invoice/${Id}/send?sendTo=ap%40shipper.example`, undefined);
    expect(sent.at('Invoice')).toMatchObject({
      EmailStatus: 'EmailSent',
      BillEmail: { Address: 'ap@shipper.example' },
      DeliveryInfo: { DeliveryType: 'Email' },
    });
    expect(await told()).toEqual(['qbo.vendor.created.v1', 'qbo.invoice.emailed.v1']);
  });

  it.each(['cloudevents', 'legacy'])(
    'is a merge, with the id that is no more, in the %s form',
    async (webhookFormat) => {
      await set({ webhookFormat });
      const [gone, stays] = (
        (await sandbox.api(token, 'query?query=select * from Customer')).at(
          'QueryResponse.Customer',
        ) as Json[]
      ).map(({ Id }) => Id as string);
      const invoices = async (id: string) =>
        (await sandbox.api(token, `query?query=select count(*) from Invoice where CustomerRef = '${id}'`)).at(
          'QueryResponse.totalCount',
        ) as number;
      const [ofGone, ofStays] = [await invoices(gone!), await invoices(stays!)];
      expect(ofGone).toBeGreaterThan(0);
      const merge = { realmId: mainRealmId, entity: 'Customer', id: gone, into: stays };
      expect((await sandbox.admin('POST', 'quickbooks/merges', merge)).at('Customer.Id')).toBe(stays);
      expect(await invoices(stays!)).toBe(ofGone + ofStays);
      expect((await sandbox.api(token, `customer/${gone}`)).at('Fault.Error.0.code')).toBe('610');
      const changes = await sandbox.api(token, `cdc?entities=Customer&changedSince=2026-01-05`);
      expect(changes.at('CDCResponse.0.QueryResponse.0.Customer')).toMatchObject([
        { Id: gone, status: 'Deleted' },
        { Id: stays, DisplayName: expect.any(String) },
      ]);

      await sandbox.clock.advance(100);
      const note = jsonOf((await receiver.received(1))[0]!);
      const [event] = eventsIn(note, webhookFormat).filter((one) => /customer/i.test(one.type ?? one.name));
      expect(event).toMatchObject(
        webhookFormat === 'legacy'
          ? { name: 'Customer', id: stays, operation: 'Merge', deletedId: gone }
          : { type: 'qbo.customer.merged.v1', intuitentityid: stays, data: { deletedid: gone } },
      );
      const again = await sandbox.admin('POST', 'quickbooks/merges', merge);
      expect([again.status, again.at('error')]).toEqual([400, expect.stringMatching(/^merge: /)]);
    },
  );

  it('is, after a merge of items, each document that named the one', async () => {
    const items = (await sandbox.api(token, 'query?query=select * from Item')).at(
      'QueryResponse.Item',
    ) as Json[];
    const [linehaul, , , lumper] = items.map(({ Id }) => Id as string);
    await sandbox.admin('POST', 'quickbooks/merges', {
      realmId: mainRealmId,
      entity: 'Item',
      id: lumper,
      into: linehaul,
    });
    const memos = (await sandbox.api(token, 'query?query=select * from CreditMemo')).at(
      'QueryResponse.CreditMemo',
    ) as Json[];
    const types = await told();
    expect(types.filter((type) => type === 'qbo.creditmemo.updated.v1')).toHaveLength(memos.length);
    expect(types.at(-1)).toBe('qbo.item.merged.v1');
    for (const { Line, SyncToken } of memos) {
      expect(SyncToken).toBe('1');
      expect(Line[0].SalesItemLineDetail.ItemRef).toEqual({ value: linehaul, name: 'Linehaul' });
    }
  });

  it('is nothing once somebody disconnected the app in QuickBooks, not even that', async () => {
    await sandbox.admin('POST', 'grants/revoke', { realmId: mainRealmId });
    await sandbox.admin('POST', 'quickbooks/activity', { realmId: mainRealmId, count: 3 });
    await sandbox.clock.advance(60_000);
    expect(await deliveries()).toEqual([]);
  });

  it('is nothing while there is no endpoint', async () => {
    await sandbox.admin('PUT', 'quickbooks/webhook-endpoint', { url: null });
    await happen('Unheard');
    await sandbox.admin('PUT', 'quickbooks/webhook-endpoint', { url: receiver.url });
    await happen('Heard');
    expect(await deliveries()).toHaveLength(1);
  });
});

describe('delivery', () => {
  it('is tried again after 10, 20 and 30 s, 5 and 20 min, 2, 4 and 6 h, then given up', async () => {
    receiver.answer = () => 500;
    await happen('Never acknowledged');
    const startedMs = sandbox.clock.now();
    for (const [index, seconds] of [10, 20, 30, 300, 1200, 7200, 14_400, 21_600].entries()) {
      await attempted(index + 1);
      await sandbox.clock.advance(seconds * 1000 - 1);
      expect(receiver.all).toHaveLength(index + 1);
      await sandbox.clock.advance(1);
      await receiver.received(index + 2);
    }
    const attempts = await attempted(9);
    expect(attempts.map(({ at }) => (Date.parse(at) - startedMs) / 1000)).toEqual([
      0, 10, 30, 60, 360, 1560, 8760, 23_160, 44_760,
    ]);
    expect(attempts.at(-1)).toMatchObject({ status: 500, failure: 'not acknowledged' });
    await sandbox.clock.advance(86_400_000);
    expect(receiver.all).toHaveLength(9);
    expect(await deliveries()).toMatchObject([{ state: 'failed' }]);
    expect(new Set(receiver.all.map(({ body }) => body)).size).toBe(1);
  });

  it('takes a 200 within three seconds for an acknowledgement, and nothing else', async () => {
    receiver.answer = (index) => (index === 0 ? 'hang' : index === 1 ? 202 : 200);
    await happen('Slow');
    await receiver.received(1);
    await sandbox.clock.advance(2999);
    expect((await deliveries())[0]!.attempts).toEqual([]);
    await sandbox.clock.advance(1);
    expect(await attempted(1)).toMatchObject([{ status: null, failure: 'timeout' }]);
    await sandbox.clock.advance(10_000);
    await attempted(2);
    await sandbox.clock.advance(20_000);
    expect(await attempted(3)).toMatchObject([
      {},
      { status: 202, failure: 'not acknowledged' },
      { status: 200, failure: null },
    ]);
    expect(await deliveries()).toMatchObject([{ state: 'delivered' }]);
  });

  it('says when nobody listens', async () => {
    await sandbox.admin('PUT', 'quickbooks/webhook-endpoint', { url: 'http://127.0.0.1:9/' });
    await happen('To nobody');
    expect(await attempted(1)).toMatchObject([{ status: null, failure: 'connection' }]);
  });

  it('holds back what is later until the first was acknowledged, on request', async () => {
    await set({ webhooksHeldBack: true });
    receiver.answer = (index) => (index === 0 ? 503 : 200);
    const first = await happen('First');
    await attempted(1);
    const second = await happen('Second');
    expect(await deliveries()).toMatchObject([{ attempts: [{}] }, { attempts: [] }]);
    await sandbox.clock.advance(10_000);
    await attempted(3);
    const ids = receiver.all.map((one) => jsonOf(one)[0].intuitentityid);
    expect(ids).toEqual([first, first, second]);
  });

  it('lets later ones overtake, on request', async () => {
    await rule({ after: 1, entity: 'Customer' });
    const first = await happen('First');
    const second = await happen('Second');
    const notes = await receiver.received(2);
    expect(notes.map((one) => jsonOf(one)[0].intuitentityid)).toEqual([second, first]);
  });

  it('is late, doubled or lost on request', async () => {
    await rule({ delayMs: 5000 });
    await rule({ duplicates: 1 });
    await rule({ lost: true });
    const late = await happen('Late');
    const doubled = await happen('Doubled');
    await happen('Lost');
    await receiver.received(2);
    await sandbox.clock.advance(5000);
    const notes = await receiver.received(3);
    expect(notes.map((one) => jsonOf(one)[0].intuitentityid)).toEqual([doubled, doubled, late]);
    await attempted(3);
    expect((await deliveries()).map(({ state }) => state)).toEqual(['delivered', 'delivered', 'lost']);
  });

  it.each(['wrong-secret', 'truncated', 'missing'])('is signed badly on request: %s', async (signature) => {
    await rule({ signature });
    await happen('Bad');
    const [note] = await receiver.received(1);
    const right = signatureOf(note!.body);
    expect(note!.headers['intuit-signature']).toBe(
      {
        'wrong-secret': signatureOf(note!.body, 'not sandbox-verifier-token'),
        truncated: right.slice(0, 20),
      }[signature],
    );
    expect(note!.headers['intuit-signature']).not.toBe(right);
  });

  it('is signed with another token once one is set, which is shown to nobody', async () => {
    const answer = await sandbox.admin('PUT', 'quickbooks/webhook-endpoint', { verifierToken: 'rotated' });
    expect(answer.json).toEqual({ url: receiver.url });
    expect((await sandbox.admin('GET', 'quickbooks/webhook-endpoint')).json).toEqual({ url: receiver.url });
    await happen('Signed anew');
    const [note] = await receiver.received(1);
    expect(note!.headers['intuit-signature']).toBe(signatureOf(note!.body, 'rotated'));
    expect(JSON.stringify(await deliveries())).not.toContain('rotated');
  });
});

describe('the state file', () => {
  it('carries the endpoint and its token over a restart', async () => {
    const stateFile = join(mkdtempSync(join(tmpdir(), 'integrations-sandbox-')), 'state.json');
    const before = await openSandbox({ stateFile });
    const endpoint = { url: receiver.url, verifierToken: 'kept' };
    await before.admin('PUT', 'quickbooks/webhook-endpoint', endpoint);
    await before.connect();
    await before.close();
    const after = await openSandbox({ stateFile });
    expect(after.quickbooks.verifierToken).toBe('kept');
    await after.admin('POST', 'quickbooks/activity', { realmId: mainRealmId });
    await after.clock.advance(100);
    const [note] = await receiver.received(1);
    expect(note!.headers['intuit-signature']).toBe(signatureOf(note!.body, 'kept'));
    await after.close();
  });
});
