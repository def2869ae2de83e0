import type {
  Carrier,
  Change,
  Customer,
  FactoringCompany,
  IncidentReport,
  Invitation,
  Listing,
  Packet,
  UserVerification,
  VinVerification,
} from './carrier.ts';
import type { Subscription } from './deliveries.ts';
import type { Happening } from './happenings.ts';
import { Table } from './table.ts';
import type { User } from './tokenEndpoint.ts';

/** Of the changes, so many are remembered. */
const mostChanges = 10_000;

/** Everything the portal knows. Carriers are the same for all customers; lists and packets are each customer's own. */
export class Portal {
  readonly now: () => number;
  /** By lower-case name. */
  readonly users = new Table<User>();
  /** By DOT number. */
  readonly carriers = new Table<Carrier>();
  /** By customer and DOT number. */
  readonly packets = new Table<Packet>();
  readonly monitored = new Table<Listing>();
  readonly blocked = new Table<Listing>();
  /** By id, oldest first. */
  readonly incidents = new Table<IncidentReport>();
  readonly vins = new Table<VinVerification>();
  readonly userVerifications = new Table<UserVerification>();
  readonly invitations = new Table<Invitation>();
  readonly factoring = new Table<FactoringCompany>();
  readonly changes = new Table<Change>();
  readonly subscriptions = new Table<Subscription>();
  readonly #customers: readonly Customer[];
  #lastId = 5000;
  #listener: (happening: Happening) => void = () => undefined;

  constructor(customers: readonly Customer[], now: () => number) {
    this.#customers = customers;
    this.now = now;
  }

  /** Ends the seed: puts back what was written after it, and from now on tells `changed` of every write. */
  keep(kept: WrittenRows, changed: () => void): void {
    for (const [name, table] of this.#tables()) {
      table.keep(kept[name] ?? {}, changed);
      for (const row of table.list()) {
        if (typeof row === 'object' && row !== null && 'id' in row)
          this.#lastId = Math.max(this.#lastId, Number(row.id));
      }
    }
  }

  written(): WrittenRows {
    return Object.fromEntries(this.#tables().map(([name, table]) => [name, table.written()]));
  }

  /** `listener` is told of what customers can subscribe to. */
  listen(listener: (happening: Happening) => void): void {
    this.#listener = listener;
  }

  tell(happening: Happening): void {
    this.#listener(happening);
  }

  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  customers(): readonly Customer[] {
    return this.#customers;
  }

  customer(customerId: number): Customer {
    const found = this.#customers.find((one) => one.customerId === customerId);
    if (!found) throw new Error(`no customer ${customerId}`);
    return found;
  }

  findUser(userName: string): User | undefined {
    return this.users.get(userName.toLowerCase());
  }

  findCarrier(dotNumber: number): Carrier | undefined {
    return this.carriers.get(String(dotNumber));
  }

  putCarrier(carrier: Carrier): Carrier {
    return this.carriers.put(String(carrier.dotNumber), carrier);
  }

  addChange(dotNumber: number, category: Change['category'], at: number): Change {
    const change = { id: this.nextId(), dotNumber, category, at };
    this.changes.put(String(change.id), change);
    if (this.changes.size > mostChanges) this.changes.remove(String(this.changes.list()[0]!.id));
    return change;
  }

  /** Those whose business a carrier is: they monitor it, or have its packet. */
  customersOf(dotNumber: number): Customer[] {
    return this.#customers.filter(({ customerId }) => {
      const key = keyOf(customerId, dotNumber);
      return this.monitored.get(key) ?? this.packets.get(key);
    });
  }

  #tables(): [string, Table<unknown>][] {
    return Object.entries(this).filter((member): member is [string, Table<unknown>] => {
      return member[1] instanceof Table;
    });
  }
}

/** By table and key. */
export type WrittenRows = Record<string, Record<string, unknown>>;

export const keyOf = (customerId: number, dotNumber: number) => `${customerId}/${dotNumber}`;
