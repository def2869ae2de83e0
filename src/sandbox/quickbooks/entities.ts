/** What each kind of record is like. Field names are QuickBooks' own. */

/** A record as it goes over the wire. */
export interface QboRecord {
  Id: string;
  SyncToken: string;
  MetaData: { CreateTime: string; LastUpdatedTime: string };
  domain: 'QBO';
  sparse: boolean;
  [field: string]: unknown;
}

export type FieldType = 'id' | 'text' | 'number' | 'boolean' | 'date' | 'time' | 'reference';

export interface EntityKind {
  name: string;
  /** Name lists can be made inactive but not deleted; transactions the other way round. */
  list: 'names' | 'transactions' | 'company';
  /** What a where clause or ORDERBY may name. */
  filters: Readonly<Record<string, FieldType>>;
  /** Must be there on create. */
  required: readonly string[];
  /** Field to the kind that it must name. */
  references: Readonly<Record<string, string>>;
  /** Kept whatever a client sends: QuickBooks works them out. */
  derived: readonly string[];
  voidable: boolean;
  /** Kinds that share one set of names. */
  nameField?: 'DisplayName' | 'Name';
}

const every = { Id: 'id', 'MetaData.CreateTime': 'time', 'MetaData.LastUpdatedTime': 'time' } as const;
const person = {
  ...every,
  DisplayName: 'text',
  CompanyName: 'text',
  GivenName: 'text',
  FamilyName: 'text',
  PrintOnCheckName: 'text',
  Active: 'boolean',
  Balance: 'number',
} as const;
const transaction = {
  ...every,
  DocNumber: 'text',
  TxnDate: 'date',
  DueDate: 'date',
  TotalAmt: 'number',
  Balance: 'number',
} as const;

/** Of documents that can be mailed to the customer. */
const sent = { EmailStatus: 'text', PrintStatus: 'text' } as const;

const kinds: readonly EntityKind[] = [
  {
    name: 'Customer',
    list: 'names',
    filters: { ...person, FullyQualifiedName: 'text', Taxable: 'boolean', Job: 'boolean' },
    required: ['DisplayName'],
    references: {},
    derived: ['Balance', 'BalanceWithJobs', 'FullyQualifiedName'],
    voidable: false,
    nameField: 'DisplayName',
  },
  {
    name: 'Vendor',
    list: 'names',
    filters: { ...person, Vendor1099: 'boolean', AcctNum: 'text' },
    required: ['DisplayName'],
    references: {},
    derived: ['Balance'],
    voidable: false,
    nameField: 'DisplayName',
  },
  {
    name: 'Item',
    list: 'names',
    filters: {
      ...every,
      Name: 'text',
      FullyQualifiedName: 'text',
      Active: 'boolean',
      Type: 'text',
      UnitPrice: 'number',
    },
    required: ['Name'],
    references: { IncomeAccountRef: 'Account' },
    derived: ['FullyQualifiedName'],
    voidable: false,
    nameField: 'Name',
  },
  {
    name: 'Account',
    list: 'names',
    filters: {
      ...every,
      Name: 'text',
      FullyQualifiedName: 'text',
      Active: 'boolean',
      Classification: 'text',
      AccountType: 'text',
      AccountSubType: 'text',
      CurrentBalance: 'number',
    },
    required: ['Name'],
    references: {},
    derived: ['FullyQualifiedName', 'CurrentBalance'],
    voidable: false,
    nameField: 'Name',
  },
  {
    name: 'Invoice',
    list: 'transactions',
    filters: { ...transaction, ...sent, CustomerRef: 'reference', SalesTermRef: 'reference' },
    required: ['CustomerRef', 'Line'],
    references: { CustomerRef: 'Customer' },
    derived: ['Balance', 'TotalAmt', 'LinkedTxn'],
    voidable: true,
  },
  {
    name: 'Payment',
    list: 'transactions',
    filters: {
      ...every,
      TxnDate: 'date',
      TotalAmt: 'number',
      PaymentRefNum: 'text',
      CustomerRef: 'reference',
    },
    required: ['CustomerRef', 'TotalAmt'],
    references: { CustomerRef: 'Customer' },
    derived: ['UnappliedAmt'],
    voidable: true,
  },
  {
    name: 'Bill',
    list: 'transactions',
    filters: { ...transaction, VendorRef: 'reference', APAccountRef: 'reference' },
    required: ['VendorRef', 'Line'],
    references: { VendorRef: 'Vendor' },
    derived: ['Balance', 'TotalAmt'],
    voidable: false,
  },
  {
    name: 'Estimate',
    list: 'transactions',
    filters: {
      ...every,
      ...sent,
      DocNumber: 'text',
      TxnDate: 'date',
      DueDate: 'date',
      TotalAmt: 'number',
      CustomerRef: 'reference',
      TxnStatus: 'text',
      ExpirationDate: 'date',
    },
    required: ['CustomerRef', 'Line'],
    references: { CustomerRef: 'Customer' },
    derived: ['TotalAmt'],
    voidable: false,
  },
  {
    name: 'CreditMemo',
    list: 'transactions',
    filters: {
      ...every,
      ...sent,
      DocNumber: 'text',
      TxnDate: 'date',
      TotalAmt: 'number',
      Balance: 'number',
      CustomerRef: 'reference',
      RemainingCredit: 'number',
    },
    required: ['CustomerRef', 'Line'],
    references: { CustomerRef: 'Customer' },
    derived: ['TotalAmt', 'Balance', 'RemainingCredit'],
    voidable: true,
  },
  {
    name: 'PurchaseOrder',
    list: 'transactions',
    filters: {
      ...every,
      DocNumber: 'text',
      TxnDate: 'date',
      DueDate: 'date',
      TotalAmt: 'number',
      VendorRef: 'reference',
      APAccountRef: 'reference',
      POStatus: 'text',
    },
    required: ['VendorRef', 'APAccountRef', 'Line'],
    references: { VendorRef: 'Vendor', APAccountRef: 'Account' },
    derived: ['TotalAmt'],
    voidable: false,
  },
  {
    name: 'CompanyInfo',
    list: 'company',
    filters: { ...every, CompanyName: 'text', LegalName: 'text', Country: 'text' },
    required: ['CompanyName'],
    references: {},
    derived: [],
    voidable: false,
  },
];

/** Real kinds of which these companies have no record. */
const emptyKinds = new Set(
  (
    'BillPayment Budget Class CompanyCurrency Department Deposit Employee JournalCode JournalEntry ' +
    'PaymentMethod Preferences Purchase RefundReceipt SalesReceipt TaxAgency TaxCode TaxRate Term ' +
    'TimeActivity Transfer VendorCredit'
  ).split(' '),
);
/** Kinds that `cdc` refuses. */
export const withoutChanges: ReadonlySet<string> = new Set([
  'JournalCode',
  'TaxAgency',
  'TimeActivity',
  'TaxCode',
  'TaxRate',
]);

export const kindNames: readonly string[] = kinds.map(({ name }) => name);

/** By its name, in any case: paths are lower case, queries and bodies are not. */
export function kindOf(name: string): EntityKind | undefined {
  return kinds.find((kind) => kind.name.toLowerCase() === name.toLowerCase());
}

export function emptyKindOf(name: string): string | undefined {
  return [...emptyKinds].find((kind) => kind.toLowerCase() === name.toLowerCase());
}
