import { freePayments, settle, type Books } from './balances.ts';
import { kindNames, kindOf, type EntityKind, type QboRecord } from './entities.ts';
import { faults } from './errors.ts';
import { amountOf, completeFields, linesOf, textOf, type Fields } from './fields.ts';
import { renamed } from './references.ts';
import { metaDataTime } from './time.ts';

/** A record and what it has been through. A deleted one stays, for `cdc`. */
export interface Stored {
  kind: string;
  record: QboRecord;
  updatedAt: number;
  deleted: boolean;
}

/** As webhooks name it. */
export type Operation = 'Create' | 'Update' | 'Delete' | 'Void' | 'Merge' | 'Emailed';

export interface Change {
  stored: Stored;
  operation: Operation;
  /** Of a merge: the record that is no more. */
  deletedId?: string;
  /** False where webhooks are silent: the record that a merge removes is part of what they tell of the other. */
  isTold?: boolean;
}

export interface WriteOptions {
  /** Otherwise refused, where the company numbers its documents itself. */
  allowsDuplicateNumber?: boolean;
}

export interface CompanyOptions {
  realmId: string;
  now: () => number;
  /** Transactions dated on or before this day cannot be written. */
  booksClosedThrough?: string;
}

/** One company's books. Every method that writes throws a `QuickBooksFault` and then has changed nothing. */
export class Company {
  readonly realmId: string;
  readonly #options: CompanyOptions;
  readonly #stored = new Map<string, Stored>();
  #lastId = 0;
  #changed: (change: Change) => void = () => undefined;

  constructor(options: CompanyOptions) {
    this.realmId = options.realmId;
    this.#options = options;
  }

  get now(): number {
    return this.#options.now();
  }

  /** From now on `changed` is told of every record written. */
  watch(changed: (change: Change) => void): void {
    this.#changed = changed;
  }

  /** Not the deleted ones. */
  find(kind: string, id: string): QboRecord | undefined {
    const stored = this.#stored.get(`${kind}/${id}`);
    return stored && !stored.deleted ? stored.record : undefined;
  }

  get(kind: EntityKind, id: string): QboRecord {
    if (!/^\d+$/.test(id)) throw faults.badNumber('Id', id);
    // CompanyInfo answers to its own id and to the company's.
    const found = this.find(kind.name, kind.list === 'company' && id === this.realmId ? '1' : id);
    if (!found) throw faults.notFound();
    return found;
  }

  list(kind: string): QboRecord[] {
    return [...this.#stored.values()].flatMap((one) =>
      one.kind === kind && !one.deleted ? [one.record] : [],
    );
  }

  /** With the deleted ones, oldest change first. */
  changes(kind: string): Stored[] {
    return [...this.#stored.values()]
      .filter((one) => one.kind === kind)
      .sort((a, b) => a.updatedAt - b.updatedAt);
  }

  create(kind: EntityKind, sent: Fields, options: WriteOptions = {}, atMs = this.now): QboRecord {
    if (kind.list === 'company') throw faults.unsupported(`create ${kind.name}`);
    const given = Object.fromEntries(Object.entries(sent).filter(([name]) => !kind.derived.includes(name)));
    const completed = completeFields(kind, given, this.#surroundings(atMs));
    this.#refuseDuplicates(kind, completed, sent, options);
    this.#refuseClosedPeriod(kind, completed);
    this.#lastId += 1;
    return this.#put(
      kind,
      { ...completed, Id: String(this.#lastId), SyncToken: '0' },
      atMs,
      metaDataTime(atMs),
      'Create',
    );
  }

  /** Full: what is not sent is cleared. Sparse: what is not sent stays. */
  update(kind: EntityKind, sent: Fields, options: WriteOptions = {}): QboRecord {
    const before = this.#current(kind, sent);
    const sparse = sent['sparse'] === true || sent['sparse'] === 'true';
    const kept = Object.fromEntries(
      kind.derived.flatMap((name) => (name in before ? [[name, before[name]]] : [])),
    );
    const merged: Fields = sparse ? { ...before, ...sent, ...kept } : { ...sent, ...kept };
    const completed = completeFields(kind, merged, this.#surroundings(this.now));
    this.#refuseDuplicates(kind, completed, sent, options, before.Id);
    this.#refuseClosedPeriod(kind, before, completed);
    return this.#put(
      kind,
      { ...completed, Id: before.Id, SyncToken: next(before) },
      this.now,
      before.MetaData.CreateTime,
      'Update',
    );
  }

  /** Transactions only. Returns the stub that QuickBooks answers with. */
  delete(kind: EntityKind, sent: Fields): Fields {
    if (kind.list !== 'transactions') throw faults.unsupported('delete');
    const before = this.#current(kind, sent);
    this.#refuseClosedPeriod(kind, before);
    this.#write(kind, { ...before, SyncToken: next(before) }, this.now, 'Delete');
    if (kind.name === 'Invoice') freePayments(this.#books(this.now), before.Id);
    settle(this.#books(this.now));
    return { status: 'Deleted', domain: 'QBO', Id: before.Id };
  }

  void(kind: EntityKind, sent: Fields): QboRecord {
    if (!kind.voidable) throw faults.unsupported('void');
    const before = this.#current(kind, sent);
    this.#refuseClosedPeriod(kind, before);
    const lines = linesOf(before).map((line) => ({ ...line, Amount: 0, LinkedTxn: [] }));
    const note = ['Voided', before['PrivateNote']].filter(Boolean).join(' - ');
    const emptied: QboRecord = { ...before, Line: lines, TotalAmt: 0, Balance: 0, PrivateNote: note };
    if ('RemainingCredit' in before) emptied['RemainingCredit'] = 0;
    emptied.SyncToken = next(before);
    if (kind.name === 'Invoice') freePayments(this.#books(this.now), before.Id);
    return this.#put(kind, emptied, this.now, before.MetaData.CreateTime, 'Void');
  }

  /**
   * What a person does by giving one entry of a name list the name of another; the API refuses it as a duplicate name.
   * The first is no more, and what named it names the other.
   */
  merge(kind: EntityKind, id: string, survivorId: string): QboRecord {
    if (kind.list !== 'names') throw faults.unsupported('merge');
    const [gone, survivor] = [this.get(kind, id), this.get(kind, survivorId)];
    if (gone.Id === survivor.Id) throw faults.badReference('Id', id);
    const ref = { value: survivor.Id, name: textOf(survivor['DisplayName'] ?? survivor['Name']) };
    this.#write(kind, { ...gone, SyncToken: next(gone) }, this.now, 'Delete', { isTold: false });
    for (const other of kindNames) {
      for (const record of this.list(other)) {
        const changed = renamed(record, kind.name, gone.Id, ref);
        if (changed) this.#books(this.now).update(other, changed);
      }
    }
    const merged = { ...survivor, SyncToken: next(survivor) };
    this.#write(kind, merged, this.now, 'Merge', { deletedId: gone.Id });
    settle(this.#books(this.now));
    return this.get(kind, survivor.Id);
  }

  /** Marks a document as sent to the customer, at another address than before if one is given. Nothing is mailed. */
  email(kind: EntityKind, id: string, sendTo?: string): QboRecord {
    if (!('EmailStatus' in kind.filters)) throw faults.unsupported(`send ${kind.name}`);
    const before = this.get(kind, id);
    const BillEmail = sendTo === undefined ? before['BillEmail'] : { Address: sendTo };
    if (BillEmail === undefined) throw faults.missing('sendTo');
    const DeliveryInfo = { DeliveryType: 'Email', DeliveryTime: metaDataTime(this.now) };
    const own = { BillEmail, EmailStatus: 'EmailSent', DeliveryInfo, SyncToken: next(before) };
    const sent: QboRecord = { ...before, ...own };
    this.#write(kind, sent, this.now, 'Emailed');
    return this.get(kind, id);
  }

  /** Puts back records as `watch` saw them. */
  restore(kept: readonly Stored[]): void {
    for (const stored of kept) this.#keep(stored);
    settle(this.#books(this.now));
  }

  #keep(stored: Stored): void {
    this.#stored.set(`${stored.kind}/${stored.record.Id}`, stored);
    this.#lastId = Math.max(this.#lastId, Number(stored.record.Id));
  }

  #current(kind: EntityKind, sent: Fields): QboRecord {
    if (sent['Id'] === undefined) throw faults.missing('Id');
    const before = this.get(kind, textOf(sent['Id']));
    if (sent['SyncToken'] === undefined) throw faults.missing('SyncToken');
    if (textOf(sent['SyncToken']) !== before.SyncToken) throw faults.stale();
    return before;
  }

  #put(
    kind: EntityKind,
    fields: Fields & { Id: string; SyncToken: string },
    atMs: number,
    created: string,
    operation: Operation,
  ): QboRecord {
    const { domain: _domain, sparse: _sparse, Id, SyncToken, MetaData: _times, ...rest } = fields;
    // Worked out anew below, without counting as a second change.
    if (kind.name === 'Invoice') delete rest['Balance'];
    const MetaData = { CreateTime: created, LastUpdatedTime: metaDataTime(atMs) };
    this.#write(kind, { ...rest, domain: 'QBO', sparse: false, Id, SyncToken, MetaData }, atMs, operation);
    settle(this.#books(atMs));
    return this.get(kind, Id);
  }

  #write(
    kind: EntityKind,
    record: QboRecord,
    atMs: number,
    operation: Operation,
    merge: Pick<Change, 'deletedId' | 'isTold'> = {},
  ): void {
    const MetaData = { ...record.MetaData, LastUpdatedTime: metaDataTime(atMs) };
    const deleted = operation === 'Delete';
    const stored = { kind: kind.name, record: { ...record, MetaData }, updatedAt: atMs, deleted };
    this.#keep(stored);
    this.#changed({ stored, operation, ...merge });
  }

  #refuseDuplicates(
    kind: EntityKind,
    fields: Fields,
    sent: Fields,
    { allowsDuplicateNumber = false }: WriteOptions,
    ownId?: string,
  ): void {
    if (kind.nameField) {
      const name = textOf(fields[kind.nameField]).toLowerCase();
      // Customers and vendors share one set of names.
      const sharing = kindNames.filter((one) => kindOf(one)?.nameField === 'DisplayName');
      for (const one of kind.nameField === 'DisplayName' ? sharing : [kind.name]) {
        const twin = this.list(one).find((record) => textOf(record[kind.nameField!]).toLowerCase() === name);
        if (twin && !(one === kind.name && twin.Id === ownId)) throw faults.duplicateName(twin.Id);
      }
    }
    if (numbered.has(kind.name) && sent['DocNumber'] !== undefined && !allowsDuplicateNumber) {
      const twin = this.list(kind.name).find(
        (one) => one['DocNumber'] === fields['DocNumber'] && one.Id !== ownId,
      );
      if (twin) throw faults.duplicateNumber(textOf(fields['DocNumber']), twin.Id);
    }
  }

  #refuseClosedPeriod(kind: EntityKind, ...versions: Fields[]): void {
    const through = this.#options.booksClosedThrough;
    if (through === undefined || kind.list !== 'transactions') return;
    if (versions.some((one) => textOf(one['TxnDate']) <= through)) throw faults.periodClosed(through);
  }

  #books(atMs: number): Books {
    return {
      list: (kind) => this.list(kind),
      update: (kind, record) =>
        this.#write(kindOf(kind)!, { ...record, SyncToken: next(record) }, atMs, 'Update'),
    };
  }

  #surroundings(nowMs: number) {
    return {
      nowMs,
      find: (kind: string, id: string) => this.find(kind, id),
      nextNumber: (kind: string) =>
        String(1 + this.list(kind).reduce((most, one) => Math.max(most, amountOf(one['DocNumber'])), 1000)),
    };
  }
}

/** Documents that the company numbers itself; a bill has its sender's number. */
const numbered = new Set(['Invoice', 'Estimate', 'CreditMemo', 'PurchaseOrder']);

function next({ SyncToken }: QboRecord): string {
  return String(Number(SyncToken) + 1);
}
