import type { QboRecord } from './entities.ts';
import { refOf, type Ref } from './fields.ts';

/** The fields, at whatever depth, by which records name one of a name list. */
const referring: Readonly<Record<string, readonly string[]>> = {
  Customer: ['CustomerRef'],
  Vendor: ['VendorRef'],
  Item: ['ItemRef'],
  Account: ['AccountRef', 'APAccountRef', 'DepositToAccountRef', 'IncomeAccountRef'],
};

/** The record naming another instead of `goneId`; undefined when it does not name that one. */
export function renamed(record: QboRecord, kind: string, goneId: string, ref: Ref): QboRecord | undefined {
  const names = referring[kind] ?? [];
  let found = false;
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => {
        if (!names.includes(name) || refOf(member)?.value !== goneId) return [name, walk(member)];
        found = true;
        return [name, { ...ref }];
      }),
    );
  };
  const changed = walk(record) as QboRecord;
  return found ? changed : undefined;
}
