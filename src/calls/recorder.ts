import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Attempt } from './attempt.ts';
import type { HttpRequest, HttpResponse } from './http.ts';

/**
 * Writes what providers answer into files that tests replay (`test/support/replay.ts`), without whatever could be a
 * secret or a person's. A file for each request that was asked, the last answer wins; failed attempts are not kept.
 */
export interface Recording {
  request: { method: string; path: string; query: Record<string, string>; body: unknown };
  response: { status: number; headers: Record<string, string>; body: unknown };
}

/** Headers that say something of limits and paging; all others may name the account. */
const keptHeaders = /^(?:content-type|retry-after|x-ratelimit-.*|ratelimit.*|x-pagination)$/;
/** By their names, in any casing and spelling, wherever they stand. */
const hidden =
  /token|secret|passw|code$|^code|credential|signature|verifier|assertion|authorization|email|phone|fax|mobile|ssn|^ein$|^tin$|account(?:number|name)|routing|birth|address|^line\d|city|postal|zip|lat$|long$|(?:given|family|first|last|middle|real|display|legal|company|user|full)_?name/i;
/** Named like a secret, and none. */
const harmless = /_expires_in$|^token_type$/i;
const text = '[hidden]';

/** @param directory made where it is missing */
export function recorded(attempt: Attempt, directory: string): Attempt {
  const made = mkdir(directory, { recursive: true });
  return {
    async send(request, ...rest) {
      const result = await attempt.send(request, ...rest);
      if (result.kind === 'answered') {
        const recording = sanitized(request, result.response);
        await made;
        await writeFile(join(directory, fileOf(recording)), `${JSON.stringify(recording, null, 2)}\n`);
      }
      return result;
    },
    close: () => attempt.close(),
  };
}

/** Ids in paths and queries stay: they are what is asked for, and name no person. */
export function sanitized(request: HttpRequest, response: HttpResponse): Recording {
  const { pathname, searchParams } = new URL(request.url);
  const headers = Object.entries(response.headers).filter(([name]) => keptHeaders.test(name));
  return {
    request: {
      method: request.method,
      path: pathname,
      query: clean(Object.fromEntries(searchParams)) as Record<string, string>,
      body: request.body === undefined ? null : cleanBody(request.body),
    },
    response: {
      status: response.status,
      headers: Object.fromEntries(headers),
      body: cleanBody(response.body),
    },
  };
}

/** Of what is neither JSON nor a form nothing is kept but its length. */
function cleanBody(body: string): unknown {
  if (body === '') return '';
  try {
    return clean(JSON.parse(body));
  } catch {
    const form = new URLSearchParams(body);
    const isForm = /^[\w.~%*+-]+=/.test(body) && !/[\s<>]/.test(body);
    return isForm ? clean(Object.fromEntries(form)) : `[${body.length} characters]`;
  }
}

function clean(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(clean);
  if (typeof value !== 'object' || value === null)
    return typeof value === 'string' ? cleanText(value) : value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      hidden.test(name) && !harmless.test(name) ? hide(member) : clean(member),
    ]),
  );
}

/** What looks like a token or an address of mail is one, whatever its name. */
function cleanText(value: string): string {
  if (/[^\s@]@[^\s@]+\.[^\s@]/.test(value)) return text;
  return /^(?=.*\d)(?=.*[A-Za-z])[\w+/=.-]{32,}$/.test(value) ? text : value;
}

function hide(value: unknown): unknown {
  if (value === null || value === '' || typeof value === 'boolean') return value;
  if (Array.isArray(value)) return value.map(hide);
  if (typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, hide(member)]));
  return typeof value === 'number' ? 0 : text;
}

/** Readable, and one for each request. */
function fileOf({ request }: Recording): string {
  const hash = createHash('sha256').update(JSON.stringify(request)).digest('hex').slice(0, 8);
  const path = request.path.replaceAll(/[^\w]+/g, '-').replace(/^-|-$/g, '');
  return `${request.method.toLowerCase()}-${path.slice(0, 80)}-${hash}.json`;
}
