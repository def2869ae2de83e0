import type { EntityKind, FieldType, QboRecord } from './entities.ts';
import { faults } from './errors.ts';
import { textOf } from './fields.ts';
import type { Condition, Statement } from './query.ts';
import { parseTime } from './time.ts';

type Comparable = string | number | boolean;

/** The records that a statement selects, unpaged, in its order. Throws 4001 for fields that cannot be asked for. */
export function selectRecords(
  records: readonly QboRecord[],
  kind: EntityKind,
  { where, orderBy }: Pick<Statement, 'where' | 'orderBy'>,
): QboRecord[] {
  const asksForActive = where.some(({ field }) => field === 'Active');
  const tests = where.map((condition) => testFor(kind, condition));
  const order = orderBy.map(({ field, descending }) => {
    const type = typeOf(kind, field);
    return {
      read: (record: QboRecord) => comparable(type, valueAt(record, field)),
      sign: descending ? -1 : 1,
    };
  });
  const selected = records.filter(
    (record) =>
      (kind.list !== 'names' || asksForActive || record['Active'] !== false) &&
      tests.every((test) => test(record)),
  );
  return selected.sort((a, b) => {
    for (const { read, sign } of order) {
      const difference = compare(read(a), read(b));
      if (difference !== 0) return difference * sign;
    }
    return Number(a.Id) - Number(b.Id);
  });
}

/** Only the named fields, and always `Id`. */
export function projectRecord(
  record: QboRecord,
  kind: EntityKind,
  fields: readonly string[],
): Record<string, unknown> {
  const projected: Record<string, unknown> = { Id: record.Id, domain: 'QBO', sparse: true };
  for (const field of fields) {
    const [top = ''] = field.split('.', 1);
    if (!(top in record) && !(field in kind.filters)) throw unknownProperty(kind, field);
    if (top in record && top !== 'sparse') projected[top] = record[top];
  }
  return projected;
}

function testFor(kind: EntityKind, { field, operator, values }: Condition): (record: QboRecord) => boolean {
  const type = typeOf(kind, field);
  if (operator === 'LIKE') {
    const pattern = (values[0] ?? '').replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('%', '.*');
    const like = new RegExp(`^${pattern}$`, 'is');
    return (record) => like.test(textOf(plainOf(valueAt(record, field))));
  }
  const wanted = values.map((text) => {
    const value = comparable(type, text);
    if (value === undefined)
      throw faults.queryValidation(`value '${text}' is not valid for property ${field}`);
    return value;
  });
  const [first] = wanted;
  return (record) => {
    const value = comparable(type, valueAt(record, field));
    if (value === undefined || first === undefined) return false;
    if (operator === 'IN') return wanted.some((one) => compare(value, one) === 0);
    const difference = compare(value, first);
    if (operator === '=') return difference === 0;
    if (operator === '<') return difference < 0;
    if (operator === '>') return difference > 0;
    return operator === '<=' ? difference <= 0 : difference >= 0;
  };
}

function typeOf(kind: EntityKind, field: string): FieldType {
  const type = Object.hasOwn(kind.filters, field) ? kind.filters[field] : undefined;
  if (!type) throw unknownProperty(kind, field);
  return type;
}

function unknownProperty(kind: EntityKind, field: string) {
  return faults.queryValidation(`Property ${field} not found for Entity ${kind.name}`);
}

function valueAt(record: QboRecord, field: string): unknown {
  return field
    .split('.')
    .reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], record);
}

/** A reference stands for its id. */
function plainOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'value' in value ? value.value : value;
}

/** Undefined for a value that is missing or not of the type. Text is compared without regard to case. */
function comparable(type: FieldType, value: unknown): Comparable | undefined {
  const plain = plainOf(value);
  if (plain === undefined || plain === null) return undefined;
  const text = textOf(plain);
  switch (type) {
    case 'id':
    case 'reference':
      return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
    case 'number':
      return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : undefined;
    case 'boolean':
      return /^true$/i.test(text) ? true : /^false$/i.test(text) ? false : undefined;
    case 'date':
      return /^\d{4}-\d{2}-\d{2}/.test(text) ? text.slice(0, 10) : undefined;
    case 'time':
      return parseTime(text);
    case 'text':
      return text.toLowerCase();
  }
}

function compare(a: Comparable | undefined, b: Comparable | undefined): number {
  if (a === b) return 0;
  if (a === undefined) return -1;
  if (b === undefined) return 1;
  return a < b ? -1 : 1;
}
