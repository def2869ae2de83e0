import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSandbox, type TestSandbox } from '../../support/sandbox.ts';

type Json = any; // oxlint-disable-line typescript/no-explicit-any -- its shape is what is asserted

let sandbox: TestSandbox;
let token: string;
beforeEach(async () => {
  sandbox = await openSandbox({ settings: { rateLimits: false } });
  token = (await sandbox.connect()).access_token;
});
afterEach(() => sandbox.close());

const rows = async (kind: string, rest = '') => {
  const answer = await sandbox.api(
    token,
    `query?query=${encodeURIComponent(`select * from ${kind} ${rest}`)}`,
  );
  if (answer.status !== 200) throw new Error(answer.text);
  return (answer.at(`QueryResponse.${kind}`) ?? []) as Json[];
};
const refOf = async (kind: string, rest = '') => ({ value: (await rows(kind, rest))[0].Id as string });
const salesLine = async (Amount: number) => ({
  Amount,
  DetailType: 'SalesItemLineDetail',
  SalesItemLineDetail: { ItemRef: await refOf('Item'), Qty: 2, UnitPrice: Amount / 2 },
});
const expenseLine = async (Amount: number) => ({
  Amount,
  DetailType: 'AccountBasedExpenseLineDetail',
  AccountBasedExpenseLineDetail: {
    AccountRef: await refOf('Account', "where AccountType = 'Cost of Goods Sold'"),
  },
});
/** What each kind needs to be made. */
const wholes: Record<string, () => Promise<Json>> = {
  Estimate: async () => ({
    CustomerRef: await refOf('Customer'),
    Line: [await salesLine(10.1), await salesLine(20.2)],
  }),
  CreditMemo: async () => ({
    CustomerRef: await refOf('Customer'),
    Line: [await salesLine(10.1), await salesLine(20.2)],
  }),
  PurchaseOrder: async () => ({
    VendorRef: await refOf('Vendor'),
    APAccountRef: await refOf('Account', "where AccountType = 'Accounts Payable'"),
    Line: [await expenseLine(10.1), await expenseLine(20.2)],
  }),
};
const kinds = Object.keys(wholes);

describe.each(kinds)('%s', (kind) => {
  const path = kind.toLowerCase();
  const create = async (fields: object = {}) =>
    sandbox.post(token, path, { ...(await wholes[kind]!()), ...fields });

  it('is seeded, read one by one and counted', async () => {
    const seeded = await rows(kind);
    expect(seeded.length).toBeGreaterThan(1);
    const [first] = seeded;
    expect(first.TotalAmt).toBeGreaterThan(0);
    expect((await sandbox.api(token, `${path}/${first.Id}`)).at(kind)).toEqual(first);
    const where = `where TotalAmt >= '${first.TotalAmt}' and TxnDate <= '${first.TxnDate}' orderby DocNumber desc`;
    expect((await rows(kind, where)).map(({ Id }) => Id)).toContain(first.Id);
  });

  it('adds up and numbers what it is made of, whatever the client says of totals', async () => {
    const { at } = await create({ TotalAmt: 1, RemainingCredit: 1, Balance: 1 });
    const made = at(kind) as Json;
    expect(made).toMatchObject({
      TotalAmt: 30.3,
      DocNumber: expect.stringMatching(/^\d+$/),
      TxnDate: '2026-01-05',
      CurrencyRef: { value: 'USD' },
      SyncToken: '0',
    });
    expect(made.Line.slice(0, 2)).toMatchObject([{ LineNum: 1 }, { LineNum: 2 }]);
    const taken = await create({ DocNumber: made.DocNumber });
    expect([taken.status, taken.at('Fault.Error.0.code')]).toEqual([400, '6140']);
    const allowed = await sandbox.post(token, `${path}?include=allowduplicatedocnum`, {
      ...(await wholes[kind]!()),
      DocNumber: made.DocNumber,
    });
    expect(allowed.status).toBe(200);
  });

  it('is not made without what it needs, nor for whom nobody knows', async () => {
    const whole = await wholes[kind]!();
    for (const name of Object.keys(whole)) {
      const answer = await create({ [name]: undefined });
      expect([answer.status, answer.at('Fault.Error.0.code'), answer.at('Fault.Error.0.element')]).toEqual([
        400,
        '2020',
        name,
      ]);
    }
    for (const name of Object.keys(whole).filter((one) => one.endsWith('Ref'))) {
      const answer = await create({ [name]: { value: '999999' } });
      expect([answer.status, answer.at('Fault.Error.0.code')]).toEqual([400, '2500']);
    }
  });

  it('is updated with its version, deleted, and told by cdc', async () => {
    const made = (await create()).at(kind) as Json;
    const sparse = { Id: made.Id, SyncToken: '0', sparse: true, PrivateNote: 'Reviewed' };
    const updated = (await sandbox.post(token, path, sparse)).at(kind) as Json;
    expect(updated).toMatchObject({ SyncToken: '1', PrivateNote: 'Reviewed', TotalAmt: 30.3 });
    expect((await sandbox.post(token, path, sparse)).at('Fault.Error.0.code')).toBe('5010');
    const gone = await sandbox.post(token, `${path}?operation=delete`, { Id: made.Id, SyncToken: '1' });
    expect(gone.at(kind)).toEqual({ status: 'Deleted', domain: 'QBO', Id: made.Id });
    const changes = await sandbox.api(token, `cdc?entities=${kind}&changedSince=2026-01-05`);
    expect(changes.at(`CDCResponse.0.QueryResponse.0.${kind}`)).toMatchObject([
      { Id: made.Id, status: 'Deleted', MetaData: { LastUpdatedTime: '2026-01-05T04:00:00-08:00' } },
    ]);
  });
});

it.each([
  ['an unknown item', { ItemRef: { value: '999999' } }, '2500', 'ItemRef'],
  ['an unknown account', { AccountRef: { value: '999999' } }, '2500', 'AccountRef'],
  ['an unknown customer', { CustomerRef: { value: '999999' } }, '2500', 'CustomerRef'],
  ['another amount than its quantity makes', { Qty: 3, UnitPrice: 2 }, '6070', 'Line.Amount'],
])('refuses %s in a line, of sales or of expenses', async (_case, detail, code, element) => {
  const details = {
    Invoice: 'SalesItemLineDetail',
    Estimate: 'SalesItemLineDetail',
    CreditMemo: 'SalesItemLineDetail',
    Bill: 'AccountBasedExpenseLineDetail',
    PurchaseOrder: 'ItemBasedExpenseLineDetail',
  };
  for (const [kind, DetailType] of Object.entries(details)) {
    const whole = await (wholes[kind] ?? wholes[kind === 'Bill' ? 'PurchaseOrder' : 'Estimate']!)();
    const lines = (own: object) => ({ ...whole, Line: [{ Amount: 5, DetailType, [DetailType]: own }] });
    const refused = await sandbox.post(token, kind.toLowerCase(), lines(detail));
    expect([
      kind,
      refused.status,
      refused.at('Fault.Error.0.code'),
      refused.at('Fault.Error.0.element'),
    ]).toEqual([kind, 400, code, element]);
    expect((await sandbox.post(token, kind.toLowerCase(), lines({ Qty: 2, UnitPrice: 2.5 }))).status).toBe(
      200,
    );
  }
});

it('keeps an estimate pending until it is accepted, and knows no other status', async () => {
  const [estimate] = await rows('Estimate');
  expect(estimate).toMatchObject({ TxnStatus: 'Pending', EmailStatus: 'NotSet' });
  expect(estimate).not.toHaveProperty('Balance');
  const own = { Id: estimate.Id, SyncToken: estimate.SyncToken, sparse: true };
  const wrong = await sandbox.post(token, 'estimate', { ...own, TxnStatus: 'Lost' });
  expect(wrong.at('Fault.Error.0.code')).toBe('2170');
  await sandbox.post(token, 'estimate', { ...own, TxnStatus: 'Accepted' });
  expect(await rows('Estimate', "where TxnStatus = 'Accepted'")).toMatchObject([{ Id: estimate.Id }]);
});

it('voids a credit memo down to nothing, and no purchase order', async () => {
  const [memo] = await rows('CreditMemo');
  expect(memo.RemainingCredit).toBe(memo.TotalAmt);
  const own = { Id: memo.Id, SyncToken: memo.SyncToken };
  expect((await sandbox.post(token, 'creditmemo?operation=void', own)).at('CreditMemo')).toMatchObject({
    TotalAmt: 0,
    Balance: 0,
    RemainingCredit: 0,
    PrivateNote: 'Voided',
  });
  const [order] = await rows('PurchaseOrder');
  const refused = await sandbox.post(token, 'purchaseorder?operation=void', {
    Id: order.Id,
    SyncToken: order.SyncToken,
  });
  expect(refused.at('Fault.Error.0.code')).toBe('500');
});

it.each([
  ['void', { Balance: 0, LinkedTxn: [] }],
  ['delete', { status: 'Deleted' }],
])('puts a payment on account after a %s of its invoice', async (operation, left) => {
  const paid = (await rows('Payment')).find((one) => one.UnappliedAmt === 0 && one.Line.length === 1);
  const { TxnId } = paid.Line[0].LinkedTxn[0];
  const { SyncToken } = (await sandbox.api(token, `invoice/${TxnId}`)).at('Invoice') as Json;
  const answer = await sandbox.post(token, `invoice?operation=${operation}`, { Id: TxnId, SyncToken });
  expect(answer.at('Invoice')).toMatchObject(left);
  expect((await sandbox.api(token, `payment/${paid.Id}`)).at('Payment')).toMatchObject({
    Line: [],
    UnappliedAmt: paid.TotalAmt,
    SyncToken: '1',
  });
});

it('voids a payment by an update that says so', async () => {
  const [payment] = await rows('Payment');
  const own = { Id: payment.Id, SyncToken: payment.SyncToken, sparse: true };
  const answer = await sandbox.post(token, 'payment?operation=update&include=void', own);
  expect(answer.at('Payment')).toMatchObject({ TotalAmt: 0, PrivateNote: 'Voided' });
});
