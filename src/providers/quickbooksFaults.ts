import type { Fault, HttpResponse, RawDetail } from '../calls/http.ts';
import {
  asObject,
  codeText as anyCodeText,
  detailsIn,
  faultOf,
  jsonIn,
  sentence,
  textOf,
  verdictOf,
  type Dialect,
  type Verdict,
} from './httpFaults.ts';

const dialect: Dialect = {
  name: 'QuickBooks',
  requestIdHeaders: ['intuit_tid'],
  words: {
    FORBIDDEN: 'The QuickBooks company, its plan or its books do not allow this.',
    REAUTHORIZATION_REQUIRED: 'QuickBooks no longer lets us into this company: connect again.',
  },
};

/** Intuit documents no Retry-After, only the advice to wait a minute. A header that can be read wins. */
const throttlePauseMs = 60_000;

/**
 * The fault's own code decides before the HTTP status: a 200 can carry one, and a throttle comes as 403 and 503 too.
 * But a server in trouble proves nothing about a connection: from a 5xx only the throttle is believed.
 */
export function classifyQuickBooks(response: HttpResponse): Fault | undefined {
  const { status, body } = response;
  const answer = asObject(jsonIn(body));
  const found = answer ? faultIn(answer) : faultInXml(body);
  if (status < 300 && !found && answer) return undefined;
  return judged(response, status, found ?? { details: detailsIn(body) });
}

/**
 * The items of a batch, each judged as an answer of its own: HTTP says 200 even where all of them failed. Every one
 * of `bIds` has an entry, a Fault or undefined for a success; an item that the answer lacks is a PROVIDER_ERROR and
 * may have been carried out. RATE_LIMITED on one item means that the rest of the company's budget is gone too.
 * Where `response` is no batch answer at all, every item has its fault.
 */
export function classifyQuickBooksBatch(
  response: HttpResponse,
  bIds: readonly string[],
): Map<string, Fault | undefined> {
  const whole = classifyQuickBooks(response);
  if (whole) return new Map(bIds.map((bId) => [bId, whole]));
  const answer = asObject(jsonIn(response.body));
  const list = answer?.BatchItemResponse ?? answer?.batchItemResponse;
  const items = (Array.isArray(list) ? list : []).map(asObject);
  const byId = new Map(items.map((item) => [textOf(item?.bId ?? item?.bid), item]));
  return new Map(
    bIds.map((bId) => {
      const item = byId.get(bId);
      const found = item && faultIn(item);
      const hasContent = item !== undefined && Object.keys(item).length > 1;
      if (hasContent && !found) return [bId, undefined];
      return [bId, judged(response, 200, found ?? { details: [] })];
    }),
  );
}

interface Found {
  code?: string | undefined;
  type?: string | undefined;
  details: readonly RawDetail[];
}

function judged(response: HttpResponse, status: number, found: Found): Fault {
  const verdict = verdictFor(status, found);
  return faultOf(dialect, response, {
    ...verdict,
    providerCode: found.code,
    details: found.details,
    ...(verdict.code === 'RATE_LIMITED' && { retryAfterMs: throttlePauseMs }),
  });
}

function verdictFor(status: number, { code, type = '' }: Found): Verdict {
  const known = code === undefined ? undefined : codes.get(code);
  if (status === 429 || known?.code === 'RATE_LIMITED') return { code: 'RATE_LIMITED' };
  const byStatus = verdictOf(status);
  if (status >= 400 && byStatus.code === 'PROVIDER_ERROR') return byStatus;
  if (known) return known;
  if (/^authentication/i.test(type)) return { code: 'UNAUTHENTICATED' };
  if (/^authorization/i.test(type) && status !== 401) return { code: 'FORBIDDEN' };
  if (status >= 400 && byStatus.code !== 'BAD_REQUEST') return byStatus;
  // Faults that we do not know inside a success, pages that are not JSON, redirects to a maintenance page: in trouble.
  return /^validation/i.test(type) ? { code: 'VALIDATION_FAILED' } : byStatus;
}

/** By number and, for what the gateway writes, also by name. Codes that are missing here are judged by type and status. */
const codes: ReadonlyMap<string, Verdict> = new Map([
  ['100', { code: 'UNAUTHENTICATED' }],
  ['3200', { code: 'UNAUTHENTICATED' }],
  ['AuthenticationFailed', { code: 'UNAUTHENTICATED' }],
  // The administrator who connected lost access; the wrong company, or access taken away.
  ['120', { code: 'REAUTHORIZATION_REQUIRED' }],
  ['3100', { code: 'REAUTHORIZATION_REQUIRED' }],
  ['ApplicationAuthorizationFailed', { code: 'REAUTHORIZATION_REQUIRED' }],
  ['3001', { code: 'RATE_LIMITED' }],
  ['ThrottleExceeded', { code: 'RATE_LIMITED' }],
  ['610', { code: 'NOT_FOUND' }],
  // A stale SyncToken is cured by reading anew; a name or a document number that is taken stays taken.
  ['5010', { code: 'CONFLICT', retryable: true }],
  ['6140', { code: 'CONFLICT', retryable: false }],
  ['6240', { code: 'CONFLICT', retryable: false }],
  ['2010', { code: 'VALIDATION_FAILED' }],
  ['2020', { code: 'VALIDATION_FAILED' }],
  ['2170', { code: 'VALIDATION_FAILED' }],
  ['2500', { code: 'VALIDATION_FAILED' }],
  ['6000', { code: 'VALIDATION_FAILED' }],
  // The subscription has ended, the books are closed, the payment is deposited: not the caller's to mend.
  ['6190', { code: 'FORBIDDEN' }],
  ['6210', { code: 'FORBIDDEN' }],
  ['6540', { code: 'FORBIDDEN' }],
  // Queries and operations that we wrote wrongly, although they come as ValidationFault.
  ['500', { code: 'BAD_REQUEST' }],
  ['4000', { code: 'BAD_REQUEST' }],
  ['4001', { code: 'BAD_REQUEST' }],
  ['10000', { code: 'PROVIDER_ERROR' }],
]);

/**
 * A fault in any of its JSON shapes: `Fault.Error[].Message`, the gateway's `fault.error[].message`, and the newer
 * `{ code, type, detail }`. The first error decides.
 */
function faultIn(answer: Record<string, unknown>): Found | undefined {
  const fault = asObject(answer.Fault) ?? asObject(answer.fault);
  if (fault) {
    const list = fault.Error ?? fault.error;
    const errors = (Array.isArray(list) ? (list as unknown[]) : [list]).map((one) => asObject(one) ?? {});
    const first = errors[0];
    return {
      code: codeText(first?.code) ?? codeInMessage(textOf(first?.Message ?? first?.message)),
      type: textOf(fault.type),
      details: errors.map(({ Message, message, Detail, detail, code, element }) => ({
        code,
        message: sentence([Message ?? message, Detail ?? detail]),
        element,
      })),
    };
  }
  // Successes have an envelope around the object; only errors have these two at the top.
  const { code, type, message, detail } = answer;
  if (typeof code !== 'string' || typeof type !== 'string') return undefined;
  return { code: codeText(code), type: code, details: [{ code, message: sentence([message, detail]) }] };
}

/** Throttles above all come as XML, whatever was accepted. They are short: what stands further down is not looked at. */
function faultInXml(body: string): Found | undefined {
  const start = body.slice(0, 32_768);
  const fault = /^\s*</.test(start) && /<(?:\w{1,20}:)?Fault\b([^<>]{0,500})/i.exec(start);
  if (!fault) return undefined;
  const errors = start.split(/<(?:\w{1,20}:)?Error(?=[\s>])/i).slice(1, 11);
  return {
    code: codeText(attribute(errors[0], 'code')) ?? codeInMessage(start),
    type: attribute(`${fault[1]}>`, 'type'),
    details: errors.map((error) => ({
      code: attribute(error, 'code'),
      message: sentence([child(error, 'Message'), child(error, 'Detail')]),
      element: attribute(error, 'element'),
    })),
  };
}

/** Of the tag whose name has just been read. */
function attribute(text: string | undefined, name: string): string | undefined {
  const tag = text?.slice(0, 500).split('>', 1)[0] ?? '';
  return new RegExp(String.raw`\b${name}\s{0,5}=\s{0,5}["']([^"']*)["']`, 'i').exec(tag)?.[1] || undefined;
}

function child(text: string, name: string): string | undefined {
  const inner = new RegExp(String.raw`<(?:\w{1,20}:)?${name}>([^<]*)`, 'i').exec(text)?.[1];
  return inner?.replace(/&(lt|gt|quot|apos|#39|amp);/g, (_, entity: string) => entities.get(entity)!);
}

const entities: ReadonlyMap<string, string> = new Map([
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
  ['#39', "'"],
  ['amp', '&'],
]);

/** `message=ThrottleExceeded; errorCode=003001; statusCode=429` */
const codeInMessage = (message: string | undefined) => codeText(/errorCode=(\d+)/i.exec(message ?? '')?.[1]);

/** Without leading zeros; undefined for what is no code. */
function codeText(value: unknown): string | undefined {
  const code = anyCodeText(value)?.replace(/^0+(?=\d)/, '');
  return code !== undefined && /^(\d{1,6}|[A-Za-z]{1,64})$/.test(code) ? code : undefined;
}
