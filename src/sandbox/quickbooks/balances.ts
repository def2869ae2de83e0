import type { QboRecord } from './entities.ts';
import { amountOf, cents, linesOf, linkedInvoices, refOf } from './fields.ts';

/** One company's records, as far as balances go. */
export interface Books {
  /** Not the deleted ones. */
  list(kind: string): QboRecord[];
  /** Counts as a change of the record. */
  update(kind: string, record: QboRecord): void;
}

/** Balances follow from invoices, bills and payments. An invoice that gets paid counts as changed, a customer does not. */
export function settle(books: Books): void {
  const paid = new Map<string, { amount: number; by: { TxnId: string; TxnType: 'Payment' }[] }>();
  for (const payment of books.list('Payment')) {
    for (const line of linesOf(payment)) {
      for (const id of linkedInvoices(line)) {
        const sum = paid.get(id) ?? { amount: 0, by: [] };
        paid.set(id, {
          amount: sum.amount + amountOf(line['Amount']),
          by: [...sum.by, { TxnId: payment.Id, TxnType: 'Payment' }],
        });
      }
    }
  }
  for (const invoice of books.list('Invoice')) {
    const { amount = 0, by = [] } = paid.get(invoice.Id) ?? {};
    const Balance = Math.max(0, cents(amountOf(invoice['TotalAmt']) - amount));
    if (invoice['Balance'] === undefined) Object.assign(invoice, { Balance, LinkedTxn: by });
    else if (invoice['Balance'] !== Balance) books.update('Invoice', { ...invoice, Balance, LinkedTxn: by });
  }
  settleNames(books, 'Customer', 'Invoice', 'CustomerRef', ['Balance', 'BalanceWithJobs']);
  settleNames(books, 'Vendor', 'Bill', 'VendorRef', ['Balance']);
}

/** What paid an invoice that is no more is on account of the customer from then on, and counts as changed. */
export function freePayments(books: Books, invoiceId: string): void {
  for (const payment of books.list('Payment')) {
    const Line = linesOf(payment).filter((line) => !linkedInvoices(line).includes(invoiceId));
    if (Line.length === linesOf(payment).length) continue;
    const applied = Line.reduce((sum, line) => sum + amountOf(line['Amount']), 0);
    books.update('Payment', {
      ...payment,
      Line,
      UnappliedAmt: cents(amountOf(payment['TotalAmt']) - applied),
    });
  }
}

function settleNames(
  books: Books,
  names: string,
  transactions: string,
  ref: string,
  fields: readonly string[],
): void {
  const owed = new Map<string, number>();
  for (const one of books.list(transactions)) {
    const id = refOf(one[ref])?.value ?? '';
    owed.set(id, (owed.get(id) ?? 0) + amountOf(one['Balance']));
  }
  for (const record of books.list(names))
    for (const field of fields) record[field] = cents(owed.get(record.Id) ?? 0);
}
