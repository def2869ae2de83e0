/** What the merchant has at Parcelwise. Every write is a change with a number, by which changes are paged. */
export interface Parcel {
  id: string;
  updated_at: string;
  deleted?: true;
  deleted_at?: string;
  [member: string]: unknown;
}

export interface ParcelwiseData {
  find(kind: string, id: string): Parcel | undefined;
  /** Those that exist, by id. */
  list(kind: string): Parcel[];
  /** The newest state of each that was written at `since` or later, deleted ones too; the oldest first. */
  changes(kind: string, since: string | null): Parcel[];
  write(kind: string, id: string, members: object): void;
  remove(kind: string, id: string): void;
}

export const merchant = {
  id: 'mer_4711',
  name: 'Kestrel Outdoor',
  dashboard_url: 'https://app.parcelwise.example/mer_4711',
};

export function createData(now: () => number): ParcelwiseData {
  const kinds = new Map<string, Map<string, Parcel>>();
  const of = (kind: string) => kinds.get(kind) ?? new Map<string, Parcel>();
  const put = (kind: string, parcel: Parcel) => {
    // Anew at the end: changes are listed in the order of the writes.
    const own = of(kind);
    own.delete(parcel.id);
    kinds.set(kind, own.set(parcel.id, parcel));
  };
  const data: ParcelwiseData = {
    find: (kind, id) => {
      const found = of(kind).get(id);
      return found?.deleted ? undefined : found;
    },
    list: (kind) =>
      [...of(kind).values()].filter((one) => !one.deleted).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    changes: (kind, since) =>
      [...of(kind).values()].filter((one) => (since === null ? !one.deleted : one.updated_at >= since)),
    write: (kind, id, members) => put(kind, { id, ...members, updated_at: new Date(now()).toISOString() }),
    remove(kind, id) {
      const at = new Date(now()).toISOString();
      put(kind, { id, updated_at: at, deleted: true, deleted_at: at });
    },
  };
  for (let i = 0; i < 450; i++)
    data.write('shipments', `shp_${String(100_000 + i)}`, {
      status: 'in_transit',
      recipient: {
        name: `Recipient ${i}`,
        email: `someone${i}@customer.example`,
        phone: '+1 555 0100',
        city: 'Bergen',
      },
    });
  for (const city of ['bergen', 'leipzig', 'porto']) data.write('warehouses', `whs_${city}`, { city });
  data.write('pickups', 'pku_000001', { warehouse: 'whs_bergen', gate_code: '4-8-15' });
  return data;
}
