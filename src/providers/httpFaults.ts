import {
  faultDetails,
  redact,
  type Classify,
  type Fault,
  type HttpResponse,
  type RawDetail,
} from '../calls/http.ts';

/**
 * What plain HTTP says about a failure. Integrations described by configuration are judged by this alone
 * (`createHttpClassify`); the built-in providers fall back on it where their own codes say nothing.
 */

/** What an answer can mean, in our words; `name` is the provider's. */
const words = {
  BAD_REQUEST: (name: string) => `${name} did not understand a request of ours.`,
  UNAUTHENTICATED: (name: string) => `${name} does not accept the access token.`,
  FORBIDDEN: (name: string) => `${name} does not allow this to the one who connected it.`,
  NOT_FOUND: (name: string) => `${name} has no such object.`,
  CONFLICT: (name: string) => `${name} has a newer or another object in the way.`,
  VALIDATION_FAILED: (name: string) => `${name} refused the values.`,
  RATE_LIMITED: (name: string) => `${name} asks for fewer requests.`,
  PROVIDER_ERROR: (name: string) => `${name} is in trouble.`,
  REAUTHORIZATION_REQUIRED: (name: string) => `${name} no longer lets us in: connect again.`,
  SCOPES_INSUFFICIENT: (name: string) => `${name} was not asked for the permission that this needs.`,
} as const satisfies Partial<Record<Fault['code'], (name: string) => string>>;

export type AnswerCode = keyof typeof words;

/** `retryable` where the code alone would say otherwise. */
export interface Verdict {
  code: AnswerCode;
  retryable?: boolean;
}

/** Statuses with a meaning of their own; other 4xx are a BAD_REQUEST, and all else is the provider's trouble. */
const byStatus: ReadonlyMap<number, Verdict> = new Map([
  [401, { code: 'UNAUTHENTICATED' }],
  [402, { code: 'FORBIDDEN' }],
  [403, { code: 'FORBIDDEN' }],
  [404, { code: 'NOT_FOUND' }],
  // The server gave up waiting for the request: nothing was processed (RFC 9110 §15.5.9).
  [408, { code: 'PROVIDER_ERROR' }],
  [409, { code: 'CONFLICT', retryable: true }],
  [410, { code: 'NOT_FOUND' }],
  [412, { code: 'CONFLICT', retryable: true }],
  // Another connection may reach the right server (RFC 9110 §15.5.20).
  [421, { code: 'PROVIDER_ERROR' }],
  [422, { code: 'VALIDATION_FAILED' }],
  // Locked by somebody; locks end (RFC 4918 §11.3).
  [423, { code: 'CONFLICT', retryable: true }],
  // Too early in the TLS handshake; later is fine (RFC 8470 §5.2).
  [425, { code: 'PROVIDER_ERROR' }],
  [429, { code: 'RATE_LIMITED' }],
  [451, { code: 'FORBIDDEN' }],
  // A method or version that the server does not have will not grow by waiting.
  [501, { code: 'PROVIDER_ERROR', retryable: false }],
  [505, { code: 'PROVIDER_ERROR', retryable: false }],
]);

/** For a status that is not a success. Redirects are the provider's trouble: following one would move the token. */
export function verdictOf(status: number): Verdict {
  return byStatus.get(status) ?? { code: status >= 400 && status < 500 ? 'BAD_REQUEST' : 'PROVIDER_ERROR' };
}

/** How one provider speaks. */
export interface Dialect {
  /** As people know it. */
  name: string;
  /** Headers that name a request, lower case; the first one present counts. */
  requestIdHeaders: readonly string[];
  words?: Partial<Record<AnswerCode, string>>;
}

/** What was read from an answer; everything is checked and redacted on its way into the fault. */
export interface Reading extends Verdict {
  providerCode?: unknown;
  details?: readonly RawDetail[];
  retryAfterMs?: number;
}

export function faultOf(dialect: Dialect, { headers }: HttpResponse, reading: Reading): Fault {
  const { code, retryable, retryAfterMs } = reading;
  const providerCode = codeText(reading.providerCode);
  const requestId = dialect.requestIdHeaders.map((name) => headers[name]).find((id) => id !== undefined);
  const details = faultDetails(reading.details ?? []);
  return {
    code,
    message: dialect.words?.[code] ?? words[code](dialect.name),
    ...(providerCode !== undefined && { providerCode }),
    ...(requestId !== undefined && /^[\w.:-]{1,128}$/.test(requestId) && { requestId }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(retryable !== undefined && { retryable }),
    ...(details.length > 0 && { details }),
  };
}

export const usualRequestIdHeaders = [
  'x-request-id',
  'request-id',
  'x-correlation-id',
  'x-amzn-requestid',
  'x-ms-request-id',
];

/** Judges by status and headers alone: what a success has in its body is not looked at. */
export function createHttpClassify(name: string, requestIdHeaders = usualRequestIdHeaders): Classify {
  const dialect: Dialect = { name, requestIdHeaders };
  return (response) => {
    if (response.status >= 200 && response.status < 300) return undefined;
    const details = detailsIn(response.body);
    const providerCode = details.map(({ code }) => codeText(code)).find((code) => code !== undefined);
    return faultOf(dialect, response, { ...byHeaders(response), details, providerCode });
  };
}

/** 403 has two further uses: a scope that is missing (RFC 6750 §3.1), and a throttle (GitHub and others). */
function byHeaders({ status, headers }: HttpResponse): Verdict {
  if (status === 403 && /\berror="?insufficient_scope\b/.test(headers['www-authenticate'] ?? ''))
    return { code: 'SCOPES_INSUFFICIENT' };
  if (status === 403 && (headers['retry-after'] !== undefined || headers['x-ratelimit-remaining'] === '0'))
    return { code: 'RATE_LIMITED' };
  return verdictOf(status);
}

/** A provider's code that is fit to be shown; undefined for what is no code or could be a secret. */
export function codeText(value: unknown): string | undefined {
  const code = textOf(value);
  return code !== undefined && /^[\w.:-]{1,64}$/.test(code) && redact(code) === code ? code : undefined;
}

/**
 * What an error body says, in the forms that are about: problem+json (RFC 9457), OAuth's `error` and
 * `error_description`, `message` or `error.message` with a code, lists under `errors` (JSON:API, GraphQL), lists by
 * field (ASP.NET, Laravel), plain text, and the title of a page. Names count in any case. Not redacted yet.
 */
export function detailsIn(body: string): RawDetail[] {
  const json = jsonIn(body);
  if (json !== undefined) return detailsOf(json, 5);
  const start = body.slice(0, 4_096);
  if (!/^\s*</.test(start)) return [{ message: start }];
  const title = /<title[^<>]{0,100}>([^<]{1,300})/i.exec(start)?.[1];
  return title === undefined ? [] : [{ message: title }];
}

function detailsOf(value: unknown, deeper: number): RawDetail[] {
  if (typeof value === 'string') return [{ message: value }];
  if (deeper === 0) return [];
  if (Array.isArray(value)) return value.slice(0, 10).flatMap((one) => detailsOf(one, deeper - 1));
  if (!asObject(value)) return [];
  const at = lowerCased(value);
  const error = textOf(at.error);
  const code = [at.code, at.errorcode, at.error_code, at.type, lowerCased(at.extensions).code];
  const own: RawDetail = {
    code: error ?? code.map(textOf).find((one) => one !== undefined && one !== 'about:blank'),
    message: sentence([
      at.title,
      at.message ?? at.error_message ?? at.reason,
      at.error_description,
      at.detail ?? at.messagedetail,
      at.exceptionmessage,
    ]),
    element: [at.element, at.field, at.param, at.name, lowerCased(at.source).pointer]
      .map(textOf)
      .find((one) => one !== undefined),
  };
  const inner = [...(error === undefined ? [at.error] : []), at.errors, at['invalid-params']];
  const nested = inner.flatMap((one) => [...byField(one), ...detailsOf(one, deeper - 1)]);
  const said = own.code !== undefined || own.message !== undefined;
  return [...(said ? [own] : []), ...nested, ...byField(at.modelstate)];
}

/** `{ "Email": ["is not one"] }` */
function byField(value: unknown): RawDetail[] {
  return Object.entries(asObject(value) ?? {})
    .slice(0, 10)
    .filter((entry): entry is [string, unknown[]] => Array.isArray(entry[1]))
    .flatMap(([element, said]) =>
      said.filter((one) => typeof one === 'string').map((message) => ({ element, message })),
    )
    .slice(0, 10);
}

export function sentence(parts: readonly unknown[]): string | undefined {
  const said = parts.map(textOf).filter((part) => part !== undefined && part !== '');
  return said.length > 0 ? [...new Set(said)].join(': ') : undefined;
}

const lowerCased = (value: unknown): Record<string, unknown> =>
  Object.fromEntries(Object.entries(asObject(value) ?? {}).map(([name, one]) => [name.toLowerCase(), one]));

export const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;

export const asObject = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;

/** Undefined for what is not JSON. */
export function jsonIn(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return undefined;
  }
}
