import { Company } from './company.ts';
import { accounts, companyFacts, items, type CompanyFacts } from './data.ts';
import { kindOf } from './entities.ts';
import { cents, type Fields } from './fields.ts';
import { date, datePlusDays, metaDataTime } from './time.ts';

const dayMs = 86_400_000;
const hourMs = 3_600_000;

/**
 * The same books for the same `anchorMs`: everything happened in the 120 days before it, a quarter within the 30 days
 * that `cdc` looks back.
 */
export function seedCompanies(anchorMs: number, now: () => number): Company[] {
  return companyFacts.map((facts) => seedCompany(facts, anchorMs, now));
}

function seedCompany(facts: CompanyFacts, anchorMs: number, now: () => number): Company {
  const company = new Company({
    realmId: facts.realmId,
    now,
    ...(facts.booksClosedThrough && { booksClosedThrough: facts.booksClosedThrough }),
  });
  const pick = sequence(Number(facts.realmId.slice(-9)));
  const foundedAt = anchorMs - 400 * dayMs;
  const add = (kind: string, fields: Fields, atMs: number) => company.create(kindOf(kind)!, fields, {}, atMs);
  const ref = ({ Id }: { Id: string }) => ({ value: Id });

  const accountRefs = accounts.map(([Name, AccountType, Classification]) =>
    ref(add('Account', { Name, AccountType, Classification }, foundedAt)),
  );
  const itemRefs = items.map((Name) =>
    ref(add('Item', { Name, Type: 'Service', UnitPrice: 0, IncomeAccountRef: accountRefs[0] }, foundedAt)),
  );
  const shippers = facts.shippers.map(([name, city, state], index) =>
    add('Customer', shipper(name, city, state), foundedAt + index * hourMs),
  );
  const carriers = facts.carriers.map(([name, dot], index) =>
    add('Vendor', carrier(name, dot), foundedAt + (100 + index) * hourMs),
  );
  // One of each that is no longer dealt with: queries leave them out unless they ask.
  add(
    'Customer',
    { ...shipper('Bankrupt Bikes Wholesale', 'Reno', 'NV'), Active: false },
    foundedAt + 200 * hourMs,
  );
  add(
    'Vendor',
    { ...carrier('Revoked Authority Trucking', '1000001'), Active: false },
    foundedAt + 201 * hourMs,
  );

  for (let index = 0; index < facts.invoices; index += 1) {
    const invoicedAt =
      anchorMs - Math.round((120 * (facts.invoices - index)) / facts.invoices) * dayMs - pick(9) * hourMs;
    const load = String(48_200 + index * 7 + pick(6));
    const linehaul = 850 + pick(3900);
    const fuel = cents(linehaul * (0.12 + pick(60) / 1000));
    const detentionHours = pick(4) === 0 ? 1 + pick(4) : 0;
    const shipTo = shippers[(index * 5 + pick(3)) % shippers.length]!;
    const hauledBy = carriers[(index * 7 + pick(2)) % carriers.length]!;
    const invoice = add(
      'Invoice',
      {
        DocNumber: String(1001 + index),
        TxnDate: date(invoicedAt),
        CustomerRef: ref(shipTo),
        BillEmail: shipTo['PrimaryEmailAddr'],
        EmailStatus: 'EmailSent',
        PrivateNote: `Load ${load}`,
        CustomField: [
          { DefinitionId: '1', Name: 'PO Number', Type: 'StringType', StringValue: `PO-${load}` },
        ],
        Line: [
          salesLine(itemRefs[0]!, `Linehaul, load ${load}`, 1, linehaul),
          salesLine(itemRefs[1]!, 'Fuel surcharge', 1, fuel),
          ...(detentionHours ? [salesLine(itemRefs[2]!, 'Detention, hours', detentionHours, 75)] : []),
        ],
      },
      invoicedAt,
    );
    const cost = cents(linehaul * (0.8 + pick(80) / 1000));
    add(
      'Bill',
      carrierBill(ref(hauledBy), accountRefs[3]!, load, cost, date(invoicedAt)),
      invoicedAt + 2 * hourMs,
    );
    const paidAt = invoicedAt + (18 + pick(25)) * dayMs;
    if (paidAt < anchorMs && pick(8) !== 0) {
      const paid = pick(10) === 0 ? cents(Number(invoice['TotalAmt']) / 2) : invoice['TotalAmt'];
      add(
        'Payment',
        {
          TxnDate: date(paidAt),
          CustomerRef: ref(shipTo),
          TotalAmt: paid,
          PaymentRefNum: `ACH${70_000 + index}`,
          DepositToAccountRef: accountRefs[5],
          Line: [{ Amount: paid, LinkedTxn: [{ TxnId: invoice.Id, TxnType: 'Invoice' }] }],
        },
        paidAt,
      );
    }
  }
  addOffers({
    company,
    anchorMs,
    shippers: shippers.map(ref),
    carriers: carriers.map(ref),
    accountRefs,
    itemRefs,
  });
  company.restore([companyInfo(facts, foundedAt)]);
  return company;
}

type Ref = { value: string };

/** What is offered, ordered and given back. Last, so that what comes before keeps its ids. */
function addOffers(to: {
  company: Company;
  anchorMs: number;
  shippers: Ref[];
  carriers: Ref[];
  accountRefs: Ref[];
  itemRefs: Ref[];
}): void {
  const { company, anchorMs, shippers, carriers, accountRefs, itemRefs } = to;
  const add = (kind: string, fields: Fields, daysAgo: number) =>
    company.create(
      kindOf(kind)!,
      { TxnDate: date(anchorMs - daysAgo * dayMs), ...fields },
      {},
      anchorMs - daysAgo * dayMs,
    );
  for (const [index, CustomerRef] of shippers.slice(0, 5).entries())
    add(
      'Estimate',
      {
        CustomerRef,
        Line: [salesLine(itemRefs[0]!, `Lane ${index + 1}, a load a week`, 4, 1_150 + 75 * index)],
      },
      45 - 9 * index,
    );
  for (const [index, VendorRef] of carriers.slice(0, 3).entries()) {
    const { Line } = carrierBill(VendorRef, accountRefs[3]!, `reserved ${index + 1}`, 900 + 50 * index, '');
    add('PurchaseOrder', { VendorRef, APAccountRef: accountRefs[2]!, Line }, 30 - 8 * index);
  }
  for (const [index, CustomerRef] of shippers.slice(0, 2).entries())
    add(
      'CreditMemo',
      { CustomerRef, Line: [salesLine(itemRefs[3]!, 'Lumper fee, charged twice', 1, 85)] },
      20 - 6 * index,
    );
}

function companyInfo(facts: CompanyFacts, foundedAt: number) {
  const address = {
    Id: '1',
    Line1: facts.street,
    City: facts.city,
    Country: 'US',
    CountrySubDivisionCode: facts.state,
    PostalCode: facts.postalCode,
  };
  const record = {
    CompanyName: facts.name,
    LegalName: facts.legalName,
    CompanyAddr: address,
    CustomerCommunicationAddr: address,
    LegalAddr: address,
    CustomerCommunicationEmailAddr: { Address: `billing@${facts.domain}` },
    PrimaryPhone: { FreeFormNumber: '(555) 010-0100' },
    CompanyStartDate: datePlusDays(date(foundedAt), 0),
    FiscalYearStartMonth: 'January',
    Country: 'US',
    Email: { Address: `accounting@${facts.domain}` },
    WebAddr: { URI: `https://${facts.domain}` },
    SupportedLanguages: 'en',
    NameValue: [
      { Name: 'NeoEnabled', Value: 'true' },
      { Name: 'IsQbdtMigrated', Value: 'false' },
      { Name: 'SubscriptionStatus', Value: 'SUBSCRIBED' },
      { Name: 'OfferingSku', Value: 'QuickBooks Online Plus' },
    ],
    domain: 'QBO' as const,
    sparse: false,
    Id: '1',
    SyncToken: '4',
    MetaData: { CreateTime: metaDataTime(foundedAt), LastUpdatedTime: metaDataTime(foundedAt) },
  };
  return { kind: 'CompanyInfo', record, updatedAt: foundedAt, deleted: false };
}

function shipper(name: string, City: string, CountrySubDivisionCode: string): Fields {
  const mail = `ap@${name
    .normalize('NFD')
    .toLowerCase()
    .replace(/[^a-z]+/g, '')}.example`;
  return {
    DisplayName: name,
    CompanyName: name,
    BillAddr: { Line1: '1 Shipping Dock Road', City, CountrySubDivisionCode },
    PrimaryPhone: { FreeFormNumber: '(555) 010-0134' },
    PrimaryEmailAddr: { Address: mail },
    Notes: 'Shipper',
  };
}

function carrier(name: string, dotNumber: string): Fields {
  return {
    DisplayName: name,
    CompanyName: name,
    AcctNum: `DOT ${dotNumber}`,
    PrimaryEmailAddr: { Address: `dispatch@${name.toLowerCase().replace(/[^a-z]+/g, '')}.example` },
    TermRef: { value: '3' },
  };
}

function salesLine(ItemRef: { value: string }, Description: string, Qty: number, UnitPrice: number): Fields {
  return {
    Description,
    Amount: cents(Qty * UnitPrice),
    DetailType: 'SalesItemLineDetail',
    SalesItemLineDetail: { ItemRef, UnitPrice, Qty, TaxCodeRef: { value: 'NON' } },
  };
}

function carrierBill(
  VendorRef: object,
  AccountRef: object,
  load: string,
  Amount: number,
  TxnDate: string,
): Fields {
  return {
    DocNumber: `CB-${load}`,
    TxnDate,
    VendorRef,
    Line: [
      {
        Description: `Carrier pay, load ${load}`,
        Amount,
        DetailType: 'AccountBasedExpenseLineDetail',
        AccountBasedExpenseLineDetail: {
          AccountRef,
          BillableStatus: 'NotBillable',
          TaxCodeRef: { value: 'NON' },
        },
      },
    ],
  };
}

/** Whole numbers from 0 up to the given one, not included; the same ones for the same seed. */
function sequence(seed: number): (below: number) => number {
  let state = seed % 0x7fffffff || 1;
  return (below) => {
    state = (state * 48_271) % 0x7fffffff;
    return state % below;
  };
}
