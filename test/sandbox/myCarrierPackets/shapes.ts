import { createHash } from 'node:crypto';
import { declaredModels, declaredWideModels } from './declared.ts';

export interface Declared {
  name: string;
  type: string;
  required: boolean;
}

/** `DOTNumber:int32 name!` and the like. */
export function declaredIn(list: string): Declared[] {
  return list
    .trim()
    .split(/\s+/)
    .map((pair) => {
      const [name = '', type = 'string'] = pair.split(':');
      return { name: name.replace('!', ''), type, required: name.endsWith('!') };
    });
}

/**
 * Where `value` is not what is declared: members too many or too few, and wrong types. Anything may be null, since the
 * document says nothing of that. `seen` collects the models that were met.
 */
export function shapeProblems(
  value: unknown,
  type: string,
  seen: Set<string> = new Set(),
  path = '',
): string[] {
  if (value === null) return [];
  if (type.endsWith('[]')) {
    if (!Array.isArray(value)) return [`${path}: no list`];
    return value.flatMap((item, index) => shapeProblems(item, type.slice(0, -2), seen, `${path}[${index}]`));
  }
  const wide = declaredWideModels[type];
  if (wide) {
    seen.add(type);
    const pairs = Object.entries(value as object).map(([name, member]) => `${name}:${jsonType(member)}`);
    const sha256 = createHash('sha256').update(pairs.sort().join(' ')).digest('hex');
    return sha256 === wide.sha256 && pairs.length === wide.members ? [] : [`${path}: not ${type}`];
  }
  const model = declaredModels[type];
  if (!model) return isOfType(value, type) ? [] : [`${path}: ${JSON.stringify(value)} is no ${type}`];
  if (typeof value !== 'object' || Array.isArray(value)) return [`${path}: no ${type}`];
  seen.add(type);
  const members = declaredIn(model);
  const names = new Set(members.map(({ name }) => name));
  const undeclared = Object.keys(value).filter((name) => !names.has(name));
  return [
    ...undeclared.map((name) => `${path}.${name}: not declared`),
    ...members.flatMap(({ name, type: memberType }) =>
      name in value
        ? shapeProblems((value as Record<string, unknown>)[name], memberType, seen, `${path}.${name}`)
        : [`${path}.${name}: missing`],
    ),
  ];
}

const jsonType = (value: unknown) => (typeof value === 'number' ? 'int32' : typeof value);

function isOfType(value: unknown, type: string): boolean {
  const [name = '', allowed] = type.replace(')', '').split('(');
  switch (name) {
    case 'string':
    case 'boolean':
      return typeof value === name;
    case 'object':
      return typeof value === 'object';
    case 'double':
      return typeof value === 'number';
    case 'int64':
      return Number.isSafeInteger(value);
    case 'int32':
      return (
        Number.isInteger(value) &&
        Math.abs(value as number) < 2 ** 31 &&
        (allowed === undefined || allowed.split(',').includes(String(value)))
      );
    case 'date-time':
      return (
        typeof value === 'string' && /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{0,6}[1-9])?$/.test(value)
      );
    default:
      throw new Error(`no type ${type}`);
  }
}
