import type { Fault, HttpRequest, HttpResponse } from '../calls/http.ts';
import type { Provider, RecordSnapshot, Target } from './provider.ts';

/** QuickBooks Online. Facts from developer.intuit.com as of November 2026; the quirks are commented where they bite. */
export const quickbooks: Provider = {
  id: 'quickbooks',
  name: 'QuickBooks Online',
  auth: 'OAUTH2',
  endpoints: {
    authorizeUrl: 'https://appcenter.intuit.com/connect/oauth2',
    tokenUrl: 'https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer',
    revokeUrl: 'https://developer.api.intuit.com/v2/oauth2/tokens/revoke',
    apiUrl: 'https://quickbooks.api.intuit.com',
  },
  oauth: {
    scopes: ['com.intuit.quickbooks.accounting'],
    scopeSeparator: ' ',
    pkce: 'S256',
    clientAuthentication: 'basic',
    authorizeParams: {},
    // Asks for the end that refreshing does not move: five years from consent.
    tokenHeaders: { 'x-include-refresh-token-hard-expires-in': 'true' },
    // The company is named here and nowhere else.
    externalIdParam: { name: 'realmId', pattern: /^\d{1,20}$/ },
    refreshExpiresInField: 'x_refresh_token_expires_in',
    hardExpiresInField: 'x_refresh_token_hard_expires_in',
    reauthorizationErrors: ['invalid_grant'],
    revocation: 'json',
  },
  deliversWebhooks: true,
  resources: ['Customer', 'Vendor', 'Invoice', 'Bill', 'Payment'],
  // For each app and company ("realm").
  limits: [
    { name: 'second', limit: 10, windowMs: 1_000 },
    { name: 'minute', limit: 500, windowMs: 60_000 },
  ],
  classify,
  identity: {
    request: (target) => get(target, `companyinfo/${target.externalId}`),
    parse(response, target) {
      // `Id` is 1 in every company: the realm is what identifies one.
      const company = asObject(objectIn(response.body)?.CompanyInfo);
      const name = company?.CompanyName;
      return { id: target.externalId, name: typeof name === 'string' ? name : null, url: null };
    },
  },
  records: {
    // A query may name more, but 30 is what one batch takes and what the limits page recommends. A query's page is 100.
    batchSize: 30,
    idPattern: /^\d{1,20}$/,
    request(target, resource, ids) {
      if (ids.length === 1) return get(target, `${resource.toLowerCase()}/${ids[0]}`);
      const list = ids.map((id) => `'${id}'`).join(',');
      const query = `select * from ${resource} where Id in (${list})`;
      // Queries hide the inactive members of name lists unless told otherwise; reads of one do not.
      return get(target, 'query', nameLists.has(resource) ? `${query} and Active in (true, false)` : query);
    },
    parse(response, resource) {
      const body = objectIn(response.body);
      // A query answers a list, or nothing at all for no rows; a read answers the object itself.
      const found = asObject(body?.QueryResponse)?.[resource] ?? body?.[resource] ?? [];
      const snapshots = (Array.isArray(found) ? found : [found])
        .map(snapshotOf)
        .filter((one) => one !== undefined);
      return new Map(snapshots.map((one) => [one.externalId, one]));
    },
  },
};

const nameLists: ReadonlySet<string> = new Set(['Customer', 'Vendor']);

/** Versions below 75 are no longer served (August 2025). Without `Accept` the answer would be XML. */
function get(target: Target, path: string, query?: string): HttpRequest {
  const search = query === undefined ? '' : `query=${encodeURIComponent(query)}&`;
  return {
    method: 'GET',
    url: `${target.apiUrl}/v3/company/${target.externalId}/${path}?${search}minorversion=75`,
    headers: { accept: 'application/json' },
  };
}

function snapshotOf(value: unknown): RecordSnapshot | undefined {
  const payload = asObject(value);
  if (typeof payload?.Id !== 'string') return undefined;
  const updated = asObject(payload.MetaData)?.LastUpdatedTime;
  const updatedAt = new Date(
    typeof updated === 'string' && /^\d{4}-\d\d-\d\dT/.test(updated) ? updated : NaN,
  );
  return { externalId: payload.Id, payload, updatedAt: Number.isNaN(updatedAt.getTime()) ? null : updatedAt };
}

/**
 * The fault's own code decides before the HTTP status: a 200 can carry one, and a throttle comes as 403 and 503 too.
 * But a server in trouble proves nothing about a connection: from a 5xx only the throttle is believed.
 */
function classify(response: HttpResponse): Fault | undefined {
  const { status, headers } = response;
  const entry = faultIn(response.body);
  if (status < 300 && !entry && objectIn(response.body)) return undefined;
  const code = codeFor(status, entry);
  const requestId = headers.intuit_tid;
  return {
    code,
    message: words[code],
    ...(entry?.code !== undefined && { providerCode: entry.code }),
    ...(requestId !== undefined && /^[\w.:-]{1,128}$/.test(requestId) && { requestId }),
    // Intuit documents no Retry-After, only the advice to wait a minute. A header that can be read wins.
    ...(code === 'RATE_LIMITED' && { retryAfterMs: 60_000 }),
  };
}

function codeFor(status: number, entry: FaultEntry | undefined): QuickBooksCode {
  const known = entry?.code === undefined ? undefined : codes.get(entry.code);
  if (status === 429 || known === 'RATE_LIMITED') return 'RATE_LIMITED';
  if (status >= 500 || status === 408) return 'PROVIDER_ERROR';
  if (known) return known;
  if (status === 401 || /^authentication/i.test(entry?.type ?? '')) return 'UNAUTHENTICATED';
  if (status === 403 || /^authorization/i.test(entry?.type ?? '')) return 'FORBIDDEN';
  if (status === 404) return 'NOT_FOUND';
  if (status === 409) return 'CONFLICT';
  if (status === 422 || /^validation/i.test(entry?.type ?? '')) return 'VALIDATION_FAILED';
  // Faults that we do not know inside a success, pages that are not JSON, redirects to a maintenance page.
  return status < 400 ? 'PROVIDER_ERROR' : 'BAD_REQUEST';
}

const words = {
  BAD_REQUEST: 'QuickBooks did not understand a request of ours.',
  UNAUTHENTICATED: 'QuickBooks does not accept the access token.',
  FORBIDDEN: 'The QuickBooks company, its plan or its books do not allow this.',
  NOT_FOUND: 'QuickBooks has no such object.',
  CONFLICT: 'QuickBooks has a newer or another object in the way.',
  VALIDATION_FAILED: 'QuickBooks refused the values.',
  RATE_LIMITED: 'QuickBooks asks for fewer requests.',
  PROVIDER_ERROR: 'QuickBooks is in trouble.',
  REAUTHORIZATION_REQUIRED: 'QuickBooks no longer lets us into this company: connect again.',
} as const satisfies Partial<Record<Fault['code'], string>>;
type QuickBooksCode = keyof typeof words;

/** By number and, for what the gateway writes, also by name. Codes that are missing here are judged by type and status. */
const codes: ReadonlyMap<string, QuickBooksCode> = new Map([
  ['100', 'UNAUTHENTICATED'],
  ['3200', 'UNAUTHENTICATED'],
  ['AuthenticationFailed', 'UNAUTHENTICATED'],
  // The administrator who connected lost access; the wrong company, or access taken away.
  ['120', 'REAUTHORIZATION_REQUIRED'],
  ['3100', 'REAUTHORIZATION_REQUIRED'],
  ['ApplicationAuthorizationFailed', 'REAUTHORIZATION_REQUIRED'],
  ['3001', 'RATE_LIMITED'],
  ['ThrottleExceeded', 'RATE_LIMITED'],
  ['610', 'NOT_FOUND'],
  ['5010', 'CONFLICT'],
  ['6140', 'CONFLICT'],
  ['6240', 'CONFLICT'],
  ['2010', 'VALIDATION_FAILED'],
  ['2020', 'VALIDATION_FAILED'],
  ['2170', 'VALIDATION_FAILED'],
  ['2500', 'VALIDATION_FAILED'],
  ['6000', 'VALIDATION_FAILED'],
  // The subscription has ended, the books are closed, the payment is deposited: not the caller's to mend.
  ['6190', 'FORBIDDEN'],
  ['6210', 'FORBIDDEN'],
  ['6540', 'FORBIDDEN'],
  // Queries and operations that we wrote wrongly, although they come as ValidationFault.
  ['500', 'BAD_REQUEST'],
  ['4000', 'BAD_REQUEST'],
  ['4001', 'BAD_REQUEST'],
  ['10000', 'PROVIDER_ERROR'],
]);

interface FaultEntry {
  code: string | undefined;
  type: string | undefined;
}

/**
 * The first error of a fault, in any of its shapes: `Fault.Error[].Message`, the gateway's `fault.error[].message`, the
 * newer `{ code, type, detail }`, and XML, which comes whatever was accepted. Details can echo the token: not read.
 */
function faultIn(body: string): FaultEntry | undefined {
  const answer = objectIn(body);
  const fault = asObject(answer?.Fault) ?? asObject(answer?.fault);
  if (fault) {
    const list = fault.Error ?? fault.error;
    const first = asObject(Array.isArray(list) ? (list as unknown[])[0] : list);
    return {
      code: codeText(first?.code) ?? codeInMessage(first?.Message ?? first?.message),
      type: text(fault.type),
    };
  }
  // Successes have an envelope around the object; only errors have these two at the top.
  if (typeof answer?.code === 'string' && typeof answer.type === 'string')
    return { code: codeText(answer.code), type: answer.code };
  const xml = /^\s*</.test(body) && /<(?:\w+:)?Fault\b(?:[^<>]*?\btype\s*=\s*["'](\w*)["'])?/i.exec(body);
  if (!xml) return undefined;
  const code = /<(?:\w+:)?Error\b[^<>]*?\bcode\s*=\s*["'](\w+)["']/i.exec(body)?.[1];
  return { code: codeText(code) ?? codeInMessage(body), type: xml[1] };
}

/** `message=ThrottleExceeded; errorCode=003001; statusCode=429` */
const codeInMessage = (message: unknown) => codeText(/errorCode=(\d+)/i.exec(text(message) ?? '')?.[1]);

/** Without leading zeros; undefined for what is no code. */
function codeText(value: unknown): string | undefined {
  const code = text(value)?.replace(/^0+(?=\d)/, '');
  return code !== undefined && /^(\d{1,6}|[A-Za-z]{1,64})$/.test(code) ? code : undefined;
}

const text = (value: unknown): string | undefined =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;

const asObject = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;

function objectIn(body: string): Record<string, unknown> | undefined {
  try {
    return asObject(JSON.parse(body));
  } catch {
    return undefined;
  }
}
