import type { HttpResponse } from '../../calls/http.ts';
import { valueAt } from '../../calls/valueAt.ts';
import { timeOf } from '../announcements.ts';
import { asObject, jsonIn } from '../httpFaults.ts';
import type { ProviderRequest, RecordSnapshot, Target } from '../provider.ts';
import type { ResourceFacts } from './resourceShape.ts';
import type { Entry } from './schema.ts';

/** How a described API is called, and what its answers have where. */

/**
 * A read of `path`, whose `{names}` are replaced by `values`, encoded: a value cannot lead to another path or host. A
 * header or parameter that needs an account id is left out while none is known.
 */
export function readRequest(
  { api }: Entry,
  target: Target,
  operation: string,
  path: string,
  values: Readonly<Record<string, string>> = {},
  query: Readonly<Record<string, string>> = {},
): ProviderRequest {
  const known = { ...values, ...(target.externalId !== '' && { accountId: target.externalId }) };
  const url = new URL(`${target.apiUrl}${filled(path, known, encodeURIComponent)}`);
  if (url.origin !== new URL(target.apiUrl).origin) throw new TypeError('A path leads to another host.');
  for (const [name, value] of Object.entries({ ...usable(api.defaultQuery, known), ...query }))
    if (!url.searchParams.has(name)) url.searchParams.set(name, value);
  const headers = Object.entries(usable(api.headers, known)).map(([name, value]) => [
    name.toLowerCase(),
    value,
  ]);
  return {
    method: 'GET',
    url: url.href,
    headers: {
      accept: 'application/json',
      'user-agent': 'integrations-subgraph',
      ...(Object.fromEntries(headers) as Record<string, string>),
    },
    operation,
    isRead: true,
  };
}

type Values = Readonly<Record<string, string>>;

const filled = (template: string, values: Values, encode: (text: string) => string) =>
  template.replaceAll(/\{(\w+)\}/g, (_, name: string) => encode(values[name] ?? ''));

function usable(templates: Values, values: Values): Values {
  const own = Object.entries(templates).filter(([, template]) =>
    [...template.matchAll(/\{(\w+)\}/g)].every(([, name]) => values[name!] !== undefined),
  );
  return Object.fromEntries(own.map(([name, template]) => [name, filled(template, values, (text) => text)]));
}

/** At `path` of the answer, or all of it. */
export function answerAt(response: HttpResponse, path: string | undefined): unknown {
  const body = jsonIn(response.body);
  return path === undefined ? body : valueAt(body, path);
}

/** Of a form that is safe to store, to show and to put into a URL. Numbers too large to be exact are none. */
export function idOf(value: unknown): string | undefined {
  const text = Number.isSafeInteger(value) ? String(value) : value;
  const isUsable = typeof text === 'string' && /^[\x21-\x7e]{1,200}$/.test(text) && !/^\.{1,2}$/.test(text);
  return isUsable ? text : undefined;
}

/** @param asked the id that was asked for, where the answer can be about that record only */
export function snapshotOf(value: unknown, facts: ResourceFacts, asked?: string): RecordSnapshot | undefined {
  const payload = asObject(value);
  if (!payload) return undefined;
  const own = valueAt(payload, facts.idPath);
  const externalId = own === undefined ? asked : idOf(own);
  if (externalId === undefined) return undefined;
  const updated = facts.updatedAtPath === undefined ? undefined : valueAt(payload, facts.updatedAtPath);
  return { externalId, payload, updatedAt: timeIn(updated) };
}

/** ISO 8601, seconds or milliseconds since 1970, or .NET's `/Date(1573755038314)/`. */
export function timeIn(value: unknown): Date | null {
  const dotNet =
    typeof value === 'string' ? /^\/Date\((\d{1,15})(?:[+-]\d{4})?\)\/$/.exec(value)?.[1] : undefined;
  const isDigits = typeof value === 'string' && /^\d{9,15}$/.test(value);
  const count =
    dotNet !== undefined || isDigits || typeof value === 'number' ? Number(dotNet ?? value) : undefined;
  if (count === undefined) return timeOf(value);
  // Seconds reach this in the year 5138, milliseconds did in 1973.
  const time = new Date(dotNet !== undefined || count > 1e11 ? count : count * 1_000);
  return count > 0 && !Number.isNaN(time.getTime()) ? time : null;
}

export const listAt = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);
