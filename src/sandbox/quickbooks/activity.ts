import type { Company } from './company.ts';
import { kindOf } from './entities.ts';
import { refOf } from './fields.ts';

/** Something that people do in QuickBooks all day, chosen by `random`. Returns what it was. */
export function somethingHappens(
  company: Company,
  random: () => number,
): { entity: string; id: string; what: string } {
  const one = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const customers = company.list('Customer').filter((record) => record['Active'] !== false);
  const dice = random();
  if (dice < 0.25) {
    const name = `Shipper ${Math.floor(random() * 1e9).toString(36)}`;
    const { Id } = company.create(kindOf('Customer')!, { DisplayName: name, CompanyName: name });
    return { entity: 'Customer', id: Id, what: 'created' };
  }
  if (dice < 0.5) {
    const { Id, SyncToken } = one(customers);
    company.update(kindOf('Customer')!, {
      Id,
      SyncToken,
      sparse: true,
      Notes: `Called ${Math.floor(random() * 1e6)}`,
    });
    return { entity: 'Customer', id: Id, what: 'updated' };
  }
  const invoices = company.list('Invoice');
  if (dice < 0.75 || invoices.length < 10) {
    const model = one(invoices);
    const { Id } = company.create(kindOf('Invoice')!, {
      CustomerRef: { value: refOf(model['CustomerRef'])!.value },
      Line: model['Line'],
      PrivateNote: `Load ${Math.floor(random() * 1e6)}`,
    });
    return { entity: 'Invoice', id: Id, what: 'created' };
  }
  // The newest: old ones are paid, and some are in a closed period.
  const { Id, SyncToken } = invoices.at(-1)!;
  company.delete(kindOf('Invoice')!, { Id, SyncToken });
  return { entity: 'Invoice', id: Id, what: 'deleted' };
}
