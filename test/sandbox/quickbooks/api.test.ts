import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mainRealmId, openSandbox, otherRealmId, type TestSandbox } from '../../support/sandbox.ts';

const dayMs = 86_400_000;
let sandbox: TestSandbox;
let token: string;

beforeEach(async () => {
  sandbox = await openSandbox({ settings: { rateLimits: false } });
  token = (await sandbox.connect()).access_token;
});
afterEach(() => sandbox.close());

const query = (text: string) => sandbox.api(token, `query?query=${encodeURIComponent(text)}`);
const firstOf = async (kind: string) =>
  (await query(`select * from ${kind} maxresults 1`)).at(`QueryResponse.${kind}.0`) as Record<
    string,
    unknown
  >;

describe('access', () => {
  it('is refused in the gateway’s lower case for a token that ran out, echoing it', async () => {
    await sandbox.clock.advance(3_600_000);
    const answer = await sandbox.api(token, `companyinfo/${mainRealmId}`);
    expect(answer.status).toBe(401);
    expect(answer.json).toMatchObject({
      warnings: null,
      fault: {
        error: [
          {
            message: 'message=AuthenticationFailed; errorCode=003200; statusCode=401',
            detail: `Token expired: ${token}`,
            code: '3200',
            element: null,
          },
        ],
        type: 'AUTHENTICATION',
      },
      time: sandbox.clock.now(),
      cdcresponse: [],
    });
  });

  it('is refused without a token, and after an operator made tokens expire', async () => {
    const bare = await sandbox.api('', `companyinfo/${mainRealmId}`);
    expect([bare.status, bare.at('fault.error.0.code')]).toEqual([401, '3200']);
    expect((await sandbox.admin('POST', 'access-tokens/expire', {})).json).toEqual({ expired: 1 });
    expect((await sandbox.api(token, `companyinfo/${mainRealmId}`)).status).toBe(401);
  });

  it('is refused with 3100 for another company and for a token without the accounting scope', async () => {
    const other = await sandbox.api(token, `/v3/company/${otherRealmId}/companyinfo/${otherRealmId}`);
    expect([other.status, other.at('fault.error.0.code')]).toEqual([403, '3100']);
    const openId = await sandbox.connect({ scope: 'openid' });
    expect((await sandbox.api(openId.access_token, `companyinfo/${mainRealmId}`)).status).toBe(403);
  });

  it('can be refused in the form of the newer APIs', async () => {
    await sandbox.admin('PUT', 'settings', { authenticationFault: 'plain' });
    const answer = await sandbox.api('x'.repeat(40), `companyinfo/${mainRealmId}`);
    expect(answer.json).toMatchObject({ code: 'AuthenticationFailed', type: 'INPUT', message: null });
  });

  it.each([
    ['admin-lost-access', 403, '120'],
    ['subscription-ended', 400, '6190'],
  ])('is refused by the service itself when %s', async (condition, status, code) => {
    await sandbox.admin('PUT', 'settings', { companyConditions: { [mainRealmId]: condition } });
    const answer = await sandbox.api(token, `companyinfo/${mainRealmId}`);
    expect([answer.status, answer.at('Fault.Error.0.code')]).toEqual([status, code]);
  });
});

describe('reading', () => {
  it('shows the company, with its time in Pacific and an id of the request', async () => {
    const answer = await sandbox.api(token, `companyinfo/${mainRealmId}?minorversion=75`);
    expect(answer.json).toMatchObject({
      CompanyInfo: {
        CompanyName: 'Prairie Gateway Logistics',
        Country: 'US',
        domain: 'QBO',
        sparse: false,
        Id: '1',
      },
      time: '2026-01-05T04:00:00.000-08:00',
    });
    expect(answer.headers.get('intuit_tid')).toMatch(/^1-/);
    expect(answer.headers.get('content-type')).toBe('application/json;charset=UTF-8');
  });

  it('pages from 1, a hundred at a time at most unless asked, and gives {} for nothing', async () => {
    const all = await query('select * from Invoice');
    expect(all.at('QueryResponse.startPosition')).toBe(1);
    expect(all.at('QueryResponse.maxResults')).toBe(60);
    const page = await query('select * from Invoice startposition 51 maxresults 25');
    expect(page.at('QueryResponse.startPosition')).toBe(51);
    expect(page.at('QueryResponse.maxResults')).toBe(10);
    expect(page.at('QueryResponse.Invoice.0')).toEqual(all.at('QueryResponse.Invoice.50'));
    expect((await query('select * from Invoice startposition 61')).at('QueryResponse')).toEqual({});
    expect((await query("select * from Invoice where Id = '999999'")).at('QueryResponse')).toEqual({});
    expect((await query('select * from VendorCredit')).at('QueryResponse')).toEqual({});
    expect((await query('select count(*) from Invoice')).at('QueryResponse')).toEqual({ totalCount: 60 });
  });

  it('can give one more than asked', async () => {
    await sandbox.admin('PUT', 'settings', { onePastMaxResults: true });
    expect((await query('select * from Invoice maxresults 10')).at('QueryResponse.maxResults')).toBe(11);
  });

  it('gives only the named fields, and the id', async () => {
    const row = (await query('select DisplayName, Balance from Vendor maxresults 1')).at(
      'QueryResponse.Vendor.0',
    );
    expect(Object.keys(row as object).sort()).toEqual(['Balance', 'DisplayName', 'Id', 'domain', 'sparse']);
  });

  it('takes a query as text in a POST too', async () => {
    const ask = (type: string) =>
      sandbox.api(token, 'query', {
        method: 'POST',
        body: 'select count(*) from Bill',
        headers: { 'content-type': type },
      });
    expect((await ask('application/text')).at('QueryResponse.totalCount')).toBe(60);
    expect((await ask('application/json')).at('Fault.Error.0.code')).toBe('1050');
  });

  it('reports faults of the service with capitals', async () => {
    const answer = await query('select nothing');
    expect(answer.status).toBe(400);
    expect(answer.json).toMatchObject({
      Fault: { Error: [{ Message: 'Error parsing query', code: '4000' }], type: 'ValidationFault' },
    });
    expect(answer.at('Fault.Error.0.Detail')).toContain('QueryParserError');
    expect((await query('select * from Unicorn')).at('Fault.Error.0.code')).toBe('4001');
    expect((await sandbox.api(token, 'invoice/999999')).at('Fault.Error.0.code')).toBe('610');
    expect((await sandbox.api(token, 'estimate/1')).at('Fault.Error.0.code')).toBe('610');
    expect((await sandbox.api(token, 'invoice/abc')).at('Fault.Error.0.code')).toBe('2030');
  });

  it('answers in XML when JSON is not asked for', async () => {
    const invoice = await firstOf('Invoice');
    const found = await sandbox.api(token, `invoice/${String(invoice['Id'])}`, { accept: '*/*' });
    expect(found.headers.get('content-type')).toBe('application/xml;charset=UTF-8');
    expect(found.text).toContain(
      '<IntuitResponse xmlns="http://schema.intuit.com/finance/v3" time="2026-01-05T',
    );
    expect(found.text).toMatch(
      /<Invoice domain="QBO" sparse="false">.*<CustomerRef name="[^"]+">\d+<\/CustomerRef>/,
    );
    const other = await sandbox.connect({ realmId: '9341452881003003' });
    const path = '/v3/company/9341452881003003/companyinfo/9341452881003003';
    const company = await sandbox.api(other.access_token, path, { accept: 'text/html' });
    expect(company.text).toContain('<CompanyName>Harbor &amp; Main Transport Brokers</CompanyName>');
    const fault = await sandbox.api(token, 'invoice/999999', { accept: '' });
    expect(fault.text).toMatch(
      /<Fault type="ValidationFault"><Error code="610" element=""><Message>Object Not Found</,
    );
  });
});

describe('writing', () => {
  it('creates, updates sparsely and fully, and refuses a stale token', async () => {
    const made = await sandbox.post(token, 'customer', {
      DisplayName: 'Dock & Door',
      Notes: 'new',
      Balance: 99,
    });
    expect(made.json).toMatchObject({
      Customer: { DisplayName: 'Dock & Door', Active: true, Balance: 0, SyncToken: '0' },
    });
    const { Id } = made.at('Customer') as { Id: string };

    await sandbox.clock.advance(1000);
    const sparse = await sandbox.post(token, 'customer', { Id, SyncToken: '0', sparse: true, Active: false });
    expect(sparse.json).toMatchObject({
      Customer: {
        DisplayName: 'Dock & Door',
        Notes: 'new',
        Active: false,
        sparse: false,
        SyncToken: '1',
        MetaData: { CreateTime: '2026-01-05T04:00:00-08:00', LastUpdatedTime: '2026-01-05T04:00:01-08:00' },
      },
    });
    const stale = await sandbox.post(token, 'customer', { Id, SyncToken: '0', sparse: true, Active: true });
    expect([stale.status, stale.at('Fault.Error.0.code')]).toEqual([400, '5010']);
    const full = await sandbox.post(token, 'customer', { Id, SyncToken: '1', DisplayName: 'Dock & Door' });
    expect(full.at('Customer.SyncToken')).toBe('2');
    expect(full.at('Customer.Notes')).toBeUndefined();
  });

  it('works out an invoice and what its customer owes, and what a payment leaves', async () => {
    const customer = await firstOf('Customer');
    const before = Number(customer['Balance']);
    const line = (Amount: number) => ({ Amount, DetailType: 'SalesItemLineDetail', SalesItemLineDetail: {} });
    const CustomerRef = { value: customer['Id'] };
    const made = await sandbox.post(token, 'invoice', { CustomerRef, Line: [line(100), line(20.5)] });
    expect(made.json).toMatchObject({
      Invoice: {
        DocNumber: '1061',
        TxnDate: '2026-01-05',
        DueDate: '2026-02-04',
        TotalAmt: 120.5,
        Balance: 120.5,
        SyncToken: '0',
        CustomerRef: { name: customer['DisplayName'] },
        Line: [{ Id: '1' }, { Id: '2' }, { Amount: 120.5, DetailType: 'SubTotalLineDetail' }],
      },
    });
    const Id = made.at('Invoice.Id') as string;
    const paid = await sandbox.post(token, 'payment', {
      CustomerRef,
      TotalAmt: 50,
      Line: [{ Amount: 20, LinkedTxn: [{ TxnId: Id, TxnType: 'Invoice' }] }],
    });
    expect(paid.at('Payment.UnappliedAmt')).toBe(30);
    const after = await sandbox.api(token, `invoice/${Id}`);
    expect(after.json).toMatchObject({
      Invoice: { Balance: 100.5, SyncToken: '1', LinkedTxn: [{ TxnType: 'Payment' }] },
    });
    const owes = await sandbox.api(token, `customer/${String(customer['Id'])}`);
    expect(owes.at('Customer.Balance')).toBeCloseTo(before + 100.5, 2);

    const doubled = await sandbox.post(token, 'invoice', {
      Id,
      SyncToken: '1',
      sparse: true,
      Line: [line(200)],
    });
    expect(doubled.json).toMatchObject({ Invoice: { TotalAmt: 200, Balance: 180, SyncToken: '2' } });
    const voided = await sandbox.post(token, 'invoice?operation=void', { Id, SyncToken: '2' });
    expect(voided.json).toMatchObject({ Invoice: { TotalAmt: 0, Balance: 0, PrivateNote: 'Voided' } });
    const gone = await sandbox.post(token, 'invoice?operation=delete', { Id, SyncToken: '3' });
    expect(gone.at('Invoice')).toEqual({ status: 'Deleted', domain: 'QBO', Id });
    expect((await sandbox.api(token, `invoice/${Id}`)).at('Fault.Error.0.code')).toBe('610');
  });

  it.each([
    ['a missing name', 'customer', {}, '2020'],
    ['a name that a vendor has', 'customer', { DisplayName: 'kowalski transfer' }, '6240'],
    ['no lines', 'invoice', { CustomerRef: { value: '11' }, Line: [] }, '2020'],
    ['an unknown customer', 'invoice', { CustomerRef: { value: '999999' }, Line: [{ Amount: 1 }] }, '2500'],
    [
      'a used number',
      'invoice',
      { CustomerRef: { value: '11' }, DocNumber: '1001', Line: [{ Amount: 1 }] },
      '6140',
    ],
    [
      'wrong arithmetic',
      'invoice',
      { CustomerRef: { value: '11' }, Line: [{ Amount: 5, SalesItemLineDetail: { Qty: 2, UnitPrice: 3 } }] },
      '6070',
    ],
    [
      'an unknown status',
      'invoice',
      { CustomerRef: { value: '11' }, Line: [{ Amount: 1 }], EmailStatus: 'Sent' },
      '2170',
    ],
    ['an update without its version', 'customer', { Id: '11', DisplayName: 'x' }, '2020'],
    ['deleting a name', 'customer?operation=delete', { Id: '11', SyncToken: '0' }, '500'],
    ['voiding a bill', 'bill?operation=void', { Id: '1', SyncToken: '0' }, '500'],
    ['a kind that is not here', 'vendorcredit', {}, '500'],
  ])('refuses %s', async (_case, path, body, code) => {
    const answer = await sandbox.post(token, path, body);
    expect([answer.status, answer.at('Fault.Error.0.code')]).toEqual([400, code]);
  });

  it('refuses a body that is not JSON', async () => {
    const answer = await sandbox.api(token, 'customer', { method: 'POST', body: '<Customer/>' });
    expect(answer.at('Fault.Error.0.code')).toBe('2010');
  });

  it('refuses what is dated in a closed period', async () => {
    const realmId = '9341452881003003';
    const { access_token } = await sandbox.connect({ realmId });
    const found = await sandbox.api(
      access_token,
      `/v3/company/${realmId}/query?query=select * from Customer`,
    );
    const answer = await sandbox.post(access_token, `/v3/company/${realmId}/invoice`, {
      CustomerRef: { value: found.at('QueryResponse.Customer.0.Id') },
      TxnDate: '2020-12-31',
      Line: [{ Amount: 1 }],
    });
    expect(answer.at('Fault.Error.0.code')).toBe('6210');
  });

  it('repeats its answer, not the work, for a request id', async () => {
    const body = { DisplayName: 'Only Once Inc' };
    const first = await sandbox.post(token, 'customer?requestid=abc', body);
    await sandbox.clock.advance(1000);
    const second = await sandbox.post(token, 'customer?requestid=abc', { DisplayName: 'Something Else' });
    expect(second.at('Customer')).toEqual(first.at('Customer'));
    expect(
      (await query("select count(*) from Customer where DisplayName like 'Only%'")).at('QueryResponse'),
    ).toEqual({
      totalCount: 1,
    });
    const tooLong = await sandbox.post(token, `customer?requestid=${'x'.repeat(51)}`, body);
    expect(tooLong.at('Fault.Error.0.code')).toBe('2010');
  });
});

describe('a batch', () => {
  const batch = (items: object[], suffix = '') =>
    sandbox.post(token, `batch${suffix}`, { BatchItemRequest: items });

  it('answers each item by its own, whatever the others do', async () => {
    const answer = await batch([
      { bId: 'q', Query: "select * from Invoice where DocNumber in ('1001', '1002')" },
      { bId: 'c', operation: 'create', Vendor: { DisplayName: 'New Wheels Trucking' } },
      { bId: 'd', operation: 'create', Vendor: { DisplayName: 'New Wheels Trucking' } },
      { bId: 'u', operation: 'update', Customer: { Id: '11', SyncToken: '7' } },
      { bId: 'x', Query: 'select' },
      { bId: 'n' },
    ]);
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({
      BatchItemResponse: [
        { bId: 'q', QueryResponse: { maxResults: 2 } },
        { bId: 'c', Vendor: { DisplayName: 'New Wheels Trucking' } },
        { bId: 'd', Fault: { Error: [{ code: '6240' }], type: 'ValidationFault' } },
        { bId: 'u', Fault: { Error: [{ code: '5010' }] } },
        { bId: 'x', Fault: { Error: [{ code: '4000' }] } },
        { bId: 'n', Fault: { Error: [{ code: '500' }] } },
      ],
    });
  });

  it('takes thirty items, and no more', async () => {
    const items = Array.from({ length: 31 }, (_, index) => ({
      bId: String(index),
      Query: 'select count(*) from Bill',
    }));
    expect((await batch(items.slice(1))).at('BatchItemResponse.29.QueryResponse.totalCount')).toBe(60);
    const answer = await batch(items);
    expect([answer.status, answer.at('Fault.Error.0.code')]).toEqual([400, '1040']);
  });

  it('is repeatable by request id, with short item ids', async () => {
    const item = { bId: '1', operation: 'create', Customer: { DisplayName: 'Batch Foods' } };
    const first = await batch([item], '?requestid=r1');
    expect((await batch([item], '?requestid=r1')).at('BatchItemResponse')).toEqual(
      first.at('BatchItemResponse'),
    );
    const long = await batch([{ ...item, bId: '12345678901' }], '?requestid=r2');
    expect(long.at('Fault.Error.0.code')).toBe('2010');
  });

  it('can be throttled item by item', async () => {
    await sandbox.admin('PUT', 'settings', { throttledBatchItems: 1 });
    const item = { bId: '1', Query: 'select count(*) from Bill' };
    const answer = await batch([item, { ...item, bId: '2' }]);
    expect(answer.json).toMatchObject({
      BatchItemResponse: [
        { bId: '1', Fault: { Error: [{ code: '3001' }], type: 'SERVICE' } },
        { bId: '2', QueryResponse: { totalCount: 60 } },
      ],
    });
  });
});

describe('change data capture', () => {
  const changes = (entities: string, sinceMs: number) =>
    sandbox.api(token, `cdc?entities=${entities}&changedSince=${new Date(sinceMs).toISOString()}`);

  it('gives whole objects that changed, stubs of the deleted, and {} for no change', async () => {
    const start = sandbox.clock.now();
    const invoice = await firstOf('Invoice');
    await sandbox.clock.advance(1000);
    await sandbox.admin('POST', 'records', {
      realmId: mainRealmId,
      operation: 'delete',
      entity: 'Invoice',
      record: { Id: invoice['Id'] },
    });
    await sandbox.post(token, 'customer', { DisplayName: 'Changed Foods' });
    const answer = await changes('Customer,Invoice,Bill,Estimate', start);
    expect(answer.at('CDCResponse')).toMatchObject([
      {
        QueryResponse: [
          { Customer: [{ DisplayName: 'Changed Foods' }], startPosition: 1, maxResults: 1 },
          {
            Invoice: [
              {
                status: 'Deleted',
                Id: invoice['Id'],
                MetaData: { LastUpdatedTime: '2026-01-05T04:00:01-08:00' },
              },
            ],
          },
          {},
          {},
        ],
      },
    ]);
    expect((await changes('Invoice', sandbox.clock.now() + 1000)).at('CDCResponse.0.QueryResponse')).toEqual([
      {},
    ]);
  });

  it('looks back thirty days and refuses what it does not cover', async () => {
    const now = sandbox.clock.now();
    const recent = await changes('Invoice', now - 30 * dayMs);
    expect(Number(recent.at('CDCResponse.0.QueryResponse.0.maxResults'))).toBeGreaterThan(5);
    expect((await changes('Invoice', now - 30 * dayMs - 1)).at('Fault.type')).toBe('ValidationFault');
    expect((await changes('TaxCode', now)).status).toBe(400);
    expect((await changes('Unicorn', now)).status).toBe(400);
    expect((await sandbox.api(token, 'cdc?entities=Invoice&changedSince=yesterday')).status).toBe(400);
    expect((await sandbox.api(token, 'cdc?entities=Invoice&changedSince=2026-01-01')).status).toBe(200);
  });

  it('cuts off at its limit without a word', async () => {
    await sandbox.admin('PUT', 'settings', { changesPerAnswer: 7 });
    const answer = await changes('Invoice,Bill', sandbox.clock.now() - 30 * dayMs);
    expect(answer.at('CDCResponse.0.QueryResponse.0.maxResults')).toBe(7);
    expect(answer.at('CDCResponse.0.QueryResponse.1')).toEqual({});
  });

  it('can show changes late, and in a time of its own', async () => {
    await sandbox.admin('PUT', 'settings', { visibilityLagMs: 5000, clockSkewMs: 60_000 });
    const start = sandbox.clock.now();
    const made = await sandbox.post(token, 'customer', { DisplayName: 'Late Foods' });
    expect(made.at('time')).toBe('2026-01-05T04:01:00.000-08:00');
    const count = async () =>
      (await changes('Customer', start)).at('CDCResponse.0.QueryResponse.0.maxResults');
    await sandbox.clock.advance(4999);
    expect(await count()).toBeUndefined();
    await sandbox.clock.advance(1);
    expect(await count()).toBe(1);
  });
});
