import { isIP } from 'node:net';
import { z } from 'zod';
import { classOf } from '../../calls/addresses.ts';

/** Forms of text in a file of integrations. A message never repeats the value: it could be a secret in the wrong place. */

export const choice = <const T extends readonly [string, ...string[]]>(...values: T) => z.enum(values);
export const count = z.int().min(1);
export const word = z.string().regex(/^\S(.*\S)?$/, 'must not be empty or begin or end with a space');
/** As `calls/valueAt.ts` takes it. */
export const path = z
  .string()
  .regex(/^[^.\s]+(\.[^.\s]+)*$/, 'must be names with dots between, e.g. data.id');

/** Where URLs may lead. */
export interface Trust {
  production: boolean;
  allowPrivateNetwork: boolean;
}

export const noTemplate =
  'must not have ${…}: connect has no input for it, so write the value out, one entry for each';

/**
 * An address that we call or send people to: https, or http to this machine outside production; no credentials, no
 * fragment. What its name leads to is judged at each call (`calls/addresses.ts`).
 */
export function wrongUrl(text: string, { production, allowPrivateNetwork }: Trust): string | undefined {
  if (text.includes('${')) return noTemplate;
  if (!URL.canParse(text) || !/^https?:\/\/[^/]/i.test(text)) return 'must be an https URL';
  const url = new URL(text);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
  const isLoopback = host === 'localhost' || (isIP(host) !== 0 && classOf(host) === 'loopback');
  if (url.protocol !== 'https:' && (production || !isLoopback))
    return production ? 'must be an https URL' : 'must be an https URL, or http to this machine';
  if (url.username !== '' || url.password !== '') return 'must not have a user name or password in it';
  if (url.hash !== '' || text.includes('#')) return 'must not have a fragment';
  const found = host === 'localhost' ? 'loopback' : isIP(host) === 0 ? 'public' : classOf(host);
  if (found === 'reserved') return 'leads to an address that nobody serves an API at';
  if (found === 'private' || (found === 'loopback' && production))
    return allowPrivateNetwork
      ? undefined
      : 'is in a private network: say allowPrivateNetwork: true to allow that';
  return undefined;
}

export const callableUrl = (trust: Trust) =>
  z
    .string()
    .superRefine((text, ctx) => {
      const wrong = wrongUrl(text, trust);
      if (wrong !== undefined) ctx.addIssue({ code: 'custom', message: wrong });
    })
    .meta({ format: 'uri' });

/** What paths are appended to. */
export const baseUrl = (trust: Trust) =>
  callableUrl(trust)
    .regex(/^[^?]*$/, 'must not have a query: there is defaultQuery')
    .transform((text) => text.replace(/\/+$/, ''));

function wrongTemplate(text: string, known: readonly string[]): string | undefined {
  if (text.includes('${')) return noTemplate;
  const unknown = [...text.matchAll(/\{([^{}]*)\}/g)].find(([, name]) => !known.includes(name!));
  if (!unknown && !/[{}]/.test(text.replaceAll(/\{[^{}]*\}/g, ''))) return undefined;
  return `may have ${known.map((name) => `{${name}}`).join(' and ')} in it, and no other braces`;
}

/** Text with the names of values in braces. */
export const template = (...known: string[]) =>
  z
    .string()
    .regex(/^[\x20-\x7e]*$/, 'must be plain ASCII')
    .superRefine((text, ctx) => {
      const wrong = wrongTemplate(text, known);
      if (wrong !== undefined) ctx.addIssue({ code: 'custom', message: wrong });
    });

/** What is appended to `api.baseUrl`: it cannot lead to another host. */
export const relativePath = (...known: string[]) =>
  template(...known).regex(/^\/(?![/\\])[^#\s\\]*$/, 'must begin with one / and have no fragment or space');

/**
 * A regular expression for ids, anchored for its author. It must not take `.` and `..`: in a path they would lead
 * elsewhere.
 */
export const identifierPattern = z.string().superRefine((text, ctx) => {
  const pattern = compiled(text);
  if (!pattern) ctx.addIssue({ code: 'custom', message: 'must be a regular expression' });
  else if (['', '.', '..'].some((id) => pattern.test(id)))
    ctx.addIssue({ code: 'custom', message: 'must not match an empty text, . or ..' });
});

/** Undefined for what is no regular expression. */
export function compiled(text: string): RegExp | undefined {
  try {
    return new RegExp(`^(?:${text})$`);
  } catch {
    return undefined;
  }
}

/** Why a header cannot be set by configuration; undefined where it can. */
export function plainHeader(name: string): string | undefined {
  if (!/^[A-Za-z][A-Za-z0-9-]*$/.test(name)) return 'must be a header name';
  if (ofSecrets.has(name.toLowerCase())) return 'carries a secret, which does not belong into this file';
  return ofTransport.has(name.toLowerCase()) ? 'is set by us: leave it out' : undefined;
}

const ofSecrets = new Set(['authorization', 'proxy-authorization', 'cookie', 'x-api-key', 'api-key']);
const ofTransport = new Set([
  'host',
  'connection',
  'content-length',
  'content-type',
  'transfer-encoding',
  'upgrade',
  'expect',
  'te',
  'trailer',
  'keep-alive',
]);
