import { isAlias, isMap, isScalar, isSeq, type Document, type LineCounter, type Node } from 'yaml';
import type { z } from 'zod';
import type { JsonSchema } from './jsonSchema.ts';

/** What is wrong with a file, in words for the one who wrote it: what, where, and what was meant. */
export interface Mistake {
  path: (string | number)[];
  message: string;
}

/** The line and column, from 1, of what `path` names; of what should have it, where that is missing. */
export function positionOf(
  document: Document,
  lines: LineCounter,
  path: readonly (string | number)[],
): { line: number; col: number } {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    let next: unknown;
    if (isMap(node)) {
      const pair = node.items.find(
        ({ key }) => (isScalar(key) ? String(key.value) : undefined) === String(step),
      );
      next = pair?.value ?? pair?.key;
      offset = startOf(pair?.key) ?? offset;
    } else if (isSeq(node)) {
      next = node.items[Number(step)];
      offset = startOf(next) ?? offset;
    }
    if (next === undefined) break;
    node = next;
  }
  return lines.linePos(offset);
}

const startOf = (node: unknown): number | undefined => (node as Node | null | undefined)?.range?.[0];

/** `acme.api.baseUrl`, `acme.rateLimits[0].limit`: entries by their ids. */
export function named(path: readonly (string | number)[], data: unknown): string {
  const [root, index, ...rest] = path;
  const id = typeof index === 'number' ? idAt(data, index) : undefined;
  const steps = id === undefined ? path : [id, ...rest];
  if (root === undefined) return 'the file';
  return steps
    .map((step, i) => (typeof step === 'number' ? `[${step}]` : `${i > 0 ? '.' : ''}${step}`))
    .join('');
}

export function idAt(data: unknown, index: number): string | undefined {
  const list = (data as { integrations?: unknown } | null)?.integrations;
  const entry: unknown = Array.isArray(list) ? list[index] : undefined;
  const id = (entry as { id?: unknown } | null | undefined)?.id;
  return typeof id === 'string' && /^[\w-]{1,60}$/.test(id) ? id : undefined;
}

/** How settings name an integration: `acme-crm` becomes `ACME_CRM_`. */
export const settingPrefix = (id: string) => `${id.toUpperCase().replaceAll('-', '_')}_`;

/** What an entry is held to. */
export interface Context {
  at: readonly (string | number)[];
  /** As it was read. */
  raw: unknown;
  id: string | undefined;
  schema: JsonSchema;
  /** Of entries that are not built in: has more. */
  wider?: JsonSchema;
}

export function mistakesOf(issues: readonly z.core.$ZodIssue[], context: Context): Mistake[] {
  return issues.flatMap((issue): Mistake[] => {
    const inner = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
    const path = [...context.at, ...inner];
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({ path: [...path, key], message: unknown(key, inner, context) }));
    if (issue.code === 'invalid_key') return [{ path, message: issue.issues[0]?.message ?? 'is not a name' }];
    const isMissing = issue.code === 'invalid_type' && stepsInto(context.raw, inner) === undefined;
    return [{ path, message: isMissing ? 'is missing' : wording(issue) }];
  });
}

const stepsInto = (value: unknown, path: readonly (string | number)[]): unknown =>
  path.reduce<unknown>((at, step) => (at as Record<string, unknown> | null | undefined)?.[step], value);

function wording(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_value')
    return `must be ${listed(issue.values.map((one) => JSON.stringify(one)))}`;
  if (issue.code === 'invalid_type') return `must be ${kinds[issue.expected] ?? issue.expected}`;
  if (issue.code === 'too_small' && issue.origin !== 'array') return `must be at least ${issue.minimum}`;
  if (issue.code === 'too_big') return `must be at most ${issue.maximum}`;
  if (issue.code === 'invalid_format' && issue.format === 'url') return 'must be a URL';
  return issue.message;
}

const kinds: Record<string, string> = {
  string: 'text (in quotes where YAML takes it for something else)',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a map of names and values',
  record: 'a map of names and values',
  array: 'a list',
};

const listed = (all: readonly string[]) =>
  all.length < 2 ? all.join('') : `${all.slice(0, -1).join(', ')} or ${all.at(-1)!}`;

function unknown(key: string, path: readonly (string | number)[], { id, schema, wider }: Context): string {
  const secret = secrets.get(plain(key));
  if (secret !== undefined)
    return `does not belong into the file: set ${id === undefined ? '<ID>_' : settingPrefix(id)}${secret}`;
  if (wider && path.length === 0 && Object.hasOwn(wider.properties ?? {}, key))
    return 'cannot be changed of a built-in integration';
  const here = path.reduce<JsonSchema | undefined>(stepInto, schema);
  const suggestion =
    nearest(key, Object.keys(here?.properties ?? {})) ??
    placesOf(schema).find((place) => place.endsWith(`.${key}`));
  return suggestion === undefined ? 'is not known' : `is not known: did you mean ${suggestion}?`;
}

const stepInto = (at: JsonSchema | undefined, step: string | number): JsonSchema | undefined =>
  typeof step === 'number' ? at?.items : (at?.properties?.[step] ?? (at?.additionalProperties || undefined));

/** All members that lists and maps do not stand between. */
const placesOf = ({ properties = {} }: JsonSchema): string[] =>
  Object.entries(properties).flatMap(([name, own]) => [
    name,
    ...placesOf(own).map((place) => `${name}.${place}`),
  ]);

const secrets: ReadonlyMap<string, string> = new Map([
  ['clientid', 'CLIENT_ID'],
  ['clientsecret', 'CLIENT_SECRET'],
  ['secret', 'CLIENT_SECRET'],
  ['apikey', 'CLIENT_SECRET'],
  ['password', 'CLIENT_SECRET'],
  ['webhooksecret', 'WEBHOOK_SECRETS'],
  ['webhooksecrets', 'WEBHOOK_SECRETS'],
  ['signingsecret', 'WEBHOOK_SECRETS'],
]);

const plain = (name: string) => name.toLowerCase().replaceAll(/[^a-z0-9]/g, '');

/** One that contains the other, or the least different within a third of its letters. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = plain(name);
  const scored = known.map((one) => {
    const other = plain(one);
    const isPart =
      Math.min(wanted.length, other.length) > 2 && (other.includes(wanted) || wanted.includes(other));
    return { one, far: isPart ? 0.2 : distance(wanted, other) / Math.max(wanted.length, other.length) };
  });
  const best = scored.toSorted((a, b) => a.far - b.far)[0];
  return best && best.far <= 0.4 ? best.one : undefined;
}

/** Letters to insert, delete or replace (Levenshtein). */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, letter] of Array.from(a).entries()) {
    const row = [i + 1];
    for (const [j, other] of Array.from(b).entries())
      row.push(Math.min(row[j]! + 1, previous[j + 1]! + 1, previous[j]! + (letter === other ? 0 : 1)));
    previous = row;
  }
  return previous[b.length]!;
}
