import { describe, expect, it } from 'vitest';
import { kindOf } from '../../../src/sandbox/quickbooks/entities.ts';
import { QuickBooksFault } from '../../../src/sandbox/quickbooks/errors.ts';
import { parseQuery } from '../../../src/sandbox/quickbooks/query.ts';
import { seedCompanies } from '../../../src/sandbox/quickbooks/seed.ts';
import { selectRecords } from '../../../src/sandbox/quickbooks/selection.ts';

const now = Date.UTC(2026, 0, 5);
const company = seedCompanies(now, () => now)[0]!;

function select(text: string): Record<string, unknown>[] {
  const statement = parseQuery(text);
  return selectRecords(company.list(statement.kind), kindOf(statement.kind)!, statement);
}

function faultOf(work: () => unknown): { code: string; detail: string } {
  try {
    work();
  } catch (error) {
    if (error instanceof QuickBooksFault) return { code: error.error.code, detail: error.error.Detail };
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('parseQuery', () => {
  it.each([
    [
      'select * from Invoice',
      { select: '*', kind: 'Invoice', where: [], orderBy: [], startPosition: 1, maxResults: 100 },
    ],
    ['SELECT COUNT(*) FROM Bill', { select: 'count' }],
    ['select Id, MetaData.CreateTime from Vendor', { select: ['Id', 'MetaData.CreateTime'] }],
    [
      "select * from Invoice where Id in ('1', '2') and Balance >= 10.5",
      {
        where: [
          { field: 'Id', operator: 'IN', values: ['1', '2'] },
          { field: 'Balance', operator: '>=', values: ['10.5'] },
        ],
      },
    ],
    [
      "select * from Customer where DisplayName = 'O\\'Malley & Sons'",
      { where: [{ field: 'DisplayName', operator: '=', values: ["O'Malley & Sons"] }] },
    ],
    ["select * from Customer where Active = true and DisplayName like '%a%'", {}],
    [
      'select * from Invoice orderby TxnDate desc, DocNumber startposition 11 maxresults 1000',
      {
        orderBy: [
          { field: 'TxnDate', descending: true },
          { field: 'DocNumber', descending: false },
        ],
        startPosition: 11,
        maxResults: 1000,
      },
    ],
    ['select * from Invoice ORDER BY Id ASC', { orderBy: [{ field: 'Id', descending: false }] }],
    ['\n select\n*\nfrom Invoice\n', { kind: 'Invoice' }],
  ])('reads %s', (text, expected) => {
    expect(parseQuery(text)).toMatchObject(expected);
  });

  it.each([
    ['', 'Encountered "<EOF>" at line 1, column 1.'],
    ['delete from Invoice', 'Encountered "delete" at line 1, column 1.'],
    ['select * Invoice', 'Encountered "Invoice" at line 1, column 10.'],
    ["select * from Invoice where Id = '1' or Id = '2'", 'Encountered "or" at line 1, column 38.'],
    ['select * from Invoice where Id', 'Encountered "<EOF>" at line 1, column 31.'],
    ["select * from Invoice where Id != '1'", 'Encountered "!" at line 1, column 32.'],
    ['select * from Invoice where Id in ()', 'Encountered ")" at line 1, column 36.'],
    ['select * from Invoice where Id = abc', 'Encountered "abc" at line 1, column 34.'],
    ["select * from Customer where DisplayName = 'O'Malley'", 'Encountered "\'" at line 1, column 53.'],
    ["select * from Customer where DisplayName = 'open", 'Encountered "\'" at line 1, column 44.'],
    ['select *\nfrom Invoice;', 'Encountered ";" at line 2, column 13.'],
    ['select * from Invoice maxresults 5 startposition 1', 'Encountered "startposition"'],
    ['select * from Invoice maxresults 1.5', 'Encountered "1.5"'],
  ])('refuses %j as a QueryParserError', (text, detail) => {
    const fault = faultOf(() => parseQuery(text));
    expect(fault.code).toBe('4000');
    expect(fault.detail).toContain(`QueryParserError: ${detail}`);
  });

  it.each([
    ['select * from Invoice maxresults 1001', 'value 1001 is too large. Max allowed value is 1000.'],
    ['select * from Invoice maxresults 0', 'value 0 is too small. Min allowed value is 1.'],
    ['select * from Invoice startposition 0', 'value 0 is too small. Min allowed value is 1.'],
  ])('refuses %j as a QueryValidationError', (text, detail) => {
    expect(faultOf(() => parseQuery(text))).toEqual({
      code: '4001',
      detail: `QueryValidationError: ${detail}`,
    });
  });
});

describe('selectRecords', () => {
  const ids = (text: string) => select(text).map(({ Id }) => Id);

  it('finds by id, compares numbers as numbers and dates as dates', () => {
    const all = select('select * from Invoice');
    const [first] = all;
    expect(all).toHaveLength(60);
    expect(ids(`select * from Invoice where Id in ('${String(first?.['Id'])}', '999999')`)).toEqual([
      first?.['Id'],
    ]);
    const dear = select("select * from Invoice where TotalAmt > '3000' and TotalAmt <= 4000");
    expect(dear.length).toBeGreaterThan(0);
    for (const { TotalAmt } of dear)
      expect(TotalAmt).toSatisfy((amount: number) => amount > 3000 && amount <= 4000);
    const recent = select("select * from Invoice where TxnDate >= '2025-12-20'");
    expect(recent.length).toBeGreaterThan(0);
    expect(recent.every(({ TxnDate }) => String(TxnDate) >= '2025-12-20')).toBe(true);
  });

  it('sorts by number, descending', () => {
    const amounts = select('select * from Invoice orderby TotalAmt desc').map(({ TotalAmt }) =>
      Number(TotalAmt),
    );
    expect(amounts).toEqual([...amounts].sort((a, b) => b - a));
  });

  it('finds a name with an apostrophe, and by pattern in any case', () => {
    expect(select("select * from Customer where DisplayName = 'O\\'Malley & Sons Produce'")).toHaveLength(1);
    const like = select("select * from Customer where DisplayName like '%SEED%'").map(
      (one) => one['DisplayName'],
    );
    expect(like).toEqual(['Heartland Seed Company']);
    expect(select("select * from Customer where DisplayName like 'Seed'")).toEqual([]);
  });

  it('follows references by their id', () => {
    const [customer] = select("select * from Customer where DisplayName = 'Loess Hills Dairy'");
    const invoices = select(`select * from Invoice where CustomerRef = '${String(customer?.['Id'])}'`);
    expect(invoices.length).toBeGreaterThan(0);
    for (const { CustomerRef } of invoices) {
      expect(CustomerRef).toEqual({ value: customer?.['Id'], name: 'Loess Hills Dairy' });
    }
  });

  it('leaves the inactive out of name lists unless Active is asked about', () => {
    expect(select('select * from Customer')).toHaveLength(16);
    expect(select('select * from Customer where Active in (true, false)')).toHaveLength(17);
    const inactive = select('select * from Customer where Active = false');
    expect(inactive.map((one) => one['DisplayName'])).toEqual(['Bankrupt Bikes Wholesale']);
  });

  it('compares times whatever their offsets', () => {
    const all = select('select * from Invoice orderby MetaData.LastUpdatedTime');
    const newest = (all.at(-1)!['MetaData'] as { LastUpdatedTime: string }).LastUpdatedTime;
    const inUtc = new Date(newest).toISOString();
    expect(ids(`select * from Invoice where MetaData.LastUpdatedTime >= '${inUtc}'`)).toContain(
      all.at(-1)?.['Id'],
    );
    expect(ids(`select * from Invoice where MetaData.LastUpdatedTime > '${inUtc}'`)).toEqual([]);
  });

  it.each([
    ["select * from Invoice where Colour = 'red'", 'Property Colour not found for Entity Invoice'],
    ['select * from Invoice orderby Line', 'Property Line not found for Entity Invoice'],
    ["select * from Invoice where constructor = '1'", 'Property constructor not found for Entity Invoice'],
    // What a + in a query string becomes when nobody encodes it.
    [
      "select * from Invoice where MetaData.LastUpdatedTime > '2026-01-01T00:00:00 00:00'",
      "value '2026-01-01T00:00:00 00:00' is not valid for property MetaData.LastUpdatedTime",
    ],
  ])('refuses %s', (text, detail) => {
    expect(faultOf(() => select(text))).toEqual({ code: '4001', detail: `QueryValidationError: ${detail}` });
  });
});

describe('the seed', () => {
  it('is the same for the same day and differs between companies', () => {
    const again = seedCompanies(now, () => now);
    expect(again[0]?.list('Invoice')).toEqual(company.list('Invoice'));
    const names = again.map((one) => one.list('Customer').map((record) => record['DisplayName']));
    expect(names).toHaveLength(3);
    expect(new Set(names.flat().filter((name) => name !== 'Bankrupt Bikes Wholesale')).size).toBe(16 + 8 + 5);
  });

  it('balances: what a shipper owes is what its invoices say', () => {
    const owed = company.list('Invoice').reduce((sum, one) => sum + Number(one['Balance']), 0);
    const balances = company.list('Customer').reduce((sum, one) => sum + Number(one['Balance']), 0);
    expect(owed).toBeGreaterThan(0);
    expect(balances).toBeCloseTo(owed, 2);
  });
});
