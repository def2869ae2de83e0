import type { EntityKind, QboRecord } from './entities.ts';
import { faults } from './errors.ts';
import { date, datePlusDays } from './time.ts';

/** What a client sends. */
export type Fields = Record<string, unknown>;

export interface Ref {
  value: string;
  name?: string;
}

/** What completing a record needs to know of its company. */
export interface Surroundings {
  nowMs: number;
  find(kind: string, id: string): QboRecord | undefined;
  /** The first document number that is free. */
  nextNumber(kind: string): string;
}

/** A number, a string or a boolean as text; anything else as nothing. */
export function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : '';
}

export function refOf(value: unknown): Ref | undefined {
  if (typeof value !== 'object' || value === null || !('value' in value)) return undefined;
  return { ...value, value: textOf(value.value) };
}

export function amountOf(value: unknown): number {
  const amount = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof amount === 'number' && Number.isFinite(amount) ? amount : 0;
}

export const cents = (amount: number) => Math.round(amount * 100) / 100;

export function linesOf(record: Fields): Fields[] {
  const lines = record['Line'];
  return Array.isArray(lines)
    ? lines.filter((line): line is Fields => typeof line === 'object' && line !== null)
    : [];
}

/** Refuses what QuickBooks would; then fills in what it fills in. Everything but Id, SyncToken and MetaData. */
export function completeFields(kind: EntityKind, sent: Fields, around: Surroundings): Fields {
  const fields: Fields = { ...sent };
  if (kind.nameField === 'DisplayName' && !fields['DisplayName']) {
    const name =
      [fields['GivenName'], fields['FamilyName']].filter(Boolean).join(' ') || fields['CompanyName'];
    if (name) fields['DisplayName'] = name;
  }
  for (const name of kind.required) {
    const value = fields[name];
    if (
      value === undefined ||
      value === null ||
      value === '' ||
      (Array.isArray(value) && value.length === 0)
    ) {
      throw faults.missing(name);
    }
  }
  for (const [name, target] of Object.entries(kind.references)) {
    if (fields[name] === undefined) continue;
    const ref = refOf(fields[name]);
    const found = ref && around.find(target, ref.value);
    if (!ref || !found || found['Active'] === false) throw faults.badReference(name, ref?.value ?? '');
    fields[name] = { value: ref.value, name: textOf(found['DisplayName'] ?? found['Name']) };
  }
  for (const name of ['TxnDate', 'DueDate', 'ExpirationDate']) {
    const value = fields[name];
    if (value !== undefined && !/^\d{4}-\d{2}-\d{2}/.test(textOf(value))) {
      throw faults.badProperty(`Invalid date format for ${name}. Supplied value:${textOf(value)}`, name);
    }
  }
  return { ...fields, ...completers[kind.name]?.(fields, around) };
}

const currency = { value: 'USD', name: 'United States Dollar' };

const completers: Record<string, (fields: Fields, around: Surroundings) => Fields> = {
  Customer: (fields) => ({
    Taxable: fields['Taxable'] ?? false,
    Job: false,
    BillWithParent: false,
    Balance: fields['Balance'] ?? 0,
    BalanceWithJobs: fields['BalanceWithJobs'] ?? 0,
    CurrencyRef: currency,
    PreferredDeliveryMethod: fields['PreferredDeliveryMethod'] ?? 'Email',
    FullyQualifiedName: fields['DisplayName'],
    PrintOnCheckName: fields['PrintOnCheckName'] ?? fields['CompanyName'] ?? fields['DisplayName'],
    Active: fields['Active'] ?? true,
  }),
  Vendor: (fields) => ({
    Balance: fields['Balance'] ?? 0,
    Vendor1099: fields['Vendor1099'] ?? false,
    CurrencyRef: currency,
    PrintOnCheckName: fields['PrintOnCheckName'] ?? fields['CompanyName'] ?? fields['DisplayName'],
    Active: fields['Active'] ?? true,
  }),
  Item: (fields) => ({
    FullyQualifiedName: fields['Name'],
    Active: fields['Active'] ?? true,
    Type: enumeration('Type', fields['Type'] ?? 'Service', [
      'Service',
      'NonInventory',
      'Inventory',
      'Category',
    ]),
  }),
  Account: (fields) => ({
    FullyQualifiedName: fields['Name'],
    SubAccount: false,
    Active: fields['Active'] ?? true,
    CurrentBalance: fields['CurrentBalance'] ?? 0,
    CurrencyRef: currency,
  }),
  Invoice: (fields, around) => {
    const { TotalAmt, ...rest } = sale('Invoice', fields, around);
    return { ...rest, DueDate: dueDate(fields, around), ...invoiceHabits(fields), TotalAmt };
  },
  Estimate: (fields, around) => ({
    ...sale('Estimate', fields, around),
    ...mailing(fields),
    TxnStatus: enumeration('TxnStatus', fields['TxnStatus'] ?? 'Pending', [
      'Pending',
      'Accepted',
      'Closed',
      'Rejected',
      'Converted',
    ]),
  }),
  CreditMemo: (fields, around) => {
    const { TotalAmt, ...rest } = sale('CreditMemo', fields, around);
    return { ...rest, ...mailing(fields), TotalAmt, Balance: TotalAmt, RemainingCredit: TotalAmt };
  },
  PurchaseOrder: (fields, around) => ({
    ...purchase('PurchaseOrder', fields, around),
    POStatus: enumeration('POStatus', fields['POStatus'] ?? 'Open', ['Open', 'Closed']),
  }),
  Bill: (fields, around) => {
    const bill = purchase('Bill', fields, around);
    return { ...bill, DueDate: dueDate(fields, around), Balance: bill['TotalAmt'] };
  },
  Payment: (fields, around) => {
    const total = cents(amountOf(fields['TotalAmt']));
    const applied = linesOf(fields).reduce((sum, line) => sum + amountOf(line['Amount']), 0);
    if (cents(applied) > total)
      throw faults.business('The amount applied is more than the amount of the payment');
    for (const line of linesOf(fields)) {
      for (const id of linkedInvoices(line)) {
        if (!around.find('Invoice', id)) throw faults.badReference('Line.LinkedTxn', id);
      }
    }
    const TxnDate = fields['TxnDate'] ?? date(around.nowMs);
    return {
      TxnDate,
      CurrencyRef: currency,
      TotalAmt: total,
      UnappliedAmt: cents(total - applied),
      ProcessPayment: false,
    };
  },
};

/** A document of sales lines with their sum. */
function sale(kind: string, fields: Fields, around: Surroundings): Fields {
  const lines = salesLines(fields, around);
  const TotalAmt = sumOf(lines);
  const subtotal = { Amount: TotalAmt, DetailType: 'SubTotalLineDetail', SubTotalLineDetail: {} };
  return {
    ...document(kind, fields, around),
    Line: [...lines, subtotal],
    TxnTaxDetail: { TotalTax: 0 },
    ApplyTaxAfterDiscount: false,
    TotalAmt,
  };
}

/** A document of expense lines with their sum. */
function purchase(kind: string, fields: Fields, around: Surroundings): Fields {
  const lines = checkedLines(linesOf(fields), around);
  return { ...document(kind, fields, around), Line: lines, TotalAmt: sumOf(lines) };
}

const sumOf = (lines: readonly Fields[]) =>
  cents(lines.reduce((sum, line) => sum + amountOf(line['Amount']), 0));

/** The ids of the invoices that a payment's line pays. */
export function linkedInvoices(line: Fields): string[] {
  const links = Array.isArray(line['LinkedTxn']) ? (line['LinkedTxn'] as unknown[]) : [];
  return links.flatMap((link) => {
    const { TxnId, TxnType } = (link ?? {}) as Fields;
    return TxnType === 'Invoice' ? [textOf(TxnId)] : [];
  });
}

function document(kind: string, fields: Fields, around: Surroundings): Fields {
  const TxnDate = textOf(fields['TxnDate'] ?? date(around.nowMs));
  return {
    DocNumber: textOf(fields['DocNumber'] ?? around.nextNumber(kind)),
    TxnDate,
    CurrencyRef: currency,
  };
}

function dueDate(fields: Fields, around: Surroundings): unknown {
  const from = textOf(fields['TxnDate'] ?? date(around.nowMs)).slice(0, 10);
  return fields['DueDate'] ?? datePlusDays(from, 30);
}

function invoiceHabits(fields: Fields): Fields {
  return { LinkedTxn: fields['LinkedTxn'] ?? [], ...mailing(fields) };
}

function mailing(fields: Fields): Fields {
  return {
    PrintStatus: fields['PrintStatus'] ?? 'NeedToPrint',
    EmailStatus: enumeration('EmailStatus', fields['EmailStatus'] ?? 'NotSet', [
      'NotSet',
      'NeedToSend',
      'EmailSent',
    ]),
  };
}

function salesLines(fields: Fields, around: Surroundings): Fields[] {
  const lines = linesOf(fields).filter(({ DetailType }) => DetailType !== 'SubTotalLineDetail');
  if (lines.length === 0) throw faults.missing('Line');
  return checkedLines(lines, around);
}

/** Refuses a line without an amount, with another than its quantity makes, or for what nobody knows; numbers the rest. */
function checkedLines(lines: Fields[], around: Surroundings): Fields[] {
  for (const line of lines) {
    if (line['Amount'] === undefined) throw faults.missing('Line.Amount');
    const amount = amountOf(line['Amount']);
    // `SalesItemLineDetail` and its like: a line has one.
    const [, found] = Object.entries(line).find(([name]) => name.endsWith('LineDetail')) ?? [];
    const { Qty, UnitPrice, ...detail } = (found ?? {}) as Fields;
    if (
      Qty !== undefined &&
      UnitPrice !== undefined &&
      cents(amountOf(Qty) * amountOf(UnitPrice)) !== cents(amount)
    ) {
      throw faults.wrongAmount(amount);
    }
    for (const [field, kind] of Object.entries(lineReferences)) {
      const ref = refOf(detail[field]);
      if (ref && !around.find(kind, ref.value)) throw faults.badReference(field, ref.value);
    }
  }
  return numbered(lines);
}

const lineReferences = { ItemRef: 'Item', AccountRef: 'Account', CustomerRef: 'Customer' };

function numbered(lines: Fields[]): Fields[] {
  return lines.map((line, index) => ({ Id: String(index + 1), LineNum: index + 1, ...line }));
}

function enumeration(name: string, value: unknown, allowed: readonly string[]): unknown {
  if (!allowed.includes(textOf(value))) throw faults.badEnumeration(name, textOf(value));
  return value;
}
