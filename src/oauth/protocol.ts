import type { Fault, HttpRequest, HttpResponse } from '../calls/http.ts';
import { valueAt } from '../calls/valueAt.ts';
import type { ProblemCode } from '../errors.ts';
import type { Endpoints, LifetimeUnit, OAuthFacts } from '../providers/provider.ts';

/**
 * The token endpoint as request and process pairs: one function writes a request, the other judges its answer. Pure: nothing
 * here sends, stores or waits. What a provider writes is never repeated in a message, since it can echo a token.
 */

export interface ClientCredentials {
  clientId: string;
  clientSecret: string;
}

export interface UserCredentials {
  username: string;
  password: string;
}

/** What one token answer gave. All times count from `issuedAt`, when the request was sent: never too late. */
export interface TokenSet {
  accessToken: string;
  /** Absent: the one that was used stays good (RFC 6749 §6). */
  refreshToken?: string;
  issuedAt: Date;
  /** Null where the answer gives no usable lifetime: used until the provider refuses it. */
  expiresAt: Date | null;
  scopes: string[];
  /** Whom the answer itself names, where the provider does that. */
  externalId: string | null;
  externalUserId: string | null;
  /** When the refresh token runs out if it is not used. */
  refreshExpiresAt: Date | null;
  /** When the whole grant runs out, however often it is refreshed. */
  hardExpiresAt: Date | null;
}

/** A `Fault` of the token or revocation endpoint. */
export interface TokenFault extends Omit<Fault, 'code'> {
  code: Extract<
    ProblemCode,
    | 'BAD_REQUEST'
    | 'RATE_LIMITED'
    | 'PROVIDER_ERROR'
    | 'REAUTHORIZATION_REQUIRED'
    | 'AUTHORIZATION_EXPIRED'
    | 'AUTHORIZATION_DENIED'
    | 'NOT_CONFIGURED'
  >;
}

const longestAnswerBytes = 64 * 1024;
/** Ten years. A longer lifetime is a wrong unit or means "for ever"; either way the date must stay a sane one. */
const longestLifetimeSeconds = 315_360_000;

/** RFC 6749 §4.1.3. Codes are single use: never send it twice. */
export function codeExchangeRequest(
  endpoints: Endpoints,
  facts: OAuthFacts,
  credentials: ClientCredentials | undefined,
  grant: { code: string; redirectUri: string; codeVerifier: string | undefined },
): HttpRequest {
  return tokenRequest(endpoints.tokenUrl, facts, credentials, {
    ...facts.tokenParams,
    grant_type: 'authorization_code',
    code: grant.code,
    redirect_uri: grant.redirectUri,
    ...(grant.codeVerifier !== undefined && { code_verifier: grant.codeVerifier }),
  });
}

/** RFC 6749 §6, without `scope`: what was granted stays granted. */
export function refreshRequest(
  endpoints: Endpoints,
  facts: OAuthFacts,
  credentials: ClientCredentials | undefined,
  refreshToken: string,
): HttpRequest {
  return tokenRequest(endpoints.refreshUrl ?? endpoints.tokenUrl, facts, credentials, {
    ...facts.refreshParams,
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
  });
}

/** RFC 6749 §4.3.2. RFC 9700 §2.4 forbids it for new designs: only for providers that offer nothing else. */
export function passwordRequest(
  endpoints: Endpoints,
  facts: OAuthFacts,
  client: ClientCredentials | undefined,
  { username, password }: UserCredentials,
): HttpRequest {
  const grant = { ...facts.tokenParams, grant_type: 'password', username, password };
  return tokenRequest(endpoints.tokenUrl, facts, client, grant);
}

/** RFC 7009 §2.1, the same members as a JSON body, or as bearer. Sending it again is harmless. */
export function revokeRequest(
  endpoints: Endpoints,
  facts: OAuthFacts,
  credentials: ClientCredentials | undefined,
  token: string,
): HttpRequest {
  if (facts.revocation === 'slack') {
    const { members } = authenticated({ ...facts, clientAuthentication: 'body' }, credentials, {});
    const headers = { accept: 'application/json', authorization: `Bearer ${token}` };
    return post('form', endpoints.revokeUrl, headers, members);
  }
  const { headers, members } = authenticated(facts, credentials, { token });
  return post(facts.revocation === 'json' ? 'json' : 'form', endpoints.revokeUrl, headers, members);
}

/** Stands for the whole grant, or, where a method of the API ends it, lets that be called. */
export function tokenToRevoke(facts: OAuthFacts, { accessToken, refreshToken }: GrantTokens): string {
  const byAccessToken = facts.revocation === 'slack' || facts.revokedToken === 'access';
  return byAccessToken ? accessToken : (refreshToken ?? accessToken);
}

export interface GrantTokens {
  accessToken: string;
  refreshToken?: string;
}

/** Slack uninstalls an app for nobody whose access token has run out: a new one can ask for it. */
export const tokenRanOut = 'token_expired';

/**
 * Judges an answer to a code exchange or a refresh (RFC 6749 §5). Lifetimes (`expires_in` and the provider's others), in
 * seconds unless the provider counts otherwise:
 *
 *   3600, "3600", 3600.9                seconds, whole ones
 *   absent, 0, negative, anything else  unknown: null. Taken as 0, every call would refresh
 *   more than ten years                 ten years
 *
 * `scope` absent, empty or unreadable means as requested (§5.1). A 2xx without a usable token is PROVIDER_ERROR: larger
 * than 64 KiB, not a JSON object, `access_token` missing, malformed or twice, a `token_type` other than bearer (a
 * missing one is taken for bearer). Members stand where the provider's facts say. Errors:
 *
 *   429                                         RATE_LIMITED
 *   3xx, 408, 425, 5xx, whatever the body says  PROVIDER_ERROR
 *   no error code in the body                   400, 401, 403: PROVIDER_ERROR (a proxy's page); others BAD_REQUEST
 *   the provider's `reauthorizationErrors`      refresh: REAUTHORIZATION_REQUIRED; exchange: AUTHORIZATION_EXPIRED;
 *                                               password: AUTHORIZATION_DENIED
 *   invalid_client, unauthorized_client         NOT_CONFIGURED
 *   server_error, temporarily_unavailable       PROVIDER_ERROR
 *   any other code                              BAD_REQUEST
 */
export function processTokenResponse(
  response: HttpResponse,
  facts: OAuthFacts,
  context: {
    requestedScopes: readonly string[];
    sentAtMs: number;
    purpose: 'exchange' | 'refresh' | 'password';
  },
): TokenSet | TokenFault {
  const answer = objectIn(response.body);
  const accessTokenPath = facts.answer?.accessToken ?? 'access_token';
  const refreshTokenPath = facts.answer?.refreshToken ?? 'refresh_token';
  const accessToken = answer && valueAt(answer, accessTokenPath);
  // Some providers report errors with status 200.
  if (!isSuccess(response) || (accessToken === undefined && errorIn(answer, facts) !== undefined))
    return judge(response, answer, facts, grantGone[context.purpose]);

  const unusable = (what: string) =>
    fault(response, facts, 'PROVIDER_ERROR', `The provider's token answer ${what}.`);
  if (!answer) return unusable('is too large or not a JSON object');
  if (typeof accessToken !== 'string' || !/^[\x21-\x7e]+$/.test(accessToken))
    return unusable('has no usable access token');
  const refreshToken = valueAt(answer, refreshTokenPath) ?? '';
  if (typeof refreshToken !== 'string' || !/^[\x20-\x7e]*$/.test(refreshToken))
    return unusable('has no usable refresh token');
  if (repeatsAny(response.body, [accessTokenPath, refreshTokenPath])) return unusable('has a token twice');
  const tokenType = answer.token_type ?? 'bearer';
  const bearers = facts.tokenTypes ?? ['bearer'];
  if (typeof tokenType !== 'string' || !bearers.includes(tokenType.toLowerCase()))
    return unusable('is of a type other than bearer');

  const after = (path: string | undefined) =>
    endOf(path && valueAt(answer, path), context.sentAtMs, facts.lifetimeUnit);
  const named = scopesIn(valueAt(answer, facts.answer?.scope ?? 'scope'), facts);
  const unnamed = context.requestedScopes.filter((scope) => facts.unansweredScopes?.includes(scope));
  return {
    accessToken,
    ...(refreshToken !== '' && { refreshToken }),
    issuedAt: new Date(context.sentAtMs),
    expiresAt: after(facts.answer?.expiresIn ?? 'expires_in'),
    scopes: named ? [...new Set([...named, ...unnamed])] : [...context.requestedScopes],
    externalId: firstIdIn(answer, facts.externalIdFields ?? []),
    externalUserId: firstIdIn(answer, facts.externalUserIdField ? [facts.externalUserIdField] : []),
    refreshExpiresAt: after(facts.refreshExpiresInField),
    hardExpiresAt: after(facts.hardExpiresInField),
  };
}

/**
 * REVOKED also for a 400 that says the token is unknown or already dead: providers that deviate from RFC 7009 §2.2
 * answer so, QuickBooks among them, and trying again would never end. Other errors as for token answers.
 */
export function processRevokeResponse(response: HttpResponse, facts: OAuthFacts): 'REVOKED' | TokenFault {
  const answer = objectIn(response.body);
  const error = errorIn(answer, facts);
  // Slack says 200 whatever happened.
  if (isSuccess(response) && (facts.revocation !== 'slack' || answer?.ok === true)) return 'REVOKED';
  const description = typeof answer?.error_description === 'string' ? answer.error_description : '';
  // Intuit's 400 for a token that it does not know need not say why. A page of a proxy says nothing.
  const silent = response.body.trim() === '' || answer !== undefined;
  const ranOut = facts.revocation === 'slack' && error === tokenRanOut;
  const dead =
    error === undefined
      ? silent
      : !ranOut && (deadTokenErrors.has(error) || deadTokenWords.test(description));
  const refused = response.status === 400 || (facts.revocation === 'slack' && isSuccess(response));
  return refused && dead ? 'REVOKED' : judge(response, answer, facts);
}

const deadTokenErrors: ReadonlySet<string> = new Set([
  'invalid_grant',
  'invalid_token',
  'token_expired',
  'token_revoked',
  'account_inactive',
  'invalid_auth',
]);
/** Our requests are always well-formed: a description that finds fault with the token means the token's life. */
const deadTokenWords =
  /\b(?:invalid|incorrect|unknown|expired|revoked)(?: access| refresh)? token\b(?! (?:endpoint|type|request))|\btoken(?: is| was| has| been| already)* (?:invalid|incorrect|unknown|expired|revoked|not found)\b/i;

/**
 * When to renew: after 75 to 80 % of the lifetime that this token was issued with, earlier the larger `jitter` (0 to 1)
 * is, so that tokens issued together are not renewed together. Null where the lifetime is unknown.
 */
export function refreshDueAt(issuedAt: Date, expiresAt: Date | null, jitter: number): Date | null {
  if (!expiresAt) return null;
  const lifetimeMs = expiresAt.getTime() - issuedAt.getTime();
  return new Date(issuedAt.getTime() + lifetimeMs * (0.8 - 0.05 * jitter));
}

function tokenRequest(
  url: string,
  facts: OAuthFacts,
  credentials: ClientCredentials | undefined,
  grant: Record<string, string>,
): HttpRequest {
  const { headers, members } = authenticated(facts, credentials, grant);
  return post(facts.bodyFormat ?? 'form', url, { ...facts.tokenHeaders, ...headers }, members);
}

/** RFC 6749 §2.3.1: in a Basic header, each part form-encoded first, or as members of the body; §3.2.1 for public ones. */
function authenticated(
  facts: OAuthFacts,
  client: ClientCredentials | undefined,
  members: Record<string, string>,
): { headers: Record<string, string>; members: Record<string, string> } {
  const headers = { accept: 'application/json' };
  if (facts.clientAuthentication === 'none' || !client) return { headers, members };
  const { clientId, clientSecret } = client;
  if (facts.clientAuthentication === 'public')
    return { headers, members: { ...members, client_id: clientId } };
  if (facts.clientAuthentication === 'body')
    return { headers, members: { ...members, client_id: clientId, client_secret: clientSecret } };
  const basic = Buffer.from(`${formEncoded(clientId)}:${formEncoded(clientSecret)}`).toString('base64');
  return { headers: { ...headers, authorization: `Basic ${basic}` }, members };
}

const formEncoded = (text: string) => new URLSearchParams({ x: text }).toString().slice(2);

function post(
  format: 'form' | 'json',
  url: string,
  headers: Record<string, string>,
  members: Record<string, string>,
): HttpRequest {
  const asJson = format === 'json';
  return {
    method: 'POST',
    url,
    headers: {
      ...headers,
      'content-type': asJson ? 'application/json' : 'application/x-www-form-urlencoded',
    },
    body: asJson ? JSON.stringify(members) : new URLSearchParams(members).toString(),
  };
}

const isSuccess = ({ status }: HttpResponse) => status >= 200 && status < 300;

function objectIn(body: string): Record<string, unknown> | undefined {
  if (Buffer.byteLength(body) > longestAnswerBytes) return undefined;
  try {
    const value: unknown = JSON.parse(body);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function errorIn(answer: Record<string, unknown> | undefined, facts: OAuthFacts): string | undefined {
  const error = answer && valueAt(answer, facts.answer?.error ?? 'error');
  return typeof error === 'string' && error !== '' ? error : undefined;
}

/**
 * Whether a member that carries a token stands twice in `json`, which must be valid: `JSON.parse` takes the last,
 * others the first, and the wrong one of two refresh tokens ends the grant.
 */
function repeatsAny(json: string, paths: readonly string[]): boolean {
  const seen = new Set<string>();
  const inside: string[] = [];
  let latest = '';
  for (const [lexeme, name] of json.matchAll(/("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}[\]]/g)) {
    if (lexeme === '{' || lexeme === '[') inside.push(latest);
    else if (lexeme === '}' || lexeme === ']') inside.pop();
    else if (name !== undefined) {
      latest = JSON.parse(name) as string;
      const path = [...inside.slice(1), latest].join('.');
      if (seen.has(path)) return true;
      if (paths.includes(path)) seen.add(path);
    }
  }
  return false;
}

const secondsIn: Record<LifetimeUnit, number> = { milliseconds: 0.001, seconds: 1, minutes: 60 };

function endOf(lifetime: unknown, sentAtMs: number, unit: LifetimeUnit = 'seconds'): Date | null {
  const isDigits = typeof lifetime === 'string' && /^\d+(\.\d+)?$/.test(lifetime);
  const count = isDigits || typeof lifetime === 'number' ? Number(lifetime) : 0;
  const seconds = Math.floor(count * secondsIn[unit]);
  if (!(seconds > 0)) return null;
  return new Date(sentAtMs + Math.min(seconds, longestLifetimeSeconds) * 1000);
}

/** Commas and spaces where the provider separates by commas, only spaces where it follows RFC 6749 §3.3; or a list. */
function scopesIn(scope: unknown, { scopeSeparator }: OAuthFacts): string[] | undefined {
  const isText = (item: unknown) => typeof item === 'string';
  const list = isText(scope) ? scope.split(scopeSeparator === ',' ? /[\s,]+/ : /\s+/) : scope;
  if (!Array.isArray(list) || !list.every(isText)) return undefined;
  const scopes = [...new Set(list.filter((item) => item !== ''))];
  return scopes.length > 0 ? scopes : undefined;
}

/** Of a form that is safe to show and to store. */
function firstIdIn(answer: Record<string, unknown>, paths: readonly string[]): string | null {
  for (const path of paths) {
    const found = valueAt(answer, path);
    const value = Number.isSafeInteger(found) ? String(found) : found;
    if (typeof value === 'string' && /^[\x20-\x7e]{1,200}$/.test(value)) return value;
  }
  return null;
}

/** What it means that the provider does not accept what was presented. */
const grantGone = {
  refresh: 'REAUTHORIZATION_REQUIRED',
  exchange: 'AUTHORIZATION_EXPIRED',
  password: 'AUTHORIZATION_DENIED',
} as const;

function judge(
  response: HttpResponse,
  answer: Record<string, unknown> | undefined,
  facts: OAuthFacts,
  gone?: (typeof grantGone)[keyof typeof grantGone],
): TokenFault {
  const { status } = response;
  const error = errorIn(answer, facts);
  const as = (code: keyof typeof words) => fault(response, facts, code, words[code], error);
  if (status === 429) return as('RATE_LIMITED');
  if (status >= 500 || status === 408 || status === 425 || (status >= 300 && status < 400))
    return as('PROVIDER_ERROR');
  if (error === undefined) return as([400, 401, 403].includes(status) ? 'PROVIDER_ERROR' : 'BAD_REQUEST');
  if (gone && facts.reauthorizationErrors.includes(error)) return as(gone);
  for (const code of ['AUTHORIZATION_EXPIRED', 'NOT_CONFIGURED', 'RATE_LIMITED', 'PROVIDER_ERROR'] as const)
    if (facts.errors?.[code]?.includes(error)) return as(code);
  if (error === 'invalid_client' || error === 'unauthorized_client') return as('NOT_CONFIGURED');
  if (error === 'server_error' || error === 'temporarily_unavailable') return as('PROVIDER_ERROR');
  return as('BAD_REQUEST');
}

const words = {
  RATE_LIMITED: 'The provider asks us to send fewer token requests.',
  PROVIDER_ERROR: 'The provider could not answer a token request.',
  REAUTHORIZATION_REQUIRED: 'The provider has ended the authorization: connect again.',
  AUTHORIZATION_EXPIRED: 'The provider no longer accepts this authorization: start the connection again.',
  AUTHORIZATION_DENIED: 'The provider does not accept this user name and password.',
  NOT_CONFIGURED: 'The provider refused our client id and secret.',
  BAD_REQUEST: 'The provider refused a token request of ours.',
} as const satisfies Record<TokenFault['code'], string>;

/** Where the provider's facts name no other. */
const usualRequestIdHeaders = ['x-request-id', 'x-correlation-id'];

function fault(
  { headers }: HttpResponse,
  { requestIdHeaders = usualRequestIdHeaders }: OAuthFacts,
  code: TokenFault['code'],
  message: string,
  error?: string,
): TokenFault {
  const requestId = requestIdHeaders.map((name) => headers[name]).find((value) => value !== undefined);
  return {
    code,
    message,
    ...(error !== undefined && { providerCode: printable(error) }),
    ...(requestId !== undefined && /^[\w.:-]{1,128}$/.test(requestId) && { requestId }),
  };
}

/** An error code as RFC 6749 has them; anything else could be an echo of what we sent. */
export const printable = (error: string): string =>
  /^[a-z][a-z0-9_]{0,63}$/.test(error) ? error : 'unreadable';
