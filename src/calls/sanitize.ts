import { redact, type HttpRequest, type HttpResponse } from './http.ts';

/**
 * One request to a provider and its answer without whatever could be a secret or a person's: fit to be kept in a file
 * and replayed. Of equal requests the sanitised forms are equal, whenever they are made and whatever token they carry.
 */
export interface Recording {
  request: RecordedRequest;
  response: RecordedResponse;
}

export interface RecordedRequest {
  method: string;
  path: string;
  query: Record<string, string>;
  /** JSON and forms as an object; null without a body; of anything else only its length. */
  body: unknown;
}

export interface RecordedResponse {
  status: number;
  headers: Record<string, string>;
  body: unknown;
}

export const hiddenText = '[hidden]';
const aTime = '[time]';

/** Headers that say something of limits and paging; all others may name the account or hold a cookie. */
const keptHeaders = /^(?:content-type|retry-after|x-ratelimit-.*|x-rate-limit-.*|ratelimit.*|x-pagination)$/;
/** By their names, in any casing and spelling, wherever they stand. */
const secretNames =
  /token|secret|passw|passphrase|credential|signature|verifier|challenge|nonce|assertion|authorization|cookie|session|api_?key|private_?key|client_?id|redirect_?uri|(?:auth\w*|device|user|verification|access|one_?time|otp|pin)_?code$|^otp$|^pin$|^state$/i;
const personalNames =
  /e-?mail|phone|fax|mobile|^cell|^tel|skype|ssn$|^ssn|ein$|^tin|tin$|tax_?(?:id|number|identifier)|acct_?num|account_?num|routing|iban|swift|card_?num|birth|^dob$|gender|address|addr$|^line\d|street|city$|postal|zip|^lat$|^lo?ng$|geo_?loc|latitude|longitude|company_?rep|dun_?bradstreet|^ip$|name$|name_normalized$|^owner$|created_?by|modified_?by|avatar|^image_|photo|^title$|^status_text$/i;
/** Named like a secret, and none: lifetimes, kinds, versions, and what says where the next page is. */
const harmlessNames =
  /_expires_in$|^expires|^token_type$|^sync_?token$|^(?:next|prev|previous|page|continuation)(?:_?page)?_?token$/i;
/** In a request `code` is a credential (RFC 6749 §4.1.3); in an answer it says what is wrong. */
const requestOnly = /^code$/i;

/** By themselves, whatever their names: addresses of mail, telephone, social security and employer's numbers, tokens. */
const hiddenShapes: readonly RegExp[] = [
  /[^\s@]@[^\s@]+\.[^\s@]/,
  /(?<!\d)(?:\+\d[\d .()-]{7,}\d|\(\d{3}\)[ .-]?\d{3}[ .-]?\d{4}|\d{3}[ .-]\d{3}[ .-]\d{4})(?!\d)/,
  /(?<![\d-])(?:\d{3}-\d{2}-\d{4}|\d{2}-\d{7})(?![\d-])/,
  /(?<![A-Za-z\d])(?:eyJ[\w-]{8,}|(?:xox[a-z]|xapp|xwfp)[-.][\w.-]+)/i,
  /\b(?:bearer|basic)[ +][\w.~+/=-]{6,}/i,
  /-----BEGIN /,
];
const opaque = /(?=[^\s]*\d)(?=[^\s]*[A-Za-z])[\w+/=.~%-]{32,}/;
const uuid = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;
const time = /\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?/g;

/** @param masked further names that hide their values: of a provider, all that it masks */
export function sanitized(
  request: HttpRequest,
  response: HttpResponse,
  masked: readonly string[] = [],
): Recording {
  const headers = Object.entries(response.headers).filter(([name]) => keptHeaders.test(name));
  const clean = createClean(masked, 'response');
  return {
    request: sanitizedRequest(request, masked),
    response: {
      status: response.status,
      headers: Object.fromEntries(headers),
      body: cleanBody(response.body, clean),
    },
  };
}

/** Ids in paths and queries stay, for they are what is asked for. Times do not: no two requests would be equal. */
export function sanitizedRequest(request: HttpRequest, masked: readonly string[] = []): RecordedRequest {
  const { pathname, searchParams } = new URL(request.url);
  const clean = createClean(masked, 'request');
  const segments = pathname.split('/').map((segment) => cleanText(decoded(segment), 'request'));
  return {
    method: request.method,
    path: segments.join('/'),
    query: clean(Object.fromEntries(searchParams)) as Record<string, string>,
    body: request.body === undefined || request.body === '' ? null : cleanBody(request.body, clean),
  };
}

type Side = 'request' | 'response';
type Clean = (value: unknown) => unknown;

function createClean(masked: readonly string[], side: Side): Clean {
  const own = new Set(masked.map((name) => name.toLowerCase()));
  const isHidden = (name: string) =>
    own.has(name.toLowerCase()) ||
    (side === 'request' && requestOnly.test(name)) ||
    ((secretNames.test(name) || personalNames.test(name)) && !harmlessNames.test(name));
  const clean: Clean = (value) => {
    if (Array.isArray(value)) return value.map(clean);
    if (typeof value === 'string') return cleanText(value, side, clean);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [name, isHidden(name) ? hide(member) : clean(member)]),
    );
  };
  return clean;
}

/** The shape stays: whether there was a value, and of what kind. */
function hide(value: unknown): unknown {
  if (value === null || value === '' || typeof value === 'boolean') return value;
  if (Array.isArray(value)) return value.map(hide);
  if (typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, hide(member)]));
  return typeof value === 'number' ? 0 : hiddenText;
}

/** Of what is neither JSON nor a form nothing is kept but its length. */
function cleanBody(body: string, clean: Clean): unknown {
  if (body === '') return '';
  const json = jsonIn(body);
  if (json !== undefined) return clean(json);
  const isForm = /^[\w.~%*+-]+=/.test(body) && !/[\s<>]/.test(body);
  return isForm ? clean(Object.fromEntries(new URLSearchParams(body))) : `[${body.length} characters]`;
}

function cleanText(text: string, side: Side, clean?: Clean): string {
  if (uuid.test(text)) return text;
  const inner = clean && /^\s*[[{]/.test(text) ? jsonIn(text) : undefined;
  if (clean && inner !== undefined) return JSON.stringify(clean(inner));
  const plain = side === 'request' ? text.replaceAll(time, aTime) : text;
  if (/^https?:\/\//i.test(plain) && URL.canParse(plain)) {
    const { origin, pathname, search } = new URL(plain);
    const path = pathname.split('/').map((segment) => cleanText(decoded(segment), side));
    return `${origin}${path.join('/')}${search === '' ? '' : `?${hiddenText}`}`;
  }
  if (hiddenShapes.some((shape) => shape.test(plain)) || opaque.test(plain)) return hiddenText;
  // A provider's prose may repeat what it was sent.
  return side === 'response' && /\s/.test(plain) ? redact(plain) : plain;
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return hiddenText;
  }
}
