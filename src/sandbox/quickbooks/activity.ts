import type { Cancel, Clock } from '../../clock.ts';
import type { Company } from './company.ts';
import { kindOf, type EntityKind, type QboRecord } from './entities.ts';
import { faults } from './errors.ts';
import { amountOf, refOf, textOf, type Fields } from './fields.ts';
import type { QuickBooksSettings } from './settings.ts';

export interface Happened {
  realmId: string;
  entity: string;
  id: string;
  operation: 'create' | 'update' | 'delete';
}

/** What is to happen; what is left open is chosen by chance. */
export interface Wanted {
  entity?: string;
  operation?: Happened['operation'];
}

export interface ActivityOptions {
  clock: Clock;
  settings: () => QuickBooksSettings;
  happen: (random: () => number) => void;
  /** Ends it when the sandbox closes. */
  signal: AbortSignal;
  log: (line: object) => void;
}

/** What people do all day: mostly loads, invoiced, corrected and paid. */
const usual = ['Customer', 'Vendor', 'Invoice', 'Invoice', 'Invoice', 'Bill', 'Bill', 'Payment', 'Estimate'];
/** Unasked, nothing is deleted below this number. */
const fewest = 10;

/** What happens by itself, as often as the settings say. Call what is returned after they changed. */
export function startActivity({ clock, settings, happen, signal, log }: ActivityOptions): () => void {
  let next: Cancel = () => undefined;
  const arm = (random: () => number) => {
    const { activityEveryMs } = settings();
    if (activityEveryMs === 0 || signal.aborted) return;
    next = clock.timer(activityEveryMs, () => {
      try {
        happen(random);
      } catch (error) {
        log({ event: 'sandbox.bug', message: String(error) });
      }
      arm(random);
    });
  };
  signal.addEventListener('abort', () => next());
  return () => {
    next();
    const { activitySeed } = settings();
    arm(activitySeed === null ? clock.random : randomOf(activitySeed));
  };
}

/** Numbers from 0 up to 1, the same ones for the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Throws a `QuickBooksFault` when what is wanted cannot be done, as with no record left to delete. */
export function somethingHappens(company: Company, random: () => number, wanted: Wanted): Happened {
  const kind = kindOf(wanted.entity ?? pick(usual, random))!;
  const { realmId } = company;
  const candidates = usable(company, kind);
  const dice = random();
  const canSpare = kind.list === 'transactions' && candidates.length > fewest;
  const operation =
    wanted.operation ?? (dice < 0.45 ? 'create' : dice < 0.85 || !canSpare ? 'update' : 'delete');
  const done = (id: string): Happened => ({ realmId, entity: kind.name, id, operation });
  if (operation === 'create') return done(company.create(kind, freshRecord(company, kind, random)).Id);
  if (candidates.length === 0) throw faults.notFound();
  const { Id, SyncToken } = pick(candidates, random);
  const own = { Id, SyncToken, sparse: true };
  // An entry of a name list is never deleted: people make it inactive.
  if (operation === 'update') company.update(kind, { ...own, ...change(kind, random) });
  else if (kind.list === 'names') company.update(kind, { ...own, Active: false });
  else company.delete(kind, own);
  return done(Id);
}

/** The records that can be written: not what is inactive, nor what names somebody inactive. */
function usable(company: Company, kind: EntityKind): QboRecord[] {
  return company.list(kind.name).filter(
    (record) =>
      record['Active'] !== false &&
      Object.entries(kind.references).every(([field, target]) => {
        const ref = refOf(record[field]);
        return !ref || (company.find(target, ref.value)?.['Active'] ?? true) !== false;
      }),
  );
}

function change(kind: EntityKind, random: () => number): Fields {
  const number = Math.floor(random() * 1e6);
  switch (kind.name) {
    case 'CompanyInfo':
      return { WebAddr: { URI: `https://site${number}.example` } };
    case 'Customer':
      return { Notes: `Called, ticket ${number}` };
    case 'Vendor':
      return { PrintOnCheckName: `Carrier ${number}` };
    case 'Item':
      return { UnitPrice: number / 100 };
    case 'Account':
      return { Description: `Reviewed ${number}` };
    default:
      return { PrivateNote: `Load ${number}` };
  }
}

function freshRecord(company: Company, kind: EntityKind, random: () => number): Fields {
  const fresh = Math.floor(random() * 2 ** 32).toString(36);
  const amount = 100 + Math.floor(random() * 390_000) / 100;
  const one = (name: string, where: (record: QboRecord) => boolean = () => true) => {
    const found = usable(company, kindOf(name)!).filter(where);
    if (found.length === 0) throw faults.notFound();
    return pick(found, random);
  };
  const ref = ({ Id }: QboRecord) => ({ value: Id });
  const ofType = (type: string) => (record: QboRecord) => record['AccountType'] === type;
  const salesLine = () => ({
    Description: `Load ${fresh}`,
    Amount: amount,
    DetailType: 'SalesItemLineDetail',
    SalesItemLineDetail: { ItemRef: ref(one('Item')), Qty: 1, UnitPrice: amount },
  });
  const expenseLine = () => ({
    Description: `Load ${fresh}`,
    Amount: amount,
    DetailType: 'AccountBasedExpenseLineDetail',
    AccountBasedExpenseLineDetail: { AccountRef: ref(one('Account', ofType('Cost of Goods Sold'))) },
  });
  switch (kind.name) {
    case 'Customer':
      return { DisplayName: `Shipper ${fresh}`, CompanyName: `Shipper ${fresh}` };
    case 'Vendor':
      return { DisplayName: `Carrier ${fresh}`, CompanyName: `Carrier ${fresh}` };
    case 'Item':
      return { Name: `Charge ${fresh}`, IncomeAccountRef: ref(one('Account', ofType('Income'))) };
    case 'Account':
      return { Name: `Account ${fresh}`, AccountType: 'Bank', Classification: 'Asset' };
    case 'Invoice':
    case 'Estimate':
    case 'CreditMemo':
      return { CustomerRef: ref(one('Customer')), Line: [salesLine()] };
    case 'Bill':
      return { VendorRef: ref(one('Vendor')), Line: [expenseLine()] };
    case 'PurchaseOrder': {
      const APAccountRef = ref(one('Account', ofType('Accounts Payable')));
      return { VendorRef: ref(one('Vendor')), APAccountRef, Line: [expenseLine()] };
    }
    case 'Payment':
      return paymentOf(company, amount, ref(one('Customer')), random);
    default:
      throw faults.unsupported(`create ${kind.name}`);
  }
}

/** Of an open invoice where there is one; otherwise on account of the customer. */
function paymentOf(company: Company, amount: number, CustomerRef: object, random: () => number): Fields {
  const open = usable(company, kindOf('Invoice')!).filter((invoice) => amountOf(invoice['Balance']) > 0);
  if (open.length === 0) return { CustomerRef, TotalAmt: amount };
  const invoice = pick(open, random);
  const Amount = amountOf(invoice['Balance']);
  return {
    CustomerRef: { value: textOf(refOf(invoice['CustomerRef'])?.value) },
    TotalAmt: Amount,
    Line: [{ Amount, LinkedTxn: [{ TxnId: invoice.Id, TxnType: 'Invoice' }] }],
  };
}

function pick<T>(list: readonly T[], random: () => number): T {
  return list[Math.floor(random() * list.length)]!;
}
