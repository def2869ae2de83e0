/** node-quickbooks, unmodified: what people write with it beyond a first read and write (see clients.test.ts). */
import { promisify } from 'node:util';
import QuickBooks from 'node-quickbooks';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { mainRealmId, openSandbox, type TestSandbox } from '../../support/sandbox.ts';

type Json = any; // oxlint-disable-line typescript/no-explicit-any -- its shape is what is asserted

let sandbox: TestSandbox;
let call: (method: string, ...args: unknown[]) => Promise<Json>;
beforeEach(async () => {
  sandbox = await openSandbox({ settings: { rateLimits: false } });
  const { clientId, clientSecret, apiUrl } = sandbox.quickbooks;
  const { access_token: token } = await sandbox.connect();
  const client = new QuickBooks(
    clientId,
    clientSecret,
    token,
    false,
    mainRealmId,
    true,
    false,
    75,
    '2.0',
    '',
  );
  client.endpoint = `${apiUrl}/v3/company/`;
  const methods = client as unknown as Record<string, (...args: unknown[]) => void>;
  call = (method, ...args) =>
    (promisify(methods[method]!.bind(client)) as (...given: unknown[]) => Promise<Json>)(...args);
});
afterEach(() => sandbox.close());

const codeOf = async (work: Promise<Json>): Promise<unknown> =>
  work.then(
    () => 'done',
    (error: Json) => (error.response?.data ?? error).Fault.Error[0].code,
  );

it('finds by criteria: equal, in a list, compared, like, in order, in part', async () => {
  const ids = ({ QueryResponse }: Json, kind: string) => QueryResponse[kind]?.map(({ Id }: Json) => Id) ?? [];
  const all = ids(await call('findInvoices', { asc: 'TxnDate', limit: 1000 }), 'Invoice') as string[];
  expect(all).toHaveLength(60);
  expect(ids(await call('findInvoices', { asc: 'TxnDate', offset: 11, limit: 5 }), 'Invoice')).toEqual(
    all.slice(10, 15),
  );
  expect(ids(await call('findInvoices', { Id: all.slice(0, 3) }), 'Invoice').toSorted()).toEqual(
    all.slice(0, 3).toSorted(),
  );
  expect(
    ids(
      await call('findCustomers', [
        { field: 'DisplayName', value: "O'Malley%", operator: 'LIKE' },
        { field: 'Active', value: true },
      ]),
      'Customer',
    ),
  ).toHaveLength(1);
  const owed = await call('findInvoices', [{ field: 'Balance', value: 0, operator: '>' }]);
  expect(owed.QueryResponse.Invoice.every(({ Balance }: Json) => Balance > 0)).toBe(true);
  expect((await call('findPurchaseOrders', { count: true })).QueryResponse.totalCount).toBeGreaterThan(1);
  expect(await call('findVendorCredits', { limit: 5 })).toMatchObject({ QueryResponse: {} });
});

it('fetches all pages of what is more than one', async () => {
  const { QueryResponse } = await call('findBills', { fetchAll: true, limit: 25 });
  expect(new Set(QueryResponse.Bill.map(({ Id }: Json) => Id)).size).toBe(60);
});

it('makes, mails, voids and deletes documents', async () => {
  const [customer] = (await call('findCustomers', { limit: 1 })).QueryResponse.Customer;
  const [item] = (await call('findItems', { limit: 1 })).QueryResponse.Item;
  const document = {
    CustomerRef: { value: customer.Id },
    Line: [
      {
        Amount: 150,
        DetailType: 'SalesItemLineDetail',
        SalesItemLineDetail: { ItemRef: { value: item.Id }, Qty: 2, UnitPrice: 75 },
      },
    ],
  };
  const estimate = await call('createEstimate', document);
  expect(estimate).toMatchObject({ TotalAmt: 150, TxnStatus: 'Pending' });
  expect(await call('getEstimate', estimate.Id)).toEqual(estimate);
  expect(await call('sendEstimatePdf', estimate.Id, 'ap@shipper.example')).toMatchObject({
    EmailStatus: 'EmailSent',
    BillEmail: { Address: 'ap@shipper.example' },
  });
  expect(await call('deleteEstimate', estimate.Id)).toMatchObject({ Estimate: { status: 'Deleted' } });
  expect(await codeOf(call('getEstimate', estimate.Id))).toBe('610');

  const invoice = await call('createInvoice', { ...document, requestId: 'an-invoice' });
  const twin = { ...document, DocNumber: invoice.DocNumber };
  expect(await codeOf(call('createInvoice', { ...twin }))).toBe('6140');
  expect(await codeOf(call('createInvoice', { ...twin, allowDuplicateDocNum: true }))).toBe('done');
  const payment = await call('createPayment', {
    CustomerRef: document.CustomerRef,
    TotalAmt: 150,
    Line: [{ Amount: 150, LinkedTxn: [{ TxnId: invoice.Id, TxnType: 'Invoice' }] }],
  });
  expect((await call('getInvoice', invoice.Id)).Balance).toBe(0);
  expect(await call('voidPayment', { Id: payment.Id, SyncToken: payment.SyncToken })).toMatchObject({
    TotalAmt: 0,
    PrivateNote: 'Voided',
  });
  expect((await call('getInvoice', invoice.Id)).Balance).toBe(150);
  expect(await call('voidInvoice', invoice.Id)).toMatchObject({ Invoice: { TotalAmt: 0, Balance: 0 } });
  expect((await call('createCreditMemo', document)).RemainingCredit).toBe(150);
});

it('is told of each item of a batch by itself', async () => {
  const { BatchItemResponse } = await call('batch', [
    { bId: 'made', operation: 'create', Vendor: { DisplayName: 'In a batch' } },
    { bId: 'refused', operation: 'create', Vendor: { DisplayName: 'In a batch' } },
    { bId: 'found', Query: "select * from Vendor where DisplayName = 'In a batch'" },
  ]);
  expect(BatchItemResponse).toMatchObject([
    { bId: 'made', Vendor: { SyncToken: '0' } },
    { bId: 'refused', Fault: { Error: [{ code: '6240' }] } },
    { bId: 'found', QueryResponse: { Vendor: [{ DisplayName: 'In a batch' }] } },
  ]);
});

it('takes changes since a date of its own', async () => {
  await sandbox.admin('POST', 'quickbooks/activity', { realmId: mainRealmId, count: 20, seed: 1 });
  const answer = await call('changeDataCapture', 'Invoice,Bill', new Date(sandbox.clock.now() - 1000));
  const kinds = answer.CDCResponse[0].QueryResponse.map((one: Json) => Object.keys(one)[0]);
  expect(kinds).toEqual(['Invoice', 'Bill']);
});
