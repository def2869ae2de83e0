import { errors } from './errors.ts';
import { parseTime } from './time.ts';

/** As the Swagger document has them: int32, string, boolean, date-time. */
export type ParameterType = 'int' | 'text' | 'flag' | 'time';

/** By name; a `!` after the type: it must be there. */
export type ParameterList = Readonly<Record<string, ParameterType | `${ParameterType}!`>>;

/** What was sent, by the declared name. Undefined: not sent, or sent empty. */
export interface Parameters {
  int(name: string): number | undefined;
  text(name: string): string | undefined;
  flag(name: string): boolean | undefined;
  /** Milliseconds since 1970. */
  time(name: string): number | undefined;
  has(name: string): boolean;
}

const dotNetType = { int: 'Int32', flag: 'Boolean', time: 'DateTime', text: 'String' } as const;

/** The query with names in lower case: the stack takes them in any. The first of several values counts. */
export function queryOf(url: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const [name, value] of new URL(url, 'http://localhost').searchParams) {
    if (!values.has(name.toLowerCase())) values.set(name.toLowerCase(), value);
  }
  return values;
}

/** The required ones of which the query has no value at all. */
export function missingParameters(list: ParameterList, query: ReadonlyMap<string, string>): string[] {
  return Object.entries(list)
    .filter(([name, type]) => type.endsWith('!') && !query.has(name.toLowerCase()))
    .map(([name]) => name);
}

/** Throws a 400 that names the first bad value of a required parameter, or else all bad ones of the others. */
export function readParameters(
  operation: string,
  list: ParameterList,
  query: ReadonlyMap<string, string>,
  zoneOffsetMinutes: number,
): Parameters {
  const values = new Map<string, number | string | boolean>();
  const bad: Record<string, string> = {};
  for (const [name, declared] of Object.entries(list)) {
    const type = declared.replace('!', '') as ParameterType;
    const sent = query.get(name.toLowerCase());
    const value = sent === undefined || sent.trim() === '' ? undefined : read(type, sent, zoneOffsetMinutes);
    if (value !== undefined && value !== null) values.set(name, value);
    // An empty text reaches the operation, which has its own words for it.
    else if (declared.endsWith('!') && type !== 'text')
      throw errors.nullEntry(name, dotNetType[type], operation);
    else if (value === null) bad[name] = sent!;
  }
  if (Object.keys(bad).length > 0) throw errors.badValues(bad);
  return {
    int: (name) => values.get(name) as number | undefined,
    text: (name) => values.get(name) as string | undefined,
    flag: (name) => values.get(name) as boolean | undefined,
    time: (name) => values.get(name) as number | undefined,
    has: (name) => values.has(name),
  };
}

/** Null when the text is no such value. */
function read(
  type: ParameterType,
  text: string,
  zoneOffsetMinutes: number,
): number | string | boolean | null {
  const trimmed = text.trim();
  switch (type) {
    case 'text':
      return trimmed;
    case 'int': {
      const value = /^[+-]?\d{1,10}$/.test(trimmed) ? Number(trimmed) : NaN;
      return value >= -(2 ** 31) && value < 2 ** 31 ? value : null;
    }
    case 'flag':
      return /^(true|false)$/i.test(trimmed) ? trimmed.toLowerCase() === 'true' : null;
    case 'time':
      return parseTime(trimmed, zoneOffsetMinutes) ?? null;
  }
}
